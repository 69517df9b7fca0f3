"""Tells what a session group spent its time with, from its jobs' time stamps; knows results."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.results import GroupReport

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MOST_CAUSES: Final = 3


def report_of(group: str, kind: str, jobs: Sequence[Mapping[str, Any]]) -> GroupReport:
    """Return the report of a group.

    Args:
        group: Id of the session or batch.
        kind: `batch` or `dedicated`.
        jobs: Records of its jobs as in `jobs.json`; those that never ran count for nothing.
    """
    ran = sorted((_Run(job) for job in jobs if _Run.is_complete(job)), key=lambda run: run.start)
    usage_s: float = sum(job["usage"]["quantum_s"] for job in jobs)
    if not ran:
        return GroupReport(group, kind, len(jobs), 0.0, 0.0, 0.0, (), usage_s)
    gaps, end = [], ran[0].end
    for run in ran[1:]:
        if run.start > end:
            gaps.append((run.start - end, run.cause(end)))
        end = max(end, run.end)
    idle_s = sum(gap for gap, _ in gaps)
    causes = tuple(cause for _, cause in sorted(gaps, reverse=True)[:_MOST_CAUSES])
    created = min(run.created for run in ran)
    return GroupReport(
        id=group,
        kind=kind,
        jobs=len(jobs),
        wait_s=ran[0].start - created,
        busy_s=end - ran[0].start - idle_s,
        idle_s=idle_s,
        causes=causes,
        usage_s=usage_s,
    )


def told_of(report: GroupReport) -> str:
    """Return a report in a line: what it spent, and what other kinds of group would have cost."""
    spent_s = report.busy_s + report.idle_s
    jobs = "1 job" if report.jobs == 1 else f"{report.jobs} jobs"
    told = f"{report.kind} {report.id}: {jobs}, waited {report.wait_s:.1f} s, busy {report.busy_s:.1f} s, "
    told += f"idle {report.idle_s:.1f} s" + (f" ({'; '.join(report.causes)})" if report.causes else "")
    waits = f"without a group each job waits, about {report.jobs * report.wait_s:.1f} s in all"
    if report.kind == "dedicated":
        return f"{told}; charged {spent_s:.1f} s by the wall clock, as a batch {report.usage_s:.1f} s; {waits}"
    return f"{told}; charged {report.usage_s:.1f} s; {waits}"


class _Run:
    """When a job was submitted, started and ended, in seconds."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        stamps = job["timestamps"]
        self.id = job["id"]
        self.created, self.start, self.end = (
            datetime.fromisoformat(stamps[name]).timestamp() for name in ("created", "running", "finished")
        )

    @staticmethod
    def is_complete(job: Mapping[str, Any]) -> bool:
        """Tell whether the service gave all three time stamps."""
        stamps = job["timestamps"]
        return isinstance(stamps, dict) and {"created", "running", "finished"} <= stamps.keys()

    def cause(self, free: float) -> str:
        """Return why nothing ran before it, from when the group was free on."""
        gap_s = self.start - free
        if self.created > free:
            return f"{gap_s:.1f} s without a job, until {self.id} was submitted"
        return f"{gap_s:.1f} s until the service started {self.id}, which was there"
