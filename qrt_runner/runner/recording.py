"""Keeps each result on disk as it comes, then shows it, then logs it; knows the modules above it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Self

from qrt_runner.analysis.extrapolating import left_undrawn
from qrt_runner.errors import TrackingError
from qrt_runner.journal import TaskEntry
from qrt_runner.results import NO_SESSION
from qrt_runner.runner.outcome import INTERRUPTED
from qrt_runner.runner.overview import overview_files
from qrt_runner.tracking import (
    Record,
    Records,
    environment,
    metrics_of,
    parquet_of,
    swept_rows,
    with_reports,
    with_table,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from qrt_runner.config import Tracking
    from qrt_runner.results import GroupReport, TaskResult
    from qrt_runner.runner.outcome import Outcome
    from qrt_runner.runner.working import Work
    from qrt_runner.tracking import KeptRun
    from qrt_runner.tracking.store import Recorder

TABLE: Final = "results.parquet"


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

    def close(self) -> None:
        """Keep and log what tells of the run as a whole."""
        rows = sorted(self.rows, key=lambda row: row["point"])
        files = {TABLE: parquet_of(rows)} if rows else {}
        files |= self._overview()
        held = self._reported(lambda _: True)
        for name, content in files.items():
            self.kept.put(name, content)
        spent = metrics_of(self.outcome.reports.values())
        if spent:
            self.kept.spent = {metric.key: metric.value for metric in spent}
            self.kept.save()
        if self.tracking.kind == "off" or not self.outcome.results:
            return
        self._log(held)
        if self.outcome.exit_code == INTERRUPTED:
            # Some may have been kept and not handed over any more; those that were are left alone.
            self._logging(lambda recorder: recorder.log([with_table(one) for one in self.kept.records()]))
        self._logging(lambda recorder: recorder.end(self.outcome.state, files, metrics=spent))

    def _overview(self) -> Mapping[str, bytes]:
        """Return the files that put the tasks beside each other, where that is asked for."""
        found = overview_files(self.outcome.results, draws=self.tracking.plots is not False)
        self.outcome.overview = found.lines
        self.outcome.troubles += found.troubles
        return found.files if self.kept.grouped else {}

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
        figures = self._drawn(result) if self.draws and result.state == "done" else {}
        return replace(whole, artifacts={**whole.artifacts, **figures}) if figures else whole

    def _drawn(self, result: TaskResult) -> dict[str, bytes]:
        """Return the figures of a result; one that cannot be drawn is told, and costs nothing else."""
        from qrt_runner.plots import figures

        try:
            return figures(result)
        except Exception as error:  # noqa: BLE001 - a figure is an extra: whatever it raises must not cost a result
            self.outcome.troubles.append(f"no figures of task {result.name}: {type(error).__name__}: {error}")
            return {}

    def _logging(self, log: Callable[[Recorder], None]) -> None:
        """Log to MLflow until that fails once; the results are on disk, and `action=collect` logs them."""
        if self.outcome.unlogged:
            return
        from qrt_runner.tracking.store import Recorder

        try:
            if self.recorder is None:
                self.recorder = self.open.enter_context(Recorder(self.kept, self.tracking.uri))
            log(self.recorder)
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
