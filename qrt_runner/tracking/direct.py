"""Writes rows and files into a SQLite store where that is proven equal to what MLflow writes; may not know MLflow.

Importing MLflow and opening its SQL store takes two seconds, and each run that it writes some ten milliseconds.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from filelock import FileLock

from qrt_runner.tracking import fresh, proven
from qrt_runner.tracking.rows import STALE, Entry, Surroundings, rows_of, stale_of
from qrt_runner.tracking.writer import LOCK_TIMEOUT_S, PARENT, POLL_S, Known, StoreError, key_of, tags_of, told, user

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from qrt_runner.tracking.keeping import KeptRun
    from qrt_runner.tracking.records import Record

SQLITE: Final = "sqlite:///"
_BUSY_TIMEOUT_S: Final = 60
_SETTINGS: Final = (
    "PRAGMA foreign_keys = ON",
    "PRAGMA cache_size = -65536",  # KiB
    # Pages of an open transaction that do not fit would be written at once, and lock readers out meanwhile.
    "PRAGMA cache_spill = OFF",
)
_KNOWN: Final = """
SELECT point.value, task.value, runs.run_uuid, runs.status FROM tags
JOIN runs ON runs.run_uuid = tags.run_uuid
LEFT JOIN tags AS point ON point.run_uuid = runs.run_uuid AND point.key = 'qrt.point'
LEFT JOIN tags AS task ON task.run_uuid = runs.run_uuid AND task.key = 'qrt.task'
WHERE tags.key = 'qrt.run' AND tags.value = ? AND runs.start_time = ? AND runs.experiment_id = ?
AND runs.lifecycle_stage = 'active' ORDER BY runs.status IN ('FINISHED', 'FAILED')
"""


def file_of(where: str) -> Path | None:
    """Return the file of a SQLite store, or None where it is another one or none at all."""
    name = where.removeprefix(SQLITE)
    return Path(name).absolute() if name not in (where, "", ":memory:") and "?" not in name else None


def opened(run: KeptRun, where: str) -> Direct | None:
    """Open a store, fresh where there is none; None where only MLflow may write to it.

    Raises:
        StoreError: Where it cannot be read.
    """
    file, revision = file_of(where), proven.revision()
    if file is None or revision is None:
        return None
    lock = FileLock(f"{file}.lock", timeout=LOCK_TIMEOUT_S)
    with lock.acquire(poll_interval=POLL_S), told(sqlite3.Error), ExitStack() as stack:
        if not file.exists() and not fresh.made(file, revision):
            return None
        database = sqlite3.connect(file, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
        stack.callback(database.close)
        with _transaction(database):
            if not proven.has_schema(database, revision) or not proven.takes(database, run.experiment):
                return None
            experiment = _experiment(database, run.experiment)
        direct = Direct(run, database, lock, experiment)
        stack.pop_all()
    return direct


@dataclass(frozen=True)
class Experiment:
    """Where runs go."""

    id: int
    location: str
    """The folder with the artifacts of its runs."""


class Direct:
    """Writes into an open SQLite store; a batch is in it as a whole or not at all."""

    at_once = 200

    def __init__(self, run: KeptRun, database: sqlite3.Connection, lock: FileLock, experiment: Experiment) -> None:
        """Ask what is there of the kept run."""
        self._run, self._database, self._lock, self._experiment = run, database, lock, experiment
        for setting in _SETTINGS:
            database.execute(setting)
        asked = (run.id, run.started_ms, experiment.id)
        found = database.execute(_KNOWN, asked).fetchall()
        self._known = {key_of(point, task): Known(run_id, status) for point, task, run_id, status in found}

    def known(self) -> Mapping[str, Known]:
        """Return the store's runs of the kept run."""
        return self._known

    def write(self, records: Sequence[Record]) -> dict[str, str]:
        """Write records: their files first, so that a run is never there without them."""
        entries = [self._entry(record) for record in records]
        for entry in entries:
            _write_files(entry.artifact_uri, entry.record.artifacts)
        with told(sqlite3.Error), self._lock.acquire(poll_interval=POLL_S), _transaction(self._database):
            self._check_active()
            self._insert(entries)
        self._known.update((entry.record.key, Known(entry.run, entry.record.state)) for entry in entries)
        return {entry.record.key: entry.run for entry in entries}

    def close(self) -> None:
        """Close the store."""
        self._database.close()

    def _entry(self, record: Record) -> Entry:
        known = self._known.get(record.key)
        run_id = known.id if known else _run_id(self._run, record)
        return Entry(
            record, run_id, f"{self._experiment.location}/{run_id}/artifacts", tags_of(record, self._known.get(PARENT))
        )

    def _insert(self, entries: Sequence[Entry]) -> None:
        around = Surroundings(self._experiment.id, user(), self._run.started_ms, int(time.time() * 1000))
        tables = rows_of(entries, around)
        self._database.executemany(STALE, stale_of(entry for entry in entries if self._is_there(entry)))
        for statement, rows in tables.items():
            self._database.executemany(statement, rows)

    def _is_there(self, entry: Entry) -> bool:
        return self._database.execute("SELECT 1 FROM runs WHERE run_uuid = ?", (entry.run,)).fetchone() is not None

    def _check_active(self) -> None:
        """Refuse in MLflow's words to write to an experiment that was deleted meanwhile."""
        query = "SELECT lifecycle_stage FROM experiments WHERE experiment_id = ?"
        found = self._database.execute(query, (self._experiment.id,)).fetchone()
        if found != ("active",):
            state = found[0] if found else "gone"
            msg = f"The experiment {self._experiment.id} must be in the 'active' state. Current state is {state}."
            raise StoreError(msg)


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _experiment(database: sqlite3.Connection, name: str) -> Experiment:
    """Return an experiment; make it where there is none."""
    query = "SELECT experiment_id, artifact_location FROM experiments WHERE name = ?"
    found = database.execute(query, (name,)).fetchone()
    if found is not None:
        return Experiment(found[0], found[1].rstrip("/"))
    insert = "INSERT INTO experiments (name, lifecycle_stage, creation_time, last_update_time, workspace)"
    now_ms = int(time.time() * 1000)
    new = database.execute(f"{insert} VALUES (?, 'active', ?, ?, 'default')", (name, now_ms, now_ms)).lastrowid
    made = Experiment(cast("int", new), f"{proven.artifact_root()}/{new}")
    database.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (made.location, made.id))
    return made


def _run_id(run: KeptRun, record: Record) -> str:
    """Return an id of 32 hexadecimal digits that grows with the points.

    So rows go to the ends of the indexes, which random ids scatter over all pages, and the UI, which sorts runs of one
    start time by their ids, shows the points in order. A task has the same id at every attempt, so one that was cut
    off leaves no files that belong to no run.
    """
    point = record.tags.get("qrt.point", "0")
    number = int(point) if point.isdecimal() else 0
    return f"{run.started_ms:012x}{_hash(run.id)[:6]}{number:06x}"[:24] + _hash(record.key)[:8]


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _write_files(folder: str, files: Mapping[str, bytes]) -> None:
    # Plain calls: a sweep writes ten thousands of files, and a Path for each costs more than the file.
    for below in {os.path.dirname(name) for name in files}:  # noqa: PTH120
        os.makedirs(f"{folder}/{below}", exist_ok=True)  # noqa: PTH103
    for name, content in files.items():
        with open(f"{folder}/{name}", "wb") as stream:  # noqa: PTH123
            stream.write(content)
