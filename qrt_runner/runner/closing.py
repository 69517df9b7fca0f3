"""What a run says when it is done: where its results are, and what carries on with it; knows results and tracking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qrt_runner.runner.telling import tabled

if TYPE_CHECKING:
    from pathlib import Path

    from qrt_runner.config import Tracking
    from qrt_runner.runner.outcome import Outcome
    from qrt_runner.tracking import KeptRun


def closing(outcome: Outcome, tracking: Tracking) -> list[str]:
    """Return where the results are, and the command that browses them."""
    assert outcome.kept is not None
    from qrt_runner.sessions import told_of

    carried_on = [f"carried on with run {outcome.run}: {outcome.there}"] if outcome.there else []
    return [*map(told_of, outcome.reports.values()), *carried_on, *where(outcome.kept, tracking)]


def under_way(outcome: Outcome, columns: int | None) -> list[str]:
    """Return the jobs that are on a service with their ids, and what shows and collects them.

    Args:
        outcome: What came of the command.
        columns: What there is room for; None for any width.
    """
    if not outcome.waiting:
        return []
    titles = ("job", "mode", "backend", "job id", "session id", "state")
    return [
        *tabled(titles, outcome.waiting, columns),
        "",
        f"how they are: python -m qrt_runner action=status run={outcome.run}",
        f"their results: python -m qrt_runner action=collect run={outcome.run}",
    ]


def where(kept: KeptRun, tracking: Tracking) -> list[str]:
    """Return where a run is kept and logged, and the command that browses it."""
    logged = [kept.parent] if kept.parent else list(kept.logged.values())
    lines = [f"run {kept.id}, kept in {_near(kept.folder)}"]
    if tracking.kind == "off" or not logged:
        return lines
    from qrt_runner.tracking.store import browse_address, browse_command

    table = [f"run table: {browse_address(tracking.uri, kept.experiment_id)}"] if kept.experiment_id else []
    return [
        *lines,
        f"MLflow run {logged[0]} in experiment {kept.experiment}",
        f"browse: {browse_command(tracking.uri)}",
        *table,
    ]


def _near(folder: Path) -> Path:
    here = folder.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder
