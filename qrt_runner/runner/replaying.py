"""Computes every number of a recorded run again from its raw results, without any backend; knows the modules above it.

What comes of it is a run of its own, with its own tables and figures, logged below the MLflow runs of the tasks that it
is about. What had not ended stays out of it, and what had failed stays failed.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.config import Replay
from qrt_runner.errors import JournalError, TrackingError, refuse
from qrt_runner.journal import Journal
from qrt_runner.plan import away, stored_points, unpacked
from qrt_runner.runner.collecting import chosen
from qrt_runner.runner.drawing import task_figures
from qrt_runner.runner.outcome import Outcome, new_id
from qrt_runner.runner.recording import with_drawing_note
from qrt_runner.runner.rereading import Rereading
from qrt_runner.runner.reusing import by_place, reused_results
from qrt_runner.runner.revising import revised
from qrt_runner.runner.scattering import failed_point, scatter
from qrt_runner.runner.summing import keep_whole
from qrt_runner.tracking import (
    KeptRun,
    Records,
    environment,
    swept_rows,
    with_reports,
    with_table,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from qrt_runner.journal import RunEntry
    from qrt_runner.results import Point, TaskResult
    from qrt_runner.runner.collecting import Looking
    from qrt_runner.tracking import Record

_ASKED: Final = "replay.json"
"""Artifact that tells what the replay was asked for."""

_BATCH: Final = 100


def replay(journal: Journal, action: Replay, asked: Looking) -> Outcome:
    """Compute the numbers, tables and figures of a run again from what the platform gave, and record them.

    Args:
        journal: Where the run is.
        action: What is asked for instead of what the run asked for.
        asked: Which run, where results are kept, and whom to tell.

    Raises:
        ConfigError: Where there is no such run, or what is asked for cannot be told from its results; nothing has been
            recorded then.
        JournalError: Where its plan is damaged; a damaged result fails its own points only.
    """
    run = _meant(journal, asked.wanted)
    outcome = Outcome(new_id())
    asked.announce(f"computing the numbers of run {run.id} again")
    results = list(_results(journal, run, action, outcome))
    outcome.kept = _begun(run, asked, outcome.run)
    keeping = _Keeping(run, action, asked, outcome, outcome.kept, len(journal.tasks(run.id)))
    left = iter(results)
    while batch := list(islice(left, _BATCH)):
        keeping.take(batch)
    keeping.close()
    return outcome


def loaded(folder: Path, wanted: str) -> Outcome:
    """Return the results of a run, computed again from what the platform gave, and record nothing.

    Args:
        folder: Of the journal.
        wanted: Id of the run, or `latest`.

    Raises:
        ConfigError: Where there is no such run.
        JournalError: Where its plan is damaged.
    """
    with Journal(folder) as journal:
        run = _meant(journal, wanted)
        outcome = Outcome(run.id)
        action = Replay(kind="replay", observables={}, readout="as_asked")
        for result in _results(journal, run, action, outcome):
            outcome.note(result)
        outcome.left = len(journal.tasks(run.id)) - len(outcome.results)
    if outcome.left:
        outcome.troubles.append(f"{outcome.left} tasks of run {run.id} are not done yet")
    return outcome


def _meant(journal: Journal, wanted: str) -> RunEntry:
    found = chosen(journal, wanted) if wanted != "all" else []
    if not found:
        given = "all, for a replay" if wanted == "all" else f"latest, of no run in {journal.folder}"
        raise refuse("run", given, "latest, or the id of one run", "action=status run=all shows them")
    return found[0]


def _begun(run: RunEntry, asked: Looking, run_id: str) -> KeptRun:
    title, started_ms = f"{run.title} replayed", int(time.time() * 1000)
    kept = KeptRun(asked.folder, run_id, run.name, title, run.grouped, run.folders, started_ms, replay_of=run.id)
    kept.begin()
    return kept


def _results(journal: Journal, run: RunEntry, action: Replay, outcome: Outcome) -> Iterator[TaskResult]:
    """Give the results of all tasks of a run that have ended, and note in the outcome what cannot be told."""
    parts = journal.plan(run)
    points = stored_points(parts)
    revision = revised(unpacked(parts, points, away), action)
    plan = revision.plan
    jobs = Rereading(journal, plan, bool(action.observables), outcome.troubles.append).results(run.id)
    outcome.reports = {report.id: report for job in jobs for report in job.reports}
    for refusal in plan.refusals:
        yield from failed_point(refusal)
    yield from _from_elsewhere(journal, run, points, action, outcome)
    for complete in scatter(plan, jobs, revision.tell):
        yield from complete


def _from_elsewhere(
    journal: Journal, run: RunEntry, points: Mapping[int, Point], action: Replay, outcome: Outcome
) -> Iterable[TaskResult]:
    """Return the results that the run took from others, where they are asked for as they are."""
    tasks = by_place(points, [(task.point, task.name, task.key) for task in journal.tasks(run.id)])
    if not tasks:
        return ()
    if action.observables or action.readout == "calibration" or _undoes_m3(action, points):
        sources = journal.equal_tasks([task.key for task in tasks])
        runs = ", ".join(sorted({run for run, _, _ in sources.values()}))
        words = f"left out: {_counted(len(tasks))} with results from other runs ({runs})"
        outcome.troubles.append(f"{words}; a replay of those computes them")
        return ()
    try:
        return list(reused_results(journal, tasks))
    except JournalError as error:
        outcome.troubles.append(f"{error} The tasks that took their results from there are left out.")
        return ()


def _undoes_m3(action: Replay, points: Mapping[int, Point]) -> bool:
    """Tell whether counts are to be as measured that a task has asked to be corrected."""
    tasks = [task for point in points.values() for task in point.experiment.tasks.values()]
    return action.readout == "as_measured" and any(task.mitigation.readout != "as_measured" for task in tasks)


@dataclass
class _Keeping:
    """Lives as long as the results of one replay are kept and logged."""

    run: RunEntry
    action: Replay
    asked: Looking
    outcome: Outcome
    kept: KeptRun
    tasks: int
    """Number of tasks of the run."""

    records: Records = field(init=False)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Note versions and git state."""
        self.records = Records(self.kept.id, environment(), self.run.command)

    @property
    def draws(self) -> bool:
        """Whether figures are drawn."""
        plots = self.asked.tracking.plots
        return not self.run.grouped if plots == "auto" else plots

    def take(self, results: Sequence[TaskResult]) -> None:
        """Keep results on disk, and show them."""
        results = [self._told(result) for result in results]
        if self.draws:
            results = [with_drawing_note(result) for result in results]
        records = [self._record(result) for result in results]
        self.kept.keep(records)
        for result, record in zip(results, records, strict=True):
            self.outcome.note(result)
            self.asked.show(result, self.tasks)
            if self.kept.grouped:
                self.rows += swept_rows(record)

    def close(self) -> None:
        """Keep and log what tells of the run as a whole."""
        self.outcome.left = self.tasks - len(self.outcome.results)
        if self.outcome.left:
            self.outcome.exit_code = 1
            self.outcome.put_down()
            words = f"no results to compute from: {_counted(self.outcome.left)} of run {self.run.id}"
            self.outcome.troubles.append(f"{words}; action=status run={self.run.id} shows how far it is")
        draws = self.asked.tracking.plots is not False
        files = keep_whole(self.kept, self.outcome, self.rows, self.run.command, draws=draws)
        if self.asked.tracking.kind != "off" and self.outcome.results:
            self._log(files)

    def _told(self, result: TaskResult) -> TaskResult:
        """Return a result that tells where it is from."""
        ids = ", ".join(str(job.record["id"]) for job in result.jobs if job.record["id"])
        note = f"replayed from run {self.run.id}" + (f" (jobs {ids})" if ids else "")
        note += ", with other observables than it asked for" if self.action.observables else ""
        asked = {"replay_of": self.run.id, **self.action.model_dump(mode="json", exclude={"kind"})}
        files = {**result.files, _ASKED: (json.dumps(asked, indent=1) + "\n").encode()}
        return replace(result, notes=(note, *result.notes), files=files)

    def _record(self, result: TaskResult) -> Record:
        sessions = dict.fromkeys(str(job.record["session_id"]) for job in result.jobs)
        reports = [self.outcome.reports[session] for session in sessions if session in self.outcome.reports]
        record = with_reports(self.records.of(result), reports)
        record = replace(record, title=f"{record.title} replayed")
        if not (self.draws or self.kept.folders):
            return record
        draws = self.draws and result.state == "done"
        figures = task_figures(result, record.rows, self.outcome.troubles.append) if draws else {}
        return replace(with_table(record), artifacts={**with_table(record).artifacts, **figures})

    def _log(self, files: Mapping[str, bytes]) -> None:
        from qrt_runner.tracking.store import log_replay

        outcome = self.outcome
        try:
            alone = log_replay(self.kept, self.asked.tracking.uri, self.run.id, files)
        except TrackingError as error:
            outcome.unlogged, outcome.exit_code = True, outcome.exit_code or error.exit_code
            outcome.troubles.append(str(error))
            return
        if alone:
            words = f"the MLflow store does not hold run {self.run.id}"
            outcome.troubles.append(f"{words}: {_counted(len(alone))} logged without a parent to lie below")


def _counted(tasks: int) -> str:
    return "1 task" if tasks == 1 else f"{tasks} tasks"
