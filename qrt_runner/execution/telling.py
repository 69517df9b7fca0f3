"""What is known of a job besides its numbers: ids, times, usage, as the journal keeps it; knows the modules above."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from qrt_runner.execution.asking import asked

if TYPE_CHECKING:
    from qrt_runner.execution.attempts import Attempt


def told_besides(attempt: Attempt) -> dict[str, Any]:
    """Return what is known of a job besides its numbers, as plain data."""
    seconds = time.perf_counter() - attempt.start
    where = attempt.job.submission.device.where
    stamps = _stamps(attempt)
    queue_s = 0.0 if where == "simulator" else _between(stamps, "created", "running")
    quantum_s = 0.0 if where == "simulator" else float(asked(attempt, "usage") or 0.0)
    # On a service the wall clock also holds what was waited for before this job's result was asked for.
    run_s = _between(stamps, "running", "finished") if where == "ibm" else max(seconds - queue_s, 0.0)
    record = _record(attempt, stamps, quantum_s)
    return {"record": record, "queue_s": queue_s, "run_s": run_s, "usage": record["usage"]}


def _record(attempt: Attempt, stamps: dict[str, str], quantum_s: float) -> dict[str, Any]:
    submission = attempt.job.submission
    return {
        "id": attempt.service_id,
        "session_id": attempt.session_id,
        "session_kind": attempt.session_kind,
        "backend": submission.device.name,
        "mode": attempt.job.mode,
        "state": "failed" if attempt.error else "done",
        "error": attempt.error or None,
        "shots": submission.shots,
        "timestamps": stamps,
        "usage": {"quantum_s": quantum_s},
        **({"untold": attempt.untold} if attempt.untold else {}),
        "tags": list(getattr(attempt.handle, "tags", None) or []),
        "options": submission.options.model_dump(mode="json") if submission.options is not None else {},
    }


def _stamps(attempt: Attempt) -> dict[str, str]:
    """Return when things happened, by the service's clock where it tells."""
    told = (asked(attempt, "metrics") or {}).get("timestamps") or {}
    stamps = {name: str(value) for name, value in told.items() if value}
    if attempt.job.submission.device.where != "ibm":
        stamps = {"finished": datetime.now(UTC).isoformat()} | stamps
    accepted = {"accepted": attempt.accepted} if attempt.accepted else {}
    return {"submitted": attempt.began} | accepted | stamps | {"collected": datetime.now(UTC).isoformat()}


def _between(stamps: dict[str, str], first: str, then: str) -> float:
    if first not in stamps or then not in stamps:
        return 0.0
    return max((datetime.fromisoformat(stamps[then]) - datetime.fromisoformat(stamps[first])).total_seconds(), 0.0)
