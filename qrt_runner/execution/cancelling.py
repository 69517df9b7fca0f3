"""Cancels the jobs of a run that have not ended, and closes its session groups; knows the modules above it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qrt_runner.execution.asking import cancelled
from qrt_runner.execution.progress import progress_of
from qrt_runner.execution.reasons import told_of
from qrt_runner.sessions import close_session, take_over

if TYPE_CHECKING:
    from qrt_runner.execution.attempts import Attempt
    from qrt_runner.execution.orders import Orders
    from qrt_runner.plan import Plan


def cancel(plan: Plan, orders: Orders) -> int:
    """Cancel what has not ended of a run's jobs, close its groups, and return how many jobs were cancelled.

    What has ended already is left to be collected: it was paid for.

    Args:
        plan: What the run consists of.
        orders: Where it is written down, and whom it tells.
    """
    underway = [attempt for one in progress_of(plan, orders).values() for attempt in one.underway]
    count = sum([_cancelled(attempt, orders) for attempt in underway if attempt.handle is not None])
    for entry in orders.diary.groups():
        if entry.state == "submitted" and not entry.attached and entry.service_id is not None:
            device = plan.groups[entry.index].device
            try:
                close_session(entry.service_id, device)
            except Exception as error:  # noqa: BLE001 - whatever the client raises, the others are closed
                orders.trouble(f"{entry.kind} {entry.service_id} could not be closed: {told_of(error)}")
            else:
                take_over(entry.service_id)
                orders.diary.group_closed(entry.index)
    return count


def _cancelled(attempt: Attempt, orders: Orders) -> bool:
    try:
        if not cancelled(attempt.handle):
            return False
    except Exception as error:  # noqa: BLE001 - whatever the client raises, the others are cancelled
        orders.trouble(f"job {attempt.service_id} could not be cancelled: {told_of(error)}")
        return False
    orders.diary.cancelled(attempt.number, "cancelled by action=cancel")
    return True
