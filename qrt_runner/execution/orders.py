"""What an execution is to do, what it may cost, and whom it tells; knows journal and results."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qrt_runner.execution.board import Board

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qrt_runner.config import Budget
    from qrt_runner.journal import Diary
    from qrt_runner.noise import NoiseModel
    from qrt_runner.plan import Job

_log = logging.getLogger(__name__)


@dataclass
class Orders:
    """Lives for one execution."""

    diary: Diary
    budget: Budget
    announce: Callable[[str], None]
    """Told in a few words what is going on."""

    trouble: Callable[[str], None]
    """Told what went wrong beside the jobs themselves."""

    submits: bool = True
    """Whether what is not submitted yet is."""

    waits: bool = True
    """Whether results that are not there yet are waited for."""

    fetches: bool = True
    """Whether results are fetched from services at all."""

    spent_s: float = 0.0
    """Quantum seconds of the jobs that have ended."""

    underway: dict[int, float] = field(default_factory=dict)
    """Quantum seconds expected of jobs that are on the service, by the job's index."""

    submitted: int = 0
    """Jobs on a service so far, those of earlier commands included."""

    left: int = 0
    """Jobs that were not submitted, because they would exceed the budget."""

    jobs: int = 0
    """Jobs of the plan."""

    board: Board = field(default_factory=Board)
    """How far its jobs are, for whoever watches."""

    foretold: Callable[[Job], float] = lambda job: job.expected_s
    """Returns the quantum seconds that a job is predicted to take."""

    handles: dict[int, Any] = field(default_factory=dict)
    """The platform's own jobs that are on a service, by the job's index."""

    learned: dict[int, NoiseModel | str] = field(default_factory=dict)
    """What the jobs that learn noise have learned, or why they failed, by the job's index."""

    def start(self, job: Job) -> None:
        """Say that a job is next, what it runs, and what it costs."""
        words = f"job {job.index + 1} of {self.jobs}: {job.mode} on {job.submission.device.name}{_costs(job)}"
        _log.info("%s", words)
        if job.submission.device.where == "simulator":
            # Aer lets no other thread in while it simulates: whoever watches is told before.
            self.board.stands(job.index, "running")
        if self.board.watch is None:
            self.announce(words)
        else:
            self.board.does(words)

    def affordable(self, jobs: Sequence[Job]) -> list[Job]:
        """Return the first of some jobs, as many as the budget allows together; the others are left, and told."""
        taken: list[Job] = []
        for job in jobs:
            if why := self.over(job, taken):
                self.leave(len(jobs) - len(taken), why)
                break
            taken.append(job)
        return taken

    def leave(self, count: int, why: str) -> None:
        """Note jobs that are not submitted now, and say so."""
        self.left += count
        _log.info("%d jobs are left: %s", count, why)
        told = "1 job was" if count == 1 else f"{count} jobs were"
        self.trouble(f"{told} not submitted: {why}")

    def pay(self, job: Job, *, submitted: bool) -> None:
        """Note a job that is on the service; `submitted` where that is so since just now."""
        self.underway[job.index] = job.expected_s
        self.submitted += submitted

    def is_on_service(self, job: Job, handle: Any) -> None:
        """Note the platform's own job, as one that waits there."""
        self.handles[job.index] = handle
        if job.expected_s:
            self.board.to_go_s[job.index] = self.foretold(job)
        self.board.stands(job.index, "submitted")

    def paid(self, job: Job, quantum_s: float) -> None:
        """Note what a job has cost in the end."""
        self.underway.pop(job.index, None)
        self.spent_s += quantum_s
        self.board.spent_s = self.spent_s

    def over(self, job: Job, before: Sequence[Job] = ()) -> str:
        """Return why a job would exceed the budget; empty where it does not.

        Args:
            job: The next job.
            before: Others that will be submitted before it.
        """
        most_s, most_jobs = self.budget.max_quantum_s, self.budget.max_jobs
        if most_jobs is not None and self.submitted + len(before) >= most_jobs:
            return f"budget.max_jobs={most_jobs} is used up; with a larger one the same command carries on"
        expected_s = sum((self.spent_s, *self.underway.values(), *(one.expected_s for one in before), job.expected_s))
        if most_s is not None and expected_s > most_s:
            told = f"{self.spent_s:.1f} s are spent, with job {job.index + 1} they would be {expected_s:.1f} s"
            return f"budget.max_quantum_s={most_s:g} ({told}); with a larger one the same command carries on"
        return ""


def _costs(job: Job) -> str:
    """Return what a job costs in a few words; seconds of a device only, as what is simulated here takes none."""
    if not job.loads:
        return ""
    circuits = {id(pub.circuit): pub.circuit for pub in job.submission.pubs}.values()
    told = [_counted(len(circuits), "program")]
    if job.submission.device.where == "simulator":
        # On a device a circuit has all of its qubits, in use or not.
        told.append(_counted(max(circuit.num_qubits for circuit in circuits), "qubit"))
    told.append(_counted(len(job.submission.pubs), "PUB"))
    told += [_counted(job.circuits, "circuit"), _counted(job.executions, "shot")]
    if job.expected_s:
        told.append(f"about {job.expected_s:.0f} s")
    return f": {', '.join(told)}"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' if count != 1 else ''}"
