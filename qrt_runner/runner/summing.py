"""Keeps and logs what tells of a run as a whole: table, overview, figures, best point; knows the modules above it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.runner.drawing import Whole, run_figures, whole_of
from qrt_runner.runner.overview import PLACES, overview_files
from qrt_runner.tracking import asked_of, common_params, metrics_of, parquet_of, summary_of, swept_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qrt_runner.runner.outcome import Outcome
    from qrt_runner.tracking import KeptRun
    from qrt_runner.tracking.store import Recorder

TABLE: Final = "results.parquet"


def keep_whole(
    kept: KeptRun, outcome: Outcome, rows: Sequence[Mapping[str, Any]], command: str, *, draws: bool
) -> dict[str, bytes]:
    """Keep what tells of all tasks of a run, and return the files of it.

    Args:
        kept: What is on disk of the run.
        outcome: What came of it; what could not be drawn is noted there.
        rows: Its table; empty where its tasks have no parent.
        command: What began it.
        draws: Whether there are to be figures.
    """
    rows = sorted(rows, key=lambda row: row["point"])
    files = {TABLE: parquet_of(rows)} if rows else {}
    overview = overview_files(outcome.results, draws=kept.grouped and draws)
    outcome.overview = overview.lines
    outcome.troubles += overview.troubles
    summary = summary_of(kept.title, rows, outcome.results, command)
    if kept.grouped:
        files |= {**overview.files, **summary.files}
        whole = whole_of(kept.title, rows, outcome.results)
        files |= run_figures(whole, outcome.troubles.append) if draws and rows else {}
    for name, content in files.items():
        kept.put(name, content)
    spent = {metric.key: metric.value for metric in metrics_of(outcome.reports.values())}
    if spent or files:
        kept.spent = spent or kept.spent
        kept.tags, kept.params = dict(summary.tags), common_params(map(asked_of, outcome.results))
        kept.best, kept.places = dict(summary.metrics), [*files]
        kept.save()
    return files


def kept_whole(kept: KeptRun, *, draws: bool) -> dict[str, bytes]:
    """Return the files that tell of all tasks of a run of which only records are at hand; the table is made anew.

    Where nobody has told of all tasks yet, as of a sweep whose points ran each by itself, this does.
    """
    rows: list[dict[str, Any]] = []
    names: dict[str, None] = {}
    params = []
    for record in kept.records():
        rows += swept_rows(record)
        names |= dict.fromkeys(record.swept)
        params.append(record.params)
    rows.sort(key=lambda row: row["point"])
    files = {place: file.read_bytes() for place in kept.places or PLACES if (file := kept.folder / place).is_file()}
    files[TABLE] = parquet_of(rows)
    if not kept.tags:
        troubles: list[str] = []
        summary = summary_of(kept.title, rows)
        files |= summary.files
        files |= run_figures(Whole(kept.title, rows, [*names]), troubles.append) if draws else {}
        kept.tags, kept.params = dict(summary.tags), common_params(params)
        kept.best, kept.places = dict(summary.metrics), [*files]
        kept.tags |= {"qrt.notes": "; ".join(troubles)[:500]} if troubles else {}
        for name, content in files.items():
            kept.put(name, content)
        kept.save()
    kept.put(TABLE, files[TABLE])
    return files


def end(
    recorder: Recorder, kept: KeptRun, outcome: Outcome, files: Mapping[str, bytes], recorded: Mapping[str, int]
) -> None:
    """End the parent of a run's tasks with what is kept of all of them, and log where the time went.

    Args:
        recorder: What logs the run.
        kept: What is on disk of it.
        outcome: What came of it.
        files: What tells of all tasks.
        recorded: By the id of a job when its results were logged, in ns since 1970.
    """
    from qrt_runner.tracking.metrics import Metric
    from qrt_runner.tracking.traces import trace_of

    metrics = [Metric(name, value, 0) for name, value in {**kept.spent, **kept.best}.items()]
    recorder.trace = trace_of(kept, outcome.results, recorded, time.time_ns())
    recorder.end(outcome.state, files, params=kept.params, tags=kept.tags, metrics=metrics)
    outcome.troubles += recorder.troubles
