"""Submits a job so that the service has it exactly once, whatever is lost on the way; knows the modules above it.

Every job carries two tags: one of its run, and one of its own, which says all that makes it this submission. Where it
is not clear whether the service has accepted a job it is asked for that tag, until the answer is there or it is known
that there is no such job. Only then is it submitted again.
"""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING, Any, Final

from tenacity import Retrying, retry_if_exception, stop_after_delay

from qrt_runner.backends.patience import pause
from qrt_runner.errors import JobError
from qrt_runner.execution.asking import again, is_worth_asking
from qrt_runner.execution.reasons import Verdict, told_of, verdict_of
from qrt_runner.modes import mode_named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qrt_runner.modes import Submission
    from qrt_runner.plan import Job

_PATIENCE_S: Final = 120.0
"""For how long a submission is tried again that the service has certainly not accepted."""

_LOOKS: Final = 4


class NotKnownError(JobError):
    """Whether the service has a job is not known; the next command asks again."""


def tags_of(run: str, job: Job, attempt: int) -> tuple[str, str]:
    """Return the tags of a submission: its run's id, and one of its own, both of at most 24 characters.

    Args:
        run: Id of the run.
        job: What is submitted.
        attempt: How many submissions of the job there were before.
    """
    told = [run, job.index, attempt, job.mode, job.submission.shots, job.submission.seed]
    content = hashlib.sha256(json.dumps(told).encode())
    for pub in job.submission.pubs:
        content.update(pub.values.tobytes())
        content.update(
            json.dumps([[name, one.to_list()] for name, one in pub.observables.items()], default=str).encode()
        )
    return run, f"qrt-{content.hexdigest()[:20]}"


def submit_once(mode: str, submission: Submission) -> Any:
    """Submit a job and return its handle: the one that the service has by its tag, where an answer was lost.

    Args:
        mode: `raw`, `sampler` or `estimator`.
        submission: What is submitted; its last tag is the job's own.

    Raises:
        NotKnownError: Where the service may have the job, and does not answer.
        Exception: What the client raises where the service refuses, or accepts nothing for long.
    """
    patient = Retrying(
        retry=retry_if_exception(_may_go_again), stop=stop_after_delay(_PATIENCE_S), wait=pause, reraise=True
    )
    return patient(_submit, mode, submission)


def _submit(mode: str, submission: Submission) -> Any:
    try:
        return mode_named(mode).submit(submission)
    except Exception as error:
        if verdict_of(error) is not Verdict.AMBIGUOUS:
            raise
        device = submission.device
        found = look_for(device.backend.service, submission.tags[-1], device.settle_s, why=error)
        if found is None:
            raise
        return found


def look_for(service: Any, tag: str, settle_s: float, why: Exception | None = None) -> Any:
    """Return the job of that tag, the first if there are several; None once it is known that there is none.

    Args:
        service: The client's service.
        tag: The job's own.
        settle_s: How long it may still appear.
        why: What has made it unclear whether there is one.

    Raises:
        NotKnownError: Where the service does not answer.
    """
    try:
        for look in range(_LOOKS):
            if found := jobs_with(service, tag):
                return found[0]
            if look < _LOOKS - 1:
                time.sleep(settle_s / (_LOOKS - 1))
    except Exception as error:
        told = f"{told_of(why)}, and then " if why is not None else ""
        msg = f"whether the service has the job with the tag {tag} is not known ({told}{told_of(error)})"
        raise NotKnownError(f"{msg}; the next command asks again") from error
    return None


def jobs_with(service: Any, tag: str, group: str | None = None) -> Sequence[Any]:
    """Return the jobs that carry a tag, of one session group or of all, in the order in which they were accepted."""
    found: list[Any] = again(lambda: service.jobs(limit=None, job_tags=[tag], session_id=group, descending=False))
    return found


def _may_go_again(error: BaseException) -> bool:
    return not isinstance(error, NotKnownError) and is_worth_asking(error)


def states_of(service: Any, run: str) -> dict[str, str]:
    """Return the states of a run's jobs on a service, by their ids."""
    return {str(job.job_id()): str(job.status()) for job in jobs_with(service, run)}
