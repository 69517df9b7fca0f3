"""What the journal holds, as frozen records; knows results only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qrt_runner.results import Span

State = Literal["planned", "submitting", "submitted", "done", "failed", "cancelled", "recorded"]
"""Of runs, points, tasks, jobs, submissions and groups alike.

`submitting` is written before the outside world is asked, `submitted` once it has answered; `done` is a result that is
kept, `recorded` one that is in MLflow.
"""


@dataclass(frozen=True)
class RunEntry:
    """One command: its points, tasks, jobs and session groups."""

    id: str
    key: str
    """Equal for equal commands."""

    name: str
    """Of the MLflow experiment."""

    title: str
    """Of the MLflow run that is the parent of the tasks' runs."""

    state: State
    folder: str
    """Where its results are kept, absolute."""

    command: str
    """What continues it, as typed."""

    began: str
    """UTC, ISO 8601; for people: the order of runs is the order in which they were written down."""

    grouped: bool
    """Whether the tasks' runs have a parent."""

    folders: bool
    """Whether each task has a folder with its artifacts as files."""

    tracking: str
    """The tracking section of the config, as JSON."""

    host: str
    pid: int
    parent: str | None = None
    """Id of the parent's MLflow run, once there is one."""

    interrupted: bool = False
    """Whether its process is known to have ended before it was done, and what it left RUNNING was seen to."""

    plan_sha: str = ""
    """Checksum of the file with its plan; empty where none is kept."""

    note: str = ""
    """Why it failed, or what was told."""


@dataclass(frozen=True)
class PointEntry:
    """One point of a sweep, or the only one."""

    index: int
    overrides: tuple[str, ...]
    """The swept overrides that make it."""

    state: State
    """That of its task which failed, was cancelled, or has come least far."""


@dataclass(frozen=True)
class TaskEntry:
    """One task of a point."""

    point: int
    name: str
    key: str
    """Equal for tasks of equal content."""

    state: State
    mlflow_run: str | None = None
    error: str = ""


@dataclass(frozen=True)
class JobEntry:
    """A planned job."""

    index: int
    mode: str
    backend: str
    section: str
    """The backend's section of the config, as JSON, which holds no credential; empty for simulators."""

    where: str
    """Where it runs: `simulator`, `ibm` or `vendor`."""

    group: int | None
    """Index of its session group."""

    sets: int
    """Parameter sets of all its PUBs together."""

    expected_s: float
    """Quantum seconds by the estimate."""

    state: State


@dataclass(frozen=True)
class Submission:
    """One try of a job, or of a part of it."""

    id: int
    job: int
    """Index of the planned job."""

    attempt: int
    """Which try of the job it is, from 1."""

    spans: tuple[Span, ...]
    """Which parameter sets of the planned job it runs."""

    tag: str
    """By which the service can be asked for it."""

    state: State
    began: str
    service_id: str | None
    session_id: str | None
    session_kind: str | None
    ended: str | None
    error: str
    quantum_s: float
    result: str | None
    """File of the raw result, in the journal's folder."""

    sha: str | None
    """Checksum of that file."""

    record: Mapping[str, Any]
    """As in `jobs.json`; empty before it has ended."""


@dataclass(frozen=True)
class GroupEntry:
    """A session or batch; `submitting` is asked for, `submitted` is open, `done` is closed."""

    index: int
    kind: str
    """`batch` or `dedicated`."""

    backend: str
    section: str
    """The backend's section of the config, as JSON."""

    max_time: str | int | None
    attached: bool
    """Whether it was opened by somebody else, and is left open."""

    state: State
    service_id: str | None
    began: str | None
    closed: str | None
    error: str = ""
    """Why the service refused it, or it could not be closed."""


@dataclass(frozen=True)
class SpentJob:
    """What a job that is done was expected to take, and took, in quantum seconds."""

    backend: str
    mode: str
    expected_s: float
    spent_s: float


@dataclass(frozen=True)
class Seconds:
    """What a run costs, in quantum seconds."""

    spent_s: float
    """By all submissions that have ended."""

    expected_s: float
    """By the estimate, for all jobs."""

    left_s: float
    """By the estimate, for the jobs that have given no result."""
