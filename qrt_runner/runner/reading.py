"""Computes again what came of the jobs of an earlier run, from what is kept of it; knows the modules above it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from qrt_runner.execution import computed
from qrt_runner.modes import RawResult

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from qrt_runner.journal import Journal
    from qrt_runner.modes.raw_results import Kind
    from qrt_runner.plan import Plan
    from qrt_runner.results import JobResult


def kept_results(journal: Journal, run: str, plan: Plan, only: Collection[int] | None = None) -> Iterator[JobResult]:
    """Compute the numbers of a run's jobs again from what the platform gave.

    Args:
        journal: Where it is kept.
        run: Id of the run.
        plan: Its plan; no backend is needed.
        only: Indices of the jobs that are wanted; None for all.

    Raises:
        JournalError: Where a result is damaged.
    """
    for submission in journal.submissions(run):
        if submission.state == "done" and (only is None or submission.job in only):
            content, kind = journal.raw(submission)
            raw = RawResult(content, cast("Kind", kind))
            yield computed(plan.jobs[submission.job], submission.spans, raw, submission.record)
