"""Where what lies in the journal's folder; knows the standard library only."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

DATABASE: Final = "journal.db"
PLANS: Final = "plans"
RESULTS: Final = "results"
LOCKS: Final = "locks"

_RUN_ID: Final = r"[A-Za-z0-9][A-Za-z0-9_-]*"
_RESULT: Final = re.compile(rf"{RESULTS}/{_RUN_ID}/\d+-([a-z]+)\.z")


def check_run_id(run_id: str) -> None:
    """See to it that files can be named by the id of a run."""
    assert re.fullmatch(_RUN_ID, run_id), f"{run_id!r} cannot name a file"


def plan_file(folder: Path, run_id: str) -> Path:
    """Return where the plan of a run is kept."""
    return folder / PLANS / f"{run_id}.zip"


def lock_file(folder: Path, run_id: str) -> Path:
    """Return what is locked while a process works at a run."""
    return folder / LOCKS / f"{run_id}.lock"


def gate_file(folder: Path) -> Path:
    """Return what is locked for a moment by whoever takes or looks at another lock."""
    return folder / LOCKS / "gate"


def result_name(run_id: str, submission: int, kind: str) -> str:
    """Return how the raw result of a submission is named inside the folder."""
    name = f"{RESULTS}/{run_id}/{submission}-{kind}.z"
    assert kind_of(name) == kind, f"{kind!r} cannot name a file"
    return name


def kind_of(name: str) -> str | None:
    """Return of which kind the raw result of that name is; None where no result is named so."""
    found = _RESULT.fullmatch(name)
    return found[1] if found else None
