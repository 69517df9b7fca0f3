"""One submission and what comes of it: its result is kept first, and then computed from; knows the modules above it."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from qrt_runner.errors import JobError, JournalError
from qrt_runner.execution.asking import ended, fetched, is_worth_asking
from qrt_runner.execution.once import NotKnownError, submit_once, tags_of
from qrt_runner.execution.reasons import code_of, failure_of, told_of
from qrt_runner.execution.spans import part_of, spans_of, without
from qrt_runner.execution.telling import told_besides
from qrt_runner.execution.waiting import wait_for
from qrt_runner.modes import mode_named
from qrt_runner.results import NO_SESSION, JobResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qrt_runner.execution.orders import Orders
    from qrt_runner.journal import Submission
    from qrt_runner.modes import RawResult
    from qrt_runner.plan import Job
    from qrt_runner.results import Span
    from qrt_runner.sessions import Opened

_log = logging.getLogger(__name__)


@dataclass
class Attempt:
    """A job on its way: when it was started, and what the platform calls it."""

    job: Job
    spans: tuple[Span, ...]
    number: int
    """Of its submission in the journal."""

    tag: str
    session_id: str = NO_SESSION
    session_kind: str = NO_SESSION
    began: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    accepted: str = ""
    """When the platform had taken it; empty where an earlier command submitted it."""

    start: float = field(default_factory=time.perf_counter)
    handle: Any = None
    error: str = ""
    """Why there is no result."""

    is_open: bool = False
    """Whether, in spite of the error, there may be a result later: the journal keeps it as it is."""

    code: int | None = None
    """The service's own code of the error."""

    untold: list[str] = field(default_factory=list)
    """What the platform would not say of the job, and why."""

    @property
    def service_id(self) -> str | None:
        """What the platform calls the job."""
        return str(self.handle.job_id()) if self.handle is not None else None


def submitted(job: Job, spans: tuple[Span, ...], place: Opened | None, orders: Orders) -> Attempt:
    """Submit a job, to its session group where it has one; that it will be is in the journal before.

    Args:
        job: What is submitted.
        spans: Which parameter sets of the planned job that is.
        place: The open group.
        orders: Where it is written down.
    """
    tags = tags_of(orders.diary.run.id, job, orders.diary.attempts(job.index))
    attempt = Attempt(job, spans, orders.diary.submitting(job.index, spans, tags[-1]), tags[-1])
    if place is not None:
        attempt.session_id, attempt.session_kind = place.id, place.kind
    on_service = job.submission.device.where == "ibm"
    part = part_of(job, spans).submission
    inside = replace(part, place=place.place if place else None, tags=tags if on_service else ())
    if job.needs is not None:
        found = orders.learned[job.needs]
        if isinstance(found, str):
            attempt.error = f"its noise model could not be learned: {found}"
            return attempt
        inside = replace(inside, noise=found)
    try:
        attempt.handle = submit_once(job.mode, inside) if on_service else mode_named(job.mode).submit(inside)
    except NotKnownError as error:
        attempt.error, attempt.is_open = str(error), True
    except Exception as error:  # noqa: BLE001 - whatever a service raises, one failed job fails its own points only
        attempt.error = told_of(error) if on_service else _words(error)
        attempt.code = code_of(error)
    else:
        attempt.accepted = datetime.now(UTC).isoformat()
        on_its_way(attempt, orders)
    if attempt.error:
        _log.info("job %d was not submitted: %s", job.index + 1, attempt.error)
    return attempt


def on_its_way(attempt: Attempt, orders: Orders) -> None:
    """Write down what a service calls a job; what is simulated here is not asked for later."""
    if attempt.job.submission.device.where != "simulator":
        sent = (str(attempt.service_id), attempt.session_id, attempt.session_kind)
        orders.diary.submitted(attempt.number, *sent)
        orders.pay(attempt.job, submitted=True)
        _log.info("submitted job %s", attempt.service_id)
        orders.announce(f"submitted job {attempt.service_id}")
        orders.is_on_service(attempt.job, attempt.handle)


def taken_up(job: Job, submission: Submission, handle: Any) -> Attempt:
    """Return the attempt of a job that an earlier command submitted."""
    return Attempt(
        job,
        submission.spans,
        submission.id,
        submission.tag,
        submission.session_id or NO_SESSION,
        submission.session_kind or NO_SESSION,
        began=submission.began,
        handle=handle,
    )


def finished(attempt: Attempt, orders: Orders, *, looks: bool = False) -> JobResult | None:
    """Wait for a job and return its result: a failed one, with the backend's reason, where it failed.

    What the platform gave is on disk before anything is computed from it. None where the job has not ended and is not
    waited for.

    Args:
        attempt: The job.
        orders: What this execution is to do.
        looks: Whether its result is fetched in any case where it has ended.

    Raises:
        JournalError: Where it cannot be kept; on a service it is there for the next command.
    """
    may_fetch = orders.fetches or looks
    if not attempt.error and not orders.waits and not (may_fetch and ended(attempt.handle)):
        return None
    raw = None if attempt.error else _fetched(attempt, orders)
    told = told_besides(attempt)
    orders.paid(attempt.job, told["usage"]["quantum_s"])
    state = "done" if raw is not None else "left" if attempt.is_open else "failed"
    _log.info("job %d is %s: %s", attempt.job.index + 1, state, attempt.error or attempt.service_id)
    orders.board.stands(attempt.job.index, state)
    if raw is not None:
        if attempt.job.submission.device.where == "simulator" and attempt.spans == spans_of(attempt.job):
            orders.took(attempt.job, told["run_s"])
        orders.diary.done(attempt.number, raw.content, raw.kind, told, complete=_completes(attempt, orders))
        return computed(attempt.job, attempt.spans, raw, told)
    if not attempt.is_open:
        orders.diary.failed(attempt.number, attempt.error, told)
    return _result(attempt.job, attempt.spans, told, error=attempt.error)


def computed(job: Job, spans: tuple[Span, ...], raw: RawResult, told: Mapping[str, Any]) -> JobResult:
    """Compute a job's numbers from what the platform gave.

    Args:
        job: The planned job.
        spans: Which of its parameter sets these are.
        raw: What the platform gave.
        told: What is known of the job besides, as it is kept in the journal.
    """
    try:
        pubs = mode_named(job.mode).read(part_of(job, spans).submission, raw)
    except Exception as error:  # noqa: BLE001 - a result that cannot be read is kept, and fails its own points only
        return _result(job, spans, told, error=f"its result is kept and cannot be read: {_words(error)}")
    asked, calibration = tuple(pubs[: len(spans)]), pubs[len(spans) :]
    return replace(_result(job, spans, told), pubs=asked, calibration=calibration[0].counts if calibration else None)


def _completes(attempt: Attempt, orders: Orders) -> bool:
    """Tell whether with this result all parameter sets of the job have one."""
    whole = spans_of(attempt.job)
    if attempt.spans == whole:
        return True
    done = [span for one in orders.diary.submissions(attempt.job.index) if one.state == "done" for span in one.spans]
    return not without(whole, [*done, *attempt.spans])


def _fetched(attempt: Attempt, orders: Orders) -> RawResult | None:
    """Return what the platform gave, or note why there is nothing."""
    submission = part_of(attempt.job, attempt.spans).submission
    on_service = submission.device.where == "ibm"
    try:
        if on_service:
            wait_for(attempt, orders)
        return fetched(attempt.job.mode, submission, attempt.handle)
    except JournalError:
        raise
    except JobError as error:
        attempt.error = str(error)
    except Exception as error:  # noqa: BLE001 - as above
        attempt.is_open = on_service and is_worth_asking(error)
        if attempt.is_open:
            told = f"the result of job {attempt.service_id} could not be fetched ({told_of(error)})"
            attempt.error = f"{told}; the next command asks again"
        else:
            attempt.error = failure_of(attempt.handle) if on_service else _words(error)
    return None


def _result(job: Job, spans: tuple[Span, ...], told: Mapping[str, Any], *, error: str = "") -> JobResult:
    return JobResult(
        index=job.index,
        state="failed" if error else "done",
        pubs=(),
        spans=spans,
        record={**told["record"], "state": "failed" if error else "done", "error": error or None},
        queue_s=told["queue_s"],
        run_s=told["run_s"],
        quantum_s=told["usage"]["quantum_s"],
        error=error,
    )


def _words(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
