"""Looks into the SQLite store that a tracked sweep has left, so that no benchmark rewards what was not recorded."""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from urllib.parse import unquote, urlparse

HEAD = ("runs", "params", "metrics", "tags", "files")
"""Columns of what a sweep has left: its runs, and what one of them holds."""


@dataclass(frozen=True)
class Stored:
    """What a sweep has left in a store: its ended runs, and what the last of them holds."""

    runs: int
    params: int
    metrics: int
    tags: int
    files: int
    """Artifacts in the run's own folder."""


@dataclass
class Checked:
    """Looks into the store behind each command; lives for one benchmark."""

    points: dict[str, int]
    """How many runs a command must leave at least; commands that are not named leave none."""

    found: dict[str, Stored] = field(default_factory=dict)

    def __call__(self, name: str, folder: Path) -> None:
        """Look into the store that a command has left in its folder; end the benchmark where runs are missing."""
        if name not in self.points:
            return
        self.found[name] = stored(folder / "mlflow.db")
        if self.found[name].runs < self.points[name]:
            sys.exit(f"{name}: {self.points[name]} points, but only {self.found[name].runs} finished runs in the store")

    def row(self, name: str) -> list[str]:
        """Return what a command has left as the cells under `HEAD`."""
        return [str(value) for value in vars(self.found[name]).values()]


def stored(file: Path) -> Stored:
    """Return what a store holds: its finished runs, and what is in the last of those that has params."""
    with closing(sqlite3.connect(file)) as store:
        (runs,) = store.execute("SELECT count(*) FROM runs WHERE status = 'FINISHED'").fetchone()
        last = store.execute("SELECT run_uuid FROM params ORDER BY rowid DESC LIMIT 1").fetchone()
        if last is None:
            return Stored(runs, 0, 0, 0, 0)
        held = [
            store.execute(f"SELECT count(*) FROM {kind} WHERE run_uuid = ?", last).fetchone()[0]  # noqa: S608 - ours
            for kind in ("params", "metrics", "tags")
        ]
        (address,) = store.execute("SELECT artifact_uri FROM runs WHERE run_uuid = ?", last).fetchone()
    return Stored(runs, *held, sum(each.is_file() for each in _folder(address, file.parent).rglob("*")))


def _folder(address: str, here: Path) -> Path:
    """Return an artifact folder as a path; a relative one is meant from the working directory."""
    return here / unquote(urlparse(address).path)


def disk() -> str:
    """Return in words what a commit of SQLite costs in the temporary folder (TMPDIR): by hand, a run takes eight."""
    with tempfile.TemporaryDirectory() as name, closing(sqlite3.connect(Path(name) / "probe.db")) as store:
        store.execute("CREATE TABLE probe (value INTEGER)")
        took = []
        for value in range(30):
            store.execute("INSERT INTO probe VALUES (?)", (value,))
            start = time.perf_counter()
            store.commit()
            took.append(time.perf_counter() - start)
    return f"a commit of SQLite in {tempfile.gettempdir()} takes {median(took) * 1000:.1f} ms"
