"""Runs jobs on a service, in session groups and outside of them; knows the modules above it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.errors import AccessError
from qrt_runner.execution.attempts import Attempt, finished, submitted
from qrt_runner.execution.checking import check_sent, session_is_closed
from qrt_runner.execution.learning import (
    is_learner,
    lacks_model,
    learned,
    leave_for_later,
    priced,
    ready,
    take_learned,
)
from qrt_runner.execution.reasons import told_of
from qrt_runner.execution.spans import spans_of
from qrt_runner.results import NO_SESSION
from qrt_runner.sessions import close_session, opened, report_of, take_over

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from qrt_runner.execution.orders import Orders
    from qrt_runner.execution.progress import Progress
    from qrt_runner.journal import Diary
    from qrt_runner.plan import Group, Job
    from qrt_runner.results import JobResult
    from qrt_runner.sessions import Opened, SessionRequest

_MOST_PENDING: Final = 3
"""Jobs outside session groups that are in the queue at a time: plans limit them, and a job beyond the limit fails."""

_MOST_OPENED: Final = 3
"""So many groups are opened where the service closes one before all jobs are in it."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Entry:
    """What becomes of one group, as the journal is told."""

    diary: Diary
    index: int

    def asked(self) -> None:
        self.diary.group_asked(self.index)

    def opened(self, service_id: str) -> None:
        self.diary.group_opened(self.index, service_id)

    def closed(self) -> None:
        self.diary.group_closed(self.index)

    def failed(self, why: str) -> None:
        self.diary.group_failed(self.index, why)


def run_group(group: Group, progress: Sequence[Progress], orders: Orders) -> Iterator[JobResult]:
    """Submit what is left of the jobs of a session group, close it, and give all results in order.

    Args:
        group: The group; where an earlier command has left it open, it is used if it takes jobs, and closed.
        progress: How far its jobs are.
        orders: What this execution is to do.

    Raises:
        AccessError: Where the group is refused and nothing has been submitted yet; later its jobs are left.
    """
    attempts = [attempt for one in progress for attempt in one.underway]
    done = [result for one in progress for result in one.done]
    done += take_learned(attempts, orders)
    todo = [one.job for one in progress if one.left] if orders.submits else []
    todo = ready(orders.affordable(todo), orders)
    left_open = _left_open(group, orders)
    if left_open and not todo and (orders.submits or not any(one.left for one in progress)):
        _close_left_open(group, left_open, orders)
    if todo:
        try:
            sent, found = _submitted(group, todo, left_open, orders)
        except AccessError as error:
            if not orders.submitted:
                raise
            orders.leave(len(todo), str(error))
        else:
            attempts, done = [*attempts, *sent], [*done, *found]
    yield from _results(sorted(attempts, key=lambda one: one.job.index), done, orders)


def run_alone(progress: Sequence[Progress], orders: Orders) -> Iterator[JobResult]:
    """Run jobs that queue by themselves, a few in the queue at a time, and give their results in order.

    Args:
        progress: How far they are.
        orders: What this execution is to do.
    """
    for one in progress:
        yield from one.done
    pending = [attempt for one in progress for attempt in one.underway]
    yield from take_learned(pending, orders)
    todo = ready([one.job for one in progress if one.left], orders) if orders.submits else []
    for number, job in enumerate(todo):
        if len(pending) >= _MOST_PENDING and orders.waits:
            yield from _results([pending.pop(0)], [], orders)
        if lacks_model(job, orders):
            yield from take_learned(pending, orders)
        if lacks_model(job, orders):
            leave_for_later(todo[number:], orders)
            break
        known = priced(job, orders)
        if why := orders.over(known):
            orders.leave(len(todo) - number, why)
            break
        orders.start(known)
        pending.append(submitted(known, spans_of(job), None, orders))
        check_sent([pending[-1]], job.submission.device, None, orders)
    yield from _results(pending, [], orders)


def _submitted(
    group: Group, jobs: Sequence[Job], left_open: str | None, orders: Orders
) -> tuple[list[Attempt], list[JobResult]]:
    """Submit jobs to a group; where it is closed before all are in it, the rest goes into another.

    Returns:
        What is on its way, and what has been learned meanwhile for those that needed it.
    """
    attempts: list[Attempt] = []
    done: list[JobResult] = []
    entry = _Entry(orders.diary, group.index)
    left = list(jobs)
    orders.board.does(f"opening a {group.asked.kind} group on {group.device.name}")
    for _ in range(_MOST_OPENED):
        with opened(_within(group, orders), group.device, orders.trouble, entry, left_open) as place:
            _log.info("opened %s %s on %s", place.kind, place.id, group.device.name)
            orders.announce(f"{place.kind} {place.id} on {group.device.name}{group.reason}")
            sent = _sent(left, place, orders)
            if any(lacks_model(job, orders) for job in left):
                # What is waited for below must be there once, and in its group.
                check_sent(sent, group.device, place, orders)
                done += take_learned(sent, orders)
                attempts, sent = [*attempts, *sent], _sent(left, place, orders)
        attempts += sent
        check_sent(sent, group.device, place, orders)
        if any(lacks_model(job, orders) for job in left):
            leave_for_later(left, orders)
            return attempts, done
        if not left:
            return attempts, done
        left_open = None
    orders.leave(len(left), "their session groups were closed too early")
    return attempts, done


def _sent(left: list[Job], place: Opened, orders: Orders) -> list[Attempt]:
    """Submit jobs to an open group until it takes no more, or what the next one needs is not learned yet.

    Args:
        left: The jobs; those that are submitted are taken out.
        place: The group.
        orders: What this execution is to do.
    """
    attempts: list[Attempt] = []
    while left and not lacks_model(left[0], orders):
        job = priced(left[0], orders)
        if job.needs is not None and (why := orders.over(job)):
            # What PEC costs was not known when the others were found to be affordable.
            orders.leave(len(left), why)
            left.clear()
            break
        orders.start(job)
        attempt = submitted(job, spans_of(job), place, orders)
        if session_is_closed(attempt):
            orders.diary.withdrawn(attempt.number)
            break
        attempts.append(attempt)
        left.pop(0)
    return attempts


def _within(group: Group, orders: Orders) -> SessionRequest:
    """Return what is asked of a group, open for no longer than the budget allows."""
    most_s = orders.budget.max_session_s
    return group.asked if most_s is None else group.asked.within(most_s)


def _close_left_open(group: Group, left_open: str, orders: Orders) -> None:
    """Close a group that an earlier command has left open with all jobs in it."""
    try:
        close_session(left_open, group.device)
    except Exception as error:  # noqa: BLE001 - whatever the client raises, its jobs are there to be read
        orders.trouble(f"{group.asked.kind} {left_open} could not be closed: {told_of(error)}")
    else:
        take_over(left_open)
        orders.diary.group_closed(group.index)


def _left_open(group: Group, orders: Orders) -> str | None:
    """Return the id of the group where an earlier command has opened it and not closed it."""
    entries = [one for one in orders.diary.groups() if one.index == group.index]
    return next((one.service_id for one in entries if one.state == "submitted" and not one.attached), None)


def _results(attempts: Sequence[Attempt], done: Sequence[JobResult], orders: Orders) -> Iterator[JobResult]:
    """Give results as they come, those that are kept first; with the last one come the reports of its group."""
    given: list[JobResult] = []
    for result in done:
        given.append(result)
        yield _with_reports(result, given) if not attempts and len(given) == len(done) else result
    for attempt in attempts:
        found = learned(attempt, orders) if is_learner(attempt.job) else finished(attempt, orders)
        if found is not None:
            given.append(found)
            yield _with_reports(found, given) if attempt is attempts[-1] else found


def _with_reports(last: JobResult, jobs: Sequence[JobResult]) -> JobResult:
    """Return the last result of a group with what each session that its jobs were in spent its time with."""
    inside: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for job in jobs:
        if job.record["session_id"] != NO_SESSION:
            inside.setdefault((job.record["session_id"], job.record["session_kind"]), []).append(job.record)
    return replace(last, reports=tuple(report_of(*session, records) for session, records in inside.items()))
