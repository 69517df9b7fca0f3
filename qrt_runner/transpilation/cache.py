"""A folder of entries by key, bounded in size, for several processes at once; knows the standard library only.

A cache may forget, and must not fail: what cannot be read is not there, and what cannot be written is not kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.config import caches_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB: Final = 2**20
_UNFINISHED: Final = ".unfinished"
_ABANDONED_S: Final = 3600.0
"""A file that has been unfinished for so long belongs to a process that was killed."""


@dataclass(frozen=True)
class Entry:
    """What is kept under a key."""

    header: dict[str, Any]
    """Plain values, which JSON takes."""

    body: bytes


@dataclass(frozen=True)
class Amount:
    """How much there is, or was."""

    entries: int
    mib: float

    def __str__(self) -> str:
        """Show it in words."""
        return f"{self.entries} {'entry' if self.entries == 1 else 'entries'}, {self.mib:.1f} MiB"


@dataclass(frozen=True)
class Cache:
    """The entries in a folder, which need not exist."""

    folder: Path
    limit_mib: int
    """When the entries take more, the least recently used ones go."""

    ending: str = ".transpiled"
    """Of the names of its files."""

    def read(self, key: str) -> Entry | None:
        """Return an entry as it was written, or None; one that is damaged is removed."""
        try:
            checksum, _, content = self._file(key).read_bytes().partition(b"\n")
        except OSError:
            return None
        if checksum != _checksum(key, content):
            self.drop(key)
            return None
        with contextlib.suppress(OSError):
            os.utime(self._file(key))
        header, _, body = content.partition(b"\n")
        return Entry(json.loads(header), body)

    def write(self, key: str, entry: Entry) -> None:
        """Keep an entry, all of it or nothing, where the folder can be written."""
        content = json.dumps(entry.header).encode() + b"\n" + entry.body
        if len(content) > self.limit_mib * MIB:
            return
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._put(key, _checksum(key, content) + b"\n" + content)
            if key.startswith("0"):
                # Looking at all entries takes a while when they are many; keys are hashes, so this is one in 16.
                self.trim()

    def drop(self, key: str) -> None:
        """Remove an entry."""
        with contextlib.suppress(OSError):
            self._file(key).unlink()

    def trim(self) -> None:
        """Remove the least recently used entries until the rest is within the limit, and what was never finished."""
        room = self.limit_mib * MIB
        for file, status in sorted(self._files(self.ending), key=lambda found: -found[1].st_mtime_ns):
            room -= status.st_size
            if room < 0:
                _remove(file)
        for file, status in self._files(_UNFINISHED):
            if time.time() - status.st_mtime > _ABANDONED_S:
                _remove(file)

    def amount(self) -> Amount:
        """Return how much is in it."""
        sizes = [status.st_size for _, status in self._files(self.ending)]
        return Amount(len(sizes), sum(sizes) / MIB)

    def clear(self) -> Amount:
        """Remove everything, and return how much it was."""
        sizes = [status.st_size for file, status in self._files(self.ending) if _remove(file)]
        for file, _ in self._files(_UNFINISHED):
            _remove(file)
        return Amount(len(sizes), sum(sizes) / MIB)

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}{self.ending}"

    def _put(self, key: str, content: bytes) -> None:
        """Write a file beside its place and move it there, so that readers find all of it or none."""
        handle, name = tempfile.mkstemp(_UNFINISHED, dir=self.folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(name).replace(self._file(key))
        except OSError:
            _remove(Path(name))
            raise

    def _files(self, ending: str) -> Iterator[tuple[Path, os.stat_result]]:
        try:
            files = [Path(found.path) for found in os.scandir(self.folder) if found.name.endswith(ending)]
        except OSError:
            return
        for file in files:
            with contextlib.suppress(OSError):
                yield file, file.stat()


def cache_folder() -> Path:
    """Return the folder of the transpiled circuits."""
    return caches_folder() / "transpiled"


def _checksum(key: str, content: bytes) -> bytes:
    """Return what tells an entry that is whole and stands under its own key."""
    return hashlib.sha256(key.encode() + b"\n" + content).hexdigest().encode()


def _remove(file: Path) -> bool:
    """Remove a file, and tell whether it was there to be removed."""
    try:
        file.unlink()
    except OSError:
        return False
    return True
