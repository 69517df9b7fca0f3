"""Keeps each result on disk as it comes, then shows it, then logs it; knows the modules above it."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from qrt_runner.analysis.extrapolating import left_undrawn
from qrt_runner.errors import TrackingError
from qrt_runner.journal import TaskEntry
from qrt_runner.results import NO_SESSION
from qrt_runner.runner.drawing import task_figures
from qrt_runner.runner.outcome import INTERRUPTED
from qrt_runner.runner.summing import end, keep_whole
from qrt_runner.tracking import (
    Record,
    Records,
    environment,
    swept_rows,
    with_reports,
    with_table,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qrt_runner.config import Tracking
    from qrt_runner.results import GroupReport, TaskResult
    from qrt_runner.runner.outcome import Outcome
    from qrt_runner.runner.working import Work
    from qrt_runner.tracking import KeptRun
    from qrt_runner.tracking.store import Recorder

_log = logging.getLogger(__name__)


@dataclass
class Recording:
    """Lives as long as results come."""

    outcome: Outcome
    work: Work
    tracking: Tracking
    show: Callable[[TaskResult, int], None]
    draws: bool
    """Whether figures are drawn."""

    taken: set[str] = field(default_factory=set)
    """Keys of the records of which results were taken."""

    records: Records = field(init=False)
    recorder: Recorder | None = None
    open: ExitStack = field(default_factory=ExitStack)
    rows: list[dict[str, Any]] = field(default_factory=list)
    recorded: dict[str, int] = field(default_factory=dict)
    """By the id of a job when its results were handed over, in ns since 1970."""

    held: list[tuple[TaskResult, Record]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Note versions and git state before anything runs."""
        self.records = Records(self.outcome.run, environment(), self.work.diary.run.command)

    @property
    def kept(self) -> KeptRun:
        """What is on disk."""
        return self.work.kept

    def __enter__(self) -> Self:
        """Open nothing yet: the store is opened with the first result."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Close the store, and end what is open in it."""
        self.open.close()

    def take(self, results: Sequence[TaskResult]) -> None:
        """Keep results on disk before anything else is done with them; then show and log them.

        Those that were taken before are left alone.
        """
        results = [result for result in results if key_of(result) not in self.taken]
        if not results:
            return
        self.taken.update(map(key_of, results))
        if self.draws:
            results = [with_drawing_note(result) for result in results]
        records = [self.records.of(result) for result in results]
        # What an earlier command has kept and logged is shown, and left as it is.
        known = {record.key for record in records if record.key in self.kept.logged}
        self.kept.keep([record for record in records if record.key not in known])
        self.work.diary.tasks(map(self._entry, results))
        for result, record in zip(results, records, strict=True):
            self.outcome.reports.update({report.id: report for job in result.jobs for report in job.reports})
            self.show(result, self.work.tasks)
            if self.kept.grouped:
                self.rows += swept_rows(record)
            self.outcome.note(result)
        fresh = [(result, record) for result, record in zip(results, records, strict=True) if record.key not in known]
        if not fresh:
            return
        results, records = [result for result, _ in fresh], [record for _, record in fresh]
        whole = self._derived(results, records)
        ready = [one for result, record in zip(results, whole, strict=True) for one in self._held(result, record)]
        self._log(ready)
        self.recorded |= {str(job.record["id"]): time.time_ns() for result in results for job in result.jobs}

    def close(self) -> None:
        """Keep and log what tells of the run as a whole."""
        held = self._reported(lambda _: True)
        draws = self.tracking.plots is not False
        files = keep_whole(self.kept, self.outcome, self.rows, self.work.diary.run.command, draws=draws)
        if self.tracking.kind == "off" or not self.outcome.results:
            return
        self._log(held)
        if self.outcome.exit_code == INTERRUPTED:
            # Some may have been kept and not handed over any more; those that were are left alone.
            self._logging(lambda recorder: recorder.log([with_table(one) for one in self.kept.records()]))
        self._logging(lambda recorder: end(recorder, self.kept, self.outcome, files, self.recorded))

    def _entry(self, result: TaskResult) -> TaskEntry:
        place = (result.point.index, result.name)
        return TaskEntry(*place, self.work.keys.get(place, ""), result.state, error=result.error)

    def _derived(self, results: Sequence[TaskResult], records: Sequence[Record]) -> Sequence[Record]:
        """Add what can be made again from a kept result: its table and, where they are wanted, its figures."""
        if self.kept.grouped and self.tracking.kind == "off" and not self.draws:
            return records
        whole = [self._with_derived(result, record) for result, record in zip(results, records, strict=True)]
        if self.kept.folders or self.draws:
            self.kept.keep(whole)
        return whole

    def _held(self, result: TaskResult, record: Record) -> list[Record]:
        """Hold a record back until the session group of its job has its report; return those that can be logged."""
        if not _groups_of(result):
            return [record]
        self.held.append((result, record))
        return self._reported(lambda result: len(self._reports_of(result)) == len(_groups_of(result)))

    def _log(self, records: Sequence[Record]) -> None:
        if records and self.tracking.kind != "off":
            self._logging(lambda recorder: recorder.log(records))

    def _reported(self, ready: Callable[[TaskResult], bool]) -> list[Record]:
        """Let go of held records, with what their session groups spent."""
        chosen = [(result, record) for result, record in self.held if ready(result)]
        self.held = [one for one in self.held if not ready(one[0])]
        records = [with_reports(record, self._reports_of(result)) for result, record in chosen]
        if records:
            self.kept.keep(records)
        return records

    def _reports_of(self, result: TaskResult) -> list[GroupReport]:
        return [self.outcome.reports[group] for group in _groups_of(result) if group in self.outcome.reports]

    def _with_derived(self, result: TaskResult, record: Record) -> Record:
        whole = with_table(record)
        draws = self.draws and result.state == "done"
        figures = task_figures(result, record.rows, self.outcome.troubles.append) if draws else {}
        return replace(whole, artifacts={**whole.artifacts, **figures}) if figures else whole

    def _logging(self, log: Callable[[Recorder], None]) -> None:
        """Log to MLflow until that fails once; the results are on disk, and `action=collect` logs them."""
        if self.outcome.unlogged:
            return
        from qrt_runner.tracking.store import Recorder

        try:
            if self.recorder is None:
                self.recorder = self.open.enter_context(Recorder(self.kept, self.tracking.uri))
            log(self.recorder)
            _log.info("logged to MLflow, experiment %s", self.kept.experiment)
        except TrackingError as error:
            self.outcome.unlogged = True
            self.outcome.exit_code = self.outcome.exit_code or error.exit_code
            self.outcome.troubles.append(str(error))


def with_drawing_note(result: TaskResult) -> TaskResult:
    """Return a result that tells of what there will be no figure."""
    note = left_undrawn(result)
    return replace(result, notes=(*result.notes, note)) if note else result


def key_of(result: TaskResult) -> str:
    """Return what tells a task's record apart within its run."""
    return f"{result.point.index}-{result.name}"


def _groups_of(result: TaskResult) -> list[str]:
    """Return the ids of the session groups that a task's jobs were in."""
    ids = dict.fromkeys(str(job.record["session_id"]) for job in result.jobs)
    return [group for group in ids if group != NO_SESSION]
