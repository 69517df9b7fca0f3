"""What a rehearsal service is told: its devices, its queue, its clock and the faults it makes; knows pydantic only."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Plan = Literal["open", "premium"]
FaultKind = Literal[
    "lost", "dropped", "status", "slow", "truncated", "expired", "session_dies", "job_fails", "maintenance"
]
Operation = Literal[
    "token", "search", "catalog",
    "submit", "jobs", "job", "delete", "results", "logs", "metrics", "cancel", "tags",
    "open_session", "session", "close_session", "cancel_session",
    "backends", "configuration", "properties", "status", "usage", "workloads",
]  # fmt: skip
"""What a client can ask: the names of the routes."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Fault(_Frozen):
    """One thing that goes wrong, so many times, on one kind of request or at one moment of the queue.

    On the wire: `lost` does the work and closes the connection without an answer, `dropped` closes it before doing
    anything, `status` answers with an error, `slow` answers late, `truncated` sends half of the answer, `expired`
    calls every bearer token that was ever given out expired. In the queue: `session_dies` closes a session when one
    of its jobs ends, `job_fails` fails a job where it would have completed, `maintenance` keeps a device from
    running anything, until the fault is lifted.
    """

    kind: FaultKind

    on: Operation = "submit"
    """For faults on the wire: the operation that they strike."""

    status: int = 503
    """For `status`: the HTTP status answered."""

    accepted: bool = False
    """For `status`: whether the request's work is done before the error is answered."""

    retry_after_s: float | None = None
    """For `status`: the Retry-After header; none is sent without it."""

    delay_s: float = 0.0
    """For `slow`: seconds before the answer, by the wall clock."""

    times: int = Field(default=1, ge=1)
    """How often it happens."""

    skip: int = Field(default=0, ge=0)
    """How many chances it lets pass first."""

    backend: str | None = None
    """For `maintenance`: the device; all of them without it."""

    tag: str | None = None
    """For `job_fails` and `session_dies`: strikes only when a job with this tag ends."""

    reason: str = "Internal error."
    """For `job_fails`: what the service gives as the reason."""

    reason_code: int = 9999
    """For `job_fails`: the code of the reason."""


class Settings(_Frozen):
    """What one service is like. The defaults are for whoever runs it by hand; `conf/` names every field."""

    devices: tuple[str, ...] = Field(default=("fake_manila", "fake_sherbrooke", "fake_fez"), min_length=1)
    """Names of the fake devices whose snapshots are simulated."""

    plans: tuple[Plan, ...] = Field(default=("premium", "open"), min_length=1)
    """Plans of which the account has an instance; the first is the one used without a choice."""

    queue_wait_s: float = Field(default=0.0, ge=0)
    """Seconds of service time that a job outside a session waits, and a session before its first job."""

    parallel_jobs: int = Field(default=5, ge=1)
    """How many jobs of one batch run at once."""

    interactive_ttl_s: int = Field(default=60, ge=1)
    """Seconds without a job after which a session is deactivated and its next job waits in the queue again."""

    max_ttl_s: int = Field(default=28800, ge=1)
    """Longest life of a session, from its first job on."""

    unused_ttl_s: int = Field(default=1800, ge=1)
    """A session that got no job for so many seconds closes."""

    open_limit_s: int = Field(default=600, ge=0)
    """Seconds of usage that the open plan grants."""

    seed: int | None = None
    """Seed of all simulations: each job gets its own from it and from its place in the order of submissions."""

    virtual_clock: bool = True
    """Whether service time jumps over queues and over the seconds that jobs take by the usage formula."""

    hold_s: float = Field(default=0.0, ge=0)
    """How long a request for an unfinished job's state is held back for the job to finish, by the wall clock.
    The client polls every 0.1 s in sessions and every 0.5 s outside; this spares the rest of the interval."""

    faults: tuple[Fault, ...] = ()
    """Faults that are there from the start."""

    port: int = Field(default=0, ge=0, le=65535)
    """Port on 127.0.0.1; 0 for any free one."""

    token: str | None = Field(default=None, repr=False)
    """The API key that the service accepts; a random one without it."""

    token_ttl_s: int = Field(default=3600, ge=10)
    """How long a bearer token is accepted, by the wall clock."""

    idle_s: float | None = Field(default=3600.0, gt=0)
    """Seconds without a request after which the service ends by itself; null for never."""
