"""Runs points while Hydra is sweeping: one by one under other launchers, batch by batch for sweepers that need values.

What is run here is kept on disk, and logged once the sweep is over: the points of one sweep may run in many processes.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.errors import ConfigError, QrtError, refuse
from qrt_runner.launcher.judging import check_composed, check_sweep, judged, skips
from qrt_runner.launcher.saying import announcer, show, tidy
from qrt_runner.launcher.sweeping import needs_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from qrt_runner.config import Experiment
    from qrt_runner.launcher.sweeping import Sweep
    from qrt_runner.launcher.templates import Composed
    from qrt_runner.results import TaskResult
    from qrt_runner.runner import Request

_NOTE: Final = "ran.json"
_INTERRUPTED: Final = 130


@dataclass(frozen=True)
class Ran:
    """What came of points that ran while Hydra was sweeping."""

    sweep: str
    """Id of the multirun."""

    points: Sequence[int]
    folder: str
    """Where their results are kept."""

    exit_code: int
    mistakes: Sequence[Sequence[str]] = ()
    """Of a config that is wrong, without results: path, given, allowed and remedy of each."""

    troubles: Sequence[str] = ()
    """What else went wrong."""

    tracking: Mapping[str, Any] | None = None
    """Where the results are to be logged; None where there are none."""

    def save(self) -> None:
        """Write it beside the results."""
        Path(self.folder).mkdir(parents=True, exist_ok=True)
        (Path(self.folder) / _NOTE).write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")


def ran_in(sweep: Sweep) -> list[Ran]:
    """Return what ran of a sweep, wherever it ran, in the order of its points."""
    notes = [json.loads(file.read_text(encoding="utf-8")) for file in sweep.folder.rglob(_NOTE)]
    return sorted((Ran(**note) for note in notes if note["sweep"] == sweep.id), key=lambda ran: ran.points[0])


def run_point(point: Composed, sweep: Sweep, folder: Path) -> float | None:
    """Judge and run one point by itself; what is wrong with it is noted and stops no other.

    Args:
        point: What is asked for.
        sweep: The sweep that it is a point of.
        folder: Where its results are kept.

    Returns:
        Its objective, nan where it failed.
    """
    try:
        check_composed([point])
        return _run([point], sweep, folder, grouped=False)[0]
    except QrtError as error:
        mistakes = [astuple(mistake) for mistake in getattr(error, "mistakes", ())]
        troubles = [] if mistakes else [str(error)]
        Ran(sweep.id, [point.number], str(folder), error.exit_code, mistakes, troubles).save()
        return math.nan


def run_batch(points: Sequence[Composed], sweep: Sweep) -> list[float | None]:
    """Run points as one plan and return their objectives, nan for those that failed or were left out.

    Raises:
        ConfigError: Where one is wrong and not to be left out.
        AccessError: Where an account or a backend refuses.
    """
    check_sweep(points)
    folders = [sweep.folder / f"batch-{point.number}" for point in points]
    try:
        return _run(points, sweep, folders[0], grouped=True)
    except ConfigError:
        if not skips(points):
            raise
        # None of them can run, which is noted of each.
        return [run_point(point, sweep, folder) for point, folder in zip(points, folders, strict=True)]


def _run(points: Sequence[Composed], sweep: Sweep, folder: Path, *, grouped: bool) -> list[float | None]:
    from qrt_runner.runner import run

    experiments = judged(points, swept=grouped)
    first = next(iter(experiments.values()))
    _check(first, points[0])
    announce = announcer(first.document.progress)
    outcome = run(_request(points, experiments, sweep, folder, grouped=grouped), announce, show)
    exit_code = outcome.exit_code or int(len(experiments) < len(points))
    numbers, tracking = [point.number for point in points], first.document.tracking.model_dump()
    Ran(sweep.id, numbers, str(folder), exit_code, troubles=outcome.troubles, tracking=tracking).save()
    if exit_code == _INTERRUPTED:
        raise KeyboardInterrupt
    values = _values(outcome.results, first.document.sweep.objective)
    return [values.get(number, math.nan) for number in numbers]


def _check(experiment: Experiment, point: Composed) -> None:
    """Refuse what cannot be done while Hydra is sweeping."""
    from qrt_runner.runner.objective import check_objective

    kind = experiment.document.action.kind
    if kind != "run":
        remedy = f"action={kind} without -m, or leave hydra/launcher and hydra/sweeper out"
        raise refuse("action", kind, "run where Hydra runs point by point", remedy)
    check_objective(experiment, needed=needs_values(point.template.hydra))


def _request(
    points: Sequence[Composed], experiments: Mapping[int, Experiment], sweep: Sweep, folder: Path, *, grouped: bool
) -> Request:
    from qrt_runner.results import Point
    from qrt_runner.runner import Request

    document = next(iter(experiments.values())).document
    asked = tuple(
        Point(point.number, experiments[point.number], point.yaml, sweep.makes(point.words))
        for point in points
        if point.number in experiments
    )
    # Figures that are drawn for a single experiment are not meant for a point of a sweep.
    plots = document.tracking.plots is True
    untracked = document.tracking.model_copy(update={"kind": "off", "plots": plots})
    skips_invalid = grouped and document.sweep.on_invalid == "skip"
    return Request(asked, folder, untracked, skips_invalid, grouped, tidy=tidy, part=True)


def _values(results: Iterable[TaskResult], objective: str | None) -> dict[int, float | None]:
    """Return the objectives by point: of several tasks, the first one's."""
    from qrt_runner.runner.objective import objective_of

    firsts = (result for result in results if result.name == next(iter(result.point.experiment.tasks)))
    return {result.point.index: objective_of(result, objective) for result in firsts}
