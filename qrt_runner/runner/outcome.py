"""What is asked of a run, and what came of it; knows results."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qrt_runner.config import Budget, Document, Tracking
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

    command: str = ""
    """What carries on with the run, as typed."""

    tidy: Callable[[Sequence[str]], None] = lambda _: None
    """Closes the session groups that killed commands left open, but for those of these ids."""

    part: bool = False
    """Whether this is one point of a sweep that another launcher runs point by point."""

    @property
    def resume(self) -> str:
        """Whether it carries on with a run of its own."""
        return self._document.resume

    @property
    def reuse(self) -> bool:
        """Whether it takes results of equal tasks from other runs."""
        return self._document.reuse

    @property
    def budget(self) -> Budget:
        """What it may cost."""
        return self._document.budget

    @property
    def journal(self) -> Path:
        """The folder of the journal."""
        return Path(self._document.journal.folder)

    @property
    def waits(self) -> bool:
        """Whether it waits for results, or submits only."""
        return self._document.action.kind != "submit"

    @property
    def _document(self) -> Document:
        return self.points[0].experiment.document


@dataclass
class Outcome:
    """What came of a command."""

    run: str
    continued: bool = False
    """Whether the run was begun by an earlier command."""

    there: str = ""
    """How far the run was when this command took it up, such as `3 of 5 jobs were done`."""

    results: list[TaskResult] = field(default_factory=list)
    kept: KeptRun | None = None
    exit_code: int = 0
    troubles: list[str] = field(default_factory=list)
    """What went wrong and is saved nevertheless."""

    reports: dict[str, GroupReport] = field(default_factory=dict)
    """What each session group spent, by its id."""

    overview: Sequence[str] = ()
    """What puts its tasks beside each other, where that is asked for."""

    left: int = 0
    """Tasks without a result, because their jobs were not submitted or have not ended."""

    waiting: Sequence[Sequence[str]] = ()
    """Of each job that is on a service and of which there is no result: number, mode, backend, ids and state."""

    unlogged: bool = False
    """Whether MLflow could not be reached, so that some results are on disk only."""

    @property
    def is_logged(self) -> bool:
        """Whether its results are in MLflow."""
        return self.kept is not None and bool(self.kept.logged) and not self.unlogged

    @property
    def state(self) -> str:
        """State of the run as a whole, as MLflow calls it."""
        if self.left:
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
        self.put_down()

    def put_down(self) -> None:
        """Note with what is kept that not all of it is there."""
        if self.kept is not None:
            self.kept.interrupted = True
            self.kept.save()
