"""Asks IBM Quantum to run jobs on the mocks of its devices, which costs nothing; knows the modules above it.

What it gives is random; that it is accepted, and of the right shape, is what is asked.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from qrt_runner.errors import refuse
from qrt_runner.modes import LEARNER_MODE, mode_named

_REFUSED: Final = "refused"

if TYPE_CHECKING:
    from collections.abc import Callable

    from qrt_runner.plan import Job, Plan


def dry_run(plan: Plan, announce: Callable[[str], None]) -> tuple[list[str], bool]:
    """Return what came of a dry run of each job, in words, and whether none was refused; nothing of it is recorded.

    Args:
        plan: The plan.
        announce: Told in a few words what is going on.

    Raises:
        ConfigError: Where no job of the plan can have one.
    """
    left_out = [_left_out(job) for job in plan.jobs]
    if plan.jobs and all(left_out):
        given, allowed = f"true, and job 1 has {left_out[0]}", "true for jobs on backend=ibm and backend=rehearsal"
        raise refuse("action.dry_run", given, allowed, "action.dry_run=false")
    told = []
    for job, why in zip(plan.jobs, left_out, strict=True):
        announce(f"dry run of job {job.index + 1} of {len(plan.jobs)}")
        told.append(f"dry run of job {job.index + 1}: {why or _ran(job)}")
    return told, not any(f": {_REFUSED}" in line for line in told)


def _left_out(job: Job) -> str:
    """Return why there is no dry run of a job; empty where there is one."""
    if job.submission.device.where != "ibm":
        return f"none, {job.submission.device.name} is no backend of IBM Quantum"
    if job.mode == LEARNER_MODE:
        return "none, noise is learned from numbers that mean something"
    return "none, its noise must be learned first" if job.needs is not None else ""


def _ran(job: Job) -> str:
    submission, mode = replace(job.submission, dry_run=True), mode_named(job.mode)
    try:
        raw = mode.fetch(submission, mode.submit(submission))
        found = mode.read(submission, raw)
    except Exception as error:  # noqa: BLE001 - whatever the client raises is what was asked for
        return f"{_REFUSED}, {type(error).__name__}: {error}"
    return f"accepted, with results of {len(found)} of {len(submission.pubs)} PUBs"
