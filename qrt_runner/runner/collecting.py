"""Fetches what is done of a run and records it; knows the modules above it.

A run that is in the journal is read from what is kept there. The parts of a sweep that ran in several processes, and
runs whose journal is gone, are logged from the folder in which their results are kept.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from qrt_runner.errors import ConfigError
from qrt_runner.execution import Orders, execute
from qrt_runner.journal import is_held
from qrt_runner.plan import stored_points
from qrt_runner.runner.finishing import finish
from qrt_runner.runner.outcome import Outcome, new_id
from qrt_runner.runner.recording import Recording
from qrt_runner.runner.reusing import reused_results
from qrt_runner.runner.scattering import failed_point, scatter
from qrt_runner.runner.summing import kept_whole
from qrt_runner.runner.working import PART, kept_again, restored, work_at
from qrt_runner.tracking import KeptRun, find_kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from qrt_runner.config import Budget, Tracking
    from qrt_runner.journal import Journal, RunEntry
    from qrt_runner.results import TaskResult
    from qrt_runner.runner.working import Work


@dataclass(frozen=True)
class Looking:
    """What an action that looks after earlier runs is asked."""

    wanted: str
    """Id of a run, `latest` or `all`."""

    folder: Path
    """Where results are kept of a run whose own folder is not here."""

    tracking: Tracking
    budget: Budget
    announce: Callable[[str], None]
    show: Callable[[TaskResult, int], None]


def chosen(journal: Journal, wanted: str) -> list[RunEntry]:
    """Return the runs that are meant, parts of sweeps aside.

    Raises:
        ConfigError: Where there is none.
    """
    if wanted in ("latest", "all"):
        known = [run for run in journal.runs("all") if not run.key.startswith(PART)]
        return known[-1:] if wanted == "latest" else known
    return journal.runs(wanted)


def collect(journal: Journal, asked: Looking) -> list[Outcome]:
    """Fetch what is done of runs, and record it; what is recorded already is left alone.

    Raises:
        ConfigError: Where there is no such run.
        JournalError: Where another process works at it, or what is kept of it is damaged.
        TrackingError: Where the store cannot be reached.
    """
    try:
        runs = chosen(journal, asked.wanted)
    except ConfigError:
        runs = []
    if asked.wanted != "all" and not _is_newest(journal, runs, asked.wanted):
        return [_logged(find_kept(asked.wanted), asked.tracking)]
    if asked.wanted == "all":
        over = ("recorded", "cancelled")
        runs = [run for run in runs if run.state not in over and not is_held(journal.folder, run.id)]
    return [collect_run(journal, run, asked) for run in runs]


def collect_run(journal: Journal, run: RunEntry, asked: Looking) -> Outcome:
    """Fetch what is done of a run in the journal, and record it."""
    with at_hand(journal, run, asked) as (work, outcome):
        orders = Orders(work.diary, asked.budget, asked.announce, outcome.troubles.append, submits=False, waits=False)
        with Recording(outcome, work, asked.tracking, _newly(asked, work), draws=not run.grouped) as recording:
            for refusal in work.failing:
                recording.take(failed_point(refusal))
            recording.take(list(reused_results(journal, work.reused)))
            for results in scatter(work.plan, execute(work.plan, orders)):
                recording.take(results)
            finish(work, orders, recording)
    return outcome


def _newly(asked: Looking, work: Work) -> Callable[[TaskResult, int], None]:
    """Return what shows a result, but not one that was recorded before."""
    tasks = work.diary.journal.tasks(work.diary.run.id)
    known = {(task.point, task.name) for task in tasks if task.state == "recorded"}

    def show(result: TaskResult, count: int) -> None:
        if (result.point.index, result.name) not in known:
            asked.show(result, count)

    return show


@contextmanager
def at_hand(journal: Journal, run: RunEntry, asked: Looking) -> Iterator[tuple[Work, Outcome]]:
    """Take a run up from what is kept of it, without the command that began it."""
    outcome = Outcome(run.id, continued=True)
    with journal.held(run.id) as diary:
        points = stored_points(journal.plan(run))
        plan = restored(diary, points)
        outcome.kept = kept_again(run, asked.folder)
        yield work_at(diary, plan, outcome.kept, plan.refusals, points), outcome


def gather(parts: Sequence[Path], folder: Path, tracking: Tracking) -> KeptRun:
    """Make one run of the parts of a sweep, which ran each by itself, and log it as such.

    Args:
        parts: Folders in which the parts are kept.
        folder: Where the whole will be kept.
        tracking: Where it is logged.

    Raises:
        TrackingError: Where the store cannot be reached; the whole is on disk then.
    """
    runs = [find_kept(str(part)) for part in parts]
    name, started_ms = runs[0].experiment, min(run.started_ms for run in runs)
    points = sum(len(run.states()) for run in runs)
    whole = KeptRun(folder, new_id(), name, f"{name} ({points} points)", True, False, started_ms)  # noqa: FBT003 - by their order in the record
    whole.interrupted = any(run.interrupted for run in runs)
    for run in runs:
        whole.spent = {name: whole.spent.get(name, 0.0) + value for name, value in run.spent.items()} or whole.spent
    whole.begin()
    for run in runs:
        whole.keep(replace(record, tags={**record.tags, "qrt.run": whole.id}) for record in run.records())
    if tracking.kind != "off":
        _log(whole, tracking)
    return whole


def _is_newest(journal: Journal, runs: Sequence[RunEntry], wanted: str) -> bool:
    """Tell whether the run that is meant is in the journal: of the latest, that no sweep was kept after it.

    A replay has nothing to be collected. The journal's order goes by no clock.
    """
    if not runs or wanted != "latest":
        return bool(runs)
    try:
        kept = find_kept(wanted)
    except ConfigError:
        return True
    known = {run.id for run in journal.runs()}
    return kept.replay_of is not None or kept.id in known or kept.id <= runs[-1].id


def _logged(kept: KeptRun, tracking: Tracking) -> Outcome:
    _log(kept, tracking)
    return Outcome(kept.id, continued=True, kept=kept)


def _log(kept: KeptRun, tracking: Tracking) -> None:
    from qrt_runner.tracking.store import log_run

    files = kept_whole(kept, draws=tracking.plots is not False) if kept.grouped else {}
    log_run(kept, tracking.uri, files)
