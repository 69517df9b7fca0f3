"""A plan's numbers as a few long arrays: ten thousand tasks have as many little ones; knows numpy and results.

- `sets`: parameter values of the tasks, one after the other; their shapes beside them.
- `pubs`: the same of the PUBs, job after job.
- `places`: task, job, PUB and number of parameter sets of each place; `rows` and `sets_there` of one after the other.
- `ideal` and `ideal_of`: exact expectation values and whose they are.
- `probabilities` and `outcomes`: exact probabilities, and task and outcomes of each parameter set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qrt_runner.plan.records import Place
from qrt_runner.results import Comparison

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qrt_runner.plan.records import Plan, PlannedTask
    from qrt_runner.plan.shared import Shared

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Numbers:
    """What the arrays hold, where it belongs."""

    sets: list[np.ndarray]
    """Of each task, shape (sets, parameters)."""

    pubs: list[np.ndarray]
    """Of each PUB of each job, shape (sets, parameters)."""

    places: list[tuple[Place, ...]]
    """Of each task."""

    references: list[Comparison]
    """Of each task."""


def arrays_of(plan: Plan, texts: Shared[tuple[str, ...]]) -> Arrays:
    """Return the numbers of a plan.

    Args:
        plan: The plan.
        texts: Where the outcomes of probabilities are kept.
    """
    pubs = [pub.values for job in plan.jobs for pub in job.submission.pubs]
    sets = [task.logical.sets.values for task in plan.tasks]
    return _flat("sets", sets) | _flat("pubs", pubs) | _of_places(plan.tasks) | _of_references(plan.tasks, texts)


def numbers_in(arrays: Mapping[str, np.ndarray], texts: Sequence[Sequence[str]], tasks: int) -> Numbers:
    """Return what the arrays hold of so many tasks."""
    return Numbers(
        _apart("sets", arrays), _apart("pubs", arrays), _places(arrays, tasks), _references(arrays, texts, tasks)
    )


def _of_places(tasks: Sequence[PlannedTask]) -> Arrays:
    found = [(number, place) for number, task in enumerate(tasks) for place in task.places]
    return {
        "places": _table([(number, place.job, place.pub, len(place.rows)) for number, place in found], 4),
        "rows": _whole([place.rows for _, place in found], int),
        "sets_there": _whole([place.sets for _, place in found], int),
    }


def _places(arrays: Mapping[str, np.ndarray], tasks: int) -> list[tuple[Place, ...]]:
    table = arrays["places"]
    rows, sets = (_cut(arrays[name], table[:, 3]) for name in ("rows", "sets_there"))
    found: list[list[Place]] = [[] for _ in range(tasks)]
    for (task, job, pub, _), own, there in zip(table.tolist(), rows, sets, strict=True):
        found[task].append(Place(job, pub, own, there))
    return [tuple(places) for places in found]


def _of_references(tasks: Sequence[PlannedTask], texts: Shared[tuple[str, ...]]) -> Arrays:
    """Return what results will be compared with; how they compare is told of results only."""
    exact = [(number, task.reference.ideal) for number, task in enumerate(tasks) if task.reference.ideal is not None]
    likely = [(number, one) for number, task in enumerate(tasks) for one in task.reference.probabilities or ()]
    outcomes = [(number, tuple(one)) for number, one in likely]
    return {
        **_flat("ideal", [ideal for _, ideal in exact]),
        "ideal_of": np.array([number for number, _ in exact], dtype=int),
        "probabilities": np.array([value for _, one in likely for value in one.values()], dtype=float),
        "outcomes": _table([(number, texts.number(names, names)) for number, names in outcomes], 2),
    }


def _references(arrays: Mapping[str, np.ndarray], texts: Sequence[Sequence[str]], tasks: int) -> list[Comparison]:
    ideal = dict(zip(arrays["ideal_of"].tolist(), _apart("ideal", arrays), strict=True))
    table = arrays["outcomes"].tolist()
    pieces = _cut(arrays["probabilities"], np.array([len(texts[names]) for _, names in table], dtype=int))
    likely: dict[int, list[dict[str, float]]] = {}
    for (task, names), values in zip(table, pieces, strict=True):
        likely.setdefault(task, []).append(dict(zip(texts[names], values.tolist(), strict=True)))
    nothing = Comparison()
    return [
        Comparison(ideal.get(task), tuple(likely[task]) if task in likely else None)
        if task in ideal or task in likely
        else nothing
        for task in range(tasks)
    ]


def _flat(name: str, arrays: Sequence[np.ndarray]) -> Arrays:
    """Return many arrays of two axes as one, and their shapes beside it."""
    return {name: _whole(arrays, float), f"{name}_shapes": _table([array.shape for array in arrays], 2)}


def _apart(name: str, arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    shapes = arrays[f"{name}_shapes"]
    pieces = _cut(arrays[name], shapes.prod(axis=1))
    return [piece.reshape(shape) for piece, shape in zip(pieces, shapes.tolist(), strict=True)]


def _whole(arrays: Sequence[np.ndarray], kind: type) -> np.ndarray:
    return np.concatenate([array.ravel() for array in arrays]) if arrays else np.empty(0, dtype=kind)


def _table(rows: Sequence[Sequence[int]], width: int) -> np.ndarray:
    return np.array(rows, dtype=int).reshape(len(rows), width)


def _cut(whole: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    """Return an array's pieces of these lengths, side by side."""
    stops = np.cumsum(lengths).tolist()
    if len(whole) != (stops[-1] if stops else 0):
        msg = f"{len(whole)} numbers instead of {stops[-1:]}"
        raise ValueError(msg)
    return [whole[stop - length : stop] for stop, length in zip(stops, lengths.tolist(), strict=True)]
