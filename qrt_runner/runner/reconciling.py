"""Sees to earlier runs: ends in MLflow what was killed, records what was kept; knows the modules above it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from qrt_runner.errors import QrtError, TrackingError
from qrt_runner.journal import is_held
from qrt_runner.runner.collecting import Looking, collect_run
from qrt_runner.runner.working import PART

if TYPE_CHECKING:
    from collections.abc import Callable

    from qrt_runner.journal import Journal, RunEntry
    from qrt_runner.runner.outcome import Request


def reconcile_dead(journal: Journal) -> list[str]:
    """End what commands that were killed left RUNNING in MLflow, and return what could not be ended, in words."""
    troubles: list[str] = []
    dead = journal.dead()
    if not dead:
        return troubles
    from qrt_runner.tracking.reconciling import reconcile

    for run in dead:
        tracking = json.loads(run.tracking)
        try:
            if tracking["kind"] != "off":
                reconcile(run.id, run.name, tracking["uri"])
        except TrackingError as error:
            troubles.append(f"run {run.id}, whose process has died, may be RUNNING in MLflow: {error}")
        else:
            journal.update_run(run.id, interrupted=True)
    return troubles


def record_kept(journal: Journal, request: Request, announce: Callable[[str], None]) -> list[str]:
    """Record runs whose results could not be logged to this command's store before, and say which.

    Args:
        journal: Where they are written down.
        request: What this command asked for; its own results are logged.
        announce: Told in a few words what is going on.
    """
    told = []
    for run in journal.runs():
        if not _waits_for(run, request) or is_held(journal.folder, run.id):
            continue
        announce(f"recording run {run.id}")
        asked = Looking(run.id, request.folder, request.tracking, request.budget, announce, lambda *_: None)
        try:
            outcome = collect_run(journal, run, asked)
        except QrtError as error:
            told.append(f"run {run.id} could not be recorded: {error}")
        else:
            told += outcome.troubles or [f"run {run.id}, whose results had been kept, is in MLflow now"]
    return told


def _waits_for(run: RunEntry, request: Request) -> bool:
    """Tell whether all results of a run are kept, and are meant for the store of this command."""
    if run.state != "done" or run.key.startswith(PART):
        return False
    tracking = json.loads(run.tracking)
    return bool(tracking["kind"] == request.tracking.kind == "mlflow" and tracking["uri"] == request.tracking.uri)
