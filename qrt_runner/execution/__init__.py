"""Submits, waits and collects; knows the modules above it, and neither Hydra nor MLflow."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from qrt_runner.errors import AccessError
from qrt_runner.execution.attempts import Attempt, finished, refused, submitted
from qrt_runner.results import JobResult, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qrt_runner.modes import Pub
    from qrt_runner.plan import Group, Job, Plan
    from qrt_runner.results import GroupReport
    from qrt_runner.sessions import Opened

_MOST_IN_VAIN: Final = 12
"""After so many parts of a failed job that all failed, the rest is taken to fail as well."""


def execute(plan: Plan, announce: Callable[[str], None]) -> Iterator[JobResult]:
    """Run the plan's jobs, and give each result as it comes.

    What is simulated here runs job after job. On a service all jobs of a session group are submitted at once, the group
    is closed to further ones, and then their results are waited for: nothing is left open meanwhile.

    A job that fails gives a failed result with the backend's reason; the others go on. Where trying again costs
    nothing but time, a failed job of several parameter sets is tried again in halves, so that one that cannot run
    fails alone.
    """
    told = _Told(announce, len(plan.jobs))
    for group, jobs in _in_order(plan):
        if group is None and jobs[0].submission.device.where != "ibm":
            for job in jobs:
                told.start(job)
                told.submitted = True
                yield from _Tries(job, announce).results()
        else:
            yield from _run_together(group, jobs, told)


def _in_order(plan: Plan) -> Iterator[tuple[Group | None, list[Job]]]:
    """Give the groups with their jobs, in the order of their first jobs; jobs by themselves each on their own."""
    done: set[int] = set()
    for job in plan.jobs:
        if job.index in done:
            continue
        group = None if job.group is None else plan.groups[job.group]
        members = [job.index] if group is None else list(group.jobs)
        done.update(members)
        yield group, [plan.jobs[index] for index in members]


@dataclass
class _Told:
    """Says which job it is at."""

    announce: Callable[[str], None]
    jobs: int
    submitted: bool = False
    """Whether any job has been."""

    def start(self, job: Job) -> None:
        """Say that a job is next."""
        self.announce(f"job {job.index + 1} of {self.jobs}: {job.mode} on {job.submission.device.name}")


def _run_together(group: Group | None, jobs: list[Job], told: _Told) -> Iterator[JobResult]:
    attempts: list[Attempt] = []
    try:
        with _place_of(group, told) as place:
            for job in jobs:
                told.start(job)
                attempts.append(submitted(job, place, told.announce))
                told.submitted = True
    except AccessError as error:
        if not told.submitted:
            raise
        # Other jobs have been submitted: these fail, and those are kept.
        attempts += [refused(job, error) for job in jobs[len(attempts) :]]
    done: list[JobResult] = []
    for attempt in attempts:
        done.append(finished(attempt))
        last = attempt is attempts[-1] and attempt.place is not None
        yield replace(done[-1], report=_report(attempt.place, done)) if last else done[-1]


def _report(place: Opened | None, jobs: list[JobResult]) -> GroupReport | None:
    from qrt_runner.sessions import report_of

    return report_of(place.id, place.kind, [job.record for job in jobs]) if place is not None else None


@contextmanager
def _place_of(group: Group | None, told: _Told) -> Iterator[Opened | None]:
    if group is None:
        yield None
        return
    from qrt_runner.sessions import opened

    with opened(group.asked, group.device) as place:
        told.announce(f"{place.kind} {place.id} on {group.device.name}{group.reason}")
        yield place


@dataclass
class _Tries:
    """One planned job, tried as a whole and, where that fails, in parts."""

    job: Job
    announce: Callable[[str], None]
    in_vain: int = 0
    succeeded: bool = False

    def results(self) -> Iterator[JobResult]:
        """Give the result of the whole, or those of its parts."""
        yield from self._tried(tuple(Span(pub, 0, len(one.values)) for pub, one in enumerate(self._pubs)))

    @property
    def _pubs(self) -> tuple[Pub, ...]:
        return self.job.submission.pubs

    def _tried(self, spans: tuple[Span, ...]) -> Iterator[JobResult]:
        result = _run(self._part(spans), spans, self.announce)
        self.succeeded = self.succeeded or result.state == "done"
        self.in_vain += result.state == "failed"
        halves = _halves(spans) if result.state == "failed" and self._may_try_again() else []
        if not halves:
            yield result
        for half in halves:
            yield from self._tried(half)

    def _may_try_again(self) -> bool:
        """Tell whether parts may be submitted: on IBM Quantum a job that failed may have been paid for."""
        return self.job.submission.device.where != "ibm" and (self.succeeded or self.in_vain <= _MOST_IN_VAIN)

    def _part(self, spans: tuple[Span, ...]) -> Job:
        pubs = tuple(replace(pub, values=pub.values[span.start : span.stop]) for pub, span in self._chosen(spans))
        return replace(self.job, submission=replace(self.job.submission, pubs=pubs))

    def _chosen(self, spans: tuple[Span, ...]) -> Iterator[tuple[Pub, Span]]:
        return ((self._pubs[span.pub], span) for span in spans)


def _halves(spans: tuple[Span, ...]) -> list[tuple[Span, ...]]:
    """Halve the PUBs or, of a single one, its parameter sets; a single set cannot be halved."""
    if len(spans) > 1:
        middle = len(spans) // 2
        return [spans[:middle], spans[middle:]]
    (span,) = spans
    middle = (span.start + span.stop) // 2
    return [(replace(span, stop=middle),), (replace(span, start=middle),)] if middle > span.start else []


def _run(job: Job, spans: tuple[Span, ...], announce: Callable[[str], None]) -> JobResult:
    attempt = submitted(job, None, announce)
    attempt.spans = spans
    return finished(attempt)
