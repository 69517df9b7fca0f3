"""Sends every number of a job back to the task that asked for it; knows the modules above it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from qrt_runner.analysis import Pricing, compared, exact_reference, known_reference
from qrt_runner.circuits import moved_files, without_moved
from qrt_runner.config import Ideal, Known, Twin
from qrt_runner.errors import JobError
from qrt_runner.execution import model_in
from qrt_runner.results import Comparison, Ledger, PubResult, TaskResult
from qrt_runner.runner.correcting import as_asked, readout_of, told, with_outcome
from qrt_runner.runner.doubting import doubts, sharing
from qrt_runner.runner.joining import joined, rows_of
from qrt_runner.runner.modelling import noise_notes, together

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from qrt_runner.analysis.m3 import MeasuredReadout
    from qrt_runner.circuits import LogicalCircuit
    from qrt_runner.config import Document, Task
    from qrt_runner.noise import NoiseModel
    from qrt_runner.plan import Job, Place, Plan, PlannedTask, Refusal
    from qrt_runner.price import Price
    from qrt_runner.results import JobResult, Span
    from qrt_runner.runner.correcting import Tell


def reference_of(task: Task, document: Document, logical: LogicalCircuit) -> Comparison:
    """Return what a task is compared with.

    Raises:
        ConfigError: Where a reference cannot be computed.
    """
    section = document.reference
    if isinstance(section, Known):
        alone = not any(one.circuit is not None for one in document.tasks.values())
        return known_reference(section, logical, alone=alone)
    if isinstance(section, Ideal | Twin):
        return exact_reference(section, logical, counting=task.mode.kind != "estimator")
    return Comparison()


def scatter(plan: Plan, jobs: Iterable[JobResult], tell: Tell = as_asked) -> Iterator[list[TaskResult]]:
    """Give, after each job, the results of the tasks that are complete with it."""
    pricing = Pricing(plan)
    learned: dict[int, JobResult] = {}
    gathered = [_Gathered(task, len(task.logical.sets.values), pricing, tell, learned) for task in plan.tasks]
    waiting: dict[int, list[tuple[_Gathered, Place]]] = {}
    for one in gathered:
        for place in one.task.places:
            waiting.setdefault(place.job, []).append((one, place))
    for job in jobs:
        if job.index not in waiting:
            # No task asked for it: others need what it has learned.
            learned[job.index] = job
            yield []
            continue
        read = _read(plan.jobs[job.index], job, waiting[job.index], tell)
        complete = [one for one, place in waiting[job.index] if one.take(read, place)]
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


@dataclass(frozen=True)
class _Read:
    """What a job's result tells."""

    planned: Job
    job: JobResult
    readout: MeasuredReadout | None
    """How its qubits were misread, where it has measured that."""

    pubs: dict[Span, PubResult] = field(default_factory=dict)
    failures: dict[Span, str] = field(default_factory=dict)
    """Why there is no result of a span, although the job has one."""


@dataclass
class _Gathered:
    """A task whose numbers come from one job or from several."""

    task: PlannedTask
    missing: int
    pricing: Pricing
    tell: Tell
    learned: Mapping[int, JobResult]
    """What came of the jobs that learn noise, by index."""

    reads: list[_Read] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    parts: list[tuple[np.ndarray, PubResult | None]] = field(default_factory=list)
    """Indices of parameter sets, and what came of them: nothing where their job failed."""

    @property
    def jobs(self) -> list[JobResult]:
        """The jobs that have a part in it."""
        return [read.job for read in self.reads]

    def take(self, read: _Read, place: Place) -> bool:
        """Take what a job has of the task; tell whether the task is complete."""
        before = self.missing
        for span in read.job.spans:
            if span.pub != place.pub:
                continue
            inside = (place.rows >= span.start) & (place.rows < span.stop)
            if not inside.any():
                continue
            rows, sets = place.rows[inside] - span.start, place.sets[inside]
            self.parts.append((sets, rows_of(read.pubs[span], rows) if span in read.pubs else None))
            self.missing -= len(sets)
            if not self.reads or self.reads[-1] is not read:
                self.reads.append(read)
            self.errors += [why for why in (read.job.error, read.failures.get(span)) if why]
        return self.missing == 0 < before

    def result(self) -> TaskResult:
        """Return the task's result."""
        task, program, logical = self.task, self.task.program, self.task.logical
        pub, missing = joined(self.parts)
        readouts = [read.readout for read in self.reads if read.readout is not None]
        ledger = with_outcome(task.ledger, readouts)
        if pub is not None and "m3" not in ledger.applied:
            pub = replace(pub, corrected=None)
        sets, files = logical.sets, program.files
        if self._section.circuit.clifford:
            sets, files = without_moved(sets), {**files, **moved_files(sets)}
        comparison = Comparison()
        if pub is not None:
            comparison = compared(self._reference(), pub, partial(self.pricing.of, task, self.jobs))
        noise, learners = self._noise()
        lacking = f" (of {len(missing)} of {len(logical.sets.values)} parameter sets)" if missing and pub else ""
        return TaskResult(
            point=task.point,
            name=task.name,
            state="failed" if missing else "done",
            backend=program.device.name,
            jobs=(*self.jobs, *learners),
            parameters=sets.names,
            parameter_values=sets.values,
            ledger=ledger,
            sizes=program.sizes,
            transpile_s=program.lowered.seconds,
            counts=pub.counts if pub else None,
            expectations=pub.expectations if pub else None,
            corrected=pub.corrected if pub else None,
            readouts=tuple(told(read.planned, read.job, read.readout) for read in self.reads if read.readout),
            comparison=comparison,
            missing=missing,
            files=files,
            calibration=program.calibration,
            notes=tuple(self._notes(noise, pub, comparison, missing)),
            noise=noise,
            price=self._price(learners),
            error="; ".join(dict.fromkeys(self.errors)) + lacking,
        )

    def _reference(self) -> Comparison:
        """Return what the task is compared with; a twin's counts tell expectation values as the task's own do."""
        reference = self.task.reference
        if reference.twin is None or reference.twin.counts is None:
            return reference
        found = self.tell(reference.twin.counts, self.task, None)
        return replace(reference, twin=replace(reference.twin, expectations=found.expectations))

    def _price(self, learners: list[JobResult]) -> Price | None:
        """Return what was told of the task's price beforehand, with what was spent."""
        if self.task.price is None:
            return None
        learning_s = sum(job.quantum_s for job in learners) or None
        spent_s = self.pricing.spent_s(self.task, self.jobs)
        return replace(self.task.price, spent_s=spent_s, learning_spent_s=learning_s)

    def _noise(self) -> tuple[NoiseModel | None, list[JobResult]]:
        """Return the noise model that the task was submitted with, and the jobs that learned it."""
        plan = self.pricing.plan
        users = [plan.jobs[index] for index in dict.fromkeys(place.job for place in self.task.places)]
        needed = dict.fromkeys(job.needs for job in users if job.needs is not None)
        learners = [self.learned[index] for index in needed if index in self.learned]
        models = [model_in(plan.jobs[one.index], one) for one in learners if one.state == "done"]
        models += [job.submission.noise for job in users if job.submission.noise is not None]
        return (together(models) if models else None), learners

    @property
    def _section(self) -> Task:
        return self.task.point.experiment.tasks[self.task.name]

    def _notes(
        self, noise: NoiseModel | None, pub: PubResult | None, comparison: Comparison, missing: tuple[int, ...]
    ) -> Iterator[str]:
        yield from self.task.logical.notes
        yield from noise_notes(noise, pub, self.task.ledger.resolved)
        yield from sharing(self.task, self.jobs, pub)
        if pub is not None:
            yield from doubts(self.task, pub, comparison, missing)


def _read(planned: Job, job: JobResult, tasks: list[tuple[_Gathered, Place]], tell: Tell) -> _Read:
    """Return what each span of a job gave; nothing of a failed one.

    Counts are made use of for a whole PUB at once: its tasks have circuit and observables in common.
    """
    task = {place.pub: one.task for one, place in tasks}
    read = _Read(planned, job, readout_of(planned, job))
    for span, pub in zip(job.spans, job.pubs, strict=job.state == "done"):
        try:
            read.pubs[span] = tell(pub.counts, task[span.pub], read.readout) if pub.counts is not None else pub
        except JobError as error:
            read.failures[span] = str(error)
    return read
