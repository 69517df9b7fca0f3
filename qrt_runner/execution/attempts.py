"""One submission and what comes of it; knows the modules above it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from qrt_runner.modes import mode_named
from qrt_runner.results import NO_SESSION, JobResult, PubResult, Span

if TYPE_CHECKING:
    from collections.abc import Callable

    from qrt_runner.plan import Job
    from qrt_runner.sessions import Opened


@dataclass
class Attempt:
    """A job on its way: when it was started, and what the platform calls it."""

    job: Job
    spans: tuple[Span, ...]
    place: Opened | None = None
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    start: float = field(default_factory=time.perf_counter)
    handle: Any = None
    error: str = ""

    def failed(self, error: Exception) -> None:
        """Note why it failed."""
        self.error = " ".join(f"{type(error).__name__}: {error}".split())


def submitted(job: Job, place: Opened | None, announce: Callable[[str], None]) -> Attempt:
    """Submit a job to its group; one that the service puts elsewhere is cancelled, and counts as failed."""
    spans = tuple(Span(pub, 0, len(one.values)) for pub, one in enumerate(job.submission.pubs))
    inside = replace(job, submission=replace(job.submission, place=place.place if place else None))
    attempt = Attempt(inside, spans, place)
    try:
        attempt.handle = mode_named(job.mode).submit(inside.submission)
        announce(f"submitted job {attempt.handle.job_id()}")
    except Exception as error:  # noqa: BLE001 - whatever a service raises, one failed job fails its own points only
        attempt.failed(error)
    return attempt


def refused(job: Job, error: Exception) -> Attempt:
    """Return the attempt of a job that was not submitted, because its session group could not be opened."""
    attempt = Attempt(job, tuple(Span(pub, 0, len(one.values)) for pub, one in enumerate(job.submission.pubs)))
    attempt.failed(error)
    return attempt


def finished(attempt: Attempt) -> JobResult:
    """Wait for a job and return its result: a failed one, with the backend's reason, where it failed."""
    pubs: tuple[PubResult, ...] = ()
    if not attempt.error:
        try:
            pubs = tuple(mode_named(attempt.job.mode).read(attempt.job.submission, attempt.handle))
        except Exception as error:  # noqa: BLE001 - as above
            attempt.failed(error)
    return _result(attempt, pubs)


def _result(attempt: Attempt, pubs: tuple[PubResult, ...]) -> JobResult:
    seconds, handle = time.perf_counter() - attempt.start, attempt.handle
    local = attempt.job.submission.device.where == "simulator"
    stamps = _stamps(attempt)
    queue_s = 0.0 if local else _between(stamps, "created", "running")
    quantum_s = 0.0 if local else float(_asked(handle, "usage") or 0.0)
    return JobResult(
        index=attempt.job.index,
        state="failed" if attempt.error else "done",
        pubs=pubs,
        spans=attempt.spans,
        record=_record(attempt, stamps, quantum_s),
        queue_s=queue_s,
        run_s=max(seconds - queue_s, 0.0),
        quantum_s=quantum_s,
        error=attempt.error,
    )


def _record(attempt: Attempt, stamps: dict[str, str], quantum_s: float) -> dict[str, Any]:
    submission, handle = attempt.job.submission, attempt.handle
    return {
        "id": handle.job_id() if handle is not None else None,
        "session_id": attempt.place.id if attempt.place is not None else NO_SESSION,
        "session_kind": attempt.place.kind if attempt.place is not None else NO_SESSION,
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


def _stamps(attempt: Attempt) -> dict[str, str]:
    metrics = _asked(attempt.handle, "metrics") or {}
    stamps = {"submitted": attempt.started.isoformat(), "finished": datetime.now(UTC).isoformat()}
    return stamps | {name: str(value) for name, value in metrics.get("timestamps", {}).items() if value}


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
