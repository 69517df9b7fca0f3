"""What each parameter set cost: its share of the seconds that its job took; knows plans and numpy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from qrt_runner.plan.costs import cost_of, expected_s
from qrt_runner.results import GAMMA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qrt_runner.plan import Place, Plan, PlannedTask
    from qrt_runner.results import JobResult


@dataclass(frozen=True)
class Costs:
    """What the parameter sets of a task cost."""

    cost_s: np.ndarray
    """Quantum seconds, shape (parameter sets,); NaN where there is no result."""

    source: Literal["spent", "estimated"]


@dataclass
class Pricing:
    """Lives for one plan; remembers how many executions its jobs are made of, and what one takes."""

    plan: Plan
    known: dict[int, list[int]] = field(default_factory=dict)
    expected: dict[int, float] = field(default_factory=dict)

    def of(self, task: PlannedTask, jobs: Sequence[JobResult]) -> Costs:
        """Return what the parameter sets of a task cost, each by its share of the executions of its job.

        It is what the platform says was spent, where it says so of all jobs of the task; else what they were expected
        to take on a device, which stands in for it on simulators.

        Args:
            task: The task.
            jobs: What came of the jobs that it has a part in.
        """
        done = [job for job in jobs if job.state == "done"]
        is_told = all(job.quantum_s > 0 for job in done)
        cost_s = np.full(len(task.logical.sets.values), np.nan)
        for place in task.places:
            executions = self._executions(place.job, task)
            for job in done:
                if job.index == place.job:
                    each_s = _spent_s(job, executions) if is_told else self._expected_s(place.job, executions)
                    each_s = each_s if is_told else each_s * _overhead(job, place)
                    cost_s[_sets_in(place, job)] = executions[place.pub] * each_s
        return Costs(cost_s, "spent" if is_told else "estimated")

    def spent_s(self, task: PlannedTask, jobs: Sequence[JobResult]) -> float | None:
        """Return a task's share of what the platform says was spent; None where it does not say so.

        What failed jobs cost is not in it: no executions are known of them.
        """
        if not any(job.quantum_s for job in jobs if job.state == "done"):
            return None
        costs = self.of(task, jobs)
        return float(np.nansum(costs.cost_s)) if costs.source == "spent" else None

    def _executions(self, index: int, task: PlannedTask) -> list[int]:
        """Return the executions of one parameter set of each PUB of a job, whose tasks have their options in common."""
        if index not in self.known:
            job, resolved = self.plan.jobs[index], task.ledger.resolved
            self.known[index] = [
                cost_of(job.mode, pub.circuit, pub.observables, job.submission.shots, resolved).executions
                for pub in job.submission.pubs
            ]
        return self.known[index]

    def _expected_s(self, index: int, executions: Sequence[int]) -> float:
        """Return the seconds of one execution of a whole job, by the estimate."""
        if index not in self.expected:
            job = self.plan.jobs[index]
            sets = [len(pub.values) for pub in job.submission.pubs]
            whole = [count * one for count, one in zip(sets, executions, strict=True)]
            # What a calibration takes is shared by those that it is for.
            beside = job.trex.executions if job.trex is not None else 0
            self.expected[index] = expected_s(sum(whole) + beside) / sum(whole[: len(job.asked)])
        return self.expected[index]


def _spent_s(job: JobResult, executions: Sequence[int]) -> float:
    """Return the seconds of one execution of what was run, which may be a part of a job, by the platform's own word."""
    return job.quantum_s / sum((span.stop - span.start) * executions[span.pub] for span in job.spans)


def _overhead(job: JobResult, place: Place) -> float:
    """Return by how much PEC multiplied the executions of a PUB: gamma squared; else 1."""
    for span, pub in zip(job.spans, job.pubs, strict=False):
        if span.pub == place.pub and pub.expectations is not None and GAMMA in pub.expectations.details:
            return float(np.mean(pub.expectations.details[GAMMA] ** 2))
    return 1.0


def _sets_in(place: Place, job: JobResult) -> np.ndarray:
    """Return which of a task's parameter sets at a place a job's result is about."""
    inside = np.zeros(len(place.rows), dtype=bool)
    for span in job.spans:
        if span.pub == place.pub:
            inside |= (place.rows >= span.start) & (place.rows < span.stop)
    return place.sets[inside]
