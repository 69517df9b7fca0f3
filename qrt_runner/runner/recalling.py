"""Finds what is kept of a run: its records, from its folder or else from the journal; knows the modules above it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qrt_runner.errors import ConfigError, refuse
from qrt_runner.plan import stored_points
from qrt_runner.runner.collecting import chosen
from qrt_runner.runner.reusing import by_place, results_of, reused_results
from qrt_runner.tracking import Records, find_kept

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qrt_runner.journal import Journal, RunEntry
    from qrt_runner.results import TaskResult
    from qrt_runner.runner.collecting import Looking
    from qrt_runner.tracking import KeptRun, Record

REMEDIES: Final = {
    "run": "run=<id>; action=status run=all shows them",
    "runs": "runs=[<id>,<id>]; action=status run=all shows them",
}
"""By the config path that names runs."""


@dataclass(frozen=True)
class Recorded:
    """A run with the records of its tasks that have ended."""

    id: str
    title: str
    records: Sequence[Record]
    run: RunEntry | None
    """What the journal says of it; None of a replay, and where the journal is gone."""

    kept: KeptRun | None
    """Where its results are kept; None where they were computed again from the journal."""


def recorded(journal: Journal, wanted: str, path: str, asked: Looking) -> Recorded:
    """Return a run with its records, from where they are kept or else from the journal.

    Args:
        journal: Where runs are written down.
        wanted: Id or folder of a run, or `latest`.
        path: The config path that names it, for what is refused.
        asked: Whom to tell.

    Raises:
        ConfigError: Where there is no such run, or none of its tasks has ended.
    """
    asked.announce(f"reading run {wanted}")
    try:
        run = chosen(journal, wanted)[0] if wanted != "all" else None
    except (ConfigError, IndexError):
        run = None
    kept = _kept(wanted) if run is None else _kept_of(run)
    if kept is not None and (records := _records(kept, path, needed=run is None)) is not None:
        return _whole(Recorded(kept.id, kept.title, records, run, kept), path)
    if run is None:
        known = ", ".join(one.id for one in chosen(journal, "all")[-5:]) or "none yet"
        raise refuse(path, wanted, f"ids or folders of recorded runs ({known}), or latest", REMEDIES[path])
    return _whole(Recorded(run.id, run.title, _computed(journal, run), run, None), path)


def results_again(journal: Journal, run: RunEntry) -> Iterator[TaskResult]:
    """Compute the results of a run again from what the journal keeps, those that it took from other runs included."""
    points = stored_points(journal.plan(run))
    elsewhere = by_place(points, [(task.point, task.name, task.key) for task in journal.tasks(run.id)])
    yield from results_of(journal, run.id)
    yield from reused_results(journal, elsewhere)


def _whole(found: Recorded, path: str) -> Recorded:
    if not found.records:
        told = f"{found.id}, of which no task has a result"
        raise refuse(path, told, "runs with results", f"action=collect run={found.id}")
    return found


def _records(kept: KeptRun, path: str, *, needed: bool) -> list[Record] | None:
    """Return what is kept of a run's tasks; None where some of it is gone and the journal can tell it again."""
    try:
        return list(kept.records())
    except ConfigError:
        if needed:
            raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if needed:
            told = f"{kept.folder}, of which something is damaged ({type(error).__name__}: {error})"
            raise refuse(path, told, "a run whose files are as they were kept", "restore them from a copy") from error
    return None


def _kept(wanted: str) -> KeptRun | None:
    try:
        return find_kept(wanted)
    except ConfigError:
        if Path(wanted).is_dir():
            raise
        return None


def _kept_of(run: RunEntry) -> KeptRun | None:
    """Return what is kept of a run; None where its folder is gone or damaged, or holds another by now."""
    with suppress(ConfigError):
        found = find_kept(run.folder if (Path(run.folder) / "run.json").is_file() else run.id)
        return found if found.id == run.id else None
    return None


def _computed(journal: Journal, run: RunEntry) -> list[Record]:
    """Compute the results of a run again, and return its records; with which versions it ran is not known then."""
    records = Records(run.id, {})
    return [records.of(result) for result in results_again(journal, run)]
