"""Artifacts on disk, those that tasks have in common once; knows the standard library and our errors only.

Where artifacts are shared, the first content of each name becomes a file below `shared/`, and a later one is kept as
what differs from it: from which place to which, and what stands there instead. A point of a sweep so costs some hundred
bytes instead of a folder of files.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.errors import refuse
from qrt_runner.tracking.places import leads_out, make_private, named, opened

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SHARED: Final = "shared"
_MOST_APART: Final = 0.5
"""A content of which more than this share differs from the shared one is kept as a whole."""

_MOST_INSIDE: Final = 65536
"""A content of so many bytes may be kept in the task's line, where it came once only."""


@dataclass
class Files:
    """The artifacts of one run; lives as long as they are written or read."""

    folder: Path
    shared: bool
    likes: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """By name of the artifact: the shared file that others of its name are compared with, and its content."""

    written: dict[str, str] = field(default_factory=dict)
    """Hash of what was written, by its place."""

    once: set[str] = field(default_factory=set)
    """Where a content that came once would be, had it come twice."""
    unsynced: list[Path] = field(default_factory=list)

    def kept(self, key: str, artifacts: Mapping[str, bytes]) -> dict[str, Any]:
        """Write artifacts and return, by their names, where they are."""
        if self.shared:
            return {name: self._alike(name, content) for name, content in artifacts.items()}
        for name, content in artifacts.items():
            self._write(f"{key}/{name}", content)
        return {name: f"{key}/{name}" for name in artifacts}

    def to_disk(self) -> None:
        """Wait until what was written will outlive a power failure."""
        for file in self.unsynced:
            with named(file), file.open("rb") as stream:
                os.fsync(stream.fileno())
        self.unsynced.clear()

    def read(self, places: Mapping[str, Any]) -> dict[str, bytes]:
        """Return artifacts by their names from where they are.

        Raises:
            ConfigError: Where that is outside the folder, which nobody of us wrote, or cannot be read.
        """
        return {name: self._read(place) for name, place in places.items()}

    def _alike(self, name: str, content: bytes) -> Any:
        if name in self.likes:
            place, like = self.likes[name]
            if like == content:
                return place
            start, end = _apart(like, content)
            put = content[start : len(content) - end]
            if len(put) <= _MOST_APART * len(content) and (text := _as_text(put)) is not None:
                return [place, start, end, text]
        place = f"{_SHARED}/{sha256(content).hexdigest()[:16]}-{name.replace('/', '-')}"
        if place not in self.written and place not in self.once and name in self.likes and len(content) <= _MOST_INSIDE:
            # What is like nothing before it may well come only once.
            self.once.add(place)
            if (text := _as_text(content)) is not None:
                return [place, 0, 0, text]
        self._write(place, content)
        self.likes[name] = place, content
        return place

    def _write(self, place: str, content: bytes) -> None:
        told = sha256(content).hexdigest()
        if self.written.get(place) == told:
            return
        assert not leads_out(place), place
        file = self.folder / place
        make_private(file.parent)
        # What a line vouches for already must not be cut off by what comes later.
        draft = file.with_name(f"{file.name}.new")
        with named(draft), opened(draft, "wb") as stream:
            stream.write(content)
        draft.replace(file)
        self.written[place] = told
        self.unsynced.append(file)

    def _read(self, place: Any) -> bytes:
        if isinstance(place, str):
            return self._content(place)
        like, start, end, text = place
        if start == end == 0:
            return str(text).encode()
        whole = self._content(like)
        found: bytes = whole[:start] + text.encode() + whole[len(whole) - end :]
        return found

    def _content(self, place: str) -> bytes:
        if leads_out(place):
            told = f"{self.folder}, whose tasks name {place!r} as a file of theirs"
            raise refuse("run", told, "a kept run whose files lie in its folder", "run=latest")
        if not self.shared:
            return self._bytes(place)
        if place not in self.likes:
            self.likes[place] = place, self._bytes(place)
        return self.likes[place][1]

    def _bytes(self, place: str) -> bytes:
        try:
            return (self.folder / place).read_bytes()
        except OSError as error:
            told = f"{self.folder}, of which {place} cannot be read ({error.strerror})"
            raise refuse("run", told, "a folder with all that was kept in it", "restore it from a copy") from error


def _apart(one: bytes, other: bytes) -> tuple[int, int]:
    """Return how many bytes two contents have in common at their starts, and then at their ends."""
    most = min(len(one), len(other))
    start = _common(most, lambda count: one[:count] == other[:count])
    end = _common(most - start, lambda count: one[len(one) - count :] == other[len(other) - count :])
    return start, end


def _common(most: int, equal: Any) -> int:
    """Return the largest count up to `most` for which the contents are equal, by halving."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if equal(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _as_text(content: bytes) -> str | None:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None
