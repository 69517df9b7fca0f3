"""A SQLite store's file, its lock and its transactions; knows the standard library only."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from os.path import samestat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filelock import FileLock

from qrt_runner.tracking.writer import LOCK_TIMEOUT_S, StoreError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

SQLITE: Final = "sqlite:///"
_BUSY_TIMEOUT_S: Final = 60


def file_of(where: str) -> Path | None:
    """Return the file of a SQLite store, or None where it is another one or none at all."""
    name = where.removeprefix(SQLITE)
    return Path(name).absolute() if name not in (where, "", ":memory:") and "?" not in name else None


def lock_of(file: Path) -> FileLock:
    """Return the lock that holds processes apart which make or write a store."""
    return FileLock(f"{file}.lock", timeout=LOCK_TIMEOUT_S)


def connected(file: Path) -> sqlite3.Connection:
    """Open a store that is there; none is made."""
    return sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None)


def check_there(file: Path, opened: os.stat_result) -> None:
    """Refuse to write to a store that was removed or replaced since it was opened, which SQLite may do without a word.

    Raises:
        StoreError: Where another file is in its place.
        FileNotFoundError: Where none is.
    """
    if not samestat(opened, file.stat()):
        msg = f"{file} was replaced by another file while it was written to"
        raise StoreError(msg)


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Write all of it or nothing."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
