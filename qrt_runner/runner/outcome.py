"""What is asked of a run, and what came of it; knows results."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from qrt_runner.config import Tracking
    from qrt_runner.results import GroupReport, Point, TaskResult
    from qrt_runner.tracking import KeptRun

INTERRUPTED: Final = 130


def new_id() -> str:
    """Return an id for a run, which begins with its time in UTC."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


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

    folders: bool = False
    """Whether each point of a sweep has a folder with its artifacts as files."""


@dataclass
class Outcome:
    """What came of a command."""

    run: str
    results: list[TaskResult] = field(default_factory=list)
    kept: KeptRun | None = None
    exit_code: int = 0
    troubles: list[str] = field(default_factory=list)
    """What went wrong and is saved nevertheless."""

    reports: dict[str, GroupReport] = field(default_factory=dict)
    """What each session group spent, by its id."""

    unlogged: bool = False
    """Whether MLflow could not be reached, so that some results are on disk only."""

    @property
    def state(self) -> str:
        """State of the run as a whole, as MLflow calls it."""
        if self.exit_code == INTERRUPTED:
            return "KILLED"
        return "FINISHED" if all(result.state == "done" for result in self.results) else "FAILED"

    def note(self, result: TaskResult) -> None:
        """Note a result that is on disk."""
        self.results.append(result)
        if result.state == "failed":
            self.exit_code = self.exit_code or 1

    def interrupted(self, words: str) -> None:
        """Note that the run was cut short."""
        self.exit_code = INTERRUPTED
        self.troubles.append(words)
        if self.kept is not None:
            self.kept.interrupted = True
            self.kept.save()
