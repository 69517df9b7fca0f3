"""What the package offers to Python and notebooks: compose, run, plan, load; knows the modules above it.

`qrt_runner` hands these functions out by their names. What they return shows itself in a notebook.
"""

from __future__ import annotations

import shlex
import threading
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qrt_runner.errors import ConfigError, refuse
from qrt_runner.offered import Asked, Results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qrt_runner.results import TaskResult
    from qrt_runner.runner.foreseen import Foreseen

__all__ = ["Asked", "Results", "compose", "load", "plan", "run"]

_IMPORTING: Final = threading.Lock()


def compose(overrides: str | Sequence[str] = ()) -> Asked:
    """Return what a command line asks for, judged: `compose(["circuit=ghz", "mode=raw"])`, `compose("-m seed=1,2")`.

    Args:
        overrides: The words after `python -m qrt_runner`, or all of them as one text.

    Nothing is written, and Hydra's state and logging in this process are left as they are.

    Raises:
        ConfigError: With all mistakes.
    """
    from qrt_runner.config import secrets_in_overrides
    from qrt_runner.launcher import apart, check_run_wide, compose_points, for_owner_only, judged, unwritten

    words = tuple(shlex.split(overrides) if isinstance(overrides, str) else overrides)
    if secrets := secrets_in_overrides(words):
        raise ConfigError(secrets)
    with apart(words), for_owner_only():
        composition = compose_points(words, only=True)
        unwritten(composition)
    if not composition.points:
        raise refuse("overrides", "a page to be shown", "an experiment, or a sweep", "the command line for the rest")
    experiments = judged(composition.points, swept=composition.swept)
    check_run_wide(experiments.values())
    return Asked(words, composition, experiments)


def run(experiment: Asked) -> Results:
    """Run what was composed, record it, and return its results; a run that was cut short is carried on with.

    Raises:
        QrtError: Where nothing could be run.
    """
    _import_at_once()
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
    _import_at_once()
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
    _import_at_once()
    if not folder.is_dir():
        raise _without_journal(folder, run)
    outcome = loaded(folder, run)
    return Results(outcome.run, _sorted(outcome.results), outcome.troubles, outcome.exit_code)


def _import_at_once() -> None:
    """Import the runtime before threads do it side by side, each of which would find half of it there."""
    if threading.active_count() > 1:
        with _IMPORTING:
            import_module("qrt_runner.mitigation")


def _without_journal(folder: Path, run: str) -> ConfigError:
    """Return what tells that there is no journal, and where the numbers of the run are nevertheless."""
    from qrt_runner.tracking import find_kept

    remedy = "the folder in which the run was begun, or journal=<its journal>"
    try:
        kept = find_kept(run)
    except ConfigError:
        return refuse("journal", f"{folder}, which is not there", "the folder of a journal", remedy)
    there = f"action=report run={kept.id}, from {kept.folder}, tells its numbers"
    return refuse("journal", f"{folder}, which is not there", "the folder of a journal", f"{remedy}; {there}")


def _journal() -> Path:
    """Return the folder of the journal that the config names, the user's own before the shipped one."""
    import yaml

    from qrt_runner import SHIPPED

    config = next(file for place in (Path("conf"), SHIPPED / "conf") if (file := place / "config.yaml").is_file())
    return Path(yaml.safe_load(config.read_text(encoding="utf-8"))["journal"]["folder"])


def _sorted(results: Sequence[TaskResult]) -> list[TaskResult]:
    return sorted(results, key=lambda result: result.point.index)
