"""Finds sessions that an earlier command left open; knows the standard library and filelock.

Each group that is opened is noted on disk before the service is asked for it, under a lock that the system lets go of
when the process dies, however it dies. A note whose lock is free tells of an orphan.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from qrt_runner.config import state_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Orphan:
    """A group that a killed command may have left open."""

    backend: str
    """Its backend's name."""

    section: str
    """The backend's section of the config, as JSON; it names an account, and holds no credential."""

    asked: str
    """When the service was asked for it, in UTC."""

    id: str | None
    """Its id on the service; None where the command died before it was known."""


Close = Callable[[Orphan], None]
"""Closes a group on its service; whatever it raises is told, and the note stays."""


@dataclass
class Note:
    """What is noted of one group."""

    file: Path
    content: dict[str, Any]

    def opened(self, group: str) -> None:
        """Note its id, once that is known."""
        _write(self.file, {**self.content, "id": group})

    def nothing_opened(self) -> None:
        """Forget it: the service has refused."""
        _forget(self.file)

    def closed(self) -> None:
        """Forget it: it is closed."""
        _forget(self.file)


@contextmanager
def noted(backend: str, section: str) -> Iterator[Note]:
    """Note a group until it is closed: where it could not be, the note stays for the next command."""
    from filelock import FileLock

    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    name = secrets.token_hex(8)
    file, asked = folder / f"{name}.json", datetime.now(UTC).isoformat(timespec="seconds")

    note = Note(file, {"backend": backend, "section": section, "asked": asked, "id": None})
    with FileLock(folder / f"{name}.lock"):
        _write(file, note.content)
        yield note


def close_orphans(close: Close) -> list[str]:
    """Close what killed commands left open, and return what was done, in words."""
    notes = sorted(_folder().glob("*.json"))
    if not notes:
        return []
    from filelock import FileLock, Timeout

    told = []
    for file in notes:
        try:
            with FileLock(file.with_suffix(".lock"), timeout=0):
                told.append(_close(file, close))
        except Timeout:
            # Its command is alive.
            continue
    return [words for words in told if words]


def _close(file: Path, close: Close) -> str:
    try:
        orphan = Orphan(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        _forget(file)
        return ""
    named = f"session {orphan.id or 'of unknown id'} on {orphan.backend}"
    what = f"{named}, which an earlier command had asked for at {orphan.asked} and left open"
    if orphan.id is None:
        _forget(file)
        return f"{what}: if it exists, the service closes it for want of jobs"
    try:
        close(orphan)
    except Exception as error:  # noqa: BLE001 - an account may be gone or a service down; the next command tries again
        return f"{what}, could not be closed ({type(error).__name__}: {error}); the next command tries again"
    _forget(file)
    return f"closed {what}"


def _forget(file: Path) -> None:
    file.unlink(missing_ok=True)
    file.with_suffix(".lock").unlink(missing_ok=True)


def _write(file: Path, content: dict[str, Any]) -> None:
    draft = file.with_suffix(".new")
    with draft.open("w", encoding="utf-8") as stream:
        json.dump(content, stream)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(file)


def _folder() -> Path:
    return state_folder() / "sessions"
