"""Draws the figures of a task, and of a run as a whole; a figure that cannot be drawn costs nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.analysis.sweeping import swept_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from qrt_runner.results import TaskResult

_MOST_WORDS: Final = 3
"""Of circuits, backends or modes that a title names."""


def task_figures(
    result: TaskResult, rows: Sequence[Mapping[str, Any]], trouble: Callable[[str], None]
) -> dict[str, bytes]:
    """Return the figures of a task by their artifact paths.

    Args:
        result: Of the task.
        rows: Its tidy table.
        trouble: Told what could not be drawn.
    """
    from qrt_runner.plots import figures

    try:
        swept = swept_of(rows, result.parameters)
        # What is measured against one parameter is in the figure of the expectation values.
        several = bool(swept) and (len(swept[0].at) > 1 or result.expectations is None)
        return figures(result, swept if several else ())
    except Exception as error:  # noqa: BLE001 - a figure is an extra: whatever it raises must not cost a result
        trouble(f"no figures of task {result.name}: {type(error).__name__}: {error}")
        return {}


@dataclass(frozen=True)
class Whole:
    """What is drawn of a run as a whole."""

    title: str
    rows: Sequence[Mapping[str, Any]]
    """The table of all tasks, with what was swept over."""

    names: Sequence[str]
    """Columns that may have been swept over: parameters first, then overrides."""

    jobs: Sequence[Mapping[str, Any]] = ()
    """Records of all jobs as in `jobs.json`."""


def whole_of(title: str, rows: Sequence[Mapping[str, Any]], results: Sequence[TaskResult]) -> Whole:
    """Return what is drawn of the tasks of a run."""
    names = [name for result in results for name in result.parameters]
    names += [override.lstrip("+~").partition("=")[0] for result in results for override in result.point.overrides]
    ran = [result for result in results if not result.reused_from]
    jobs = {str(job.record["id"]): job.record for result in ran for job in result.jobs}
    title = f"{title}: {_about(results)}" if results else title
    return Whole(title, rows, list(dict.fromkeys(names)), list(jobs.values()))


def _about(results: Sequence[TaskResult]) -> str:
    """Return which circuits ran where and how, as a figure's title says it."""
    circuits = _some([result.task.circuit.name for result in results], "circuits")
    backends = _some([result.backend for result in results], "backends")
    return f"{circuits} on {backends}, {_some([result.task.mode.kind for result in results], 'modes')}"


def _some(words: Sequence[str], plural: str) -> str:
    found = list(dict.fromkeys(words))
    return ", ".join(found) if len(found) <= _MOST_WORDS else f"{len(found)} {plural}"


def run_figures(whole: Whole, trouble: Callable[[str], None]) -> dict[str, bytes]:
    """Return the figures of all tasks of a run by their artifact paths; what could not be drawn is told."""
    from qrt_runner.plots import whole_figures

    try:
        return whole_figures(swept_of(whole.rows, whole.names), whole.jobs, whole.title)
    except Exception as error:  # noqa: BLE001 - as of a task, a figure must not cost a result
        trouble(f"no figures of the run as a whole: {type(error).__name__}: {error}")
        return {}
