"""Submits, waits, collects and cancels, each job exactly once; knows the modules above it, neither Hydra nor MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qrt_runner.execution.attempts import computed, finished, submitted
from qrt_runner.execution.board import Board
from qrt_runner.execution.cancelling import cancel
from qrt_runner.execution.learning import is_learner, learned, model_in, note_learned, priced
from qrt_runner.execution.once import states_of
from qrt_runner.execution.orders import Orders
from qrt_runner.execution.progress import progress_of
from qrt_runner.execution.spans import spans_of
from qrt_runner.execution.together import run_alone, run_group
from qrt_runner.execution.tries import Tries

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qrt_runner.execution.progress import Progress
    from qrt_runner.plan import Plan
    from qrt_runner.results import JobResult

__all__ = ["Board", "Orders", "cancel", "computed", "execute", "model_in", "states_of"]


def execute(plan: Plan, orders: Orders) -> Iterator[JobResult]:
    """Run what is left of the plan's jobs, and give each result as it comes.

    What earlier commands have done is taken from the journal, what they have submitted is taken up. On a service all
    jobs of a session group are submitted at once, the group is closed to further ones, and then their results are
    waited for: nothing is left open meanwhile. Groups come first, and of those the dedicated sessions, which a plan may
    refuse: nothing has been submitted then. What is simulated here runs last, job after job.

    A job that fails gives a failed result with the backend's reason; the others go on. On simulators, where trying
    again costs nothing but time, a failed job of several parameter sets is tried again in halves, so that one that
    cannot run fails alone.

    Args:
        plan: What is to be run.
        orders: Where it is written down, what it may cost, and whom it tells.

    Raises:
        AccessError: Where a session group is refused before anything has been submitted.
        JournalError: Where nothing can be written down any more; on services the jobs are there for the next command.
    """
    orders.jobs = len(plan.jobs)
    progress = progress_of(plan, orders)
    for one in progress.values():
        for result in one.done:
            if is_learner(one.job):
                note_learned(one.job, result, orders)
    for group in sorted(plan.groups, key=lambda group: group.asked.kind != "dedicated"):
        yield from run_group(group, [progress[index] for index in group.jobs], orders)
    alone = [progress[job.index] for job in plan.jobs if job.group is None]
    yield from run_alone([one for one in alone if one.job.submission.device.where == "ibm"], orders)
    yield from _run_here([one for one in alone if one.job.submission.device.where != "ibm"], orders)


def _run_here(jobs: Sequence[Progress], orders: Orders) -> Iterator[JobResult]:
    """Run what is simulated in this process, or sent to another vendor, job after job."""
    for one in jobs:
        yield from one.done
        for attempt in one.underway:
            if (result := finished(attempt, orders)) is not None:
                yield result
        if not one.left or not orders.submits:
            continue
        if one.job.submission.device.where == "simulator":
            # What is simulated is never only submitted.
            if orders.waits:
                orders.start(priced(one.job, orders))
                yield from _simulated(one, orders)
        elif why := orders.over(one.job):
            orders.leave(1, why)
        else:
            orders.start(one.job)
            if (result := finished(submitted(one.job, one.left, None, orders), orders)) is not None:
                yield result


def _simulated(one: Progress, orders: Orders) -> Iterator[JobResult]:
    """Simulate what is left of a job; layers are learned together or not at all, and without a model nothing is run."""
    job = one.job
    if is_learner(job):
        result = learned(submitted(job, spans_of(job), None, orders), orders)
    elif job.needs is not None and isinstance(orders.learned[job.needs], str):
        result = finished(submitted(job, one.left, None, orders), orders)
    else:
        yield from Tries(job, orders).results(one.left)
        return
    assert result is not None, "what is simulated here is waited for"
    yield result
