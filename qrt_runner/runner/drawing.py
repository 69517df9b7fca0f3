"""Draws the figures of a task, and of a run as a whole; a figure that cannot be drawn costs nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qrt_runner.analysis.sweeping import swept_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from qrt_runner.results import TaskResult


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


def run_figures(
    results: Sequence[TaskResult], rows: Sequence[Mapping[str, Any]], trouble: Callable[[str], None]
) -> dict[str, bytes]:
    """Return the figures of all tasks of a run by their artifact paths.

    Args:
        results: Of the tasks.
        rows: The table of all of them, with what was swept over.
        trouble: Told what could not be drawn.
    """
    from qrt_runner.plots import whole_figures

    names = [name for result in results for name in result.parameters]
    names += [name for result in results for name in swept_names(result)]
    jobs = {str(job.record["id"]): job.record for result in results for job in result.jobs}
    try:
        swept = swept_of(rows, list(dict.fromkeys(names)))
        return whole_figures(swept, jobs.values(), results[0].point.experiment.document.name if results else "")
    except Exception as error:  # noqa: BLE001 - as of a task, a figure must not cost a result
        trouble(f"no figures of the run as a whole: {type(error).__name__}: {error}")
        return {}


def swept_names(result: TaskResult) -> list[str]:
    """Return what was swept over, as the columns of the table of a sweep are called."""
    return [override.lstrip("+~").partition("=")[0] for override in result.point.overrides]
