"""Submits, waits and collects; knows the modules above it, and neither Hydra nor MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qrt_runner.execution.together import Told, run_alone, run_group
from qrt_runner.execution.tries import Tries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qrt_runner.plan import Plan
    from qrt_runner.results import JobResult

__all__ = ["execute"]


def execute(plan: Plan, announce: Callable[[str], None], trouble: Callable[[str], None]) -> Iterator[JobResult]:
    """Run the plan's jobs, and give each result as it comes.

    On a service all jobs of a session group are submitted at once, the group is closed to further ones, and then their
    results are waited for: nothing is left open meanwhile. Groups come first, and of those the dedicated sessions,
    which a plan may refuse: nothing has been submitted then. What is simulated here runs last, job after job.

    A job that fails gives a failed result with the backend's reason; the others go on. On simulators, where trying
    again costs nothing but time, a failed job of several parameter sets is tried again in halves, so that one that
    cannot run fails alone.

    Args:
        plan: What is to be run.
        announce: Told in a few words what is going on.
        trouble: Told what went wrong beside the jobs themselves.

    Raises:
        AccessError: Where a session group is refused before anything has been submitted.
    """
    told = Told(announce, trouble, len(plan.jobs))
    for group in sorted(plan.groups, key=lambda group: group.asked.kind != "dedicated"):
        yield from run_group(group, [plan.jobs[index] for index in group.jobs], told)
    alone = [job for job in plan.jobs if job.group is None]
    yield from run_alone([job for job in alone if job.submission.device.where == "ibm"], told)
    for job in alone:
        if job.submission.device.where != "ibm":
            told.start(job)
            yield from Tries(job, announce).results()
