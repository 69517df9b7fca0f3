"""Writes rows and files into a SQLite store where that is proven equal to what MLflow writes; may not know MLflow.

Importing MLflow and opening its SQL store takes two seconds, and each run that it writes some ten milliseconds.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final, cast

from qrt_runner.tracking import fresh, proven
from qrt_runner.tracking.database import check_there, connected, file_of, lock_of, transaction
from qrt_runner.tracking.places import leads_out
from qrt_runner.tracking.rows import (
    DELETED,
    STALE,
    SUPERSEDED,
    VALID,
    VIEWED,
    Entry,
    Surroundings,
    dataset_rows,
    rows_of,
    stale_of,
    trace_rows,
)
from qrt_runner.tracking.viewing import experiment_tags
from qrt_runner.tracking.writer import (
    POLL_S,
    TOLD_APART,
    Known,
    StoreError,
    key_of,
    known_of,
    outcome_of,
    tags_of,
    told,
    user,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from qrt_runner.tracking.keeping import KeptRun
    from qrt_runner.tracking.traces import Trace
    from qrt_runner.tracking.writer import Write

_SETTINGS: Final = (
    "PRAGMA foreign_keys = ON",
    "PRAGMA cache_size = -65536",  # KiB
    # Pages of an open transaction that do not fit would be written at once, and lock readers out meanwhile.
    "PRAGMA cache_spill = OFF",
)
_KNOWN: Final = """
SELECT point.value, task.value, runs.run_uuid, runs.status, COALESCE(jobs.value, ''), COALESCE(error.value, '')
FROM tags JOIN runs ON runs.run_uuid = tags.run_uuid
LEFT JOIN tags AS point ON point.run_uuid = runs.run_uuid AND point.key = 'qrt.point'
LEFT JOIN tags AS task ON task.run_uuid = runs.run_uuid AND task.key = 'qrt.task'
LEFT JOIN tags AS jobs ON jobs.run_uuid = runs.run_uuid AND jobs.key = ?
LEFT JOIN tags AS error ON error.run_uuid = runs.run_uuid AND error.key = ?
WHERE tags.key = 'qrt.run' AND tags.value = ? AND runs.experiment_id = ? AND runs.lifecycle_stage = 'active'
ORDER BY runs.status IN ('FINISHED', 'FAILED'), runs.rowid
"""


def opened(run: KeptRun, where: str) -> Direct | None:
    """Open a store, fresh where there is none; None where only MLflow may write to it.

    Raises:
        StoreError: Where it cannot be read.
    """
    file, revision = file_of(where), proven.revision()
    if file is None or revision is None:
        return None
    lock = lock_of(file)
    with lock.acquire(poll_interval=POLL_S), told(sqlite3.Error), ExitStack() as stack:
        if not file.exists() and not fresh.made(file, revision):
            return None
        database = connected(file)
        stack.callback(database.close)
        with transaction(database):
            if not proven.has_schema(database, revision) or not proven.takes(database, run.experiment):
                return None
            experiment = _experiment(database, run.experiment)
            database.executemany(VIEWED, [(experiment.id, *tag) for tag in experiment_tags().items()])
            run.experiment_id = str(experiment.id)
        direct = Direct(run, file, database, experiment)
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

    def __init__(self, run: KeptRun, file: Path, database: sqlite3.Connection, experiment: Experiment) -> None:
        """Ask what is there of the kept run."""
        self._run, self._database, self._experiment = run, database, experiment
        self._file, self._opened, self._lock = file, file.stat(), lock_of(file)
        for setting in _SETTINGS:
            database.execute(setting)
        self._known = dict(self.runs_of(run.id))

    def known(self) -> Mapping[str, Sequence[Known]]:
        """Return the store's runs of the kept run."""
        return self._known

    def runs_of(self, run: str) -> Mapping[str, Sequence[Known]]:
        """Return the store's runs of any run of ours in the same experiment."""
        found: dict[str, list[Known]] = {}
        with told(sqlite3.Error):
            for point, task, *known in self._database.execute(_KNOWN, (*TOLD_APART, run, self._experiment.id)):
                found.setdefault(key_of(point, task), []).append(Known(*known))
        return found

    def write(self, writes: Sequence[Write]) -> dict[str, str]:
        """Write records: their files first, so that a run is never there without them."""
        entries = [self._entry(write) for write in writes if not write.whole]
        for entry in entries:
            _write_files(entry.artifact_uri, entry.record.artifacts)
        runs = {write.record.key: write.run.id for write in writes if write.run is not None}
        runs |= {entry.record.key: entry.run for entry in entries}
        with told(sqlite3.Error), self._lock.acquire(poll_interval=POLL_S):
            check_there(self._file, self._opened)
            with transaction(self._database):
                self._check_active()
                self._insert(entries)
                self._supersede((old.id, runs[write.record.key]) for write in writes for old in write.superseded)
        self._known |= {write.record.key: [known_of(write.record, runs[write.record.key])] for write in writes}
        return runs

    def write_trace(self, trace: Trace, run: str) -> None:
        """Write a trace, as a whole or not at all."""
        with told(sqlite3.Error), self._lock.acquire(poll_interval=POLL_S):
            check_there(self._file, self._opened)
            with transaction(self._database):
                self._check_active()
                tables = trace_rows(trace, self._experiment.id, self._experiment.location, run)
                for statement, rows in tables.items():
                    self._database.executemany(statement, rows)

    def close(self) -> None:
        """Close the store."""
        self._database.close()

    def _entry(self, write: Write) -> Entry:
        run_id = write.run.id if write.run is not None else _run_id(self._run, write)
        folder = f"{self._experiment.location}/{run_id}/artifacts"
        return Entry(write.record, run_id, folder, tags_of(self._run, write))

    def _insert(self, entries: Sequence[Entry]) -> None:
        around = Surroundings(self._experiment.id, user(), self._run.started_ms, int(time.time() * 1000))
        tables = rows_of(entries, around)
        there = [entry for entry in entries if self._is_there(entry)]
        self._database.executemany(STALE, stale_of(there))
        self._database.executemany(VALID, [(entry.run,) for entry in there])
        for statement, rows in (tables | dataset_rows(entries, self._experiment.id)).items():
            self._database.executemany(statement, rows)

    def _supersede(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Delete runs as a user would, and tag each with the one that took its place."""
        now_ms = int(time.time() * 1000)
        for old, new in pairs:
            self._database.execute(SUPERSEDED, (new, old))
            self._database.execute(DELETED, (now_ms, old))

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


def _run_id(run: KeptRun, write: Write) -> str:
    """Return an id of 32 hexadecimal digits that grows with the points.

    So rows go to the ends of the indexes, which random ids scatter over all pages, and the UI, which sorts runs of one
    start time by their ids, shows the points in order. An outcome of a task has the same id at every attempt to write
    it, so one that was cut off leaves no files that belong to no run; another outcome gets none of its files.
    """
    record = write.record
    point = record.tags.get("qrt.point", "0")
    number = int(point) if point.isdecimal() else 0
    apart = "\n".join((record.key, *outcome_of(record), *(old.id for old in write.superseded)))
    return f"{run.started_ms:012x}{_hash(run.id)[:6]}{number:06x}"[:24] + _hash(apart)[:8]


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _write_files(folder: str, files: Mapping[str, bytes]) -> None:
    assert not any(map(leads_out, files)), [*files]
    # Plain calls: a sweep writes ten thousands of files, and a Path for each costs more than the file.
    for below in {os.path.dirname(name) for name in files}:  # noqa: PTH120
        os.makedirs(f"{folder}/{below}", exist_ok=True)  # noqa: PTH103
    for name, content in files.items():
        with open(f"{folder}/{name}", "wb") as stream:  # noqa: PTH123
            stream.write(content)
