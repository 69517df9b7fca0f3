"""Where files of a kept run may lie, and who may read them; knows the standard library only."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, BinaryIO, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_OTHERS = 0o077
"""What anybody but the owner may do."""


def opened(file: Path, mode: Literal["wb", "ab"]) -> BinaryIO:
    """Open a file to write; one that is made now only its owner can read."""
    return open(file, mode, opener=_owner_only)


def write_private(file: Path, content: bytes) -> None:
    """Write a file that only its owner can read, in a folder that is made where it is missing."""
    make_private(file.parent)
    with named(file), opened(file, "wb") as stream:
        stream.write(content)


@contextmanager
def named(file: Path) -> Iterator[None]:
    """Say of which file it is what the system reports meanwhile: of a full disk it names none."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(file)
        raise


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, which only their owner can look into."""
    if not folder.is_dir():
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def tighten(folder: Path) -> None:
    """Let nobody but its owner look into a folder that is there."""
    if folder.stat().st_mode & _OTHERS:
        # Where a file system knows no modes, or the folder is somebody else's, they have decided.
        with suppress(PermissionError):
            folder.chmod(0o700)


@lru_cache(maxsize=4096)
def leads_out(name: str) -> bool:
    """Tell whether a file of that name would lie elsewhere than below the folder that it is looked for in."""
    parts = name.replace("\\", "/").split("/")
    return not name or "\0" in name or ".." in parts or "" in parts[:1] or ":" in parts[0]


def _owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
