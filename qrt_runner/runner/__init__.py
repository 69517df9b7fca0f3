"""The sentence: compile, execute, scatter, record; knows the modules above it, none of the outside worlds directly."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from qrt_runner.config import merged_mistakes
from qrt_runner.errors import CircuitError, ConfigError
from qrt_runner.execution import execute
from qrt_runner.plan import compile_plan
from qrt_runner.runner.collecting import collect, gather
from qrt_runner.runner.outcome import Outcome, Request, new_id
from qrt_runner.runner.recording import Recording
from qrt_runner.runner.scattering import failed_point, reference_of, scatter
from qrt_runner.runner.telling import headline, table, told, told_in_sweep, with_error
from qrt_runner.tracking import KeptRun

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from qrt_runner.config import Tracking
    from qrt_runner.plan import Plan, Refusal
    from qrt_runner.results import TaskResult

__all__ = [
    "Outcome",
    "Request",
    "closing",
    "collect",
    "gather",
    "headline",
    "run",
    "table",
    "told",
    "told_in_sweep",
    "where",
    "with_error",
]


def run(request: Request, announce: Callable[[str], None], show: Callable[[TaskResult, int], None]) -> Outcome:
    """Compile the points, execute the plan, scatter its results and record them.

    Args:
        request: What is asked for.
        announce: Told in a few words what is going on.
        show: Given each task's result once it is kept on disk, with the number of tasks there are.

    Raises:
        ConfigError: Where a point cannot be run; nothing has been submitted then.
        AccessError: Where an account or a backend refuses; nothing has been submitted then.
    """
    outcome, started_ms = Outcome(new_id()), int(time.time() * 1000)
    plan = compile_plan(request.points, reference_of)
    failing = _judge_refusals(plan.refusals, request, outcome)
    outcome.kept = _kept_run(request, plan, outcome.run, started_ms)
    tasks = len(plan.tasks) + sum(len(refusal.point.experiment.tasks) for refusal in failing)
    with Recording(outcome, outcome.kept, request.tracking, show, tasks, _draws(request)) as recording:
        try:
            for refusal in failing:
                recording.take(failed_point(refusal))
            for results in scatter(plan, execute(plan, announce, outcome.troubles.append)):
                recording.take(results)
                announce(f"{len(outcome.results)} of {tasks} tasks are done")
        except KeyboardInterrupt:
            outcome.interrupted("Interrupted: what had been measured is kept.")
        _close(recording)
    return outcome


def _judge_refusals(refusals: Sequence[Refusal], request: Request, outcome: Outcome) -> list[Refusal]:
    """Return the points that fail alone, because their circuits cannot be loaded or bound.

    Raises:
        ConfigError: Where points cannot be run for other reasons and are not to be skipped, or no point can be run.
    """
    failing = [refusal for refusal in refusals if isinstance(refusal.error, CircuitError)]
    wrong = [refusal for refusal in refusals if refusal not in failing]
    if (wrong and not request.skip_invalid) or (refusals and len(refusals) == len(request.points)):
        errors = {refusal.point.index: refusal.error for refusal in refusals}
        raise ConfigError(merged_mistakes(errors, grouped=request.grouped))
    if wrong:
        outcome.exit_code = 1
    outcome.troubles += [
        f"left out: point {refusal.point.index} [{' '.join(refusal.point.overrides)}]: {mistake}"
        for refusal in wrong
        for mistake in refusal.error.mistakes
    ]
    return failing


def _kept_run(request: Request, plan: Plan, run_id: str, started_ms: int) -> KeptRun:
    name = request.points[0].experiment.document.name
    grouped = request.grouped or any(len(point.experiment.tasks) > 1 for point in request.points)
    what = f"{len(request.points)} points" if request.grouped else f"{len(plan.tasks)} tasks"
    folders = request.folders or not request.grouped
    kept = KeptRun(request.folder, run_id, name, f"{name} ({what})", grouped, folders, started_ms)
    kept.begin()
    return kept


def _draws(request: Request) -> bool:
    plots = request.tracking.plots
    return not request.grouped if plots == "auto" else plots


def _close(recording: Recording) -> None:
    try:
        recording.close()
    except KeyboardInterrupt:
        words = f"Interrupted while logging to MLflow. {recording.kept.remedy()}"
        recording.outcome.interrupted(words)


def closing(outcome: Outcome, tracking: Tracking) -> list[str]:
    """Return where the results are, and the command that browses them."""
    assert outcome.kept is not None
    from qrt_runner.sessions import told_of

    return [*map(told_of, outcome.reports.values()), *where(outcome.kept, tracking)]


def where(kept: KeptRun, tracking: Tracking) -> list[str]:
    """Return where a run is kept and logged, and the command that browses it."""
    logged = [kept.parent] if kept.parent else list(kept.logged.values())
    lines = [f"run {kept.id}, kept in {_near(kept.folder)}"]
    if tracking.kind == "off" or not logged:
        return lines
    from qrt_runner.tracking.store import browse_command

    return [
        *lines,
        f"MLflow run {logged[0]} in experiment {kept.experiment}",
        f"browse: {browse_command(tracking.uri)}",
    ]


def _near(folder: Path) -> Path:
    here = folder.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder
