"""What a job or a session costs, by IBM's published formula; knows the standard library only.

Source: the guide "Workload usage" of IBM Quantum (quantum.cloud.ibm.com/docs/guides/estimate-job-run-time): about 2 s
per sub-job, and for each execution the repetition delay and the circuit's length, which it puts at 100 µs where the
delay is the usual 250 µs (`2 + 0.00035 * executions`). Not known for sure is where the service splits a job into
sub-jobs; here every job is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qrt_runner.rehearsal.records import Job, Session

_OVERHEAD_S: Final = 2.0
_CIRCUIT_S: Final = 100e-6
DEFAULT_DELAY_S: Final = 250e-6
"""Repetition delay where neither the job nor the device names one."""


def job_usage_s(executions: int, rep_delay_s: float) -> float:
    """Return the seconds for which a job keeps the device."""
    return _OVERHEAD_S + executions * (rep_delay_s + _CIRCUIT_S)


def session_usage_s(session: Session, jobs: Iterable[Job], now: float) -> float:
    """Return a session's usage so far: while active for a dedicated one, its jobs' for a batch (same guide)."""
    if session.mode == "batch":
        return sum(job.usage_s for job in jobs if job.session_id == session.id)
    running = now - session.activated if session.state == "active" and session.activated is not None else 0.0
    return session.active_s + running


def instance_usage_s(instance: str, sessions: Iterable[Session], jobs: Iterable[Job], now: float) -> float:
    """Return all usage of an instance: of its sessions, and of its jobs outside any."""
    own = [job for job in jobs if job.instance == instance]
    alone = sum(job.usage_s for job in own if job.session_id is None)
    return alone + sum(session_usage_s(session, own, now) for session in sessions if session.instance == instance)
