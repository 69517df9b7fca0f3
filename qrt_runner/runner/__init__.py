"""The sentence: compile, execute, scatter, record; knows the modules above it, none of the outside worlds directly."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from qrt_runner.digits import with_error
from qrt_runner.execution import Board, Orders, execute
from qrt_runner.journal import Journal
from qrt_runner.runner.cancelling import cancel
from qrt_runner.runner.closing import closing, under_way, where
from qrt_runner.runner.collecting import collect, gather
from qrt_runner.runner.finishing import finish
from qrt_runner.runner.interrupting import interruptible, stopped
from qrt_runner.runner.outcome import Outcome, Request, new_id
from qrt_runner.runner.predicting import history_of
from qrt_runner.runner.reconciling import reconcile_dead, record_kept
from qrt_runner.runner.recording import Recording
from qrt_runner.runner.reusing import reused_results
from qrt_runner.runner.scattering import failed_point, scatter
from qrt_runner.runner.telling import headline, table, told, told_in_sweep
from qrt_runner.runner.working import at_work

if TYPE_CHECKING:
    from collections.abc import Callable

    from qrt_runner.results import TaskResult
    from qrt_runner.runner.working import Work

_log = logging.getLogger(__name__)

__all__ = [
    "Outcome",
    "Request",
    "cancel",
    "closing",
    "collect",
    "gather",
    "headline",
    "run",
    "table",
    "told",
    "told_in_sweep",
    "under_way",
    "where",
    "with_error",
]


def run(
    request: Request,
    announce: Callable[[str], None],
    show: Callable[[TaskResult, int], None],
    watch: Callable[[Board], None] | None = None,
) -> Outcome:
    """Compile the points, execute the plan, scatter its results and record them.

    A run of the same command that was cut short is carried on with.

    Args:
        request: What is asked for.
        announce: Told in a few words what is going on.
        show: Given each task's result once it is kept on disk, with the number of tasks there are.
        watch: Given how far the jobs are, at each change; without it `announce` is told of each job that begins.

    Raises:
        ConfigError: Where a point cannot be run; nothing has been submitted then.
        AccessError: Where an account or a backend refuses; nothing has been submitted then.
        JournalError: Where what happens cannot be written down.
    """
    outcome, board = Outcome(new_id()), Board(watch)
    board.does("compiling the plan")
    with Journal(request.journal) as journal:
        outcome.troubles += reconcile_dead(journal)
        with at_work(journal, request, outcome, announce) as work:
            if outcome.there:
                announce(f"carrying on with run {outcome.run}: {outcome.there}")
            orders = _orders(work, request, outcome, announce, board)
            draws = _draws(request)
            with Recording(outcome, work, request.tracking, show, draws=draws) as recording, interruptible() as presses:
                try:
                    _take_all(work, orders, recording)
                except KeyboardInterrupt:
                    stopped(work, orders, recording, presses)
                board.does("recording")
                finish(work, orders, recording)
        if outcome.is_logged:
            outcome.troubles += record_kept(journal, request, announce)
    return outcome


def _orders(work: Work, request: Request, outcome: Outcome, announce: Callable[[str], None], board: Board) -> Orders:
    """Return what is to be done with the jobs of a run."""
    board.tasks = 0, work.tasks
    history = history_of(work.diary.journal)
    return Orders(
        work.diary,
        request.budget,
        announce,
        outcome.troubles.append,
        waits=request.waits,
        fetches=request.waits,
        board=board,
        foretold=lambda job: history.foretold(job).likely_s,
    )


def _take_all(work: Work, orders: Orders, recording: Recording) -> None:
    """Execute what is left of the plan, and record every result as it comes."""
    for refusal in work.failing:
        recording.take(failed_point(refusal))
    recording.take(list(reused_results(work.diary.journal, work.reused)))
    for results in scatter(work.plan, execute(work.plan, orders)):
        recording.take(results)
        _count(orders, len(recording.outcome.results), work.tasks)


def _count(orders: Orders, done: int, tasks: int) -> None:
    """Tell how many tasks have a result."""
    _log.info("%d of %d tasks are done", done, tasks)
    orders.board.tasks = done, tasks
    if orders.board.watch is None:
        orders.announce(f"{done} of {tasks} tasks are done")
    else:
        orders.board.does("")
        orders.board.tell()


def _draws(request: Request) -> bool:
    plots = request.tracking.plots
    return not request.grouped if plots == "auto" else plots
