"""Computes the numbers of a run's jobs again from what is kept of them; knows the modules above it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, cast

from qrt_runner.errors import ConfigError, JobError, JournalError, Mistake
from qrt_runner.execution import computed
from qrt_runner.execution.spans import part_of, spans_of, without
from qrt_runner.modes import RawResult
from qrt_runner.results import NO_SESSION, JobResult
from qrt_runner.runner.revising import OBSERVABLES, owners
from qrt_runner.sessions import report_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from qrt_runner.journal import Journal, Submission
    from qrt_runner.modes.observing import Uncovered
    from qrt_runner.modes.raw_results import Kind
    from qrt_runner.plan import Job, Plan, PlannedTask
    from qrt_runner.results import Span

_UNTOLD: Final = {"id": None, "session_id": NO_SESSION, "session_kind": NO_SESSION}
"""What `jobs.json` has of a job of which nothing else is known."""


@dataclass
class Rereading:
    """Lives as long as a run's results are read."""

    journal: Journal
    plan: Plan
    """As it is asked for now."""

    observes: bool
    """Whether other observables are asked for than were submitted."""

    trouble: Callable[[str], None]
    """Told what cannot be read."""

    mistakes: list[Mistake] = field(default_factory=list)

    def results(self, run: str) -> list[JobResult]:
        """Return what came of the jobs of a run, in the order in which they were run; nothing of what has not ended.

        A result that is damaged fails its points, and the others are read.

        Raises:
            ConfigError: Where observables are asked for that were not measured.
        """
        tries = self.journal.submissions(run)
        found = []
        for jobs in _in_order(self.plan):
            together = [
                self._result(job, one, spans)
                for job in jobs
                for one, spans in _telling(job, [one for one in tries if one.job == job.index])
            ]
            found += [*together[:-1], _with_reports(together)] if together else []
        if self.mistakes:
            raise ConfigError(self.mistakes)
        return found

    def _result(self, job: Job, submission: Submission, spans: tuple[Span, ...]) -> JobResult:
        if submission.state != "done":
            return _failed(job, submission, spans, submission.error)
        try:
            content, kind = self.journal.raw(submission)
            raw = self._observed(job, spans, RawResult(content, cast("Kind", kind)))
        except (JournalError, JobError) as error:
            self.trouble(f"{error} The points of job {job.index + 1} fail for it.")
            return _failed(job, submission, spans, str(error))
        return computed(job, spans, raw, submission.record)

    def _observed(self, job: Job, spans: tuple[Span, ...], raw: RawResult) -> RawResult:
        """Return what a job gave as if what is asked for now had been asked for."""
        if not self.observes or job.mode != "estimator":
            return raw
        from qrt_runner.modes.observing import observed

        raw, uncovered = observed(raw, part_of(job, spans).submission.pubs)
        tasks = owners(self.plan) if uncovered else {}
        self.mistakes += [_mistake(one, tasks[job.index, spans[one.pub].pub]) for one in uncovered]
        return raw


def _in_order(plan: Plan) -> Iterator[list[Job]]:
    """Give the jobs as they are executed: each session group at a time, then those by themselves."""
    for group in sorted(plan.groups, key=lambda group: group.asked.kind != "dedicated"):
        yield [plan.jobs[index] for index in group.jobs]
    alone = [job for job in plan.jobs if job.group is None]
    yield from ([job] for job in sorted(alone, key=lambda job: job.submission.device.where != "ibm"))


def _telling(job: Job, tries: Sequence[Submission]) -> list[tuple[Submission, tuple[Span, ...]]]:
    """Return the tries of a job that tell how its parameter sets ended: with a result, else how they last failed."""
    found = [(one, one.spans) for one in tries if one.state == "done"]
    left = without(spans_of(job), [span for _, spans in found for span in spans])
    for one in reversed([one for one in tries if one.state == "failed"]):
        if spans := without(one.spans, without(one.spans, left)):
            left = without(left, spans)
            found.append((one, spans))
    return sorted(found, key=lambda one: one[0].id)


def _failed(job: Job, submission: Submission, spans: tuple[Span, ...], why: str) -> JobResult:
    told: Mapping[str, Any] = submission.record
    record = {**_UNTOLD, **told.get("record", {}), "state": "failed", "error": why}
    return JobResult(
        index=job.index,
        state="failed",
        pubs=(),
        spans=spans,
        record=record,
        queue_s=told.get("queue_s", 0.0),
        run_s=told.get("run_s", 0.0),
        quantum_s=submission.quantum_s,
        error=why,
    )


def _with_reports(jobs: Sequence[JobResult]) -> JobResult:
    """Return the last job of a group with what its sessions spent their time with."""
    inside: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for job in jobs:
        session = str(job.record["session_id"]), str(job.record["session_kind"])
        if session[0] != NO_SESSION:
            inside.setdefault(session, []).append(job.record)
    return replace(jobs[-1], reports=tuple(report_of(*session, records) for session, records in inside.items()))


def _mistake(uncovered: Uncovered, task: PlannedTask) -> Mistake:
    """Return what is wrong with an observable, in Pauli strings over the circuit's own qubits."""
    path = f"{OBSERVABLES}.{uncovered.name}"
    terms = ", ".join(_logical(term, task) for term in uncovered.terms)
    remedy = "a run of the circuit with this observable"
    if not uncovered.bases:
        given = f"{terms}, of a run on {task.program.device.name} that gave expectation values and no bits"
        return Mistake(path, given, "the observables that the run asked for", f"{OBSERVABLES}={{}}, or {remedy}")
    bases = ", ".join(dict.fromkeys(_logical(basis, task) for basis in uncovered.bases))
    given = f"{terms}, which the run has not measured"
    return Mistake(path, given, f"I or the same letter on each qubit as in one of the measured bases: {bases}", remedy)


def _logical(label: str, task: PlannedTask) -> str:
    """Return a Pauli string over the submitted circuit's qubits as one over the circuit's own."""
    return "".join(label[-1 - place] for place in reversed(task.program.lowered.layout))
