"""Compares runs: what changed of the results, beyond their errors, and what besides; knows the modules above it.

Nothing is measured or computed anew where the results are kept; of a run whose folder is gone they are computed again
from the journal.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from qrt_runner.errors import TrackingError, refuse
from qrt_runner.reports import rendered
from qrt_runner.runner.collecting import chosen
from qrt_runner.runner.contrast_figures import contrast_pictures
from qrt_runner.runner.contrast_logging import log_comparison
from qrt_runner.runner.contrasting import Contrast, report_of, tables_of, written_tables
from qrt_runner.runner.contrasts_page import page_of
from qrt_runner.runner.differing import counts_differences, matched, value_differences
from qrt_runner.runner.drifting import config_changes, drifts, version_changes
from qrt_runner.runner.recalling import REMEDIES, Recorded, recorded
from qrt_runner.runner.telling import tabled
from qrt_runner.tracking import as_json, write_private

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qrt_runner.journal import Journal
    from qrt_runner.runner.collecting import Looking

_NAME: Final = "comparison"
_PATH: Final = "runs"
_REMEDY: Final = REMEDIES[_PATH]


def compare(journal: Journal, wanted: Sequence[str], asked: Looking) -> tuple[list[str], list[str], int]:
    """Tell what changed from the first run to each other one; all of it is written into a folder, and logged.

    Args:
        journal: Where runs are written down.
        wanted: Ids or folders of runs, or `latest`; empty for the latest two.
        asked: Where to write, and whom to tell.

    Returns:
        What is to be said, what went wrong, and the exit code.

    Raises:
        ConfigError: Where there is no such run, or they have no task in common.
    """
    runs = [_done(recorded(journal, one, _PATH, asked)) for one in wanted or _latest_two(journal)]
    if len({run.id for run in runs}) < max(2, len(runs)):
        raise refuse(_PATH, ", ".join(run.id for run in runs), "at least two runs, each once", _REMEDY)
    contrasts = [_contrast_of(runs[0], run) for run in runs[1:]]
    tables = [tables_of(contrast) for contrast in contrasts]
    report = {"runs": [run.id for run in runs], "pairs": [report_of(contrast) for contrast in contrasts]}
    troubles: list[str] = []
    pictures = contrast_pictures(runs, contrasts, troubles.append)
    files = {
        f"{_NAME}.json": as_json(report),
        f"{_NAME}.md": written_tables(tables).encode(),
        f"{_NAME}.html": rendered(page_of(runs, tables, [*pictures.values()])),
    }
    for name, content in files.items():
        write_private(asked.folder / name, content)
    lines = [line for table in tables for part in table for line in part.lines(tabled)]
    lines.append(f"All of it is in {asked.folder / _NAME}.json, .md and .html")
    files |= {path: picture.png for path, picture in pictures.items()}
    try:
        lines += log_comparison(journal, runs, contrasts, files, asked)
    except TrackingError as error:
        return lines, [*troubles, str(error)], error.exit_code
    return lines, troubles, 0


def _done(run: Recorded) -> Recorded:
    """Return a run with those of its records that have results."""
    done = [record for record in run.records if record.state == "FINISHED"]
    if not done:
        raise refuse(
            _PATH, f"{run.id}, of which no task has a result", "runs with results", f"action=collect run={run.id}"
        )
    return replace(run, records=done)


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
        records={pair[0].key: pair for pair in tasks},
    )
