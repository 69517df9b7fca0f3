"""A run as one trace, whose spans show where its time went; knows results, and not MLflow.

One for each command, with spans for each job: a sweep of a thousand points has as many spans as it has jobs.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from qrt_runner.results import JobResult, TaskResult
    from qrt_runner.tracking.keeping import KeptRun

_MOST_JOBS: Final = 200
_STAGES: Final = {
    "submit": ("submitted", "accepted"),
    "queue": ("created", "running"),
    "execute": ("running", "finished"),
    "collect": ("finished", "collected"),
    "record": ("collected", "recorded"),
}
"""Between which of a job's time stamps it is in a stage; `created` to `finished` go by the service's clock."""

KIND: Final = "TASK"
"""What MLflow calls a step of work."""


@dataclass(frozen=True)
class Stretch:
    """A stretch of time, a span in MLflow's words."""

    key: str
    """Tells it apart within its trace."""

    name: str
    start_ns: int
    end_ns: int
    parent: str | None
    """Key of the one that it is a part of."""

    failed: bool = False
    told: Mapping[str, Any] = field(default_factory=dict)
    """What is known of it, as plain data."""


@dataclass(frozen=True)
class Trace:
    """A run's trace; the same at every attempt to log it."""

    run: str
    """Id of the run."""

    name: str
    stretches: tuple[Stretch, ...]
    """The first one is the whole run."""

    @property
    def id(self) -> str:
        """What MLflow calls it."""
        return f"tr-{_digest(self.run, 32)}"

    @property
    def root(self) -> Stretch:
        """The whole run."""
        return self.stretches[0]

    @property
    def state(self) -> str:
        """OK or ERROR."""
        return "ERROR" if self.root.failed else "OK"

    def span_id(self, one: Stretch) -> str:
        """Return 16 hexadecimal digits for a stretch."""
        return self._id_of(one.key)

    def parent_id(self, one: Stretch) -> str | None:
        """Return the same of what it is a part of."""
        return self._id_of(one.parent) if one.parent is not None else None

    def content(self, one: Stretch) -> dict[str, Any]:
        """Return a stretch as MLflow's JSON has it, keys in its order."""
        parent = self.parent_id(one)
        return {
            "trace_id": _base64(self.id.removeprefix("tr-")),
            "span_id": _base64(self.span_id(one)),
            "parent_span_id": _base64(parent) if parent is not None else None,
            "name": one.name,
            "start_time_unix_nano": one.start_ns,
            "end_time_unix_nano": one.end_ns,
            "events": [],
            "status": {"code": "STATUS_CODE_ERROR" if one.failed else "STATUS_CODE_OK", "message": ""},
            "attributes": {
                "mlflow.traceRequestId": json.dumps(self.id),
                "mlflow.spanType": json.dumps(KIND),
                **{name: json.dumps(value) for name, value in one.told.items()},
            },
            "links": [],
        }

    def _id_of(self, key: str) -> str:
        return _digest(f"{self.run}\n{key}", 16)


def trace_of(kept: KeptRun, results: Sequence[TaskResult], recorded: Mapping[str, int], now_ns: int) -> Trace | None:
    """Return the trace of a run; None where no job of it ran.

    Args:
        kept: The run.
        results: Of its tasks.
        recorded: By the id of a job when its results were logged, in ns since 1970.
        now_ns: When the run ended, in the same.
    """
    # Jobs of earlier runs, of which results were taken, took none of this run's time.
    ran = [result for result in results if not result.reused_from]
    jobs = {str(job.record["id"]): job for result in ran for job in result.jobs if job.record["id"]}
    chosen = list(jobs.items())[:_MOST_JOBS]
    inside = [one for key, job in chosen for one in _job(key, job, recorded.get(key))]
    if not inside:
        return None
    start_ns = min(kept.started_ms * 1_000_000, *(one.start_ns for one in inside))
    end_ns = max(now_ns, *(one.end_ns for one in inside))
    told = {"tasks": len(results), "jobs": len(jobs), "run": kept.id}
    failed = any(result.state == "failed" for result in results)
    root = Stretch("run", kept.title, start_ns, end_ns, None, failed, told)
    # Of a job that another process submitted no stage tells when; the service's clock may be ahead of ours.
    submitted = [_ns(stamp) for _, job in chosen if (stamp := job.record["timestamps"].get("submitted"))]
    first_ns = max(start_ns, min([*(one.start_ns for one in inside), *submitted]))
    return Trace(kept.id, kept.title, (root, *_preparing(start_ns, first_ns, ran), *inside))


def times_of(trace: Trace) -> tuple[int, int]:
    """Return when a trace began, and how long it took, both in ms."""
    start_ms, end_ms = trace.root.start_ns // 1_000_000, trace.root.end_ns // 1_000_000
    return start_ms, end_ms - start_ms


def previews_of(trace: Trace) -> tuple[str, str]:
    """Return what the list of traces shows of a trace: what was asked and what came of it."""
    return trace.name[:1000], "failed" if trace.root.failed else "done"


def metadata_of(run: str) -> dict[str, str]:
    """Return what joins a trace to the MLflow run that it is about."""
    return {"mlflow.sourceRun": run, "mlflow.trace_schema.version": "3"}


def trace_tags(trace: Trace) -> dict[str, str]:
    """Return a trace's tags, besides those that MLflow adds."""
    return {"qrt.run": trace.run}


def _preparing(start_ns: int, first_ns: int, results: Sequence[TaskResult]) -> Iterator[Stretch]:
    """Give what was before the first submission; transpiling is measured as a sum, and drawn at its end."""
    # Tasks of one program share what is told of its size.
    programs = {id(result.sizes): result.transpile_s for result in results}
    transpile_ns = min(round(sum(programs.values()) * 1e9), first_ns - start_ns)
    yield Stretch("prepare", "prepare", start_ns, first_ns, "run")
    told = {"programs": len(programs), "placed": "its length is measured, its place within prepare is not"}
    yield Stretch("transpile", "transpile", first_ns - transpile_ns, first_ns, "prepare", told=told)


def _job(key: str, job: JobResult, recorded_ns: int | None) -> Iterator[Stretch]:
    """Give a job and its stages, those of which both time stamps are known."""
    stamps = {name: _ns(text) for name, text in job.record["timestamps"].items()}
    stamps |= {"recorded": recorded_ns} if recorded_ns is not None else {}
    if "running" not in stamps and "accepted" in stamps:
        # Nobody waits in a queue here.
        stamps["running"] = stamps["accepted"]
    ahead_ns = max(0, stamps.get("finished", 0) - stamps["collected"]) if "collected" in stamps else 0
    # What is done here after the job ended is drawn after it, also where the service's clock, a virtual one for one,
    # is ahead of ours.
    stamps |= {name: stamps[name] + ahead_ns for name in ("collected", "recorded") if name in stamps}
    failed = job.state == "failed"
    stages = [
        Stretch(
            f"{key} {name}", name, stamps[begin], max(stamps[begin], stamps[end]), key, failed and name == "execute"
        )
        for name, (begin, end) in _STAGES.items()
        if begin in stamps and end in stamps
    ]
    if stages:
        told = {name: job.record.get(name) for name in ("backend", "mode", "session_id", "shots", "error")}
        told |= {"quantum_s": job.quantum_s}
        told |= {"service_clock_ahead_s": ahead_ns / 1e9} if ahead_ns else {}
        start_ns, end_ns = min(one.start_ns for one in stages), max(one.end_ns for one in stages)
        yield Stretch(key, f"job {key}", start_ns, end_ns, "run", failed, told)
    yield from stages


def _ns(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1e6) * 1000


def _digest(text: str, digits: int) -> str:
    return sha256(text.encode()).hexdigest()[:digits]


def _base64(digits: str) -> str:
    return base64.b64encode(bytes.fromhex(digits)).decode()
