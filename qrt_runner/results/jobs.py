"""What jobs and their session groups gave, and spent; knows the standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qrt_runner.results.measured import Counts, PubResult

State = Literal["done", "failed"]
NO_SESSION = "none"
"""What is recorded where no session or batch of the service was used."""


@dataclass(frozen=True)
class Span:
    """Parameter sets of one PUB of a job, side by side."""

    pub: int
    start: int
    stop: int


@dataclass(frozen=True)
class GroupReport:
    """What a session or batch spent its time with, by the service's clock."""

    id: str
    kind: str
    jobs: int
    wait_s: float
    """From its first job's submission to that job's start."""

    busy_s: float
    """In which at least one of its jobs ran."""

    idle_s: float
    """Between its first job's start and its last job's end, while none ran."""

    causes: tuple[str, ...]
    """What caused the idling, the longest first."""

    usage_s: float
    """Quantum seconds of its jobs, which is what a batch, or jobs by themselves, are charged."""


@dataclass(frozen=True)
class JobResult:
    """What one job gave, with what identifies it."""

    index: int
    """Index of the job in the plan."""

    state: State
    pubs: tuple[PubResult, ...]
    """In the order submitted; empty for a failed job."""

    spans: tuple[Span, ...]
    """Which parameter sets of the planned job these are: all, or a part of one that was tried again in parts."""

    record: Mapping[str, Any]
    """As in `jobs.json`: id, session id, backend, state, timestamps, usage, tags, applied options."""

    queue_s: float
    run_s: float
    quantum_s: float
    error: str = ""
    """The backend's own reason, for a failed job."""

    calibration: Counts | None = None
    """What its qubits were read as in each of the states that its calibration prepared; None where it has none."""

    reports: tuple[GroupReport, ...] = ()
    """Of the sessions that the jobs of its group were in, once this was the last of them."""
