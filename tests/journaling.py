"""What the tests of the journal share: runs to write down, and processes that write them."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qrt_runner.journal import GroupEntry, JobEntry, Journal, RunEntry, TaskEntry
from qrt_runner.results import Span

if TYPE_CHECKING:
    from collections.abc import Sequence

WHOLE = (Span(0, 0, 4),)
RECORD = {"id": "s1", "state": "done", "usage": {"quantum_s": 1.5}, "tags": ["qrt-r1"]}


def run_entry(run_id: str = "r1", **changes: Any) -> RunEntry:
    """Return a run that was just planned."""
    fields: dict[str, Any] = {
        "id": run_id,
        "key": "command",
        "name": "bell",
        "title": "bell (2 points)",
        "state": "planned",
        "folder": "outputs/today",
        "command": "python -m qrt_runner circuit=bell",
        "began": "2026-11-02T10:00:00+00:00",
        "grouped": True,
        "folders": False,
        "tracking": '{"uri": null}',
        "host": "here",
        "pid": 7,
    }
    return RunEntry(**(fields | changes))


def task(point: int = 0, name: str = "main", state: Any = "planned", **changes: Any) -> TaskEntry:
    """Return a task; its key tells its point and name."""
    return TaskEntry(point, name, changes.pop("key", f"{name}-{point}"), state, **changes)


def job(index: int = 0, group: int | None = None, **changes: Any) -> JobEntry:
    """Return a planned job of four parameter sets."""
    fields = {"where": "ibm", "sets": 4, "expected_s": 2.0, "state": "planned"} | changes
    return JobEntry(index, "sampler", "ibm_fez", '{"kind": "ibm"}', group=group, **fields)  # type: ignore[arg-type]


def group(index: int = 0, max_time: str | int | None = "1h") -> GroupEntry:
    """Return a planned batch."""
    fields: dict[str, Any] = {"attached": False, "state": "planned", "service_id": None, "began": None, "closed": None}
    return GroupEntry(index, "batch", "ibm_fez", '{"kind": "ibm"}', max_time, **fields)


def write_run(journal: Journal, run_id: str = "r1", *, points: int = 1, jobs: int = 1, **changes: Any) -> RunEntry:
    """Write down a run of some points, with a task each, and of some jobs."""
    run = run_entry(run_id, **changes)
    named = [(point, [f"circuit.params.n={point}"]) for point in range(points)]
    journal.begin(run, named, [task(point) for point in range(points)], [job(index) for index in range(jobs)], [])
    return run


def python(code: str, *words: object, before: Sequence[str] = (), **options: Any) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own, which finds this module."""
    line = [*before, sys.executable, "-c", code, *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.run(line, capture_output=True, text=True, check=False, env=environment, **options)


def started(code: str, *words: object) -> subprocess.Popen[str]:
    """Start Python in a process of its own, which finds this module."""
    line = [sys.executable, "-c", code, *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    pipe = subprocess.PIPE
    return subprocess.Popen(line, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment)


def change_rows(file: Path, *lines: str) -> None:
    """Change a database that no process of ours has open, as nobody should."""
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        for line in lines:
            database.execute(line)


def bound_by_permissions() -> list[str]:
    """Return what to put before a command line so that file permissions bind it: nothing, but for root."""
    if os.geteuid() != 0:
        return []
    import pytest  # not by the processes that import this module

    if not (setpriv := shutil.which("setpriv")):
        pytest.skip("permissions do not bind root, and there is no setpriv to change that")
    return [setpriv, "--bounding-set=-dac_override,-dac_read_search,-fowner"]
