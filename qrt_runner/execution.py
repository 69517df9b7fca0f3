"""Submits, waits and collects; knows the modules above it, and neither Hydra nor MLflow."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.modes import Pub, mode_named
from qrt_runner.results import NO_SESSION, JobResult, PubResult, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qrt_runner.plan import Job, Plan

_MOST_IN_VAIN: Final = 12
"""After so many parts of a failed job that all failed, the rest is taken to fail as well."""


def execute(plan: Plan, announce: Callable[[str], None]) -> Iterator[JobResult]:
    """Run the plan's jobs one after the other, and give each result as it comes.

    A job that fails gives a failed result with the backend's reason; the others go on. Where trying again costs
    nothing but time, a failed job of several parameter sets is tried again in halves, so that one that cannot run
    fails alone.
    """
    for job in plan.jobs:
        announce(f"job {job.index + 1} of {len(plan.jobs)}: {job.mode} on {job.submission.device.name}")
        yield from _Tries(job, announce).results()


@dataclass
class _Tries:
    """One planned job, tried as a whole and, where that fails, in parts."""

    job: Job
    announce: Callable[[str], None]
    in_vain: int = 0
    succeeded: bool = False

    def results(self) -> Iterator[JobResult]:
        """Give the result of the whole, or those of its parts."""
        yield from self._tried(tuple(Span(pub, 0, len(one.values)) for pub, one in enumerate(self._pubs)))

    @property
    def _pubs(self) -> tuple[Pub, ...]:
        return self.job.submission.pubs

    def _tried(self, spans: tuple[Span, ...]) -> Iterator[JobResult]:
        result = _run(self._part(spans), spans, self.announce)
        self.succeeded = self.succeeded or result.state == "done"
        self.in_vain += result.state == "failed"
        halves = _halves(spans) if result.state == "failed" and self._may_try_again() else []
        if not halves:
            yield result
        for half in halves:
            yield from self._tried(half)

    def _may_try_again(self) -> bool:
        """Tell whether parts may be submitted: on IBM Quantum a job that failed may have been paid for."""
        return self.job.submission.device.where != "ibm" and (self.succeeded or self.in_vain <= _MOST_IN_VAIN)

    def _part(self, spans: tuple[Span, ...]) -> Job:
        pubs = tuple(replace(pub, values=pub.values[span.start : span.stop]) for pub, span in self._chosen(spans))
        return replace(self.job, submission=replace(self.job.submission, pubs=pubs))

    def _chosen(self, spans: tuple[Span, ...]) -> Iterator[tuple[Pub, Span]]:
        return ((self._pubs[span.pub], span) for span in spans)


def _halves(spans: tuple[Span, ...]) -> list[tuple[Span, ...]]:
    """Halve the PUBs or, of a single one, its parameter sets; a single set cannot be halved."""
    if len(spans) > 1:
        middle = len(spans) // 2
        return [spans[:middle], spans[middle:]]
    (span,) = spans
    middle = (span.start + span.stop) // 2
    return [(replace(span, stop=middle),), (replace(span, start=middle),)] if middle > span.start else []


@dataclass
class _Attempt:
    """A job on its way: when it was started, and what the platform calls it."""

    job: Job
    spans: tuple[Span, ...]
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    start: float = field(default_factory=time.perf_counter)
    handle: Any = None
    error: str = ""


def _run(job: Job, spans: tuple[Span, ...], announce: Callable[[str], None]) -> JobResult:
    mode, attempt = mode_named(job.mode), _Attempt(job, spans)
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
        spans=attempt.spans,
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
