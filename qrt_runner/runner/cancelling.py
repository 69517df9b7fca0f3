"""Cancels what has not ended of a run, and records what has; knows the modules above it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qrt_runner import execution
from qrt_runner.execution import Orders
from qrt_runner.runner.collecting import at_hand, chosen, collect_run

if TYPE_CHECKING:
    from qrt_runner.journal import Journal
    from qrt_runner.runner.collecting import Looking
    from qrt_runner.runner.outcome import Outcome


def cancel(journal: Journal, asked: Looking) -> list[tuple[Outcome, int]]:
    """Cancel the jobs of runs that have not ended, close their session groups, and record what has ended.

    Returns:
        What came of each run, and how many of its jobs were cancelled.

    Raises:
        ConfigError: Where there is no such run.
        JournalError: Where another process works at it, which Ctrl-C would end.
    """
    runs = [run for run in chosen(journal, asked.wanted) if asked.wanted != "all" or not _is_over(run.state)]
    found = []
    for run in runs:
        with at_hand(journal, run, asked) as (work, outcome):
            orders = Orders(work.diary, asked.budget, asked.announce, outcome.troubles.append, submits=False)
            count = execution.cancel(work.plan, orders)
            if not _is_over(work.diary.run.state):
                work.diary.update(state="cancelled")
        ended = collect_run(journal, journal.run(run.id), asked)
        ended.troubles[:0] = outcome.troubles
        found.append((ended, count))
    return found


def _is_over(state: str) -> bool:
    return state in ("recorded", "cancelled", "failed")
