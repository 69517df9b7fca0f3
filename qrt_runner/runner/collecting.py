"""Logs what was kept on disk: a run whose store was gone, or the parts of a sweep that ran in several processes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qrt_runner.runner.outcome import new_id
from qrt_runner.runner.recording import TABLE
from qrt_runner.tracking import KeptRun, find_kept, parquet_of, swept_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from qrt_runner.config import Tracking


def collect(wanted: str, tracking: Tracking) -> KeptRun:
    """Log the results of a run that were kept on disk; what is logged already is left alone.

    Raises:
        ConfigError: Where there is no such run.
        TrackingError: Where the store cannot be reached.
    """
    kept = find_kept(wanted)
    _log(kept, tracking)
    return kept


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


def _log(kept: KeptRun, tracking: Tracking) -> None:
    from qrt_runner.tracking.store import log_run

    files: dict[str, bytes] = {}
    if kept.grouped:
        rows = sorted((row for record in kept.records() for row in swept_rows(record)), key=lambda row: row["point"])
        files[TABLE] = parquet_of(rows)
        (kept.folder / TABLE).write_bytes(files[TABLE])
    log_run(kept, tracking.uri, files)
