"""The numbers of kept tasks as words and tables, with the digits that errors leave; knows the modules above it."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.digits import with_error
from qrt_runner.reports import Grid
from qrt_runner.tracking import rows_of, shown_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qrt_runner.tracking import Record

Row = dict[str, Any]

MOST_ROWS: Final = 1000
"""Of a longer table a page shows so many rows."""

MOST_OUTCOMES: Final = 16

_MOST_IN_WORDS: Final = 8
_PAIRED: Final = {"ev": "std", "ev_as_measured": "std_as_measured", "twin_ev": "twin_std", "error": "std"}
"""Values, and where their standard errors are."""

_ROUGH: Final = ("mse_cost", "cost_s", "error_sigmas", "twin_error_sigmas")
"""What is told with three digits."""

_RATHER_LATE: Final = ("shots", "hellinger", "total_variation", "p_success", "cost_s", "mse_cost", "task", "state")
"""Columns that stand behind the numbers."""

_ALWAYS: Final = ("label", "observable", "value", "error")
"""Columns of an overview that stand in it also where they are the same in all rows."""

_TITLES: Final = {
    "ev": "value",
    "ev_as_measured": "as measured",
    "twin_ev": "twin",
    "error": "difference to ideal",
    "error_sigmas": "difference to ideal in errors",
    "twin_error_sigmas": "difference to twin in errors",
    "mse_cost": "error^2 x cost (s)",
    "cost_s": "cost (s)",
    "hellinger": "Hellinger fidelity",
    "total_variation": "total variation",
    "p_success": "success",
}


def headline_of(record: Record) -> str:
    """Return the one number of a task that a table has room for."""
    if record.state != "FINISHED":
        return "failed"
    rows = [row for row in rows_of(record) if "ev" in row]
    if rows:
        more = f" (first of {len(rows)} values)" if len(rows) > 1 else ""
        return f"{rows[0]['observable']} = {_valued(rows[0], 'ev')}{more}"
    counts = first_counts(record)
    return _outcome(counts, max(counts, key=lambda one: counts[one])) if counts else "-"


def values_grid(caption: str, rows: Sequence[Row]) -> Grid:
    """Return tidy rows as a table; what is the same nowhere, and nothing in all of them, has no column."""
    names = shown_names(rows)
    hidden = {*_PAIRED.values(), *(("parameter_set",) if all(row.get("parameter_set", 0) == 0 for row in rows) else ())}
    hidden |= {name for name in ("task", "state") if len({row.get(name) for row in rows}) == 1}
    shown = sorted((name for name in names if name not in hidden), key=lambda name: name in _RATHER_LATE)
    told = [[_cell(row, name) for name in shown] for row in rows[:MOST_ROWS]]
    more = f"; the first {MOST_ROWS} of {len(rows)} rows, all are in results.parquet" if len(rows) > MOST_ROWS else ""
    called = dict(zip(shown, last_words(shown), strict=True))
    return Grid(f"{caption}{more}", [_TITLES.get(name, called[name].replace("_", " ")) for name in shown], told)


def last_words(names: Sequence[str]) -> list[str]:
    """Return dotted names by their last words where these tell them apart."""
    lasts = [name.rpartition(".")[2] for name in names]
    return [last if lasts.count(last) == 1 else name for name, last in zip(names, lasts, strict=True)]


def counts_grid(record: Record) -> Grid | None:
    """Return the outcomes of a task's first parameter set that came the most often; None where it has no counts."""
    counts = first_counts(record)
    if not counts:
        return None
    shots = sum(counts.values())
    best = sorted(counts, key=lambda one: (-counts[one], one))[:MOST_OUTCOMES]
    rows = [[one, str(counts[one]), _share(counts[one], shots)] for one in best]
    most = f" the {len(best)} most frequent of {len(counts)} outcomes," if len(best) < len(counts) else ""
    first = " of the first parameter set," if len(_counts(record)) > 1 else ""
    return Grid(f"Counts,{first}{most} {shots} shots; bit 0 is rightmost", ("outcome", "count", "share"), rows)


def first_counts(record: Record) -> Mapping[str, int]:
    """Return the counts of a task's first parameter set, over all registers together; nothing where there are none."""
    return next(iter(_counts(record)), {})


def counts_in_words(record: Record) -> str:
    """Return the counts that a figure shows."""
    counts = first_counts(record)
    best = sorted(counts, key=lambda one: (-counts[one], one))[:_MOST_IN_WORDS]
    more = [f"and {len(counts) - len(best)} more outcomes"] if len(best) < len(counts) else []
    return "; ".join([*(_outcome(counts, one) for one in best), *more])


def values_in_words(rows: Sequence[Row]) -> str:
    """Return the expectation values that a figure shows: each, or their range where there are many."""
    rows = [row for row in rows if "ev" in row]
    if len(rows) <= _MOST_IN_WORDS:
        return "; ".join(f"{row['observable']} = {_valued(row, 'ev')}{_ideal(row)}" for row in rows)
    ranges = []
    for name in dict.fromkeys(row["observable"] for row in rows):
        own = [row["ev"] for row in rows if row["observable"] == name and math.isfinite(row["ev"])]
        if own:
            ranges.append(f"{name} from {min(own):.4g} to {max(own):.4g} in {len(own)} values")
    return "; ".join(ranges[:_MOST_IN_WORDS])


def number(value: Any) -> str:
    """Return a number, or what there is instead, for a table's cell."""
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _counts(record: Record) -> Sequence[Mapping[str, int]]:
    if "counts_joint.json" in record.artifacts:
        return list(json.loads(record.artifacts["counts_joint.json"]))
    registers = json.loads(record.artifacts.get("counts.json", b"[]"))
    return [next(iter(one.values()), {}) for one in registers]


def _cell(row: Row, name: str) -> str:
    if row.get(name) is None:
        return "-"
    if name in _ROUGH:
        return f"{row[name]:.3g}"
    return _valued(row, name) if name in _PAIRED else number(row[name])


def overview_grid(caption: str, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Grid:
    """Return the table that puts tasks beside each other, its values with the digits that their errors leave."""
    paired = "value" in titles and "error" in titles
    same = {place for place in range(len(titles)) if len(rows) > 1 and len({row[place] for row in rows}) == 1}
    same -= {place for place, title in enumerate(titles) if title in _ALWAYS}
    shown = [place for place, title in enumerate(titles) if place not in same and not (paired and title == "error")]
    told_once = [f"{titles[place].replace('_', ' ')} {_rough(rows[0][place])}" for place in same if rows[0][place]]
    caption = f"{caption}; in all rows: {', '.join(told_once)}" if told_once else caption
    value, error = (titles.index("value"), titles.index("error")) if paired else (-1, -1)
    told = [
        [_told(row[value], row[error]) if place == value else _rough(row[place]) for place in shown]
        for row in rows[:MOST_ROWS]
    ]
    return Grid(caption, [titles[place].replace("_", " ") for place in shown], told)


def _told(value: str, error: str) -> str:
    """Return a value with its error, each a cell of a file, which is empty where it is not known."""
    return with_error(float(value), float(error or "nan")) if value else "-"


def _rough(cell: str) -> str:
    """Return a cell of a file with four digits where it is a number with more."""
    try:
        return cell if cell.isdigit() else f"{float(cell):.4g}"
    except ValueError:
        return cell


def _valued(row: Row, name: str) -> str:
    value, error = row[name], row.get(_PAIRED[name])
    return number(value) if error is None else with_error(value, error)


def _ideal(row: Row) -> str:
    return f" (ideal {row['ideal']:.6g})" if "ideal" in row else ""


def _outcome(counts: Mapping[str, int], outcome: str) -> str:
    shots = sum(counts.values())
    return f"{outcome}: {counts[outcome]} of {shots} ({_share(counts[outcome], shots)})"


def _share(count: int, shots: int) -> str:
    """Return a share of the shots with its standard error, that of a binomial distribution."""
    share = count / shots
    return with_error(share, math.sqrt(share * (1 - share) / shots))
