"""What `compose`, `run` and `load` return, which shows itself in a notebook; knows the modules above it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pandas import DataFrame

    from qrt_runner.config import Experiment
    from qrt_runner.launcher import Composition
    from qrt_runner.results import TaskResult
    from qrt_runner.runner import Request


@dataclass(frozen=True, repr=False)
class Asked:
    """What a command line asks for: an experiment, or the points of a sweep."""

    words: tuple[str, ...]
    composition: Composition
    experiments: Mapping[int, Experiment]
    """By the numbers of their points."""

    @property
    def experiment(self) -> Experiment:
        """The only experiment, or the first of a sweep."""
        return next(iter(self.experiments.values()))

    @property
    def config(self) -> str:
        """Its composed config, as YAML."""
        return self.composition.points[0].yaml()

    def request(self) -> Request:
        """Return what a run is asked; its results are kept in a folder that holds no other run."""
        from qrt_runner.launcher import request_of
        from qrt_runner.launcher.saying import tidy
        from qrt_runner.tracking import unused

        request = request_of(self.composition, self.experiments, self._command, tidy)
        return replace(request, folder=unused(request.folder))

    @property
    def _command(self) -> str:
        return f"python -m qrt_runner {shlex.join(self.words)}".strip()

    def __repr__(self) -> str:
        """Tell the command that asks for the same."""
        points = f", {len(self.experiments)} points" if self.composition.swept else ""
        return f"<qrt_runner experiment: {self._command}{points}>"

    def _repr_html_(self) -> str:
        from html import escape

        what = f"config of the first of {len(self.experiments)} points" if self.composition.swept else "config"
        folded = f"<details><summary>{what}</summary><pre>{escape(self.config)}</pre></details>"
        return f"<div><p><code>{escape(self._command)}</code></p>{folded}</div>"


@dataclass(frozen=True, repr=False)
class Results:
    """What came of a run."""

    run: str
    """Its id, by which it is loaded again."""

    tasks: Sequence[TaskResult]
    """In the order of their points."""

    troubles: Sequence[str] = ()
    """What went wrong and is saved nevertheless."""

    exit_code: int = 0
    """As of the command line: 0 where all of it is done."""

    def __len__(self) -> int:
        """Return the number of tasks."""
        return len(self.tasks)

    def __iter__(self) -> Iterator[TaskResult]:
        """Give the tasks."""
        return iter(self.tasks)

    def __getitem__(self, index: int) -> TaskResult:
        """Return a task by its place."""
        return self.tasks[index]

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The numbers, one row for each parameter set and observable, with what was swept over."""
        from qrt_runner.tracking import task_rows

        return [row for task in self.tasks for row in task_rows(task)]

    def to_pandas(self) -> DataFrame:
        """Return the numbers as a table: what `results.parquet` of a sweep holds."""
        from pandas import DataFrame

        return DataFrame(self.rows)

    def counts(self) -> DataFrame:
        """Return the counts as a table, one row for each outcome of a parameter set; its rightmost bit is bit 0."""
        from pandas import DataFrame

        rows = [
            {"point": task.point.index, "task": task.name, "parameter_set": index}
            | dict(zip(task.parameters, task.parameter_values[index].tolist(), strict=True))
            | {"outcome": outcome, "count": count}
            for task in self.tasks
            if task.counts is not None
            for index, joint in enumerate(task.counts.joint)
            for outcome, count in joint.items()
        ]
        return DataFrame(rows)

    def to_qiskit(self) -> Any:
        """Return a `PrimitiveResult` as Qiskit's primitives do, with a PUB result for each task that has any."""
        from qrt_runner.analysis.primitive import primitive_result

        return primitive_result(self.tasks, {"qrt_runner": self.run})

    def __repr__(self) -> str:
        """Return the closing table."""
        from qrt_runner.runner import table

        return f"run {self.run}\n{table(self.tasks)}"

    def _repr_html_(self) -> str:
        from qrt_runner.runner import headline
        from qrt_runner.runner.pages import page

        swept = any(task.point.overrides for task in self.tasks)
        shown = [
            {
                "point": task.point.index,
                **({"swept": " ".join(task.point.overrides)} if swept else {}),
                "task": task.name,
                "backend": task.backend,
                "state": task.state,
                "headline number": headline(task),
            }
            for task in self.tasks
        ]
        return page([shown], [f"run {self.run}", *self.troubles])
