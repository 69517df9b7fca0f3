"""Submits, waits and collects; knows the modules above it, and neither Hydra nor MLflow."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from qrt_runner.modes import mode_named
from qrt_runner.results import NO_SESSION, JobResult, PubResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qrt_runner.plan import Job, Plan


def execute(plan: Plan, announce: Callable[[str], None]) -> Iterator[JobResult]:
    """Run the plan's jobs one after the other, and give each result as it comes.

    A job that fails gives a failed result with the backend's reason; the others go on.
    """
    for job in plan.jobs:
        announce(f"job {job.index + 1} of {len(plan.jobs)}: {job.mode} on {job.submission.device.name}")
        yield _run(job, announce)


@dataclass
class _Attempt:
    """A job on its way: when it was started, and what the platform calls it."""

    job: Job
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    start: float = field(default_factory=time.perf_counter)
    handle: Any = None
    error: str = ""


def _run(job: Job, announce: Callable[[str], None]) -> JobResult:
    mode, attempt = mode_named(job.mode), _Attempt(job)
    pubs: tuple[PubResult, ...] = ()
    try:
        attempt.handle = mode.submit(job.submission)
        announce(f"submitted job {attempt.handle.job_id()}")
        pubs = tuple(mode.read(job.submission, attempt.handle))
    except Exception as error:  # noqa: BLE001 - whatever a backend raises, one failed job fails its own points only
        attempt.error = " ".join(f"{type(error).__name__}: {error}".split())
    return _result(attempt, pubs)


def _result(attempt: _Attempt, pubs: tuple[PubResult, ...]) -> JobResult:
    seconds, handle = time.perf_counter() - attempt.start, attempt.handle
    local = attempt.job.submission.device.where == "simulator"
    stamps = _stamps(attempt)
    queue_s = 0.0 if local else _between(stamps, "created", "running")
    quantum_s = 0.0 if local else float(_asked(handle, "usage") or 0.0)
    return JobResult(
        index=attempt.job.index,
        state="failed" if attempt.error else "done",
        pubs=pubs,
        record=_record(attempt, stamps, quantum_s),
        queue_s=queue_s,
        run_s=max(seconds - queue_s, 0.0),
        quantum_s=quantum_s,
        error=attempt.error,
    )


def _record(attempt: _Attempt, stamps: dict[str, str], quantum_s: float) -> dict[str, Any]:
    submission, handle = attempt.job.submission, attempt.handle
    return {
        "id": handle.job_id() if handle is not None else None,
        "session_id": _session_id(handle, local=submission.device.where == "simulator"),
        "backend": submission.device.name,
        "mode": attempt.job.mode,
        "state": "failed" if attempt.error else "done",
        "error": attempt.error or None,
        "shots": submission.shots,
        "timestamps": stamps,
        "usage": {"quantum_s": quantum_s},
        "tags": list(getattr(handle, "tags", None) or []),
        "options": submission.options.model_dump(mode="json") if submission.options is not None else {},
    }


def _stamps(attempt: _Attempt) -> dict[str, str]:
    metrics = _asked(attempt.handle, "metrics") or {}
    stamps = {"submitted": attempt.started.isoformat(), "finished": datetime.now(UTC).isoformat()}
    return stamps | {name: str(value) for name, value in metrics.get("timestamps", {}).items() if value}


def _session_id(handle: Any, *, local: bool) -> str:
    """Return the service's session id. Locally the platform gives the job's id for it, which would be a lie."""
    return NO_SESSION if local else str(getattr(handle, "session_id", None) or NO_SESSION)


def _asked(handle: Any, question: str) -> Any:
    """Ask a job what only the runtime's jobs can answer."""
    answer = getattr(handle, question, None)
    return answer() if callable(answer) and type(handle).__module__.startswith("qiskit_ibm_runtime") else None


def _between(stamps: dict[str, str], first: str, then: str) -> float:
    if first not in stamps or then not in stamps:
        return 0.0
    return max((_moment(stamps[then]) - _moment(stamps[first])).total_seconds(), 0.0)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
