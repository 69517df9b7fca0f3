"""The tables of the journal and how older ones become today's; knows SQL only."""

from __future__ import annotations

from typing import Final

APPLICATION_ID: Final = 0x71727431
"""Says `qrt1` in the header of the file, so that another program's database is told apart."""

_STATE: Final = """state TEXT NOT NULL
        CHECK (state IN ('planned', 'submitting', 'submitted', 'done', 'failed', 'cancelled', 'recorded'))"""
_RUN: Final = "run TEXT NOT NULL REFERENCES runs (id)"

_RUNS: Final = f"""
CREATE TABLE runs (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    title TEXT NOT NULL,
    {_STATE},
    folder TEXT NOT NULL,
    command TEXT NOT NULL,
    began TEXT NOT NULL,
    grouped INTEGER NOT NULL,
    folders INTEGER NOT NULL,
    tracking TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    parent TEXT,
    interrupted INTEGER NOT NULL,
    plan_sha TEXT NOT NULL,
    note TEXT NOT NULL
)"""
"""`number` grows with every run: clocks jump, rows do not."""

_POINTS: Final = f"""
CREATE TABLE points (
    {_RUN},
    "index" INTEGER NOT NULL,
    overrides TEXT NOT NULL,
    {_STATE},
    PRIMARY KEY (run, "index")
)"""

_TASKS: Final = f"""
CREATE TABLE tasks (
    {_RUN},
    point INTEGER NOT NULL,
    name TEXT NOT NULL,
    key TEXT NOT NULL,
    {_STATE},
    mlflow_run TEXT,
    error TEXT NOT NULL,
    PRIMARY KEY (run, point, name)
)"""

_JOBS: Final = f"""
CREATE TABLE jobs (
    {_RUN},
    "index" INTEGER NOT NULL,
    mode TEXT NOT NULL,
    backend TEXT NOT NULL,
    section TEXT NOT NULL,
    "where" TEXT NOT NULL,
    "group" INTEGER,
    sets INTEGER NOT NULL,
    expected_s REAL NOT NULL,
    {_STATE},
    PRIMARY KEY (run, "index")
)"""

_GROUPS: Final = f"""
CREATE TABLE groups (
    {_RUN},
    "index" INTEGER NOT NULL,
    kind TEXT NOT NULL,
    backend TEXT NOT NULL,
    section TEXT NOT NULL,
    max_time,
    attached INTEGER NOT NULL,
    {_STATE},
    service_id TEXT,
    began TEXT,
    closed TEXT,
    error TEXT NOT NULL,
    PRIMARY KEY (run, "index")
)"""
"""`max_time` has no type: a number stays one, and a text such as `1h` too."""

_SUBMISSIONS: Final = f"""
CREATE TABLE submissions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    {_RUN},
    job INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    spans TEXT NOT NULL,
    tag TEXT NOT NULL,
    {_STATE},
    began TEXT NOT NULL,
    service_id TEXT,
    session_id TEXT,
    session_kind TEXT,
    error TEXT NOT NULL,
    quantum_s REAL NOT NULL,
    result TEXT,
    sha TEXT,
    record TEXT NOT NULL,
    FOREIGN KEY (run, job) REFERENCES jobs (run, "index")
)"""
"""An id is never given twice, also when a row is withdrawn: files are named by it."""

STEPS: Final[tuple[tuple[str, ...], ...]] = (
    (
        _RUNS,
        _POINTS,
        _TASKS,
        _JOBS,
        _GROUPS,
        _SUBMISSIONS,
        "CREATE INDEX runs_by_key ON runs (key)",
        "CREATE INDEX submissions_by_job ON submissions (run, job)",
    ),
    (
        # when a submission ended, and equal tasks found without reading all of them
        "ALTER TABLE submissions ADD COLUMN ended TEXT",
        "CREATE INDEX tasks_by_key ON tasks (key)",
    ),
)
"""What makes each version from the one before, the first from an empty file. Add steps; never change one."""

VERSION: Final = len(STEPS)
