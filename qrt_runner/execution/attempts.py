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
    untold: list[str] = field(default_factory=list)
    """What the platform would not say of the job, and why."""

    def failed(self, error: Exception) -> None:
        """Note why it failed."""
        self.error = " ".join(f"{type(error).__name__}: {error}".split())


def spans_of(job: Job) -> tuple[Span, ...]:
    """Return all parameter sets of a job."""
    return tuple(Span(pub, 0, len(one.values)) for pub, one in enumerate(job.submission.pubs))


def submitted(job: Job, place: Opened | None, announce: Callable[[str], None]) -> Attempt:
    """Submit a job, to its session group where it has one."""
    inside = replace(job, submission=replace(job.submission, place=place.place if place else None))
    attempt = Attempt(inside, spans_of(job), place)
    try:
        attempt.handle = mode_named(job.mode).submit(inside.submission)
    except Exception as error:  # noqa: BLE001 - whatever a service raises, one failed job fails its own points only
        attempt.failed(error)
    else:
        announce(f"submitted job {attempt.handle.job_id()}")
    return attempt


def refused(job: Job, error: Exception) -> Attempt:
    """Return the attempt of a job that was not submitted, because its session group could not be opened."""
    attempt = Attempt(job, spans_of(job))
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
    seconds = time.perf_counter() - attempt.start
    where = attempt.job.submission.device.where
    local, tells = where == "simulator", where == "ibm"
    stamps = _stamps(attempt)
    queue_s = 0.0 if local else _between(stamps, "created", "running")
    quantum_s = 0.0 if local else float(asked(attempt, "usage") or 0.0)
    return JobResult(
        index=attempt.job.index,
        state="failed" if attempt.error else "done",
        pubs=pubs,
        spans=attempt.spans,
        record=_record(attempt, stamps, quantum_s),
        queue_s=queue_s,
        # On a service the wall clock also holds what was waited for before this job's result was asked for.
        run_s=_between(stamps, "running", "finished") if tells else max(seconds - queue_s, 0.0),
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
        **({"untold": attempt.untold} if attempt.untold else {}),
        "tags": list(getattr(handle, "tags", None) or []),
        "options": submission.options.model_dump(mode="json") if submission.options is not None else {},
    }


def _stamps(attempt: Attempt) -> dict[str, str]:
    """Return when things happened, by the service's clock where it tells."""
    told = (asked(attempt, "metrics") or {}).get("timestamps") or {}
    stamps = {name: str(value) for name, value in told.items() if value}
    if attempt.job.submission.device.where != "ibm":
        stamps = {"finished": datetime.now(UTC).isoformat()} | stamps
    return {"submitted": attempt.started.isoformat()} | stamps


def asked(attempt: Attempt, question: str) -> Any:
    """Ask a job what only the runtime's jobs can answer; where it cannot, its result is kept all the same."""
    answer = getattr(attempt.handle, question, None)
    if not callable(answer) or not type(attempt.handle).__module__.startswith("qiskit_ibm_runtime"):
        return None
    try:
        return answer()
    except Exception as error:  # noqa: BLE001 - whatever the client raises, the result was paid for
        attempt.untold.append(f"{question}: {type(error).__name__}: {error}")
        return None


def _between(stamps: dict[str, str], first: str, then: str) -> float:
    if first not in stamps or then not in stamps:
        return 0.0
    return max((_moment(stamps[then]) - _moment(stamps[first])).total_seconds(), 0.0)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
