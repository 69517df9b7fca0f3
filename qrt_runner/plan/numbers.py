"""A plan's numbers as a few long arrays: ten thousand tasks have as many little ones; knows numpy and results.

- `sets`: parameter values of the tasks, one after the other; their shapes beside them.
- `pubs`: the same of the PUBs, job after job.
- `places`: task, job, PUB and number of parameter sets of each place; `rows` and `sets_there` of one after the other.
- `ideal` and `ideal_of`: exact expectation values and whose they are.
- `probabilities` and `outcomes`: exact probabilities, and task and outcomes of each parameter set.
- `twin_...`: what a twin of the backend gave, expectation values with their errors or counts, in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from qrt_runner.plan.flat import apart, cut, flat, table, whole
from qrt_runner.plan.records import Place
from qrt_runner.plan.twins import of_twins, twins_in
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
    found = flat("sets", sets) | flat("pubs", pubs) | _of_places(plan.tasks) | _of_references(plan.tasks, texts)
    return found | of_twins([task.reference.twin for task in plan.tasks], texts)


def numbers_in(arrays: Mapping[str, np.ndarray], texts: Sequence[Sequence[str]], tasks: int) -> Numbers:
    """Return what the arrays hold of so many tasks."""
    references = _references(arrays, texts, tasks)
    for task, twin in twins_in(arrays, texts).items():
        references[task] = replace(references[task], twin=twin)
    return Numbers(apart("sets", arrays), apart("pubs", arrays), _places(arrays, tasks), references)


def _of_places(tasks: Sequence[PlannedTask]) -> Arrays:
    found = [(number, place) for number, task in enumerate(tasks) for place in task.places]
    return {
        "places": table([(number, place.job, place.pub, len(place.rows)) for number, place in found], 4),
        "rows": whole([place.rows for _, place in found], int),
        "sets_there": whole([place.sets for _, place in found], int),
    }


def _places(arrays: Mapping[str, np.ndarray], tasks: int) -> list[tuple[Place, ...]]:
    told = arrays["places"]
    rows, sets = (cut(arrays[name], told[:, 3]) for name in ("rows", "sets_there"))
    found: list[list[Place]] = [[] for _ in range(tasks)]
    for (task, job, pub, _), own, there in zip(told.tolist(), rows, sets, strict=True):
        found[task].append(Place(job, pub, own, there))
    return [tuple(places) for places in found]


def _of_references(tasks: Sequence[PlannedTask], texts: Shared[tuple[str, ...]]) -> Arrays:
    """Return what results will be compared with; how they compare is told of results only."""
    exact = [(number, task.reference.ideal) for number, task in enumerate(tasks) if task.reference.ideal is not None]
    likely = [(number, one) for number, task in enumerate(tasks) for one in task.reference.probabilities or ()]
    outcomes = [(number, tuple(one)) for number, one in likely]
    return {
        **flat("ideal", [ideal for _, ideal in exact]),
        "ideal_of": np.array([number for number, _ in exact], dtype=int),
        "probabilities": np.array([value for _, one in likely for value in one.values()], dtype=float),
        "outcomes": table([(number, texts.number(names, names)) for number, names in outcomes], 2),
    }


def _references(arrays: Mapping[str, np.ndarray], texts: Sequence[Sequence[str]], tasks: int) -> list[Comparison]:
    ideal = dict(zip(arrays["ideal_of"].tolist(), apart("ideal", arrays), strict=True))
    outcomes = arrays["outcomes"].tolist()
    pieces = cut(arrays["probabilities"], np.array([len(texts[names]) for _, names in outcomes], dtype=int))
    likely: dict[int, list[dict[str, float]]] = {}
    for (task, names), values in zip(outcomes, pieces, strict=True):
        likely.setdefault(task, []).append(dict(zip(texts[names], values.tolist(), strict=True)))
    nothing = Comparison()
    return [
        Comparison(ideal.get(task), tuple(likely[task]) if task in likely else None)
        if task in ideal or task in likely
        else nothing
        for task in range(tasks)
    ]
