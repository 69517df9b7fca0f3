"""Sends every number of a job back to the task that asked for it; knows the modules above it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from qrt_runner.analysis import compared, exact_reference, expectations_from_counts
from qrt_runner.results import Comparison, Counts, Expectations, Ledger, PubResult, TaskResult
from qrt_runner.runner.joining import joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from qrt_runner.circuits import LogicalCircuit
    from qrt_runner.config import Document, Task
    from qrt_runner.plan import Place, Plan, PlannedTask, Refusal
    from qrt_runner.results import JobResult, Span

Tell = Callable[[Counts, "PlannedTask"], Expectations]
"""Works out expectation values from the counts of a PUB that a task has a share in."""


def reference_of(task: Task, document: Document, logical: LogicalCircuit) -> Comparison:
    """Return what a task is compared with.

    Raises:
        ConfigError: Where a reference cannot be computed.
    """
    if document.reference.kind == "none":
        return Comparison()
    return exact_reference(document.reference, logical, counting=task.mode.kind != "estimator")


def as_measured(counts: Counts, task: PlannedTask) -> Expectations:
    """Return expectation values from counts as they are."""
    return expectations_from_counts(counts, task.logical.observables, task.logical.circuit)


def scatter(plan: Plan, jobs: Iterable[JobResult], tell: Tell = as_measured) -> Iterator[list[TaskResult]]:
    """Give, after each job, the results of the tasks that are complete with it."""
    gathered = [_Gathered(task, len(task.logical.sets.values)) for task in plan.tasks]
    waiting: dict[int, list[tuple[_Gathered, Place]]] = {}
    for one in gathered:
        for place in one.task.places:
            waiting.setdefault(place.job, []).append((one, place))
    for job in jobs:
        pubs = _with_expectations(job, waiting[job.index], tell)
        complete = [one for one, place in waiting[job.index] if one.take(job, pubs, place)]
        yield [one.result() for one in complete]


def failed_point(refusal: Refusal) -> list[TaskResult]:
    """Return the results of a point that could not be loaded or bound: failed, without a number."""
    error = "; ".join(str(mistake) for mistake in refusal.error.mistakes)
    document = refusal.point.experiment.document
    return [
        TaskResult(
            point=refusal.point,
            name=name,
            state="failed",
            backend=document.backend.name or document.backend.kind,
            jobs=(),
            parameters=(),
            parameter_values=np.empty((0, 0)),
            ledger=Ledger(task.mitigation.kind, {}, (), {}),
            sizes={},
            transpile_s=0.0,
            error=error,
        )
        for name, task in refusal.point.experiment.tasks.items()
    ]


@dataclass
class _Gathered:
    """A task whose numbers come from one job or from several."""

    task: PlannedTask
    missing: int
    jobs: list[JobResult] = field(default_factory=list)
    parts: list[tuple[np.ndarray, PubResult | None]] = field(default_factory=list)
    """Indices of parameter sets, and what came of them: nothing where their job failed."""

    def take(self, job: JobResult, pubs: Mapping[Span, PubResult], place: Place) -> bool:
        """Take what a job has of the task; tell whether the task is complete."""
        before = self.missing
        for span in job.spans:
            inside = (place.rows >= span.start) & (place.rows < span.stop) & (span.pub == place.pub)
            if not inside.any():
                continue
            rows, sets = place.rows[inside] - span.start, place.sets[inside]
            self.parts.append((sets, _rows_of(pubs[span], rows) if pubs else None))
            self.missing -= len(sets)
            if not self.jobs or self.jobs[-1] is not job:
                self.jobs.append(job)
        return self.missing == 0 < before

    def result(self) -> TaskResult:
        """Return the task's result."""
        task, program, logical = self.task, self.task.program, self.task.logical
        pub, missing = joined(self.parts)
        errors = dict.fromkeys(job.error for job in self.jobs if job.error)
        told = f" (of {len(missing)} of {len(logical.sets.values)} parameter sets)" if missing and pub else ""
        return TaskResult(
            point=task.point,
            name=task.name,
            state="failed" if missing else "done",
            backend=program.device.name,
            jobs=tuple(self.jobs),
            parameters=logical.sets.names,
            parameter_values=logical.sets.values,
            ledger=task.ledger,
            sizes=program.sizes,
            transpile_s=program.lowered.seconds,
            counts=pub.counts if pub else None,
            expectations=pub.expectations if pub else None,
            comparison=compared(task.reference, pub.counts) if pub else Comparison(),
            missing=missing,
            files=program.files,
            calibration=program.calibration,
            notes=(*logical.notes, *_shared(task, self.jobs), *(_doubts(pub.expectations, missing) if pub else ())),
            error="; ".join(errors) + told,
        )


def _with_expectations(job: JobResult, tasks: list[tuple[_Gathered, Place]], tell: Tell) -> dict[Span, PubResult]:
    """Return what each span of a job gave; nothing of a failed one.

    Expectation values from counts are worked out for a whole PUB at once: its tasks have circuit and observables in
    common.
    """
    task = {place.pub: one.task for one, place in tasks}
    found = {}
    for span, pub in zip(job.spans, job.pubs, strict=job.state == "done"):
        if pub.counts is not None:
            pub = PubResult(pub.counts, tell(pub.counts, task[span.pub]))  # noqa: PLW2901
        found[span] = pub
    return found


def _rows_of(pub: PubResult, rows: np.ndarray) -> PubResult:
    counts, found = pub.counts, pub.expectations
    details = {name: array[rows] for name, array in found.details.items()} if found is not None else {}
    return PubResult(
        Counts(counts.registers, tuple(counts.joint[row] for row in rows)) if counts is not None else None,
        Expectations(found.names, found.values[rows], found.errors[rows], details) if found is not None else None,
    )


def _shared(task: PlannedTask, jobs: list[JobResult]) -> tuple[str, ...]:
    """Tell where a readout calibration is shared, which makes the errors of points correlated."""
    if "trex" not in task.ledger.applied:
        return ()
    others = sum(span.stop - span.start for job in jobs for span in job.spans) - len(task.logical.sets.values)
    return (f"readout calibration (TREX) shared with {others} other parameter sets of the job",) if others > 0 else ()


def _doubts(found: Expectations | None, missing: tuple[int, ...]) -> tuple[str, ...]:
    if found is None:
        return ()
    errors = np.delete(found.errors, missing, axis=0)
    doubtful = [name for column, name in enumerate(found.names) if not np.isfinite(errors[:, column]).all()]
    return (
        (f"no finite standard error for {', '.join(doubtful)}: the extrapolation could not tell one",)
        if doubtful
        else ()
    )
