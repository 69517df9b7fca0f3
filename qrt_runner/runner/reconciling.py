"""Ends the MLflow runs of commands that were killed; knows journal and tracking."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from qrt_runner.errors import TrackingError

if TYPE_CHECKING:
    from qrt_runner.journal import Journal


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
