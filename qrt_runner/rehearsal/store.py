"""Keeps jobs, sessions, payloads and results in one SQLite file that no other user can read; knows sqlite3."""

from __future__ import annotations

import json
import os
import sqlite3
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from qrt_runner.rehearsal.records import Job, Session

if TYPE_CHECKING:
    from pathlib import Path

_FILE: Final = "rehearsal.sqlite"
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS jobs (id TEXT PRIMARY KEY, record TEXT NOT NULL, payload TEXT NOT NULL, result TEXT);
CREATE TABLE IF NOT EXISTS sessions (id TEXT PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class Store:
    """All jobs and sessions, in memory and on disk; what is kept outlives the process.

    Lives as long as the service. One thread writes.
    """

    def __init__(self, folder: Path) -> None:
        """Open or make the store in a folder of ours alone, and read what is there."""
        make_private(folder)
        file = folder / _FILE
        # Made with its mode, not given it afterwards, so that there is no moment at which others can open it.
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
        file.chmod(0o600)
        self._database = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        # SQLite gives its journal and shared memory the mode of the file itself.
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.executescript(_TABLES)
        jobs = [Job(**json.loads(text)) for (text,) in self._database.execute("SELECT record FROM jobs")]
        sessions = [Session(**json.loads(text)) for (text,) in self._database.execute("SELECT record FROM sessions")]
        self.jobs = {job.id: job for job in sorted(jobs, key=lambda job: job.ordinal)}
        self.sessions = {session.id: session for session in sorted(sessions, key=lambda session: session.ordinal)}

    def accept(self, job: Job, payload: str) -> None:
        """Keep a new job and what it is to run."""
        self.jobs[job.id] = job
        self._database.execute("INSERT INTO jobs (id, record, payload) VALUES (?, ?, ?)", (job.id, _text(job), payload))

    def keep(self, record: Job | Session) -> None:
        """Keep what became of a job or session."""
        if isinstance(record, Job):
            self._database.execute("UPDATE jobs SET record = ? WHERE id = ?", (_text(record), record.id))
            return
        self.sessions[record.id] = record
        self._database.execute("INSERT OR REPLACE INTO sessions VALUES (?, ?)", (record.id, _text(record)))

    def payload(self, job_id: str) -> str:
        """Return what a job is to run, as the client sent it."""
        row = self._database.execute("SELECT payload FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return str(row[0])

    def keep_result(self, job_id: str, result: str) -> None:
        """Keep what a job gave."""
        self._database.execute("UPDATE jobs SET result = ? WHERE id = ?", (result, job_id))

    def result(self, job_id: str) -> str | None:
        """Return what a job gave, if it did."""
        row = self._database.execute("SELECT result FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return None if row is None or row[0] is None else str(row[0])

    def write(self, name: str, value: float) -> None:
        """Keep a number of the service itself."""
        self._database.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, repr(value)))

    def read(self, name: str) -> float:
        """Return a number of the service itself; 0 where there is none yet."""
        row = self._database.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return 0.0 if row is None else float(row[0])

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def make_private(folder: Path) -> None:
    """Make a folder that only its owner can look into; one that is there already stays as it is."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _text(record: Job | Session) -> str:
    return json.dumps(asdict(record))
