"""What each task of a plan costs, as its jobs tell; knows the modules above it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qrt_runner.plan.costs import expected_s
from qrt_runner.price import Price

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qrt_runner.plan.costs import Load, SetCost
    from qrt_runner.plan.records import Job, Place


@dataclass
class Prices:
    """Lives for one plan; remembers what an execution of each job takes."""

    jobs: Sequence[Job]
    known: dict[int, float] = field(default_factory=dict)

    def of(self, cost: SetCost, places: Sequence[Place]) -> Price:
        """Return the price of a task: the prices of all tasks that share a job add up to what the job takes.

        Args:
            cost: Of each of its parameter sets.
            places: Where those are.
        """
        loads = [self.jobs[place.job].loads[place.pub] for place in places]
        circuits = [_circuits(len(place.rows), cost, load) for place, load in zip(places, loads, strict=True)]
        each_s = [self._each_s(place.job) for place in places]
        used = [self.jobs[index] for index in dict.fromkeys(place.job for place in places)]
        learners = [self.jobs[index] for index in dict.fromkeys(job.needs for job in used) if index is not None]
        return Price(
            circuits=sum(circuits),
            shots_per_circuit=cost.shots,
            randomizations=cost.randomizations,
            noise_factors=cost.noise_factors,
            bases=cost.bases,
            overhead=loads[0].overhead,
            estimated_s=sum(cost.shots * own * each for own, each in zip(circuits, each_s, strict=True)),
            calibration_shots=sum(_calibration_shots(job) for job in used),
            learning_shots=sum(job.executions for job in learners),
            learning_s=sum((expected_s(job.executions) for job in learners), start=0.0),
        )

    def _each_s(self, index: int) -> float:
        """Return the seconds of one execution of what tasks asked for in a job; on simulators as on a device."""
        if index not in self.known:
            job = self.jobs[index]
            # What a calibration takes is shared by those that it is for.
            asked = sum(load.executions for load in job.loads[: len(job.asked)])
            self.known[index] = expected_s(job.executions) / asked
        return self.known[index]


def _calibration_shots(job: Job) -> int:
    """Return what a job runs to calibrate the readout, by M3 or by TREX."""
    found = [job.loads[-1]] if job.calibrated else [job.trex] if job.trex is not None else []
    return sum(load.executions for load in found)


def _circuits(sets: int, cost: SetCost, load: Load) -> int:
    """Return the circuits of some parameter sets of a PUB."""
    return sets * cost.noise_factors * cost.bases * math.ceil(cost.randomizations * (load.overhead or 1.0))
