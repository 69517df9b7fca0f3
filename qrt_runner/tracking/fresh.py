"""Makes fresh SQLite stores by copying one that MLflow made; may know MLflow through `connecting`.

MLflow makes a store in 2 to 5 seconds by some sixty migrations. The first one of each version is kept in the user's
cache folder, and copied from then on.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from filelock import FileLock

from qrt_runner.config import caches_folder
from qrt_runner.tracking.proven import artifact_root, has_schema, is_plain
from qrt_runner.tracking.writer import LOCK_TIMEOUT_S, OUTSIDE, POLL_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


def made(file: Path, revision: str) -> bool:
    """Make a store where there is none, and tell whether that was possible; needs the store's lock."""
    root = artifact_root()
    if root is None or not is_plain(root) or _has_leftovers(file):
        return False
    draft = file.with_name(f"{file.name}.{os.getpid()}.new")
    try:
        shutil.copyfile(_template(), draft)
    except OUTSIDE as error:
        # A cache may forget, and must not fail; MLflow makes the store itself, and tells what is wrong with its place.
        draft.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in _FULL:
            # MLflow would leave half a store there, which nobody could use once there is room.
            raise
        return False
    try:
        if not _moved_in(draft, revision, root):
            return False
        put(draft, file)
    finally:
        draft.unlink(missing_ok=True)
    return True


def template_file() -> Path:
    """Return where the store is that fresh ones are copied from."""
    return caches_folder() / "stores" / f"mlflow-{version('mlflow')}.db"


def _template() -> Path:
    template = template_file()
    template.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{template}.lock", timeout=LOCK_TIMEOUT_S).acquire(poll_interval=POLL_S):
        if not template.is_file():
            _make(template)
    return template


def _make(template: Path) -> None:
    """Have MLflow make a store, and rename it once it is whole."""
    from qrt_runner.tracking.connecting import migrate

    draft = template.with_name(f"{template.name}.{os.getpid()}.new")
    try:
        migrate(draft)
        with draft.open("rb") as stream:
            os.fsync(stream.fileno())
        draft.replace(template)
    finally:
        for file in with_leftovers(draft):
            file.unlink(missing_ok=True)


def _moved_in(draft: Path, revision: str, root: str) -> bool:
    """Give a copy the values that MLflow would have written in its place; False where the template is no store."""
    now_ms = int(time.time() * 1000)
    change = "UPDATE experiments SET artifact_location = ?, creation_time = ?, last_update_time = ?"
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(draft, isolation_level=None)) as database:
        if has_schema(database, revision):
            database.execute(f"{change} WHERE experiment_id = 0", (f"{root}/0", now_ms, now_ms))
            return True
    # Damaged, or of another revision: the next one makes it anew.
    with suppress(OSError):
        template_file().unlink()
    return False


def put(draft: Path, file: Path) -> None:
    """Put a store in its place, unless a server that knows no lock of ours has made one there meanwhile."""
    try:
        os.link(draft, file)
    except FileExistsError:
        return
    except OSError:
        # A file system without hard links.
        draft.rename(file)


def _has_leftovers(file: Path) -> bool:
    """Tell whether a removed store left a journal behind, which SQLite would play into the next one."""
    return any(leftover.exists() for leftover in with_leftovers(file) if leftover != file)


def with_leftovers(file: Path) -> Iterator[Path]:
    """Yield a store's file and those that SQLite may have put beside it."""
    for ending in ("", "-journal", "-wal", "-shm"):
        yield file.with_name(file.name + ending)
