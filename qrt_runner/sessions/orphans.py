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
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from qrt_runner.config import state_folder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Orphan:
    """A group that a killed command may have left open."""

    backend: str
    """Its backend's name."""

    section: str
    """The backend's section of the config, as JSON; it names an account, and holds no credential."""

    asked: str
    """When the service was going to be asked for it, in UTC."""

    id: str | None
    """Its id on the service; None where the command died before it was known."""

    kind: str = ""
    """`batch` or `dedicated`."""

    known: Sequence[str] | None = None
    """Ids of groups that were open before it was asked for; None where that is not known."""


Close = Callable[[Orphan], None]
"""Closes a group on its service; whatever it raises is told, and the note stays."""

Find = Callable[[Orphan], str | None]
"""Returns the id of a group whose command died before it was known; None where the service has no such group."""


@dataclass
class Note:
    """What is noted of one group."""

    file: Path
    content: dict[str, Any]

    def asking(self, known: Collection[str] | None) -> None:
        """Note which groups are open before it is asked for: they are none of ours."""
        self.content["known"] = None if known is None else sorted(known)
        _write(self.file, self.content)

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
def noted(backend: str, section: str, kind: str = "") -> Iterator[Note]:
    """Note a group until it is closed: where it could not be, the note stays for the next command."""
    from filelock import FileLock

    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    name = secrets.token_hex(8)
    file, asked = folder / f"{name}.json", datetime.now(UTC).isoformat(timespec="seconds")
    note = Note(file, {"backend": backend, "section": section, "asked": asked, "id": None, "kind": kind})
    with FileLock(folder / f"{name}.lock"):
        _write(file, note.content)
        yield note


def close_orphans(close: Close, find: Find | None = None, spare: Collection[str] = ()) -> list[str]:
    """Close what killed commands left open, and return what was done, in words.

    Args:
        close: Closes a group.
        find: Finds a group whose command died before its id was known.
        spare: Ids of groups that this command is going to use.
    """
    notes = sorted(_folder().glob("*.json"))
    if not notes:
        return []
    from filelock import FileLock, Timeout

    told = []
    for file in notes:
        try:
            with FileLock(file.with_suffix(".lock"), timeout=0):
                orphan = _read(file)
                if orphan is None:
                    _forget(file)
                elif orphan.id is None or orphan.id not in spare:
                    told.append(_close(file, orphan, close, find))
        except Timeout:
            # Its command is alive.
            continue
    return told


def take_over(group: str) -> None:
    """Forget that a killed command left a group open, because another one uses it and has noted it."""
    from filelock import FileLock, Timeout

    for file in _folder().glob("*.json"):
        try:
            with FileLock(file.with_suffix(".lock"), timeout=0):
                orphan = _read(file)
                if orphan is not None and orphan.id == group:
                    _forget(file)
        except Timeout:
            continue


def noted_ids() -> set[str]:
    """Return the ids of all groups that are noted, whether their commands are alive or not."""
    orphans = [_read(file) for file in _folder().glob("*.json")]
    return {orphan.id for orphan in orphans if orphan is not None and orphan.id is not None}


def _close(file: Path, orphan: Orphan, close: Close, find: Find | None) -> str:
    what = f"on {orphan.backend}, which an earlier command had asked for at {orphan.asked} and left open"
    named = orphan.id or "of unknown id"
    try:
        group = orphan.id or (find(orphan) if find is not None else None)
        if group is None:
            _forget(file)
            return f"session {named} {what}: if it exists, the service closes it for want of jobs"
        named = group
        close(replace(orphan, id=group))
    except Exception as error:  # noqa: BLE001 - an account may be gone or a service down; the next command tries again
        told = f"{type(error).__name__}: {error}"
        return f"session {named} {what}, could not be closed ({told}); the next command tries again"
    _forget(file)
    return f"closed session {named} {what}"


def _read(file: Path) -> Orphan | None:
    """Return what a note tells; None for one that was not written by us, or is just being removed."""
    try:
        return Orphan(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _forget(file: Path) -> None:
    for ending in (".json", ".new", ".lock"):
        file.with_suffix(ending).unlink(missing_ok=True)


def _write(file: Path, content: dict[str, Any]) -> None:
    draft = file.with_suffix(".new")
    with draft.open("w", encoding="utf-8") as stream:
        json.dump(content, stream)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(file)


def _folder() -> Path:
    return state_folder() / "sessions"
