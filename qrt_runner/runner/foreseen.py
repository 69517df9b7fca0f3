"""What would run and what it would cost, in rows and in words; knows the modules above it."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.modes import LEARNER_MODE
from qrt_runner.plan import Explaining, counted
from qrt_runner.plan.costs import expected_s
from qrt_runner.runner.columns import fitted, width, wrapped
from qrt_runner.runner.foreseen_cells import job_cells, number_told, price_told, program_cells, seconds_told, size_told
from qrt_runner.runner.predicting import Foretold, History

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from qrt_runner.plan import Job, Plan
    from qrt_runner.runner.foreseen_cells import Row

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
        """One row for each program that is run: its size before and after it was lowered."""
        users = Counter(id(task.program) for task in self.plan.tasks)
        names = {id(task.program): task.point.experiment.tasks[task.name].circuit.name for task in self.plan.tasks}
        used = [program for program in self.plan.programs if id(program) in users]
        return [
            {
                "program": number,
                "circuit": names.get(id(program), program.circuit.name),
                "backend": program.device.name,
                "tasks": users[id(program)],
                "qubits": program.circuit.num_qubits,
                **program.sizes,
            }
            for number, program in enumerate(used, 1)
        ]

    @cached_property
    def jobs(self) -> list[Row]:
        """One row for each job, in the order of the plan."""
        return [self._job(job) for job in self.plan.jobs]

    @cached_property
    def total(self) -> Foretold:
        """The quantum seconds of all jobs."""
        found = [told for job in self.plan.jobs if (told := self.history.foretold(job)).likely_s]
        return sum(found[1:], start=found[0]) if found else Foretold()

    @cached_property
    def explaining(self) -> Explaining:
        """Why jobs are what they are."""
        return Explaining(self.plan)

    def _job(self, job: Job) -> Row:
        told = self.history.foretold(job)
        row: Row = {
            "job": job.index + 1,
            "mode": job.mode,
            "mitigation": self._mitigation(job),
            "tasks": len(self.explaining.tasks.get(job.index, ())),
            "of": self._of(job),
            "backend": job.submission.device.name,
            "group": None if job.group is None else f"{self.plan.groups[job.group].asked.kind} {job.group + 1}",
            "pubs": len(job.asked),
            "parameter_sets": sum(len(pub.values) for pub in job.asked),
            "shots": job.submission.shots,
            "circuits": job.circuits,
            "shots_of_each": job.loads[0].shots if job.loads else None,
            "executions": job.executions,
            "overhead_known": all(load.overhead is not None for load in job.loads),
            "payload_bytes": self.explaining.payloads[job.index],
        }
        seconds = {"lower_s": told.lower_s, "estimated_s": told.likely_s, "upper_s": told.upper_s}
        # What is simulated here takes none.
        row |= seconds if told.likely_s else dict.fromkeys(seconds)
        if self.rate is not None:
            row["price"] = told.likely_s * self.rate if told.likely_s else None
        return row

    def _mitigation(self, job: Job) -> str:
        """Return what the tasks of a job ask for, by the names of their presets; of one that learns, what needs it."""
        indices = self.explaining.users.get(job.index) or [job.index]
        users = [task for index in indices for task in self.explaining.tasks.get(index, ())]
        names = dict.fromkeys(task.point.experiment.tasks[task.name].mitigation.kind for task in users)
        told = ", ".join(names)
        return f"for {told}" if job.mode == LEARNER_MODE else told

    def _of(self, job: Job) -> str:
        """Return which points and tasks a job is of, where there are several."""
        tasks = self.explaining.tasks.get(job.index, [])
        points = [*dict.fromkeys(task.point.index for task in tasks)]
        names = [*dict.fromkeys(task.name for task in tasks)]
        told = names if self._several[0] else []
        if points and self._several[1]:
            told = [*told, f"point {points[0]}" if len(points) == 1 else f"{len(points)} points"]
        return ", ".join(told)

    @cached_property
    def _several(self) -> tuple[bool, bool]:
        """Whether there are several names of tasks, and several points."""
        tasks = self.plan.tasks
        return len({task.name for task in tasks}) > 1, len({task.point.index for task in tasks}) > 1

    def lines(self, most: int | None = None) -> list[str]:
        """Return it as a table of programs, one of jobs, the total, and why it is so.

        Args:
            most: Characters of a line at most; None for as many as it takes.
        """
        words = [*self.totals(), *self.reasons(), *self.notes]
        lines = [part for line in words for part in wrapped(line, most)]
        programs = fitted([program_cells(row) for row in self.programs], "programs", most)
        jobs = fitted([job_cells(row) for row in self.jobs], "jobs", most)
        return [*programs, *([""] if programs else []), *jobs, *([""] if jobs else []), *lines]

    def reasons(self) -> Iterator[str]:
        """Tell what was merged, what was split and why, and what is not known before something has run."""
        yield from _cut("merged", [*self.explaining.merged()])
        yield from _cut("split", [*self.explaining.split()])
        yield from _cut("not known yet", [*self.explaining.unknown()])
        yield from _cut("group", [_group(group) for group in self.plan.groups])
        yield from _cut("too large", [*self.explaining.beyond()])

    def totals(self) -> Iterator[str]:
        """Tell what all of it comes to."""
        plan, total = self.plan, self.total
        things = {"task": plan.tasks, "program": self.programs, "job": plan.jobs, "group": plan.groups}
        yield ", ".join(counted(len(found), name) for name, found in things.items())
        if not plan.jobs:
            return
        least = "" if self._overhead_known else "at least "
        circuits, executions = sum(job.circuits for job in plan.jobs), sum(job.executions for job in plan.jobs)
        yield f"{least}{counted(circuits, 'circuit')} after mitigation, {counted(executions, 'execution')}"
        if sent := sum(size or 0 for size in self.explaining.payloads.values()):
            yield f"{size_told(sent)} to be sent"
        if not total.likely_s:
            on_device = sum((expected_s(job.executions) for job in plan.jobs), start=0.0)
            yield f"{_NO_TIME}; a device would take {least or 'about '}{number_told(on_device)} s"
            return
        bounds = f"{number_told(total.lower_s)} to {seconds_told(total.upper_s)}"
        yield f"quantum time {least}{number_told(total.likely_s)} s, from {bounds}, queue aside"
        if self.rate is not None:
            prices = [seconds * self.rate for seconds in (total.likely_s, total.lower_s, total.upper_s)]
            bounds = f"{prices[1]:.2f} to {price_told(prices[2])}"
            yield f"price {least}{prices[0]:.2f}, from {bounds}, at {self.rate:g} a second"
        if not math.isfinite(total.upper_s):
            yield "nothing bounds what PEC adds before its noise is learned (pec.max_overhead)"
        yield from self.history.told(plan.jobs)

    @property
    def _overhead_known(self) -> bool:
        return all(row["overhead_known"] for row in self.jobs)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as what JSON can hold: rows of programs and jobs, totals, and the words."""
        total = self.total
        seconds = {"lower_s": total.lower_s, "estimated_s": total.likely_s, "upper_s": _finite(total.upper_s)}
        return {
            "programs": self.programs,
            "jobs": [row | {"upper_s": _finite(row["upper_s"])} for row in self.jobs],
            "groups": [
                {"group": group.index + 1, "kind": group.asked.kind, "jobs": [index + 1 for index in group.jobs]}
                for group in self.plan.groups
            ],
            "total": {
                "tasks": len(self.plan.tasks),
                "circuits": sum(row["circuits"] for row in self.jobs),
                "executions": sum(row["executions"] for row in self.jobs),
                "overhead_known": self._overhead_known,
                **(seconds if total.likely_s else dict.fromkeys(seconds)),
                "rate": self.rate,
                "price": total.likely_s * self.rate if self.rate is not None and total.likely_s else None,
            },
            "merged": [*self.explaining.merged()],
            "split": [*self.explaining.split()],
            "notes": [*self.notes],
        }

    def keep(self, folder: Path) -> Path:
        """Write it as JSON into a folder, and return the file."""
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "plan.json"
        file.write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")
        return file

    def __repr__(self) -> str:
        """Return what the command prints."""
        return "\n".join(self.lines(width()))

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        from qrt_runner.runner.pages import page

        tables = [[program_cells(row) for row in self.programs], [job_cells(row) for row in self.jobs]]
        return page(tables, [*self.totals(), *self.reasons(), *self.notes])


def _cut(title: str, lines: Sequence[str]) -> list[str]:
    more = [f"{title}: and {len(lines) - _MOST_LINES} more of the kind"] if len(lines) > _MOST_LINES else []
    return [*(f"{title}: {line}" for line in lines[:_MOST_LINES]), *more]


def _group(group: Any) -> str:
    kind, numbers = group.asked.kind, ", ".join(str(index + 1) for index in group.jobs)
    charged = "; what it waits between jobs is charged, and not in these seconds" if kind == "dedicated" else ""
    held = f"{'job' if len(group.jobs) == 1 else 'jobs'} {numbers}"
    return f"{kind} {group.index + 1} holds {held}{group.reason}{charged}"


def _finite(seconds: float | None) -> float | None:
    return seconds if seconds is not None and math.isfinite(seconds) else None
