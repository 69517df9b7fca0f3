"""Sends every number of a job back to the task that asked for it; knows the modules above it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qrt_runner.analysis import compared, exact_reference, expectations_from_counts
from qrt_runner.plan import program_files
from qrt_runner.results import Comparison, Counts, Expectations, PubResult, TaskResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from qrt_runner.circuits import LogicalCircuit
    from qrt_runner.config import Document, Task
    from qrt_runner.plan import Plan, PlannedTask
    from qrt_runner.results import JobResult


def reference_of(task: Task, document: Document, logical: LogicalCircuit) -> Comparison:
    """Return what a task is compared with.

    Raises:
        ConfigError: Where a reference cannot be computed.
    """
    if document.reference.kind == "none":
        return Comparison()
    return exact_reference(document.reference, logical, counting=task.mode.kind != "estimator")


def scatter(plan: Plan, jobs: Iterable[JobResult]) -> Iterator[TaskResult]:
    """Give each task's result as soon as its job is there."""
    waiting: dict[int, list[PlannedTask]] = {}
    for task in plan.tasks:
        waiting.setdefault(task.place.job, []).append(task)
    files = {id(program): program_files(program) for program in plan.programs}
    for job in jobs:
        for task in waiting[job.index]:
            yield _task_result(task, job, files[id(task.program)])


def _task_result(task: PlannedTask, job: JobResult, files: Mapping[str, bytes]) -> TaskResult:
    program, logical = task.program, task.logical
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
        comparison=compared(task.reference, pub.counts) if job.state == "done" else Comparison(),
        files=files,
        calibration=program.device.calibration(program.lowered.used),
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
