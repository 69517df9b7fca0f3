"""Runs jobs on a service, in session groups and outside of them; knows the modules above it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.errors import AccessError, JobError
from qrt_runner.execution.attempts import Attempt, finished, refused, submitted
from qrt_runner.sessions import opened, report_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from qrt_runner.plan import Group, Job
    from qrt_runner.results import GroupReport, JobResult
    from qrt_runner.sessions import Opened

_MOST_PENDING: Final = 3
"""Jobs outside session groups that are in the queue at a time: plans limit them, and a job beyond the limit fails."""


@dataclass
class Told:
    """Says what is going on and what goes wrong."""

    announce: Callable[[str], None]
    trouble: Callable[[str], None]
    jobs: int
    submitted: bool = False
    """Whether any job has been."""

    def start(self, job: Job) -> None:
        """Say that a job is next."""
        self.submitted = True
        self.announce(f"job {job.index + 1} of {self.jobs}: {job.mode} on {job.submission.device.name}")


def run_group(group: Group, jobs: Sequence[Job], told: Told) -> Iterator[JobResult]:
    """Submit all jobs of a session group at once, close it, and give their results in order.

    Raises:
        AccessError: Where the group is refused and nothing has been submitted yet; later its jobs fail.
    """
    attempts: list[Attempt] = []
    place: Opened | None = None
    try:
        with opened(group.asked, group.device, told.trouble) as place:
            told.announce(f"{place.kind} {place.id} on {group.device.name}{group.reason}")
            for job in jobs:
                told.start(job)
                attempts.append(submitted(job, place, told.announce))
        _check_inside(attempts, place, group.device.backend.service, told)
    except AccessError as error:
        if not told.submitted:
            raise
        attempts += [refused(job, error) for job in jobs[len(attempts) :]]
    done: list[JobResult] = []
    for attempt in attempts:
        done.append(finished(attempt))
        is_last = attempt is attempts[-1] and place is not None
        yield replace(done[-1], report=_report(place, done)) if is_last else done[-1]


def run_alone(jobs: Sequence[Job], told: Told) -> Iterator[JobResult]:
    """Run jobs that queue by themselves, a few in the queue at a time, and give their results in order."""
    pending: deque[Attempt] = deque()
    for job in jobs:
        if len(pending) == _MOST_PENDING:
            yield finished(pending.popleft())
        told.start(job)
        pending.append(submitted(job, None, told.announce))
    for attempt in pending:
        yield finished(attempt)


def _report(place: Opened | None, jobs: Sequence[JobResult]) -> GroupReport | None:
    if place is None:
        return None
    inside = [job.record for job in jobs if job.record["session_id"] == place.id]
    return report_of(place.id, place.kind, inside) if inside else None


def _check_inside(attempts: Sequence[Attempt], place: Opened, service: Any, told: Told) -> None:
    """Cancel jobs that the service has put outside their session group.

    The service is asked: what the client says of a job is what it sent.
    """
    sent = [attempt for attempt in attempts if attempt.handle is not None]
    try:
        inside = {job.job_id() for job in service.jobs(limit=None, session_id=place.id)} if sent else set()
    except Exception as error:  # noqa: BLE001 - whatever the client raises, the jobs are submitted and must be read
        told.trouble(f"whether all jobs went into {place.kind} {place.id} could not be checked ({error})")
        return
    for attempt in sent:
        if attempt.handle.job_id() not in inside:
            what = f"job {attempt.handle.job_id()} went outside {place.kind} {place.id}"
            attempt.place = None
            try:
                attempt.handle.cancel()
            except Exception as error:  # noqa: BLE001 - such as that it has ended: its result, paid for, is read then
                told.trouble(f"{what}, and could not be cancelled ({error})")
            else:
                attempt.failed(JobError(f"{what}, and was cancelled"))
