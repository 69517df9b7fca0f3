"""What is done about earlier runs: status, collect, cancel, replay, compare, report; knows the modules above it.

It prints nothing: it returns what is to be said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qrt_runner.config import Replay
from qrt_runner.journal import Journal
from qrt_runner.runner.cancelling import cancel
from qrt_runner.runner.closing import where
from qrt_runner.runner.collecting import Looking, collect
from qrt_runner.runner.comparing import compare
from qrt_runner.runner.reconciling import reconcile_dead
from qrt_runner.runner.replaying import replay
from qrt_runner.runner.reporting import report
from qrt_runner.runner.showing import shown_status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qrt_runner.config import Document
    from qrt_runner.results import TaskResult
    from qrt_runner.runner.outcome import Outcome


@dataclass(frozen=True)
class Acted:
    """What an action has to say."""

    lines: Sequence[str]
    troubles: Sequence[str] = ()
    exit_code: int = 0


Act = Callable[["Document", Journal, Looking], Acted]
"""Carries out one action."""


def act(
    document: Document, folder: Path, announce: Callable[[str], None], show: Callable[[TaskResult, int], None]
) -> Acted:
    """Carry out an action that is about earlier runs.

    Args:
        document: The config; `run` says which runs, `action` what is done.
        folder: Where results are kept of a run whose own folder is not here.
        announce: Told in a few words what is going on.
        show: Given each task's result, with the number of tasks there are.

    Raises:
        ConfigError: Where there is no such run.
        JournalError: Where the journal cannot be read, or another process works at the run.
        TrackingError: Where the store cannot be reached.
    """
    wanted = document.run or "latest"
    with Journal(Path(document.journal.folder)) as journal:
        asked = Looking(wanted, folder, document.tracking, document.budget, announce, show)
        troubles = reconcile_dead(journal)
        acted = _ACTS[document.action.kind](document, journal, asked)
    return replace(acted, troubles=[*troubles, *acted.troubles])


def _collect(_: Document, journal: Journal, asked: Looking) -> Acted:
    return _together(collect(journal, asked), [])


def _cancel(_: Document, journal: Journal, asked: Looking) -> Acted:
    found = cancel(journal, asked)
    lines = [f"run {outcome.run}: {count} jobs were cancelled" for outcome, count in found]
    return _together([outcome for outcome, _ in found], lines or ["there is nothing to cancel"])


def _status(document: Document, journal: Journal, asked: Looking) -> Acted:
    return Acted(shown_status(journal, document.run or "all", asked))


def _replay(document: Document, journal: Journal, asked: Looking) -> Acted:
    assert isinstance(document.action, Replay)
    outcome = replay(journal, document.action, asked)
    assert outcome.kept is not None
    lines = [*outcome.overview, f"a replay of run {outcome.kept.replay_of}", *where(outcome.kept, asked.tracking)]
    return Acted(lines, outcome.troubles, outcome.exit_code)


def _compare(document: Document, journal: Journal, asked: Looking) -> Acted:
    return Acted(*compare(journal, document.runs, asked))


def _report(_: Document, journal: Journal, asked: Looking) -> Acted:
    return Acted(*report(journal, asked))


_ACTS: Final[dict[str, Act]] = {
    "collect": _collect,
    "cancel": _cancel,
    "status": _status,
    "replay": _replay,
    "compare": _compare,
    "report": _report,
}


def _together(outcomes: Sequence[Outcome], lines: Sequence[str]) -> Acted:
    """Return what came of several runs."""
    said = [*lines, *(line for outcome in outcomes for line in _said(outcome))]
    troubles = [trouble for outcome in outcomes for trouble in outcome.troubles]
    return Acted(said or ["there is nothing to collect"], troubles, max((one.exit_code for one in outcomes), default=0))


def _said(outcome: Outcome) -> list[str]:
    kept = outcome.kept
    assert kept is not None
    lines = [*outcome.overview, f"run {kept.id}: {len(kept.logged)} tasks are in MLflow, experiment {kept.experiment}"]
    if outcome.left:
        lines.append(f"run {kept.id}: {outcome.left} tasks are not done yet")
    return lines
