"""Compares runs: what changed of the results, beyond their errors, and what besides; knows the modules above it.

Nothing is measured or computed anew where the results are kept; of a run whose folder is gone they are computed again
from the journal.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qrt_runner.errors import ConfigError, refuse
from qrt_runner.plan import stored_points
from qrt_runner.runner.collecting import chosen
from qrt_runner.runner.contrasting import Contrast, report_of, tables_of, written_tables
from qrt_runner.runner.differing import counts_differences, matched, value_differences
from qrt_runner.runner.drifting import config_changes, drifts, version_changes
from qrt_runner.runner.reusing import by_place, results_of, reused_results
from qrt_runner.runner.telling import tabled
from qrt_runner.tracking import Records, as_json, find_kept, write_private

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qrt_runner.journal import Journal, RunEntry
    from qrt_runner.runner.collecting import Looking
    from qrt_runner.tracking import KeptRun, Record

_NAME: Final = "comparison"
_PATH: Final = "runs"
_REMEDY: Final = "runs=[<id>,<id>]; action=status run=all shows them"


@dataclass(frozen=True)
class Recorded:
    """A run with the records of its tasks that have results."""

    id: str
    title: str
    records: Sequence[Record]


def compare(journal: Journal, wanted: Sequence[str], asked: Looking) -> list[str]:
    """Return what changed from the first run to each other one, as lines; all of it is written into a folder.

    Args:
        journal: Where runs are written down.
        wanted: Ids or folders of runs, or `latest`; empty for the latest two.
        asked: Where to write, and whom to tell.

    Raises:
        ConfigError: Where there is no such run, or they have no task in common.
    """
    runs = [_recorded(journal, one, asked) for one in wanted or _latest_two(journal)]
    if len({run.id for run in runs}) < max(2, len(runs)):
        raise refuse(_PATH, ", ".join(run.id for run in runs), "at least two runs, each once", _REMEDY)
    contrasts = [_contrast_of(runs[0], run) for run in runs[1:]]
    tables = [tables_of(contrast) for contrast in contrasts]
    report = {"runs": [run.id for run in runs], "pairs": [report_of(contrast) for contrast in contrasts]}
    write_private(asked.folder / f"{_NAME}.json", as_json(report))
    write_private(asked.folder / f"{_NAME}.md", written_tables(tables).encode())
    shown = [line for table in tables for part in table for line in part.lines(tabled)]
    return [*shown, f"All of it is in {asked.folder / _NAME}.json and .md"]


def _latest_two(journal: Journal) -> list[str]:
    known = [run.id for run in chosen(journal, "all")][-2:]
    if len(known) < 2:
        given = f"nothing, and there is {'one run' if known else 'no run'} in {journal.folder}"
        raise refuse(_PATH, given, "at least two runs", _REMEDY)
    return known


def _contrast_of(first: Recorded, second: Recorded) -> Contrast:
    try:
        return _contrast(first, second)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        given = f"{first.id} and {second.id}, of which something that was kept is damaged"
        told = f"{given} ({type(error).__name__}: {error})"
        raise refuse(_PATH, told, "runs whose files are as they were kept", "restore them from a copy") from error


def _contrast(first: Recorded, second: Recorded) -> Contrast:
    tasks = matched(first.records, second.records)
    if not tasks:
        given = f"{first.id} and {second.id}, which have no task in common"
        raise refuse(_PATH, given, "runs with tasks of one name, or equal sweeps", _REMEDY)
    return Contrast(
        runs=(first.id, second.id),
        titles=(first.title, second.title),
        tasks=len(tasks),
        alone=(len(first.records) - len(tasks), len(second.records) - len(tasks)),
        values=[one for pair in tasks for one in value_differences(pair)],
        counts=[one for pair in tasks for one in counts_differences(pair)],
        drifts=drifts(tasks),
        config=config_changes(tasks),
        versions=version_changes(first.records, second.records),
    )


def _recorded(journal: Journal, wanted: str, asked: Looking) -> Recorded:
    """Return a run with its records, from where they are kept or else from the journal."""
    asked.announce(f"reading run {wanted}")
    try:
        run = chosen(journal, wanted)[0] if wanted != "all" else None
    except (ConfigError, IndexError):
        run = None
    kept = _kept(wanted) if run is None else _kept_of(run)
    if kept is not None and (records := _records(kept, needed=run is None)) is not None:
        return _whole(kept.id, kept.title, records)
    if run is None:
        known = ", ".join(one.id for one in chosen(journal, "all")[-5:]) or "none yet"
        raise refuse(_PATH, wanted, f"ids or folders of recorded runs ({known}), or latest", _REMEDY)
    return _whole(run.id, run.title, _computed(journal, run))


def _whole(run: str, title: str, records: Sequence[Record]) -> Recorded:
    done = [record for record in records if record.state == "FINISHED"]
    if not done:
        raise refuse(_PATH, f"{run}, of which no task has a result", "runs with results", f"action=collect run={run}")
    return Recorded(run, title, done)


def _records(kept: KeptRun, *, needed: bool) -> list[Record] | None:
    """Return what is kept of a run's tasks; None where some of it is gone and the journal can tell it again."""
    try:
        return list(kept.records())
    except ConfigError:
        if needed:
            raise
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
    points = stored_points(journal.plan(run))
    elsewhere = by_place(points, [(task.point, task.name, task.key) for task in journal.tasks(run.id)])
    records = Records(run.id, {})
    return [records.of(result) for result in (*results_of(journal, run.id), *reused_results(journal, elsewhere))]
