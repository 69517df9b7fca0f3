"""Asks a service whether it has each job once, and where it was meant to be; knows the modules above it.

What the client says of a job is what it sent; a proxy on the way may have repeated the request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qrt_runner.execution.asking import cancelled
from qrt_runner.execution.once import jobs_with
from qrt_runner.execution.reasons import told_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qrt_runner.backends import Device
    from qrt_runner.execution.attempts import Attempt
    from qrt_runner.execution.orders import Orders
    from qrt_runner.sessions import Opened


_CLOSED: Final = 1217
"""The service's code for a session that takes no more jobs."""


def check_sent(attempts: Sequence[Attempt], device: Device, place: Opened | None, orders: Orders) -> None:
    """Cancel what the service has twice, or outside the session group that it was meant for.

    Args:
        attempts: What was submitted just now, with nothing waited for yet.
        device: The backend.
        place: The group that they were submitted to.
        orders: Whom to tell.
    """
    sent = [attempt for attempt in attempts if attempt.handle is not None]
    if not sent:
        return
    tag = sent[0].tag if len(sent) == 1 else orders.diary.run.id
    service = device.backend.service
    try:
        found = jobs_with(service, tag)
        inside = {str(job.job_id()) for job in jobs_with(service, tag, place.id)} if place is not None else set()
    except Exception as error:  # noqa: BLE001 - whatever the client raises, the jobs are submitted and must be read
        where = f" and all went into {place.kind} {place.id}" if place is not None else ""
        orders.trouble(f"whether the service has each job once{where} could not be checked ({told_of(error)})")
        return
    for attempt in sent:
        same = [job for job in found if attempt.tag in (job.tags or ())]
        _keep_first(attempt, same, orders)
        if place is not None and attempt.service_id not in inside:
            _take_out(attempt, place, orders)


def session_is_closed(attempt: Attempt) -> bool:
    """Tell whether a job was refused because its session group takes no more jobs."""
    return attempt.code == _CLOSED


def _keep_first(attempt: Attempt, same: Sequence[Any], orders: Orders) -> None:
    """Keep the job that the service accepted first, and cancel what it has besides."""
    if len(same) < 2:
        return
    first, *others = same
    if str(first.job_id()) != attempt.service_id:
        attempt.handle = first
        orders.diary.submitted(attempt.number, str(first.job_id()), attempt.session_id, attempt.session_kind)
    for job in others:
        what = f"the service has job {first.job_id()} twice; the other one, {job.job_id()},"
        orders.trouble(f"{what} {_cancelled(job)}")


def _take_out(attempt: Attempt, place: Opened, orders: Orders) -> None:
    """Cancel a job that the service has put outside its session group."""
    what = f"job {attempt.service_id} went outside {place.kind} {place.id}"
    attempt.session_id = attempt.session_kind = "none"
    told = _cancelled(attempt.handle)
    if told == "was cancelled":
        attempt.error = f"{what}, and was cancelled"
    else:
        # Its result, paid for, is read then.
        orders.trouble(f"{what}, and {told}")


def _cancelled(job: Any) -> str:
    """Cancel a job and return what came of it, in words."""
    try:
        return "was cancelled" if cancelled(job) else "had ended by then"
    except Exception as error:  # noqa: BLE001 - whatever the client raises, the other jobs must be read
        return f"could not be cancelled ({told_of(error)})"
