"""Tells how two runs differ: as tables, for a terminal or a file, and as plain data; knows the modules above it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.analysis.differences import CHANCE, MOST_SIGMAS
from qrt_runner.config import shown
from qrt_runner.digits import with_error

if TYPE_CHECKING:
    from qrt_runner.analysis.differences import Distance
    from qrt_runner.runner.differing import CountsDifference, Set, ValueDifference
    from qrt_runner.runner.drifting import Change, Drift, Matched

_MOST_ROWS: Final = 40
"""Of a longer table a terminal shows so many rows: those that differ the most."""

_NOTHING: Final = (
    "no result in common: other observables, other parameter values, or counts of other numbers of bits were measured"
)

_MOST_PARAMETERS: Final = 3

Row = tuple[str, ...]
Draw = Callable[[Sequence[str], Sequence[Row]], list[str]]
"""Draws a table as lines."""


@dataclass(frozen=True)
class Contrast:
    """Everything in which two runs differ."""

    runs: tuple[str, str]
    titles: tuple[str, str]
    tasks: int
    """Tasks that both have."""

    alone: tuple[int, int]
    """Tasks that only one of them has."""

    values: Sequence[ValueDifference]
    counts: Sequence[CountsDifference]
    drifts: Sequence[Drift]
    config: Sequence[Change]
    versions: Sequence[Change]
    records: Mapping[str, Matched] = field(default_factory=dict)
    """The tasks that both have, by the key of the first."""


@dataclass(frozen=True)
class Table:
    """A part of what is told: some words, and a table below them."""

    words: Sequence[str]
    titles: Row = ()
    rows: Sequence[Row] = ()
    weights: Sequence[float] = field(default_factory=list)
    """How much each row matters; empty where all do alike."""

    heading: str = "runs"
    """What a page calls it."""

    def lines(self, draw: Draw) -> list[str]:
        """Return it as lines for a terminal."""
        rows = self.most(_MOST_ROWS)
        more = [f"and {len(self.rows) - len(rows)} more"] if len(rows) < len(self.rows) else []
        return ["", *self.words, *(draw(self.titles, rows) if rows else []), *more]

    def most(self, count: int) -> list[Row]:
        """Return so many rows at most: those that differ the most, in their order."""
        order = range(len(self.rows))
        best = sorted(order, key=lambda index: -self.weights[index]) if self.weights else order
        return [self.rows[index] for index in sorted(best[:count])]


def tables_of(contrast: Contrast) -> list[Table]:
    """Return all that is told of two runs."""
    results = [_values(contrast.values), _counts(contrast.counts)]
    results += [] if any(results) else [Table([_NOTHING], heading="results")]
    drifted = [_drift(one) for one in contrast.drifts]
    besides = [_changes("config", contrast.config, contrast.tasks), _changes("versions", contrast.versions, 0)]
    return [_heading(contrast), *(table for table in (*results, *drifted, *besides) if table is not None)]


def written_tables(tables: Iterable[Iterable[Table]]) -> str:
    """Return tables as Markdown, all rows of them."""
    return "\n".join(line for pair in tables for table in pair for line in _markdown(table)) + "\n"


def report_of(contrast: Contrast) -> dict[str, Any]:
    """Return all in which two runs differ as plain data."""
    values = [
        {**asdict(one), "parameters": dict(one.parameters), "significant": one.found.is_significant}
        for one in contrast.values
    ]
    counts = [
        {**asdict(one), "parameters": dict(one.parameters), "significant": one.variation.is_significant}
        for one in contrast.counts
    ]
    drifted = [
        {**asdict(one), "changes": [{**_plain(change), "relative": change.relative} for change in one.changes]}
        for one in contrast.drifts
    ]
    return {
        "runs": contrast.runs,
        "tasks_in_common": contrast.tasks,
        "tasks_alone": contrast.alone,
        "significant_beyond_sigmas": MOST_SIGMAS,
        "significant_by_chance": CHANCE,
        "values": values,
        "counts": counts,
        "calibrations": drifted,
        "config": [_plain(change) for change in contrast.config],
        "versions": [_plain(change) for change in contrast.versions],
    }


def _plain(change: Change) -> dict[str, Any]:
    """Return a change without the unit and the tasks that it has none of."""
    return {name: value for name, value in asdict(change).items() if value or name not in ("unit", "tasks")}


def _heading(contrast: Contrast) -> Table:
    words = [f"run {contrast.runs[0]} ({contrast.titles[0]}) and then run {contrast.runs[1]} ({contrast.titles[1]})"]
    alone = [f"{count} only in the {place}" for count, place in zip(contrast.alone, ("first", "second"), strict=True)]
    told = [one for one, count in zip(alone, contrast.alone, strict=True) if count]
    common = "1 task" if contrast.tasks == 1 else f"{contrast.tasks} tasks"
    return Table([*words, ", ".join([f"{common} in common", *told])])


def _values(found: Sequence[ValueDifference]) -> Table | None:
    if not found:
        return None
    rows = [
        (
            one.task,
            parameters,
            one.observable,
            with_error(*one.first),
            with_error(*one.second),
            with_error(one.found.difference, one.found.error),
            f"{one.found.sigmas:.1f}",
            _verdict(significant=one.found.is_significant),
        )
        for one, parameters in zip(found, _sets([one.parameters for one in found]), strict=True)
    ]
    significant = sum(one.found.is_significant for one in found)
    words = f"{significant} of {len(found)} expectation values differ by more than {MOST_SIGMAS:g} standard errors"
    titles = ("task", "parameters", "observable", "first", "second", "difference", "in errors", "significant")
    untold = sum(math.isnan(one.found.sigmas) for one in found)
    words += f" ({untold} have no finite one)" if untold else ""
    weights = [0.0 if math.isnan(one.found.sigmas) else abs(one.found.sigmas) for one in found]
    return Table([f"{words}; {_by_chance(len(found) - untold)}"], titles, rows, weights, "expectation values")


def _counts(found: Sequence[CountsDifference]) -> Table | None:
    if not found:
        return None
    rows = [
        (
            one.task,
            parameters,
            f"{one.shots[0]}, {one.shots[1]}",
            f"{one.variation.value:.4f}",
            _expected(one.variation),
            f"{one.hellinger.value:.4f}",
            _expected(one.hellinger),
            f"{one.variation.chance:.3f}",
            _verdict(significant=one.variation.is_significant),
        )
        for one, parameters in zip(found, _sets([one.parameters for one in found]), strict=True)
    ]
    significant = sum(one.variation.is_significant for one in found)
    words = (
        f"{significant} of {len(found)} distributions of counts are further apart than {1 - CHANCE:.1%} of equal ones"
    )
    titles = ("task", "parameters", "shots", "total variation", "expected", "Hellinger", "expected", "chance")
    weights = [-one.variation.chance for one in found]
    return Table([f"{words}; {_by_chance(len(found))}"], (*titles, "significant"), rows, weights, "counts")


def _drift(drift: Drift) -> Table:
    if not all(drift.recorded):
        place = "second" if drift.recorded[0] else "first"
        told = f"the {place} run recorded no calibration of {drift.backends[drift.recorded.index(False)]}"
        return Table([f"T1, T2, readout and two-qubit errors: {told}"], heading="calibration")
    names = " and then ".join(
        f"{name}, calibrated {date}" for name, date in zip(drift.backends, drift.dates, strict=True)
    )
    words = [f"T1, T2, readout and two-qubit errors of {names}: {len(drift.changes)} changed, {drift.same} did not"]
    for qubits, place in zip(drift.alone, ("first", "second"), strict=True):
        words += [f"only the {place} run used qubits {', '.join(qubits)}"] if qubits else []
    rows = [
        (change.what, _number(change.first, change.unit), _number(change.second, change.unit), _relative(change))
        for change in drift.changes
    ]
    weights = [abs(change.relative or 0.0) for change in drift.changes]
    return Table(words, ("calibration", "first", "second", "change"), rows, weights, "calibration")


def _changes(what: str, changes: Sequence[Change], tasks: int) -> Table | None:
    if not changes:
        return Table([f"{what}: the same"], heading=what)
    rows = [
        (change.what, shown(change.first), shown(change.second), f"{change.tasks}" if tasks else "")
        for change in changes
    ]
    titles = (what, "first", "second", "tasks")
    if tasks:
        return Table([], titles, rows, heading=what)
    return Table([], titles[:-1], [row[:-1] for row in rows], heading=what)


def _sets(found: Sequence[Set]) -> list[str]:
    """Return what tells parameter sets from each other: a few parameters, first those with several values."""
    values: dict[str, set[float]] = {}
    for parameters in found:
        for name, value in parameters:
            values.setdefault(name, set()).add(value)
    return [few(sorted(parameters, key=lambda one: len(values[one[0]]) == 1)) for parameters in found]


def few(parameters: Sequence[tuple[str, float]]) -> str:
    """Return the first parameters of a set with their values."""
    told = [f"{name}={value:.6g}" for name, value in parameters[:_MOST_PARAMETERS]]
    more = len(parameters) - len(told)
    return ", ".join([*told, *([f"and {more} more"] if more else [])]) or "-"


def _by_chance(count: int) -> str:
    return f"by chance alone about {CHANCE * count:.2g} would"


def _verdict(*, significant: bool) -> str:
    return "yes" if significant else "no"


def _expected(distance: Distance) -> str:
    return f"{distance.expected:.4f} ± {distance.spread:.4f}"


def _number(value: float, unit: str) -> str:
    return f"{value:.4g} {unit}".strip()


def _relative(change: Change) -> str:
    return "-" if change.relative is None else f"{change.relative:+.1%}"


def _markdown(table: Table) -> list[str]:
    if not table.rows:
        return [*table.words, ""]
    lines = [table.titles, tuple("---" for _ in table.titles), *table.rows]
    drawn = ["".join(("| ", " | ".join(cell.replace("|", r"\|") for cell in line), " |")) for line in lines]
    return [*table.words, *([""] if table.words else []), *drawn, ""]
