"""Says what is wrong with a file of the journal, and what can be done; knows sqlite3."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from qrt_runner.errors import JournalError, QrtError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AGAIN: Final = "then give the same command again"
RESTORE: Final = (
    "restore a copy of the journal's folder, or move that away: what is recorded in outputs/ and in MLflow stays, "
    "while jobs still under way are then known to the service only"
)
_FULL: Final = f"make room on its disk, {AGAIN}: what was written before is whole"
_CLOSED: Final = f"allow writing there, or work in another folder, {AGAIN}"
_LOCKED: Final = f"wait for that process or end it, {AGAIN}"
_FAILING: Final = f"see whether its disk is full, over quota, gone or failing, {AGAIN}"

_SQLITE: Final = {
    sqlite3.SQLITE_FULL: ("cannot be written, because its disk is full", _FULL),
    sqlite3.SQLITE_READONLY: ("cannot be written", _CLOSED),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened for writing", _CLOSED),
    sqlite3.SQLITE_PERM: ("cannot be opened for writing", _CLOSED),
    sqlite3.SQLITE_BUSY: ("has been kept locked by another process for too long", _LOCKED),
    sqlite3.SQLITE_LOCKED: ("has been kept locked by another process for too long", _LOCKED),
    sqlite3.SQLITE_PROTOCOL: ("has been kept locked by another process for too long", _LOCKED),
    sqlite3.SQLITE_IOERR: ("could not be read or written", _FAILING),
    sqlite3.SQLITE_NOTADB: ("is no journal", RESTORE),
}
_SYSTEM: Final = {
    errno.ENOSPC: ("cannot be written, because its disk is full", _FULL),
    errno.EDQUOT: ("cannot be written, because a quota is used up", _FULL),
    errno.EFBIG: ("cannot be written, because it may not get so large", _FULL),
    errno.EACCES: ("cannot be written", _CLOSED),
    errno.EPERM: ("cannot be written", _CLOSED),
    errno.EROFS: ("cannot be written", _CLOSED),
    errno.EIO: ("could not be read or written", _FAILING),
}
_SHARED_BYTES: Final = 32 * 1024
"""What SQLite's log needs of shared memory."""

_OWN_FAULTS: Final = (sqlite3.IntegrityError, sqlite3.ProgrammingError)
"""What a mistake in this program raises: shown as it is."""


def trouble(file: Path, what: str, remedy: str) -> JournalError:
    """Return the error for a file of the journal."""
    return JournalError(f"journal.folder: {file} {what}; remedy: {remedy}")


def damaged(file: Path, why: object) -> JournalError:
    """Return the error for a file of the journal whose content is not what was written."""
    return trouble(file, f"is damaged ({why})", RESTORE)


def of_disk(error: OSError) -> QrtError | None:
    """Return the error for a file beside the journal that its disk refuses; None where something else is wrong."""
    if error.errno not in _SYSTEM:
        return None
    what, remedy = _SYSTEM[error.errno]
    # What may not be written may be meant to be read only.
    what = "may not be read or written" if remedy is _CLOSED else what
    where = error.filename or "hydra.run.dir: the output folder"
    return QrtError(f"{where} {what} ({error.strerror}); remedy: {remedy}")


@contextmanager
def told(file: Path) -> Iterator[None]:
    """Say in our words what SQLite or the system reports of a file.

    Raises:
        JournalError: Where it cannot be read or written.
    """
    try:
        yield
    except _OWN_FAULTS:
        raise
    except sqlite3.DatabaseError as error:
        # Extended codes tell more in their upper bytes. Text that cannot be decoded comes without any code.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if code == sqlite3.SQLITE_IOERR and _is_full(file):
            code = sqlite3.SQLITE_FULL
        what, remedy = _SQLITE.get(code, ("is damaged", RESTORE))
        raise trouble(file, f"{what} ({error})", remedy) from error
    except OSError as error:
        what, remedy = _SYSTEM.get(error.errno or 0, ("could not be read or written", _FAILING))
        raise trouble(file, f"{what} ({error.strerror or error})", remedy) from error


def _is_full(file: Path) -> bool:
    """Tell whether SQLite finds no room for the memory that its processes share, which it reports as a failing disk."""
    try:
        return shutil.disk_usage(file.parent).free < _SHARED_BYTES
    except OSError:
        return False
