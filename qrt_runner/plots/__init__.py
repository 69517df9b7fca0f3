"""Figures from results, as PNG; may know matplotlib and numpy only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qrt_runner.plots.extrapolations import extrapolations
from qrt_runner.plots.noise import noise_rates
from qrt_runner.plots.outcomes import histogram
from qrt_runner.plots.overviews import OVERVIEWS
from qrt_runner.plots.pages import png, title_of
from qrt_runner.plots.sweeps import sweep_figures
from qrt_runner.plots.timelines import stays_of, time_line
from qrt_runner.plots.values import expectation_values
from qrt_runner.results import NO_SESSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from qrt_runner.analysis.overviewing import Measured
    from qrt_runner.analysis.sweeping import Swept
    from qrt_runner.results import TaskResult

__all__ = [
    "expectation_values",
    "extrapolations",
    "figures",
    "histogram",
    "noise_rates",
    "overview",
    "png",
    "sweep_figures",
    "whole_figures",
]


def figures(result: TaskResult, swept: Sequence[Swept] = ()) -> dict[str, bytes]:
    """Return the figures of a task as {artifact path: PNG}.

    Args:
        result: Of the task.
        swept: What it measured against the circuit's parameters, where several of them vary.
    """
    drawn: dict[str, bytes] = {}
    first = title_of(result) + (
        f", set 0 of {len(result.parameter_values)}" if len(result.parameter_values) > 1 else ""
    )
    if result.counts is not None:
        ideal, twin = result.comparison.probabilities, result.comparison.twin
        other = twin.counts.joint[0] if twin is not None and twin.counts is not None else None
        corrected = result.corrected.quasi[0] if result.corrected is not None else None
        exact = ideal[0] if ideal else None
        drawn["plots/counts.png"] = histogram(result.counts.joint[0], exact, first, other, corrected)
    if result.expectations is not None and result.expectations.names:
        drawn["plots/expectation_values.png"] = expectation_values(result)
    if result.noise is not None:
        drawn["plots/noise_model.png"] = noise_rates(result.noise)
    drawn |= _time_line([job.record for job in result.jobs], title_of(result))
    return drawn | sweep_figures(swept, title_of(result)) | extrapolations(result)


def whole_figures(swept: Sequence[Swept], jobs: Iterable[Mapping[str, Any]], title: str) -> dict[str, bytes]:
    """Return the figures of all tasks of a run as {artifact path: PNG}.

    Args:
        swept: What was measured against what was swept over.
        jobs: Records of all jobs as in `jobs.json`.
        title: Of the figures.
    """
    return sweep_figures(swept, title) | _time_line(jobs, title)


def _time_line(jobs: Iterable[Mapping[str, Any]], title: str) -> dict[str, bytes]:
    """Return when the jobs of sessions and batches waited and ran."""
    stays = stays_of(job for job in jobs if job["session_id"] != NO_SESSION)
    return {"plots/time_line.png": png(time_line(stays, title))} if stays else {}


def overview(kind: str, measured: Sequence[Measured], title: str) -> bytes:
    """Return the figure of all tasks of a run."""
    return png(OVERVIEWS[kind](measured, title))
