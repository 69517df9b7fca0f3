"""Tells what a command would run and what that would cost, and submits nothing; knows the modules above it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.config import Foresee
from qrt_runner.journal import Journal
from qrt_runner.plan import Explaining, compile_plan, counted
from qrt_runner.plan.costs import expected_s
from qrt_runner.runner.dry_running import dry_run
from qrt_runner.runner.modelling import model_of_run
from qrt_runner.runner.outcome import Outcome
from qrt_runner.runner.predicting import Foretold, History, history_of
from qrt_runner.runner.refusing import judged_refusals
from qrt_runner.runner.scattering import reference_of
from qrt_runner.runner.telling import tabled
from qrt_runner.runner.working import key_of_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from qrt_runner.plan import Job, Plan
    from qrt_runner.runner.outcome import Request

Row = dict[str, Any]

_MOST_ROWS: Final = 60
_MOST_LINES: Final = 20
_NO_TIME: Final = "simulated here: no quantum time"


@dataclass(frozen=True, repr=False)
class Foreseen:
    """What would run, and what it would cost."""

    plan: Plan
    history: History
    rate: float | None = None
    """Price of a quantum second."""

    notes: tuple[str, ...] = ()
    """What else is to be known, such as points that are left out."""

    exit_code: int = 0

    @cached_property
    def programs(self) -> list[Row]:
        """One row for each program: its size before and after it was lowered."""
        users = [task.program for task in self.plan.tasks]
        names = {id(task.program): task.logical.circuit.name for task in self.plan.tasks}
        return [
            {
                "program": number,
                "circuit": names.get(id(program), program.circuit.name),
                "backend": program.device.name,
                "tasks": sum(one is program for one in users),
                "qubits": program.circuit.num_qubits,
                **{name: program.sizes[name] for name in program.sizes},
            }
            for number, program in enumerate(self.plan.programs, 1)
        ]

    @cached_property
    def jobs(self) -> list[Row]:
        """One row for each job, in the order of the plan."""
        explaining = Explaining(self.plan)
        return [self._job(job, explaining) for job in self.plan.jobs]

    @cached_property
    def total(self) -> Foretold:
        """The quantum seconds of all jobs."""
        found = [told for job in self.plan.jobs if (told := self.history.foretold(job)).likely_s]
        return sum(found[1:], start=found[0]) if found else Foretold()

    def _job(self, job: Job, explaining: Explaining) -> Row:
        told = self.history.foretold(job)
        group = "none" if job.group is None else f"{self.plan.groups[job.group].asked.kind} {job.group + 1}"
        row: Row = {
            "job": job.index + 1,
            "mode": job.mode,
            "backend": job.submission.device.name,
            "group": group,
            "PUBs": len(job.submission.pubs),
            "parameter sets": sum(len(pub.values) for pub in job.asked),
            "shots": job.submission.shots,
            "circuits": job.circuits,
            "executions": job.executions,
            "payload MiB": explaining.payload_mib(job),
        }
        seconds = {"lower s": told.lower_s, "estimated s": told.likely_s, "upper s": told.upper_s}
        # What is simulated here takes none.
        row |= seconds if told.likely_s else dict.fromkeys(seconds)
        if self.rate is not None:
            row["price"] = told.likely_s * self.rate if told.likely_s else None
        return row

    def lines(self) -> list[str]:
        """Return it as a table of programs, one of jobs, the total, and why it is so."""
        return [*_table(self.programs), "", *_table(self.jobs), "", *self.totals(), *self.reasons(), *self.notes]

    def reasons(self) -> Iterator[str]:
        """Tell what was merged, what was split and why, and what is not known before something has run."""
        explaining = Explaining(self.plan)
        yield from _cut("merged", list(explaining.merged()))
        yield from _cut("split", list(explaining.split()))
        yield from _cut("not known yet", list(explaining.unknown()))
        yield from _cut("group", [f"{group.index + 1}, {_group(group)}" for group in self.plan.groups])

    def totals(self) -> Iterator[str]:
        """Tell what all of it comes to."""
        plan, total = self.plan, self.total
        things = {"task": plan.tasks, "program": plan.programs, "job": plan.jobs, "group": plan.groups}
        circuits, executions = sum(job.circuits for job in plan.jobs), sum(job.executions for job in plan.jobs)
        yield ", ".join(counted(len(found), name) for name, found in things.items())
        yield f"{counted(circuits, 'circuit')} after mitigation, {counted(executions, 'execution')}"
        if not total.likely_s:
            on_device = sum((expected_s(job.executions) for job in plan.jobs), start=0.0)
            yield f"{_NO_TIME}; a device would take about {on_device:.3g} s"
            return
        yield f"quantum time {total.likely_s:.3g} s, from {total.lower_s:.3g} to {_seconds(total.upper_s)}, queue aside"
        if self.rate is not None:
            prices = [seconds * self.rate for seconds in (total.likely_s, total.lower_s, total.upper_s)]
            yield f"price {prices[0]:.2f}, from {prices[1]:.2f} to {_price(prices[2])}, at {self.rate:g} a second"
        if not math.isfinite(total.upper_s):
            yield "nothing bounds what PEC adds before its noise is learned (pec.max_overhead)"
        yield _told_by(total.jobs)

    def __repr__(self) -> str:
        """Return what the command prints."""
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        from qrt_runner.runner.pages import page

        return page([self.programs, self.jobs], [*self.totals(), *self.reasons(), *self.notes])


def foresee(request: Request, announce: Callable[[str], None]) -> Foreseen:
    """Compile what is asked for, and tell what would be run; nothing is submitted and no run begun.

    Args:
        request: What is asked for.
        announce: Told in a few words what is going on.

    Raises:
        ConfigError: Where a point cannot be run.
        AccessError: Where an account or a backend refuses.
        JournalError: Where the journal cannot be read.
    """
    outcome = Outcome("")
    with Journal(request.journal) as journal:
        announce("compiling the plan")
        known = journal.equal_tasks if request.reuse else None
        plan = compile_plan(request.points, reference_of, known, partial(model_of_run, journal))
        failing = judged_refusals(plan.refusals, request, outcome)
        history = history_of(journal)
        earlier = journal.unfinished(key_of_request(request)) if request.resume != "never" else None
    notes = [f"fails: point {one.point.index}: {one.error.mistakes[0]}" for one in failing]
    if plan.left_out:
        notes.append(f"{len(plan.left_out)} tasks take their results from earlier runs (reuse=true)")
    if earlier is not None:
        notes.append(f"run {earlier.id} of the same command is not over: action=run would carry on with it")
    action = request.points[0].experiment.document.action
    if isinstance(action, Foresee) and action.dry_run:
        notes += dry_run(plan, announce)
    rate = action.rate if isinstance(action, Foresee) else None
    return Foreseen(plan, history, rate, (*outcome.troubles, *notes), outcome.exit_code or int(bool(failing)))


def _table(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    lines = tabled([*rows[0]], [[_cell(value) for value in row.values()] for row in rows[:_MOST_ROWS]])
    return [*lines, f"and {len(rows) - _MOST_ROWS} more"] if len(rows) > _MOST_ROWS else lines


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _cut(title: str, lines: list[str]) -> list[str]:
    more = [f"{title}: and {len(lines) - _MOST_LINES} more of the kind"] if len(lines) > _MOST_LINES else []
    return [*(f"{title}: {line}" for line in lines[:_MOST_LINES]), *more]


def _group(group: Any) -> str:
    numbers = ", ".join(str(index + 1) for index in group.jobs)
    return f"{group.asked.kind} of job {numbers}{group.reason}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.3g} s" if math.isfinite(seconds) else "no bound"


def _price(price: float) -> str:
    return f"{price:.2f}" if math.isfinite(price) else "no bound"


def _told_by(jobs: int) -> str:
    if not jobs:
        return "by IBM's formula (2 s a job, 350 µs an execution): no earlier job in the journal tells how good it is"
    return f"by IBM's formula, corrected by what {counted(jobs, 'earlier job')} in the journal took"
