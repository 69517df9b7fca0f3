"""The sentence: compile, execute, scatter, record; knows the modules above it, none of the outside worlds directly."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from qrt_runner.config import merged_mistakes
from qrt_runner.errors import ConfigError, TrackingError
from qrt_runner.execution import execute
from qrt_runner.plan import compile_plan
from qrt_runner.runner.scattering import reference_of, scatter
from qrt_runner.runner.telling import headline, table, told, with_error
from qrt_runner.tracking import KeptRun, add_files, environment, find_kept, keep_task, record_of, table_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from qrt_runner.config import Tracking
    from qrt_runner.plan import Plan, Refusal
    from qrt_runner.results import Point, TaskResult

__all__ = ["Outcome", "Request", "closing", "collect", "headline", "run", "table", "told", "with_error"]

INTERRUPTED = 130


@dataclass(frozen=True)
class Request:
    """What one command asks for."""

    points: tuple[Point, ...]
    folder: Path
    """Where the results are kept."""

    tracking: Tracking
    skip_invalid: bool = False
    """Whether points that cannot be run are left out instead of refusing all."""

    grouped: bool = False
    """Whether the command is a sweep, whose runs have a parent."""


@dataclass
class Outcome:
    """What came of a command."""

    run: str
    results: list[TaskResult] = field(default_factory=list)
    kept: KeptRun | None = None
    exit_code: int = 0
    troubles: list[str] = field(default_factory=list)
    """What went wrong and is saved nevertheless."""


def run(request: Request, announce: Callable[[str], None], show: Callable[[TaskResult], None]) -> Outcome:
    """Compile the points, execute the plan, scatter its results and record them.

    Args:
        request: What is asked for.
        announce: Told in a few words what is going on.
        show: Given each task's result once it is kept on disk.

    Raises:
        ConfigError: Where a point cannot be run; nothing has been submitted then.
        AccessError: Where an account or a backend refuses; nothing has been submitted then.
    """
    outcome = Outcome(_new_id())
    started_ms = int(time.time() * 1000)
    plan = compile_plan(request.points, reference_of)
    _judge_refusals(plan.refusals, request, outcome)
    outcome.kept = _empty_run(request, plan, outcome.run, started_ms)
    around = environment()
    try:
        for result in scatter(plan, execute(plan, announce)):
            _keep(outcome, result, around)
            show(result)
            _add_derived(outcome, result, plots=request.tracking.plots)
    except KeyboardInterrupt:
        _interrupted(outcome, "Interrupted: what had been measured is kept.")
    _record(outcome, request.tracking)
    return outcome


def collect(wanted: str, tracking: Tracking) -> KeptRun:
    """Log the results of a run that were kept on disk; what is logged already is left alone.

    Raises:
        ConfigError: Where there is no such run.
        TrackingError: Where the store cannot be reached.
    """
    from qrt_runner.tracking.store import log_run

    return log_run(find_kept(wanted), tracking.uri)


def _judge_refusals(refusals: Sequence[Refusal], request: Request, outcome: Outcome) -> None:
    if not refusals:
        return
    if not request.skip_invalid or len(refusals) == len(request.points):
        errors = {refusal.point.index: refusal.error for refusal in refusals}
        raise ConfigError(merged_mistakes(errors, grouped=request.grouped))
    outcome.exit_code = 1
    outcome.troubles += [
        f"left out: point {refusal.point.index}: {mistake}"
        for refusal in refusals
        for mistake in refusal.error.mistakes
    ]


def _empty_run(request: Request, plan: Plan, run_id: str, started_ms: int) -> KeptRun:
    name = request.points[0].experiment.document.name
    grouped = request.grouped or any(len(point.experiment.tasks) > 1 for point in request.points)
    what = f"{len(request.points)} points" if request.grouped else f"{len(plan.tasks)} tasks"
    request.folder.mkdir(parents=True, exist_ok=True)
    return KeptRun(request.folder, run_id, name, f"{name} ({what})", grouped, started_ms, ()).save()


def _keep(outcome: Outcome, result: TaskResult, around: Mapping[str, object]) -> None:
    """Keep a result on disk before anything else is done with it."""
    assert outcome.kept is not None
    seeded = {**around, "seed": result.point.experiment.document.seed}
    task = keep_task(outcome.kept, record_of(result, outcome.run, seeded))
    outcome.kept = outcome.kept.noted(len(outcome.kept.tasks), task)
    outcome.results.append(result)
    if result.state == "failed":
        outcome.exit_code = outcome.exit_code or 1


def _add_derived(outcome: Outcome, result: TaskResult, *, plots: bool) -> None:
    """Add what can be made again from a kept result: its table and, where they are wanted, its figures."""
    assert outcome.kept is not None
    files = {"results.parquet": table_of(result)}
    if plots and result.state == "done":
        files |= _drawn(outcome, result)
    add_files(outcome.kept, outcome.kept.tasks[-1], files)


def _drawn(outcome: Outcome, result: TaskResult) -> dict[str, bytes]:
    """Return the figures of a result; one that cannot be drawn is told, and costs nothing else."""
    from qrt_runner.plots import figures

    try:
        return figures(result)
    except Exception as error:  # noqa: BLE001 - a figure is an extra: whatever it raises must not cost a result
        outcome.troubles.append(f"no figures of task {result.name}: {type(error).__name__}: {error}")
        return {}


def _interrupted(outcome: Outcome, words: str) -> None:
    outcome.exit_code = INTERRUPTED
    outcome.troubles.append(words)
    if outcome.kept is not None:
        outcome.kept = replace(outcome.kept, interrupted=True).save()


def _record(outcome: Outcome, tracking: Tracking) -> None:
    if tracking.kind == "off" or outcome.kept is None or not outcome.kept.tasks:
        return
    from qrt_runner.tracking.store import log_run

    try:
        outcome.kept = log_run(outcome.kept, tracking.uri)
    except TrackingError as error:
        outcome.exit_code = outcome.exit_code or error.exit_code
        outcome.troubles.append(str(error))
    except KeyboardInterrupt:
        _interrupted(outcome, f"Interrupted while logging to MLflow. {outcome.kept.remedy()}")


def _new_id() -> str:
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def closing(outcome: Outcome, tracking: Tracking) -> list[str]:
    """Return where the results are, and the command that browses them."""
    assert outcome.kept is not None
    kept = outcome.kept
    logged = [kept.parent] if kept.parent else [task.mlflow_run for task in kept.tasks if task.mlflow_run]
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
