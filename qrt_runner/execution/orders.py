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

    paces_s: dict[tuple[str, str, int], float] = field(default_factory=dict)
    """Seconds for a shot on this machine, by kind of job, as the last of that kind took them."""

    handles: dict[int, Any] = field(default_factory=dict)
    """The platform's own jobs that are on a service, by the job's index."""

    learned: dict[int, NoiseModel | str] = field(default_factory=dict)
    """What the jobs that learn noise have learned, or why they failed, by the job's index."""

    def start(self, job: Job) -> None:
        """Say that a job is next, what it runs, and what it costs."""
        costs = _costs(job, self.paces_s.get(_kind(job)))
        words = f"job {job.index + 1} of {self.jobs}: {job.mode} on {job.submission.device.name}{costs}"
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

    def took(self, job: Job, run_s: float) -> None:
        """Note how long a job was simulated on this machine."""
        if job.executions:
            self.paces_s[_kind(job)] = run_s / job.executions

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


def _costs(job: Job, pace_s: float | None) -> str:
    """Return what a job runs and costs in a few words.

    Seconds are a device's by the formula, and those of this machine where a job of the kind has just told them.
    """
    if not job.loads:
        return ""
    told = [_counted(job.circuits, "circuit"), _counted(job.executions, "shot")]
    if seconds := job.expected_s or (pace_s or 0.0) * job.executions:
        told.append(f"about {seconds:.0f} s")
    return f": {', '.join(told)} ({_programs(job)})"


def _programs(job: Job) -> str:
    circuits = {id(pub.circuit): pub.circuit for pub in job.submission.pubs}.values()
    programs = _counted(len(circuits), "program")
    if job.submission.device.where == "simulator":
        # On a device a circuit has all of its qubits, in use or not.
        programs += f" of {_counted(_width(job), 'qubit')}"
    return f"{programs}, {_counted(len(job.submission.pubs), 'PUB')}"


def _width(job: Job) -> int:
    return max(int(pub.circuit.num_qubits) for pub in job.submission.pubs)


def _kind(job: Job) -> tuple[str, str, int]:
    """Return what jobs have in common that take equal seconds for a shot on this machine."""
    return job.mode, job.submission.device.name, _width(job)


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' if count != 1 else ''}"
