"""What an earlier command has done of each job, and what is left of it; knows the modules above it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from qrt_runner.errors import JournalError
from qrt_runner.execution.attempts import Attempt, computed, on_its_way, taken_up
from qrt_runner.execution.once import NotKnownError, look_for
from qrt_runner.execution.reasons import told_of
from qrt_runner.execution.spans import spans_of, without
from qrt_runner.modes import RawResult

if TYPE_CHECKING:
    from qrt_runner.execution.orders import Orders
    from qrt_runner.journal import Submission
    from qrt_runner.modes.raw_results import Kind
    from qrt_runner.plan import Job, Plan
    from qrt_runner.results import JobResult, Span


@dataclass
class Progress:
    """How far a job is."""

    job: Job
    done: list[JobResult] = field(default_factory=list)
    """Computed again from what is kept."""

    underway: list[Attempt] = field(default_factory=list)
    """Submitted, and not fetched yet."""

    left: tuple[Span, ...] = ()
    """Parameter sets that are to be submitted."""


def progress_of(plan: Plan, orders: Orders) -> dict[int, Progress]:
    """Return how far each job of a plan is, by its index; services are asked for what may have been submitted.

    Args:
        plan: What the run consists of.
        orders: What this execution is to do.
    """
    found = {job.index: Progress(job, left=spans_of(job)) for job in plan.jobs}
    for job in plan.jobs:
        if job.expected_s:
            orders.board.to_go_s[job.index] = orders.foretold(job)
        orders.board.stands(job.index, "planned")
    for submission in orders.diary.submissions():
        _note(found[submission.job], submission, orders)
    for one in found.values():
        if one.done and not one.left and not one.underway:
            orders.board.stands(one.job.index, "done")
    orders.board.spent_s = orders.spent_s
    return found


def _note(progress: Progress, submission: Submission, orders: Orders) -> None:
    job, where = progress.job, progress.job.submission.device.where
    orders.spent_s += submission.quantum_s
    orders.submitted += where != "simulator" and submission.service_id is not None
    if submission.state == "done" and (result := _restored(job, submission, orders)) is not None:
        progress.done.append(result)
        progress.left = without(progress.left, submission.spans)
    elif submission.state in ("done", "submitted", "submitting") and where != "simulator":
        attempt = _found(job, submission, orders)
        if attempt is not None:
            progress.underway.append(attempt)
            progress.left = without(progress.left, submission.spans)
    elif submission.state == "submitting":
        # It was simulated by a command that died: nobody has it.
        orders.diary.withdrawn(submission.id)


def _restored(job: Job, submission: Submission, orders: Orders) -> JobResult | None:
    """Return what came of a submission from what is kept; None where that is damaged, which is told."""
    try:
        content, kind = orders.diary.raw(submission)
    except JournalError as error:
        how = "is run" if job.submission.device.where == "simulator" else "is asked for"
        orders.trouble(f"{error} Job {job.index + 1} {how} again.")
        if job.submission.device.where == "simulator":
            orders.diary.failed(submission.id, "its kept result is damaged", submission.record)
        return None
    raw = RawResult(content, cast("Kind", kind))
    return computed(job, submission.spans, raw, submission.record)


def _found(job: Job, submission: Submission, orders: Orders) -> Attempt | None:
    """Return a job that was submitted, or may have been; None where it is known that it was not."""
    device = job.submission.device
    if device.where == "vendor":
        return _found_at_vendor(job, submission, orders)
    attempt = taken_up(job, submission, None)
    try:
        if submission.service_id is not None:
            attempt.handle = device.backend.service.job(submission.service_id)
        else:
            attempt.handle = look_for(device.backend.service, submission.tag, device.settle_s)
    except NotKnownError as error:
        attempt.error, attempt.is_open = str(error), True
        return attempt
    except Exception as error:  # noqa: BLE001 - whatever the client raises, it concerns this job alone
        attempt.error, attempt.is_open = f"job {submission.service_id} could not be asked for: {told_of(error)}", True
        return attempt
    if attempt.handle is None:
        orders.diary.withdrawn(submission.id)
        return None
    if submission.service_id is None:
        attempt.session_id, attempt.session_kind = _group_of(attempt.handle, submission, orders)
        orders.trouble(f"job {attempt.service_id} was found on the service; an earlier command had submitted it")
        on_its_way(attempt, orders)
    else:
        orders.pay(job, submitted=False)
        orders.is_on_service(job, attempt.handle)
    return attempt


def _group_of(handle: Any, submission: Submission, orders: Orders) -> tuple[str, str]:
    """Return id and kind of the session group that a found job is in."""
    group = str(handle.session_id or "none")
    kinds = {one.service_id: one.kind for one in orders.diary.groups()}
    return (group, kinds.get(group, submission.session_kind or "none")) if group != "none" else ("none", "none")


def _found_at_vendor(job: Job, submission: Submission, orders: Orders) -> Attempt:
    """Return another vendor's job, where its backend can give one by its id."""
    attempt = taken_up(job, submission, None)
    retrieve = getattr(job.submission.device.backend, "retrieve_job", None)
    if submission.service_id is None:
        attempt.error = "an earlier command died while it submitted this job; whether it was submitted is not known"
    elif not callable(retrieve):
        attempt.error = (
            f"{job.submission.device.name} cannot give job {submission.service_id} back, which was submitted"
        )
    else:
        try:
            attempt.handle = retrieve(submission.service_id)
        except Exception as error:  # noqa: BLE001 - another vendor's code may raise anything
            attempt.error = f"job {submission.service_id} could not be retrieved: {type(error).__name__}: {error}"
    orders.pay(job, submitted=False)
    return attempt
