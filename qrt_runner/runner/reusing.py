"""Takes results of equal tasks that were recorded before; knows the modules above it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from qrt_runner.plan import away, stored_points, unpacked
from qrt_runner.runner.reading import kept_results
from qrt_runner.runner.scattering import scatter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from qrt_runner.journal import Journal
    from qrt_runner.results import Point, TaskResult

REUSED: Final = "reused "
"""Begins the key of a task that was not run: nobody takes results from it, but from where it has them."""


@dataclass(frozen=True)
class Reused:
    """A task of a run that takes its results from another run."""

    point: Point
    name: str
    key: str


def reused_results(journal: Journal, tasks: Sequence[Reused]) -> Iterator[TaskResult]:
    """Give the results of tasks that other runs have.

    Args:
        journal: Where those are written down.
        tasks: What is wanted.

    Raises:
        JournalError: Where what is kept of them is damaged.
    """
    found = journal.equal_tasks([task.key for task in tasks])
    sources: dict[str, dict[tuple[int, str], list[Reused]]] = {}
    for task in tasks:
        if task.key in found:
            run, point, name = found[task.key]
            sources.setdefault(run, {}).setdefault((point, name), []).append(task)
    for run, wanted in sources.items():
        for result in results_of(journal, run):
            for task in wanted.get((result.point.index, result.name), ()):
                yield _as_asked(result, task, run)


def results_of(journal: Journal, run: str) -> Iterator[TaskResult]:
    """Compute the results of a run again from what is kept of it."""
    parts = journal.plan(journal.run(run))
    plan = unpacked(parts, stored_points(parts), away)
    for results in scatter(plan, kept_results(journal, run, plan)):
        yield from results


def _as_asked(result: TaskResult, task: Reused, run: str) -> TaskResult:
    """Return a result as that of the task that takes it, which has cost nothing."""
    jobs = tuple(replace(job, quantum_s=0.0, queue_s=0.0, run_s=0.0, reports=()) for job in result.jobs)
    ids = ", ".join(str(job.record["id"]) for job in jobs)
    notes = (*result.notes, f"taken from run {run}, job {ids}: nothing was run for this")
    price = None if result.price is None else replace(result.price, spent_s=0.0, learning_spent_s=None)
    taken = replace(result, point=task.point, name=task.name, jobs=jobs, transpile_s=0.0, price=price)
    return replace(taken, notes=notes, reused_from=run)


def by_place(points: Mapping[int, Point], tasks: Iterable[tuple[int, str, str]]) -> list[Reused]:
    """Return the tasks that take their results from elsewhere, of all tasks of a run by point, name and key."""
    return [
        Reused(points[point], name, key.removeprefix(REUSED)) for point, name, key in tasks if key.startswith(REUSED)
    ]
