"""What the package offers to Python and notebooks: compose, run, plan, load; knows the modules above it.

`qrt_runner` hands these functions out by their names. What they return shows itself in a notebook.
"""

from __future__ import annotations

import shlex
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qrt_runner.errors import refuse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pandas import DataFrame

    from qrt_runner.config import Experiment
    from qrt_runner.launcher import Composition
    from qrt_runner.results import TaskResult
    from qrt_runner.runner import Request
    from qrt_runner.runner.foreseen import Foreseen

__all__ = ["Asked", "Results", "compose", "load", "plan", "run"]


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

        return f"<p><code>{escape(self._command)}</code></p><pre>{escape(self.config)}</pre>"


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

        shown = [
            {
                "point": task.point.index,
                "task": task.name,
                "backend": task.backend,
                "state": task.state,
                "headline number": headline(task),
            }
            for task in self.tasks
        ]
        return page([shown], [f"run {self.run}", *self.troubles])


def compose(overrides: str | Sequence[str] = ()) -> Asked:
    """Return what a command line asks for, judged: `compose(["circuit=ghz", "mode=raw"])`, `compose("-m seed=1,2")`.

    Args:
        overrides: The words after `python -m qrt_runner`, or all of them as one text.

    Raises:
        ConfigError: With all mistakes.
    """
    from qrt_runner.config import secrets_in_overrides
    from qrt_runner.errors import ConfigError
    from qrt_runner.launcher import check_run_wide, compose_points, for_owner_only, judged

    words = tuple(shlex.split(overrides) if isinstance(overrides, str) else overrides)
    if secrets := secrets_in_overrides(words):
        raise ConfigError(secrets)
    with _command_line(words), for_owner_only():
        composition = compose_points(words)
    if not composition.points:
        given = "what runs point by point" if composition.ran else "a help page"
        raise refuse("overrides", given, "experiments, with hydra/launcher=compiled", "the command line for the rest")
    experiments = judged(composition.points, swept=composition.swept)
    check_run_wide(experiments.values())
    return Asked(words, composition, experiments)


def run(experiment: Asked) -> Results:
    """Run what was composed, record it, and return its results; a run that was cut short is carried on with.

    Raises:
        QrtError: Where nothing could be run.
    """
    from qrt_runner.launcher.saying import announce
    from qrt_runner.runner import run as ran

    outcome = ran(experiment.request(), announce, lambda *_: None)
    return Results(outcome.run, _sorted(outcome.results), outcome.troubles, outcome.exit_code)


def plan(experiment: Asked, rate: float | None = None) -> Foreseen:
    """Return what would run and what that would cost; nothing is submitted.

    Args:
        experiment: What was composed.
        rate: Price of a quantum second; None for that of `action.rate`, where there is one.
    """
    from qrt_runner.launcher.saying import announce
    from qrt_runner.runner.foreseeing import foresee

    found = foresee(experiment.request(), announce)
    return found if rate is None else replace(found, rate=rate)


def load(run: str = "latest", journal: str | Path | None = None) -> Results:
    """Return the results of a run that has ended, computed from what the platform gave; no backend is needed.

    Args:
        run: Its id, the beginning of one, or `latest`.
        journal: Folder of the journal; None for that of the config.

    Raises:
        ConfigError: Where there is no such run.
        JournalError: Where what is kept of it is damaged.
    """
    from qrt_runner.runner.replaying import loaded

    folder = Path(journal) if journal is not None else _journal()
    outcome = loaded(folder, run)
    return Results(outcome.run, _sorted(outcome.results), outcome.troubles, outcome.exit_code)


def _journal() -> Path:
    """Return the folder of the journal that the config names, the user's own before the shipped one."""
    import yaml

    from qrt_runner import SHIPPED

    config = next(file for place in (Path("conf"), SHIPPED / "conf") if (file := place / "config.yaml").is_file())
    return Path(yaml.safe_load(config.read_text(encoding="utf-8"))["journal"]["folder"])


def _sorted(results: Sequence[TaskResult]) -> list[TaskResult]:
    return sorted(results, key=lambda result: result.point.index)


@contextmanager
def _command_line(words: Sequence[str]) -> Iterator[None]:
    """Let Hydra read other words than those with which this process was started."""
    before = sys.argv
    sys.argv = ["qrt_runner", *words]
    try:
        yield
    finally:
        sys.argv = before
