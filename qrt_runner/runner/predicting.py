"""Predicts quantum seconds from the estimate and from what earlier jobs took; knows the modules above it.

How many times its estimate a job takes is told by the jobs of the same backend, of the same mode where there are some.
The logarithm of that factor is taken for normal, with unknown mean and spread, and the estimate itself counts as one
earlier job that took what was expected, within a factor of two at most: so a journal without history predicts the
estimate, from half of it to twice as much, and one job of history does not outweigh it. The bounds hold nine in ten.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Final, Self

from qrt_runner.plan.costs import expected_s
from qrt_runner.plan.explaining import most_overhead

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qrt_runner.journal import Journal, SpentJob
    from qrt_runner.plan import Job, Plan, PlannedTask

_WITHIN: Final = NormalDist().inv_cdf(0.95)
_PRIOR_VARIANCE: Final = (math.log(2) / _WITHIN) ** 2 / 2
"""With it the bounds without history are half and twice the estimate: a prediction also has the mean's own spread."""


@dataclass(frozen=True)
class Foretold:
    """Quantum seconds, with the bounds between which they are expected."""

    lower_s: float = 0.0
    likely_s: float = 0.0
    upper_s: float = 0.0
    """Infinite where nothing bounds what noise that is not known yet takes."""

    jobs: int = 0
    """Of earlier jobs that tell it, the fewest for any part of it."""

    def __add__(self, other: Self) -> Foretold:
        """Return the sum, whose bounds are those of parts that are all off to one side."""
        return Foretold(
            self.lower_s + other.lower_s,
            self.likely_s + other.likely_s,
            self.upper_s + other.upper_s,
            min(self.jobs, other.jobs),
        )


@dataclass(frozen=True)
class History:
    """What earlier jobs tell of the estimates."""

    spent: Sequence[SpentJob] = ()

    def foretold(self, job: Job) -> Foretold:
        """Return what a job is expected to take; nothing where it is simulated here."""
        if not job.expected_s:
            return Foretold()
        factors = self._factors(job.submission.device.name, job.mode)
        mean, spread = _moments([math.log(factor) for factor in factors])
        most_s = _most_s(job)
        return Foretold(
            job.expected_s * math.exp(mean - _WITHIN * spread),
            job.expected_s * math.exp(mean),
            most_s * math.exp(mean + _WITHIN * spread),
            len(factors),
        )

    def _factors(self, backend: str, mode: str) -> list[float]:
        """Return by how much jobs took more than was expected: those of a mode, else all of the backend."""
        of_backend = [one for one in self.spent if one.backend == backend]
        chosen = [one for one in of_backend if one.mode == mode] or of_backend
        return [one.spent_s / one.expected_s for one in chosen]


def history_of(journal: Journal) -> History:
    """Return what the jobs of a journal tell."""
    return History(journal.spent_jobs())


def with_predictions(plan: Plan, history: History) -> Plan:
    """Return a plan whose prices tell what its tasks' jobs are predicted to take."""
    likely = [history.foretold(job).likely_s for job in plan.jobs]
    return replace(plan, tasks=tuple(_predicted(plan, task, likely) for task in plan.tasks))


def _predicted(plan: Plan, task: PlannedTask, likely: Sequence[float]) -> PlannedTask:
    used = {place.job for place in task.places}
    used |= {need for index in used if (need := plan.jobs[index].needs) is not None}
    seconds = sum(likely[index] for index in sorted(used))
    return replace(task, price=replace(task.price, predicted_s=seconds)) if task.price and seconds else task


def _moments(logs: Sequence[float]) -> tuple[float, float]:
    """Return mean and spread of a further one, the prior counted as one more of them, at 0."""
    count = len(logs)
    mean = sum(logs) / (count + 1)
    squares = _PRIOR_VARIANCE + mean**2 + sum((one - mean) ** 2 for one in logs)
    return mean, math.sqrt(squares / (count + 1) * (1 + 1 / (count + 1)))


def _most_s(job: Job) -> float:
    """Return the estimate with what PEC adds at most, where the noise is not known yet."""
    if all(load.overhead is not None for load in job.loads):
        return job.expected_s
    most = most_overhead(job)
    if most is None:
        return math.inf
    return expected_s(sum(load.executions * (most if load.overhead is None else 1) for load in job.loads))
