"""Sends every number of a job back to the task that asked for it; knows the modules above it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qrt_runner.analysis import compared, exact_reference, expectations_from_counts
from qrt_runner.plan import program_files
from qrt_runner.results import Comparison, Counts, Expectations, PubResult, TaskResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from qrt_runner.plan import Plan, PlannedTask
    from qrt_runner.results import JobResult


def references_of(tasks: Iterable[PlannedTask]) -> list[Comparison]:
    """Return what each task is compared with, computed before anything is submitted.

    Raises:
        ConfigError: Where a reference cannot be computed.
    """
    known: dict[tuple[int, str], Comparison] = {}
    references = []
    for task in tasks:
        section = task.point.experiment.document.reference
        if section.kind == "none":
            references.append(Comparison())
            continue
        counting = task.point.experiment.tasks[task.name].mode.kind != "estimator"
        key = (id(task.program.logical), section.model_dump_json())
        if key not in known:
            known[key] = exact_reference(section, task.program.logical, counting=counting)
        references.append(known[key])
    return references


def scatter(plan: Plan, references: list[Comparison], jobs: Iterable[JobResult]) -> Iterator[TaskResult]:
    """Give each task's result as soon as its job is there."""
    waiting: dict[int, list[int]] = {}
    for position, task in enumerate(plan.tasks):
        waiting.setdefault(task.place.job, []).append(position)
    for job in jobs:
        for position in waiting[job.index]:
            yield _task_result(plan.tasks[position], references[position], job)


def _task_result(task: PlannedTask, reference: Comparison, job: JobResult) -> TaskResult:
    program, logical = task.program, task.program.logical
    pub = _slice_of(job.pubs[task.place.pub], task.place.sets) if job.state == "done" else PubResult()
    expectations = pub.expectations
    if pub.counts is not None:
        expectations = expectations_from_counts(pub.counts, logical.observables, logical.circuit)
    return TaskResult(
        point=task.point,
        name=task.name,
        state=job.state,
        backend=program.device.name,
        jobs=(job,),
        parameters=logical.sets.names,
        parameter_values=logical.sets.values,
        ledger=task.ledger,
        sizes=program.sizes,
        transpile_s=program.lowered.seconds,
        counts=pub.counts,
        expectations=expectations,
        comparison=compared(reference, pub.counts) if job.state == "done" else Comparison(),
        files=program_files(program),
        calibration=program.device.calibration(program.lowered.physical),
        notes=(*logical.notes, *_doubts(expectations)),
        error=job.error,
    )


def _slice_of(pub: PubResult, sets: slice) -> PubResult:
    counts, found = pub.counts, pub.expectations
    return PubResult(
        Counts(counts.registers, counts.joint[sets]) if counts is not None else None,
        Expectations(found.names, found.values[sets], found.errors[sets], _sliced(found.details, sets))
        if found is not None
        else None,
    )


def _sliced(details: Mapping[str, np.ndarray], sets: slice) -> dict[str, np.ndarray]:
    return {name: array[sets] for name, array in details.items()}


def _doubts(found: Expectations | None) -> tuple[str, ...]:
    if found is None:
        return ()
    doubtful = [name for column, name in enumerate(found.names) if not np.isfinite(found.errors[:, column]).all()]
    return (
        (f"no finite standard error for {', '.join(doubtful)}: the extrapolation could not tell one",)
        if doubtful
        else ()
    )
