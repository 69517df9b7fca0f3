"""Ends what a killed process has left open in MLflow; may know MLflow through `client`."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Final

from qrt_runner.tracking import proven
from qrt_runner.tracking.addresses import address, unwritten
from qrt_runner.tracking.database import connected, file_of, lock_of, transaction
from qrt_runner.tracking.writer import OUTSIDE, POLL_S, told

if TYPE_CHECKING:
    from pathlib import Path

_OPEN: Final = """
status = 'RUNNING' AND lifecycle_stage = 'active'
AND experiment_id IN (SELECT experiment_id FROM experiments WHERE name = ?)
AND run_uuid IN (SELECT run_uuid FROM tags WHERE key = 'qrt.run' AND value = ?)
"""


def reconcile(run: str, experiment: str, uri: str | None) -> int:
    """End as KILLED every MLflow run of ours that is RUNNING although its process is dead; harmless when repeated.

    Args:
        run: Id of a run of which no process is alive.
        experiment: Name of the MLflow experiment.
        uri: The store; none is made where there is none.

    Returns:
        How many runs were ended.

    Raises:
        TrackingError: Where the store cannot be reached.
    """
    where = address(uri)
    try:
        return _reconciled(run, experiment, where)
    except OUTSIDE as error:
        raise unwritten(where, error, f"Of run {run}, which was cut off, some MLflow runs may stay RUNNING.") from error


def _reconciled(run: str, experiment: str, where: str) -> int:
    file, revision = file_of(where), proven.revision()
    if file is not None:
        if not file.exists():
            return 0
        if revision is not None and (ended := _in_rows(file, revision, run, experiment)) is not None:
            return ended
    from qrt_runner.tracking.client import reconciled

    return reconciled(run, experiment, where)


def _in_rows(file: Path, revision: str, run: str, experiment: str) -> int | None:
    """Do it in a SQLite store; None where only MLflow may write to it."""
    with told(sqlite3.Error), closing(connected(file)) as database:
        if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchone() is None:
            return 0
        if not proven.has_schema(database, revision):
            return None
        asked = (experiment, run)
        if database.execute(f"SELECT 1 FROM runs WHERE {_OPEN} LIMIT 1", asked).fetchone() is None:  # noqa: S608 - ours
            return 0
        end = f"UPDATE runs SET status = 'KILLED', end_time = ? WHERE {_OPEN}"  # noqa: S608 - ours
        with lock_of(file).acquire(poll_interval=POLL_S), transaction(database):
            return database.execute(end, (int(time.time() * 1000), *asked)).rowcount
