"""Waits for what jobs have learned, and hands it to the jobs that need it; knows the modules above it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qrt_runner.execution.attempts import finished
from qrt_runner.modes import LEARNER_MODE
from qrt_runner.noise import NoiseModel
from qrt_runner.plan import with_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qrt_runner.execution.attempts import Attempt
    from qrt_runner.execution.orders import Orders
    from qrt_runner.plan import Job
    from qrt_runner.results import JobResult

_LATER: Final = "the noise that is needed is not learned yet; the same command carries on"


def is_learner(job: Job) -> bool:
    """Tell whether a job learns noise for others."""
    return job.mode == LEARNER_MODE


def note_learned(job: Job, result: JobResult, orders: Orders) -> None:
    """Note what came of a job that learns noise, for those that need it."""
    orders.learned[job.index] = model_in(job, result) if result.state == "done" else result.error


def model_in(job: Job, result: JobResult) -> NoiseModel:
    """Return the noise model that a job has learned."""
    record, options = result.record, job.submission.options
    on_service = job.submission.device.where == "ibm"
    return NoiseModel(
        backend=options.backend,
        layers=result.pubs[0].noise,
        learned=str(record["timestamps"].get("finished", "")),
        job=str(record["id"]) if on_service else "",
        calibration=options.calibration,
    )


def learned(attempt: Attempt, orders: Orders) -> JobResult | None:
    """Return what a job has learned, and note it; None where it has not ended, and is not waited for.

    A command that submits only looks whether it has ended: those that need it could not be submitted otherwise.
    """
    result = finished(attempt, orders, looks=orders.submits)
    if result is None or attempt.is_open:
        return result
    note_learned(attempt.job, result, orders)
    if result.state == "done":
        from qrt_runner.mitigation.remembering import remember

        remember(model_in(attempt.job, result), attempt.job.submission.options, orders.diary.run.id)
    return result


def take_learned(attempts: list[Attempt], orders: Orders) -> list[JobResult]:
    """Wait for the jobs that learn noise, take them out, and return their results; those not waited for stay."""
    found = []
    for attempt in [one for one in attempts if is_learner(one.job)]:
        if (result := learned(attempt, orders)) is not None:
            attempts.remove(attempt)
            found.append(result)
    return found


def lacks_model(job: Job, orders: Orders) -> bool:
    """Tell whether it is not known yet what a job needs."""
    return job.needs is not None and job.needs not in orders.learned


def priced(job: Job, orders: Orders) -> Job:
    """Return a job with what it is expected to take now that its noise is known: PEC multiplies it by gamma^2.

    It is written down: what it takes in the end is compared with that, not with what was expected of an unknown noise.
    """
    found = orders.learned.get(job.needs) if job.needs is not None else None
    if not isinstance(found, NoiseModel):
        return job
    known = with_model(job, found)
    if known.expected_s != job.expected_s:
        orders.diary.expects(job.index, known.expected_s)
    return known


def ready(jobs: Sequence[Job], orders: Orders) -> list[Job]:
    """Return the jobs of which the noise model is there, or is learned by one of them; the others are left, and told.

    Those that need no other come first.
    """
    own = {job.index for job in jobs}
    there = [job for job in jobs if not lacks_model(job, orders) or job.needs in own]
    if lacking := [job for job in jobs if lacks_model(job, orders) and job.needs not in own]:
        leave_for_later(lacking, orders)
    return sorted(there, key=lambda job: (lacks_model(job, orders), job.index))


def leave_for_later(jobs: Sequence[Job], orders: Orders) -> None:
    """Say of jobs that their noise model is not there yet."""
    told = "1 job was" if len(jobs) == 1 else f"{len(jobs)} jobs were"
    orders.trouble(f"{told} not submitted: {_LATER}")
