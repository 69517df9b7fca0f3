"""Jobs and sessions as the service knows them; knows the standard library only.

Moments are service time in seconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

JobStatus = Literal["Queued", "Running", "Completed", "Cancelled", "Failed"]
SessionState = Literal["open", "active", "inactive", "closed"]
Mode = Literal["dedicated", "batch"]

ENDED: Final = ("Completed", "Cancelled", "Failed")


@dataclass
class Job:
    """One accepted submission."""

    id: str
    ordinal: int
    """Its place in the order of accepted submissions, from 0; survives restarts."""

    instance: str
    """CRN of the service instance."""

    backend: str
    program: str
    created: float
    session_id: str | None = None
    tags: list[str] = field(default_factory=list)
    cost_s: int | None = None
    """The client's maximum execution time."""

    private: bool = False
    image: str = ""
    status: JobStatus = "Queued"
    reason: str | None = None
    reason_code: int | None = None
    started: float | None = None
    simulated: float | None = None
    """When its numbers were there; it ends when its usage has passed too."""

    finished: float | None = None
    usage_s: float = 0.0
    executions: int = 0
    """Bound circuits times shots."""

    deleted: bool = False
    """Whether the client deleted it: gone from the API, not from the ledger."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in ENDED


@dataclass
class Session:
    """One dedicated session or batch."""

    id: str
    ordinal: int
    instance: str
    backend: str
    mode: Mode
    created: float
    max_ttl_s: int
    interactive_ttl_s: int
    state: SessionState = "open"
    accepting_jobs: bool = True
    activated: float | None = None
    """When it was last made active."""

    started: float | None = None
    """When its first job started: its longest life counts from here."""

    closed: float | None = None
    last_job_started: float | None = None
    last_job_completed: float | None = None
    active_s: float = 0.0
    """Seconds it was active before it was last made so."""

    changes: list[tuple[str, float]] = field(default_factory=list)
    """States and when they were reached."""

    def enter(self, state: SessionState, moment: float) -> None:
        """Change state, and account for the time it was active."""
        if self.state == "active" and state != "active" and self.activated is not None:
            self.active_s += moment - self.activated
        if state == "active":
            self.activated = moment
            self.started = moment if self.started is None else self.started
        if state == "closed":
            self.closed, self.accepting_jobs = moment, False
        self.state = state
        self.changes.append((state, moment))
