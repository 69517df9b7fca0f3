"""Reports a run as a page, for whoever has neither MLflow nor this package; knows the modules above it."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.errors import TrackingError, refuse
from qrt_runner.reports import Facts, Grid, Listing, Page, Section, Words, rendered
from qrt_runner.runner.contrast_logging import mlflow_runs
from qrt_runner.runner.describing import JOB_TITLES, job_rows, task_section
from qrt_runner.runner.numbering import headline_of, last_words, overview_grid, values_grid
from qrt_runner.runner.overview import PLACES
from qrt_runner.runner.picturing import drawn_anew, run_pictures, task_pictures
from qrt_runner.runner.recalling import REMEDIES, recorded
from qrt_runner.tracking import swept_rows, write_private

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qrt_runner.journal import Journal
    from qrt_runner.reports import Block
    from qrt_runner.runner.collecting import Looking
    from qrt_runner.runner.picturing import Drawn
    from qrt_runner.runner.recalling import Recorded
    from qrt_runner.tracking import Record

_PATH: Final = "run"
_ARTIFACT: Final = "report.html"
_MOST_OPEN: Final = 6
"""More tasks than these are folded: whoever wants one opens it."""

_GLANCE: Final = ("state", "headline number", "applied", "job id", "session id")
_MOST_IN_FULL: Final = 24
_MOST_TASKS: Final = 1000
"""So many tasks are told in full, and in a line each; those that failed always in full, up to the same bound."""


def report(journal: Journal, asked: Looking) -> tuple[list[str], list[str], int]:
    """Write a run's report into a file, and log that to MLflow where the run is.

    Args:
        journal: Where runs are written down.
        asked: Which run, where to write, and whom to tell.

    Returns:
        What is to be said, what went wrong, and the exit code.

    Raises:
        ConfigError: Where there is no such run, or none of its tasks has ended.
    """
    if asked.wanted == "all":
        raise refuse(_PATH, "all, for a report", "latest, or the id or folder of one run", REMEDIES[_PATH])
    found = recorded(journal, asked.wanted, _PATH, asked)
    found = replace(found, records=sorted(found.records, key=_place_of))
    full = _in_full(found.records)
    drawn, troubles = drawn_anew(journal, found, [record.key for record in full])
    try:
        content = rendered(_page(found, full, drawn, _left(journal, found)))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        given = f"{found.id}, of which something that was kept is damaged ({type(error).__name__}: {error})"
        raise refuse(_PATH, given, "a run whose files are as they were kept", "restore them from a copy") from error
    file = asked.folder / f"report-{found.id}.html"
    write_private(file, content)
    lines = [f"The report of run {found.id} is in {file}"]
    try:
        lines += _logged(journal, found, asked, content)
    except TrackingError as error:
        return lines, [*troubles, str(error)], error.exit_code
    return lines, troubles, 0


def _place_of(record: Record) -> tuple[int, str]:
    """Return what tasks are sorted by: jobs end in any order, points have one."""
    point, _, task = record.key.partition("-")
    return (int(point) if point.isdecimal() else 0), task


def _logged(journal: Journal, found: Recorded, asked: Looking, content: bytes) -> list[str]:
    runs = mlflow_runs(journal, found)
    if asked.tracking.kind == "off" or not runs:
        return []
    from qrt_runner.tracking.attaching import attach

    remedy = f"The report is written; log it with: python -m qrt_runner action=report run={found.id}"
    for run in runs:
        attach(run, {_ARTIFACT: content}, asked.tracking.uri, remedy)
    return [f"and in MLflow as {_ARTIFACT} of run {', '.join(runs)}"]


def _in_full(records: Sequence[Record]) -> list[Record]:
    failed = [record for record in records if record.state != "FINISHED"][:_MOST_IN_FULL]
    keys = {record.key for record in (*records[:_MOST_IN_FULL], *failed)}
    return [record for record in records if record.key in keys]


def _left(journal: Journal, found: Recorded) -> int:
    """Return how many tasks have not ended yet."""
    return max(0, len(journal.tasks(found.run.id)) - len(found.records)) if found.run is not None else 0


def _page(found: Recorded, full: Sequence[Record], drawn: Drawn, left: int) -> Page:
    records = found.records
    failed = sum(record.state != "FINISHED" for record in records)
    backends = ", ".join(dict.fromkeys(record.tags["qrt.backend"] for record in records))
    counted = "1 task" if len(records) == 1 else f"{len(records)} tasks"
    lead = [f"{counted} on {backends}, {failed} failed." if failed else f"{counted} on {backends}."]
    lead += [f"{left} more are not done yet."] if left else []
    tasks = [task_section(record, task_pictures(record, drawn.get(record.key, {}))) for record in full]
    tasks = [replace(task, folded=len(tasks) > _MOST_OPEN) for task in tasks]
    told: list[Block] = []
    if len(full) < len(records):
        told.append(Words(f"{len(full)} of {len(records)} tasks in full, those that failed among them."))
    sections = [
        Section("What was asked", _asked(found)),
        *_together(found),
        Section("At a glance", _glance(found)),
        Section("Tasks", told, tasks),
        Section("Versions", [_versions(records)]),
    ]
    return Page(f"{found.title}, run {found.id}", " ".join(lead), sections)


def _asked(found: Recorded) -> list[Block]:
    pairs = [("run", found.id), ("title", found.title)]
    if found.run is not None:
        pairs += [("began", found.run.began), ("on machine", found.run.host)]
    elif found.kept is not None:
        pairs.append(("began", datetime.fromtimestamp(found.kept.started_ms / 1000, UTC).isoformat(timespec="seconds")))
    if found.kept is not None:
        pairs.append(("MLflow experiment", found.kept.experiment))
        pairs += [("MLflow run", found.kept.parent)] if found.kept.parent else []
        pairs += [("replay of run", found.kept.replay_of)] if found.kept.replay_of else []
        pairs += [(name, f"{value:.6g}") for name, value in found.kept.spent.items()]
    return [Facts(pairs), *_repeated(found)]


def _repeated(found: Recorded) -> list[Block]:
    if found.run is not None and found.run.command:
        return [Words("The command that repeats it:"), Listing("The command that repeats it", found.run.command)]
    if found.kept is not None and found.kept.replay_of:
        command = f"python -m qrt_runner action=replay run={found.kept.replay_of}"
        return [Words("The command that repeats it:"), Listing("The command that repeats it", command)]
    return [Words("With which words it was begun is not in this journal; the configs below tell what they composed.")]


def _glance(found: Recorded) -> list[Block]:
    """Return a line for each task, without what is the same of all: that is told once."""
    records = found.records[:_MOST_TASKS]
    swept = list(dict.fromkeys(name for record in records for name in record.swept))
    titles = ["task", *last_words(swept), *([] if swept else ["title"]), *_GLANCE]
    rows = [_glanced(record, swept) for record in records]
    columns = list(zip(*rows, strict=True))
    same = [place for place, cells in enumerate(columns) if place and len(records) > 1 and len({*cells}) == 1]
    facts = [Facts([(f"all: {titles[place]}", columns[place][0]) for place in same])] if same else []
    shown = [place for place in range(len(titles)) if place not in same]
    more = f", the first {len(rows)} of {len(found.records)}" if len(rows) < len(found.records) else ""
    lines = [[row[place] for place in shown] for row in rows]
    return [*facts, Grid(f"Tasks{more}", [titles[place] for place in shown], lines), *_jobs(records)]


def _glanced(record: Record, swept: Sequence[str]) -> list[str]:
    return [
        record.key,
        *(record.swept.get(name, "-") for name in swept),
        *([] if swept else [record.title]),
        "done" if record.state == "FINISHED" else "failed",
        headline_of(record),
        _listed(record.tags.get("qrt.mitigation_applied")) or "nothing",
        _listed(record.tags.get("qrt.job_ids")) or "-",
        record.tags.get("qrt.session_id") or "none",
    ]


def _listed(words: str | None) -> str:
    return (words or "").replace(",", ", ")


def _jobs(records: Sequence[Record]) -> list[Block]:
    """Return the jobs of all tasks, each once."""
    rows = dict.fromkeys(tuple(row) for record in records for row in job_rows(record))
    return [Grid("Jobs", JOB_TITLES, [list(row) for row in rows])] if rows and len(records) > 1 else []


def _together(found: Recorded) -> list[Section]:
    """Return what tells of all tasks beside each other; nothing where there is but one."""
    blocks: list[Block] = [*run_pictures(found), *_overviews(found)]
    rows: list[dict[str, Any]] = [row for record in found.records for row in swept_rows(record)]
    if len(found.records) > 1 and rows:
        blocks.append(values_grid("Numbers of all tasks, each with its standard error in brackets", rows))
    return [Section("All tasks together", blocks)] if blocks else []


def _overviews(found: Recorded) -> list[Block]:
    """Return the tables that put the tasks beside each other, where the run was asked for them."""
    if found.kept is None:
        return []
    blocks: list[Block] = []
    for place in PLACES:
        file = found.kept.folder / place
        if file.suffix == ".csv" and file.is_file():
            titles, *rows = csv.reader(io.StringIO(file.read_text(encoding="utf-8")))
            blocks.append(overview_grid(file.stem.replace("_", " ").capitalize(), titles, rows))
    return blocks


def _versions(records: Sequence[Record]) -> Block:
    texts = [record.artifacts[name] for record in records if (name := "environment.json") in record.artifacts]
    told = json.loads(texts[0]) if texts else {}
    if len(told) <= 1:
        return Words("Computed again from the journal, which does not tell with which versions it ran.")
    git = told.get("git") or {}
    pairs = [
        ("python", str(told.get("python"))),
        ("platform", str(told.get("platform"))),
        ("seed", str(told.get("seed"))),
        *((name, str(version)) for name, version in told.get("packages", {}).items() if version),
        *((f"git {name}", str(value)) for name, value in git.items()),
    ]
    return Facts(pairs)
