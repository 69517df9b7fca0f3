"""Opens the journal's database, makes it where there is none, and brings an older one up to date; knows sqlite3.

Never open the file by other means while a connection of this process is open: closing it would drop SQLite's locks.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Final

from qrt_runner.journal.archive import make_private, sync_folder, tighten
from qrt_runner.journal.locking import gate
from qrt_runner.journal.places import PLANS, RESULTS
from qrt_runner.journal.schema import APPLICATION_ID, STEPS, VERSION
from qrt_runner.journal.troubles import AGAIN, RESTORE, damaged, told, trouble

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_WAIT_S: Final = 60.0
"""How long another process may keep the database from us; its transactions take milliseconds."""

_CHECKED_BYTES: Final = 16 * 2**20
"""Larger files are not looked through on opening: that takes 3 ms for each MiB, at the start of every command."""


def opened_database(file: Path) -> sqlite3.Connection:
    """Open the journal's database: made where there is none, brought up to date where it is older.

    Every transaction is on the disk once it is committed, and what a killed process left unfinished is undone.

    Args:
        file: Where it is; its folder is made.

    Raises:
        JournalError: Where it is damaged, another program's, of a newer version, or cannot be read and written.
    """
    make_private(file.parent)
    with told(file):
        if not file.exists():
            with gate(file.parent):
                if not file.exists():
                    _make(file)
        tighten(file, 0o600)
        database = sqlite3.connect(file, timeout=_WAIT_S, isolation_level=None)
        try:
            _prepare(database, file)
        except BaseException:
            database.close()
            raise
    return database


def _prepare(database: sqlite3.Connection, file: Path) -> None:
    database.row_factory = sqlite3.Row
    database.execute("PRAGMA synchronous=FULL")
    # macOS reports as written what is still in the drive's memory, unless it is asked for this.
    database.execute("PRAGMA fullfsync=ON")
    database.execute("PRAGMA foreign_keys=ON")
    _check_owner(database, file)
    if file.stat().st_size < _CHECKED_BYTES:
        verdict = database.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise damaged(file, " ".join(str(verdict).split()))
    if _number(database, "user_version") < VERSION or not _is_wal(database):
        with gate(file.parent):
            database.execute("PRAGMA journal_mode=WAL")
            _upgrade(database)


def _check_owner(database: sqlite3.Connection, file: Path) -> None:
    owner, version = _number(database, "application_id"), _number(database, "user_version")
    if owner != APPLICATION_ID:
        what = "is empty" if not file.stat().st_size else "is another program's database"
        raise trouble(file, what, RESTORE)
    if version > VERSION:
        what = f"is of version {version}, and this program knows versions up to {VERSION}"
        remedy = f"install the qrt_runner that wrote it, or a later one, {AGAIN}; or name another journal.folder"
        raise trouble(file, what, remedy)


def _upgrade(database: sqlite3.Connection) -> None:
    """Take the steps from the file's version to ours, each with its number in one transaction."""
    while (version := _number(database, "user_version")) < VERSION:
        database.execute("BEGIN IMMEDIATE")
        try:
            _step(database, version)
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise


def _step(database: sqlite3.Connection, version: int) -> None:
    for statement in STEPS[version]:
        database.execute(statement)
    database.execute(f"PRAGMA user_version={version + 1}")


def _make(file: Path) -> None:
    """Make a database beside its place and rename it once it is whole, so that nobody meets half of one."""
    _refuse_remains(file)
    draft = file.with_name(f"{file.name}.new")
    _remove(draft)
    try:
        _write(draft)
        draft.rename(file)
    except BaseException:
        # What is cut off takes room that may be what is missing.
        with suppress(OSError):
            _remove(draft)
        raise
    sync_folder(file.parent)


def _write(draft: Path) -> None:
    # SQLite gives its log and shared memory the mode of the file itself.
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with closing(sqlite3.connect(draft, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous=OFF")
        database.execute("PRAGMA journal_mode=MEMORY")
        database.execute(f"PRAGMA application_id={APPLICATION_ID}")
        for version in range(VERSION):
            _step(database, version)
        database.execute("PRAGMA journal_mode=WAL")
    with draft.open("rb") as stream:
        os.fsync(stream.fileno())


def _remove(draft: Path) -> None:
    for left in _with_companions(draft):
        left.unlink(missing_ok=True)


def _refuse_remains(file: Path) -> None:
    """Refuse to begin anew beside what a lost database told of; SQLite would play its log into the new one."""
    companions = [name for name in _with_companions(file) if name.exists()]
    kept = [name for part in (PLANS, RESULTS) for name in (file.parent / part).glob("*")]
    if companions or kept:
        raise trouble(file, f"is missing, though {(companions + kept)[0]} is there", RESTORE)


def _with_companions(file: Path) -> Iterator[Path]:
    for ending in ("", "-journal", "-wal", "-shm"):
        yield file.with_name(file.name + ending)


def _number(database: sqlite3.Connection, pragma: str) -> int:
    return int(database.execute(f"PRAGMA {pragma}").fetchone()[0])


def _is_wal(database: sqlite3.Connection) -> bool:
    """Tell whether writers keep nobody from reading; a file system without shared memory cannot, and is as safe."""
    return str(database.execute("PRAGMA journal_mode").fetchone()[0]) == "wal"
