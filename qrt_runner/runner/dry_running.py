"""Asks IBM Quantum to run jobs on the mocks of its devices, which costs nothing; knows the modules above it.

What it gives is random; that it is accepted, and of the right shape, is what is asked.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qrt_runner.modes import LEARNER_MODE, mode_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from qrt_runner.plan import Job, Plan


def dry_run(plan: Plan, announce: Callable[[str], None]) -> list[str]:
    """Return what came of a dry run of each job, in words; nothing of it is recorded.

    Args:
        plan: The plan.
        announce: Told in a few words what is going on.
    """
    told = []
    for job in plan.jobs:
        announce(f"dry run of job {job.index + 1} of {len(plan.jobs)}")
        told.append(f"dry run of job {job.index + 1}: {_left_out(job) or _ran(job)}")
    return told


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
        return f"refused, {type(error).__name__}: {error}"
    return f"accepted, with results of {len(found)} of {len(submission.pubs)} PUBs"
