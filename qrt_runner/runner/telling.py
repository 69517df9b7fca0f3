"""What a run says while it runs and when it is done; knows results, and prints nothing itself."""

from __future__ import annotations

import io
import math
import re
from typing import TYPE_CHECKING, Final

from qrt_runner.digits import headline_of, with_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qrt_runner.results import TaskResult

_MOST_OUTCOMES: Final = 8
_MOST_SETS: Final = 5
_MOST_PARAMETERS: Final = 3
_MOST_IN_FULL: Final = 24
_MOST_BRIEFLY: Final = 200
"""So many tasks of a run are told in full, or in a line each, as their results come."""

_TITLES: Final = ("point", "task", "job id", "session id", "state", "headline number")
_NO_ID: Final = ("-", "none")
_CODES: Final = re.compile(r"\x1b\[[0-9;]*m")
_WIDEST: Final = 10_000
"""Characters of a table's line at most; it takes what it needs."""

_MOST_ROWS: Final = 60
"""Of a larger table its first rows are shown, and all that failed."""


def told(result: TaskResult) -> list[str]:
    """Return a task's numbers as lines: what was measured, and what was done to it."""
    lines = [_heading(result)]
    if result.state == "failed":
        return [*lines, f"  failed: {result.error}"]
    if result.counts is not None:
        lines += _count_lines(result)
    if result.expectations is not None:
        lines += _expectation_lines(result)
    return [*lines, *_mitigation_lines(result), *(f"  note: {note}" for note in result.notes)]


def told_in_sweep(result: TaskResult, tasks: int) -> list[str]:
    """Return a task's numbers as lines: the fewer, the more tasks there are; those of a failed task always."""
    if tasks <= _MOST_IN_FULL or result.state == "failed":
        return told(result)
    if tasks > _MOST_BRIEFLY:
        return []
    return [f"{_heading(result)}: {headline(result)}"]


def headline(result: TaskResult) -> str:
    """Return the one number of a task that a table has room for."""
    found = headline_of(result)
    if result.state == "failed" or found is None:
        return "failed"
    more = f" (first of {found.sets} sets)" if found.sets > 1 else ""
    return f"{found.name} = {with_error(found.value, found.error)}{more}"


def table(results: Sequence[TaskResult], *, colour: bool = False, columns: int | None = None) -> str:
    """Return the closing table: point, task, job id, session id, state, headline number.

    Args:
        results: All of them.
        colour: Whether the terminal takes colours.
        columns: What there is room for: where a row needs more, its ids stand below it; None for any width.
    """
    shown = _rows_shown(sorted(results, key=lambda result: result.point.index))
    rows = []
    for result in shown:
        job = result.jobs[0].record if result.jobs else {}
        words = (str(result.point.index), result.name, str(job.get("id") or "-"), str(job.get("session_id") or "none"))
        state = f"[green]{result.state}[/]" if result.state == "done" else f"[red]{result.state}[/]"
        rows.append((*words, state, _plain(headline(result))))
    lines = _fitted(_TITLES, rows, columns, colour=colour)
    if len(shown) < len(results):
        lines.append(f"and {len(results) - len(shown)} more that are done; all are in results.parquet")
    return "\n".join(lines)


def _fitted(
    titles: Sequence[str], rows: Sequence[Sequence[str]], columns: int | None, *, colour: bool = False
) -> list[str]:
    """Return a table as lines; where there is no room for them, the ids of a row stand below it."""
    lines = _drawn(titles, rows, colour=colour)
    if columns is None or max(map(_width, lines)) <= columns:
        return lines
    ids = [place for place, title in enumerate(titles) if title.endswith(" id")]
    others = [place for place in range(len(titles)) if place not in ids]
    first = _drawn(
        [titles[place] for place in others], [[row[place] for place in others] for row in rows], colour=colour
    )
    below = [[f"      {titles[place]} {row[place]}" for place in ids if row[place] not in _NO_ID] for row in rows]
    return [first[0], *(line for row, ids in zip(first[1:], below, strict=True) for line in (row, *ids))]


def _width(line: str) -> int:
    """Return how many columns a line takes, its colours left out."""
    return len(_CODES.sub("", line))


def tabled(titles: Sequence[str], rows: Sequence[Sequence[str]], columns: int | None = None) -> list[str]:
    """Return a table as lines for a terminal of so many columns; None for any width."""
    return _fitted(titles, [[_plain(cell) for cell in row] for row in rows], columns)


def _plain(cell: str) -> str:
    return cell.replace("[", r"\[")


def _drawn(titles: Sequence[str], rows: Sequence[Sequence[str]], *, colour: bool) -> list[str]:
    """Return a table as lines, as wide as it needs to be: of ids and numbers nothing may be cut off."""
    from rich.console import Console
    from rich.table import Table

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        drawn.add_column(title, no_wrap=True)
    for row in rows:
        drawn.add_row(*row)
    # In a notebook rich would show the table by itself, and return nothing.
    console = Console(
        file=io.StringIO(),
        width=_WIDEST,
        force_terminal=colour,
        force_jupyter=False,
        color_system="standard" if colour else None,
        no_color=not colour,
        highlight=False,
    )
    console.print(drawn)
    stream = console.file
    assert isinstance(stream, io.StringIO)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def _rows_shown(results: Sequence[TaskResult]) -> Sequence[TaskResult]:
    if len(results) <= _MOST_ROWS:
        return results
    failed = [result for result in results if result.state == "failed"][:_MOST_ROWS]
    first = [result for result in results if result.state == "done"][: max(_MOST_ROWS - len(failed), 0)]
    return sorted([*failed, *first], key=lambda result: result.point.index)


def _heading(result: TaskResult) -> str:
    task = result.task
    swept = f"  [{' '.join(result.point.overrides)}]" if result.point.overrides else ""
    name = f"{result.name}: " if len(result.point.experiment.tasks) > 1 else ""
    return f"{name}{task.circuit.name} on {result.backend}, mode {task.mode.kind}{swept}"


def _count_lines(result: TaskResult) -> list[str]:
    assert result.counts is not None
    lines = []
    for index, registers in enumerate(result.counts.by_register()[:_MOST_SETS]):
        prefix = f"  set {index}{_values(result, index)} " if len(result.counts.joint) > 1 else "  "
        for name, counts in registers.items():
            ranked = sorted(counts, key=lambda outcome: (-counts[outcome], outcome))
            shown = "  ".join(f"{outcome}: {counts[outcome]}" for outcome in ranked[:_MOST_OUTCOMES])
            more = f"  and {len(ranked) - _MOST_OUTCOMES} more" if len(ranked) > _MOST_OUTCOMES else ""
            lines.append(f"{prefix}{name}  {shown}{more}")
    lines += _more_sets(len(result.counts.joint))
    if result.comparison.hellinger:
        lines.append(
            f"  Hellinger fidelity {result.comparison.hellinger[0]:.4f}, success {result.comparison.p_success[0]:.4f}"
        )
    return lines + _twin_distances(result)


def _expectation_lines(result: TaskResult) -> list[str]:
    found, ideal = result.expectations, result.comparison.ideal
    assert found is not None
    width = max((len(name) for name in found.names), default=0)
    lines = []
    for index in range(min(len(found.values), _MOST_SETS)):
        prefix = f"  set {index}{_values(result, index)} " if len(found.values) > 1 else "  "
        for column, name in enumerate(found.names):
            number = with_error(found.values[index, column], found.errors[index, column])
            exact = "" if ideal is None or math.isnan(ideal[index, column]) else f"  ideal {ideal[index, column]:.6g}"
            lines.append(f"{prefix}<{name}>{' ' * (width - len(name))} = {number}{exact}{_twin(result, index, column)}")
    return lines + (_more_sets(len(found.values)) if found.names and result.counts is None else [])


def _values(result: TaskResult, index: int) -> str:
    """Return the values of a parameter set in brackets: of those that differ between sets, the first ones."""
    table = result.parameter_values
    if len(table) <= index or not result.parameters:
        return ""
    swept = [column for column in range(table.shape[1]) if (table[:, column] != table[0, column]).any()]
    named = [f"{result.parameters[column]}={table[index, column]:.4g}" for column in swept[:_MOST_PARAMETERS]]
    more = [f"{len(swept) - len(named)} more"] if len(swept) > len(named) else []
    return f" ({', '.join([*named, *more])})" if named else ""


def _twin(result: TaskResult, index: int, column: int) -> str:
    """Return what the twin gave, and how far from it the result is."""
    twin = result.comparison.twin
    if twin is None or twin.expectations is None or twin.sigmas is None:
        return ""
    found = twin.expectations
    number = with_error(found.values[index, column], found.errors[index, column])
    return f"  twin {number}, {twin.sigmas[index, column]:+.1f} sigma"


def _twin_distances(result: TaskResult) -> list[str]:
    twin = result.comparison.twin
    if twin is None or not twin.distances:
        return []
    told = twin.distances
    words = [
        f"{words} {told[f'twin/{key}'][0]:.4f} ({told[f'twin/{key}_expected'][0]:.4f} of equal ones)"
        for words, key in (("total variation", "total_variation"), ("Hellinger distance", "hellinger"))
    ]
    return [f"  from the twin: {', '.join(words)}"]


def _more_sets(count: int) -> list[str]:
    return [f"  and {count - _MOST_SETS} more parameter sets"] if count > _MOST_SETS else []


def _mitigation_lines(result: TaskResult) -> list[str]:
    ledger = result.ledger
    if ledger.requested == "none" and not ledger.applied and not ledger.ignored:
        return []
    lines = [f"  mitigation {ledger.requested}: applied {', '.join(ledger.applied) or 'nothing'}"]
    return lines + [f"  ignored {name}: {reason}" for name, reason in ledger.ignored.items()]
