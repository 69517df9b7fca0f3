"""Fifty jobs on the rehearsal's service, each by itself, in a batch and in a dedicated session, waits counted.

A sweep of JOBS points (50) over the angle of `circuit=h2`, one parameter set a job, on `fake_manila` with a queue of
WAIT_S seconds (2) of virtual time. By the service's own ledger: from the first job's submission to the last one's end,
the sum of what jobs waited in the queue, and what is charged. Beside it what these come to by hand, for jobs that take
2 s and 350 µs a shot: with `none` each job waits, three of them at a time, a batch waits once and runs PARALLEL jobs at
a time, a dedicated session waits once and runs one at a time. Each kind is a command in a process of its own on a store
of its own. What the waits cost depends on the queue: WAIT_S=60 shows a busier one.
"""

from __future__ import annotations

import json
import math
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _measuring import measured, number, ours, table

JOBS = number("JOBS", 50)
WAIT_S = number("WAIT_S", 2)
PARALLEL = number("PARALLEL", 5)
PENDING = 3
SHOTS = 1024
KINDS = ("none", "batch", "dedicated")
TAKES_S = 2 + 350e-6 * SHOTS


@dataclass(frozen=True)
class Spent:
    """What the jobs of one command spent, in seconds of service time."""

    wall_s: float
    """From the first submission to the last end."""

    waits_s: float
    """Sum of what each job waited between its submission and its start."""

    usage_s: float
    """What is charged: of a dedicated session the time that it was active, else what the jobs took."""

    command_s: float
    """What the command took, by the wall clock."""


def by_hand(kind: str) -> float:
    """Return the service time of all jobs as it follows from the queue."""
    if kind == "none":
        ends: list[float] = []
        for index in range(JOBS):
            submitted = ends[index - PENDING] if index >= PENDING else 0.0
            ends.append(max(ends[-1] if ends else 0.0, submitted + WAIT_S) + TAKES_S)
        return ends[-1]
    return WAIT_S + math.ceil(JOBS / (PARALLEL if kind == "batch" else 1)) * TAKES_S


def spent(kind: str) -> Spent:
    """Run the sweep in this kind of group and read the service's ledger."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words = ["-m", "backend=rehearsal", f"session={kind}", "circuit=h2", "mode=sampler", f"mode.shots={SHOTS}"]
        words += [f"circuit.parameter_values.theta=range(0,{JOBS})", "backend.limits.parameter_sets=1"]
        words += [f"backend.queue_wait_s={WAIT_S}", f"backend.parallel_jobs={PARALLEL}"]
        command = measured(ours(*words, f"backend.store={folder}/store", "tracking=off"), folder)
        jobs, sessions = (records(folder / "store" / "rehearsal.sqlite", table) for table in ("jobs", "sessions"))
    assert len(jobs) == JOBS
    assert [session["mode"] for session in sessions] == ([] if kind == "none" else [kind])
    assert {job["session_id"] for job in jobs} == ({session["id"] for session in sessions} or {None})
    assert {job["status"] for job in jobs} == {"Completed"}
    return Spent(
        max(job["finished"] for job in jobs) - min(job["created"] for job in jobs),
        sum(job["started"] - job["created"] for job in jobs),
        sessions[0]["active_s"] if kind == "dedicated" else sum(job["usage_s"] for job in jobs),
        command.seconds,
    )


def records(file: Path, of: str) -> list[dict[str, Any]]:
    """Return the jobs or sessions of a service that has ended."""
    with closing(sqlite3.connect(file)) as store:
        return [json.loads(text) for (text,) in store.execute(f"SELECT record FROM {of}")]  # noqa: S608 - our own words


def main() -> None:
    """Run the three kinds and print the table."""
    found = {kind: spent(kind) for kind in KINDS}
    least_s = found["batch"].wall_s
    print(f"{JOBS} jobs of {TAKES_S:.3f} s, a queue of {WAIT_S} s, {PARALLEL} jobs of a batch at once; service time")
    rows = [
        [
            kind,
            f"{one.wall_s:.1f} s",
            f"{by_hand(kind):.1f} s",
            f"{one.waits_s:.1f} s",
            f"{one.usage_s:.1f} s",
            f"{one.wall_s / least_s:.2f}",
            f"{one.command_s:.1f} s",
            "",
        ]
        for kind, one in found.items()
    ]
    table(["session", "wall", "by hand", "sum of waits", "charged", "to a batch", "command took", ""], rows)
    ratio = " : ".join(f"{found[kind].wall_s / least_s:.2f}" for kind in KINDS)
    print(f"{' : '.join(KINDS)} = {ratio}")


if __name__ == "__main__":
    main()
