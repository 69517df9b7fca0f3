"""Predicts quantum seconds from the estimate and from what earlier jobs took; knows the modules above it.

How many times its estimate a job takes is told by the jobs of the same backend, of the same mode where there are some.
The logarithm of that factor is taken for normal, with unknown mean and spread. Of the mean the estimate itself counts
as one earlier job that took what was expected; of the spread it counts as two, such that a journal without history
predicts the estimate, from half of it to twice as much. The bounds are those of Student's t (Gelman et al., Bayesian
Data Analysis, 3rd ed., 3.3): nine in ten jobs are within, once there are a few. Jobs far from the others, by more than
three times their spread, count as three times their spread away: one odd job moves prediction and bounds by little.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING, Final, Self

from qrt_runner.plan.costs import expected_s
from qrt_runner.plan.explaining import counted, most_overhead

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qrt_runner.journal import Journal, SpentJob
    from qrt_runner.plan import Job, Plan, PlannedTask

BELOW_UPPER: Final = 0.95
"""Nine in ten are within: one in twenty is below the lower bound, and one above the upper."""

_PRIOR_JOBS: Final = 2
"""For so many jobs the estimate counts, of the spread."""

_PRIOR_SPREAD: Final = math.log(2) / 2.9199855803537242 / math.sqrt(2)
"""With it the bounds without history are half and twice the estimate: the quantile of t with 2 degrees of freedom, and
a prediction has the mean's own spread besides."""

_FORMULA: Final = "formula (2 s a job, 350 µs an execution)"

_FAR: Final = 3.0
_OF_NORMAL: Final = 1.4826
"""Standard deviations in a median absolute deviation."""


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


@dataclass
class History:
    """What earlier jobs tell of the estimates; remembers what it worked out for a backend and a mode."""

    spent: Sequence[SpentJob] = ()
    known: dict[tuple[str, str], tuple[float, float, int]] = field(default_factory=dict)

    def foretold(self, job: Job) -> Foretold:
        """Return what a job is expected to take; nothing where it is simulated here."""
        if not job.expected_s:
            return Foretold()
        mean, half_width, jobs = self._correction(job.submission.device.name, job.mode)
        return Foretold(
            job.expected_s * math.exp(mean - half_width),
            job.expected_s * math.exp(mean),
            _most_s(job) * math.exp(mean + half_width),
            jobs,
        )

    def told(self, jobs: Sequence[Job]) -> Iterator[str]:
        """Tell of each backend and mode among jobs by what its estimates are corrected."""
        kinds = dict.fromkeys((job.submission.device.name, job.mode) for job in jobs if job.expected_s)
        if unknown := [f"{mode} on {backend}" for backend, mode in kinds if not self._correction(backend, mode)[2]]:
            yield f"{', '.join(unknown)}: IBM's {_FORMULA}; no earlier job in the journal tells how good that is"
        for backend, mode in kinds:
            mean, _, count = self._correction(backend, mode)
            if not count:
                continue
            same = any(one.mode == mode for one in self.spent if one.backend == backend)
            earlier = f"{counted(count, 'earlier job')} {'' if same else 'of other modes '}in the journal"
            yield f"{mode} on {backend}: IBM's {_FORMULA} times {math.exp(mean):.3g}, by {earlier}"

    def _correction(self, backend: str, mode: str) -> tuple[float, float, int]:
        """Return the logarithm of the factor, how far from it the bounds are, and of how many jobs that is told."""
        if (backend, mode) not in self.known:
            factors = self._factors(backend, mode)
            self.known[backend, mode] = (*_predicted_log([math.log(factor) for factor in factors]), len(factors))
        return self.known[backend, mode]

    def _factors(self, backend: str, mode: str) -> list[float]:
        """Return by how much jobs took more than was expected: those of a mode, else all of the backend."""
        of_backend = [one for one in self.spent if one.backend == backend]
        chosen = [one for one in of_backend if one.mode == mode] or of_backend
        return [one.spent_s / one.expected_s for one in chosen]


def history_of(journal: Journal) -> History:
    """Return what the jobs of a journal tell."""
    return History(journal.spent_jobs())


def with_predictions(plan: Plan, history: History) -> Plan:
    """Return a plan whose prices tell what its tasks' jobs are predicted to take, where that is known."""
    likely = [history.foretold(job).likely_s for job in plan.jobs]
    return replace(plan, tasks=tuple(_predicted(plan, task, likely) for task in plan.tasks))


def _predicted(plan: Plan, task: PlannedTask, likely: Sequence[float]) -> PlannedTask:
    used = {place.job for place in task.places}
    used |= {need for index in used if (need := plan.jobs[index].needs) is not None}
    if any(load.overhead is None for index in used for load in plan.jobs[index].loads):
        # What PEC adds is not known yet: without it that would be no prediction, and no error of one.
        return task
    seconds = sum(likely[index] for index in sorted(used))
    return replace(task, price=replace(task.price, predicted_s=seconds)) if task.price and seconds else task


def _predicted_log(logs: Sequence[float]) -> tuple[float, float]:
    """Return the mean of a further one, and how far from it nine in ten are, given earlier ones."""
    from scipy.special import stdtrit

    near = _winsorised(logs)
    count, freedom = len(near), len(near) + _PRIOR_JOBS
    # The prior is one more of them, at 0.
    mean = sum(near) / (count + 1)
    squares = _PRIOR_JOBS * _PRIOR_SPREAD**2 + mean**2 + sum((one - mean) ** 2 for one in near)
    spread = math.sqrt(squares / freedom * (1 + 1 / (count + 1)))
    return mean, float(stdtrit(freedom, BELOW_UPPER)) * spread


def _winsorised(logs: Sequence[float]) -> list[float]:
    """Return numbers, those far from the others moved to where far begins; of fewer than three none is odd."""
    if len(logs) < 3:
        return [*logs]
    middle = median(logs)
    spread = max(_OF_NORMAL * median(abs(one - middle) for one in logs), _PRIOR_SPREAD)
    return [min(max(one, middle - _FAR * spread), middle + _FAR * spread) for one in logs]


def _most_s(job: Job) -> float:
    """Return the estimate with what PEC adds at most, where the noise is not known yet."""
    if all(load.overhead is not None for load in job.loads):
        return job.expected_s
    most = most_overhead(job)
    if most is None:
        return math.inf
    added = sum(load.executions * (most - 1) for load in job.loads if load.overhead is None)
    return expected_s(job.executions + added)
