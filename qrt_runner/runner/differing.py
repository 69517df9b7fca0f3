"""Compares the results of tasks that two runs have in common; knows the modules above it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qrt_runner.analysis.differences import Difference, Distance, difference, distances
from qrt_runner.tracking import rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from qrt_runner.runner.drifting import Matched
    from qrt_runner.tracking import Record

Set = tuple[tuple[str, float], ...]
"""Values of one parameter set, by parameter; with a number behind them where the same values come again."""


@dataclass(frozen=True)
class ValueDifference:
    """An expectation value in two runs."""

    task: str
    parameters: Set
    observable: str
    first: tuple[float, float]
    """Value and standard error."""

    second: tuple[float, float]
    found: Difference


@dataclass(frozen=True)
class CountsDifference:
    """The counts of one parameter set in two runs."""

    task: str
    parameters: Set
    shots: tuple[int, int]
    variation: Distance
    """Total variation."""

    hellinger: Distance


def value_differences(pair: Matched) -> Iterator[ValueDifference]:
    """Give the expectation values that both records of a task have."""
    first, second = (_values(record) for record in pair)
    for (parameters, name), one in first.items():
        if (other := second.get((parameters, name))) is not None:
            yield ValueDifference(pair[0].key, parameters, name, one, other, difference(one, other))


def counts_differences(pair: Matched) -> Iterator[CountsDifference]:
    """Give the counts of equally many bits that both records of a task have, over all registers together."""
    first, second = (counts_of(record) for record in pair)
    for parameters, one in first.items():
        other = second.get(parameters, {})
        if one and other and _bits(one) == _bits(other):
            shots = sum(one.values()), sum(other.values())
            yield CountsDifference(pair[0].key, parameters, shots, *distances(one, other))


def matched(first: Sequence[Record], second: Sequence[Record]) -> list[Matched]:
    """Return the tasks that both runs have: by what was swept over, or by point and task where none are equal so."""
    found = _by(first, second, _asked)
    return found or _by(first, second, lambda record: record.key)


def _by(first: Sequence[Record], second: Sequence[Record], key: Any) -> list[Matched]:
    known = {key(record): record for record in second}
    return [(record, known[key(record)]) for record in first if key(record) in known]


def _asked(record: Record) -> tuple[str, frozenset[tuple[str, str]]]:
    return record.tags["qrt.task"], frozenset(record.swept.items())


def _values(record: Record) -> dict[tuple[Set, str], tuple[float, float]]:
    """Return value and error by parameter set and observable."""
    sets = _sets(record)
    return {
        (sets[row["parameter_set"]], row["observable"]): (row["ev"], row["std"])
        for row in rows_of(record)
        if "observable" in row
    }


def counts_of(record: Record) -> dict[Set, Mapping[str, int]]:
    """Return joint counts by parameter set."""
    artifacts = record.artifacts
    if "counts.json" not in artifacts:
        return {}
    sets = _sets(record)
    if "counts_joint.json" in artifacts:
        joint = json.loads(artifacts["counts_joint.json"])
    else:
        # With one register its counts are all there is.
        by_register = json.loads(artifacts["counts.json"])
        joint = [next(iter(counts.values()), {}) for counts in by_register]
    return {sets[index]: counts for index, counts in enumerate(joint) if index in sets}


def _bits(counts: Mapping[str, int]) -> int:
    return len(next(iter(counts)).replace(" ", ""))


def _sets(record: Record) -> dict[int, Set]:
    """Return the parameter sets that have results, by their indices."""
    told = json.loads(record.artifacts["results.json"])
    known: Counter[Set] = Counter()
    sets: dict[int, Set] = {}
    for row in told["rows"]:
        if row["parameter_set"] in sets:
            continue
        values = tuple((name, float(row[name])) for name in told["parameters"])
        known[values] += 1
        again = (("again", float(known[values])),) if known[values] > 1 else ()
        sets[row["parameter_set"]] = (*values, *again)
    return sets
