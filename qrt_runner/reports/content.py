"""What a page holds, as frozen records of words and figures; knows the standard library only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Words:
    """A paragraph."""

    kind: ClassVar = "words"
    text: str


@dataclass(frozen=True)
class Items:
    """A list of short texts."""

    kind: ClassVar = "items"
    items: Sequence[str]


@dataclass(frozen=True)
class Facts:
    """Names, each with what there is to tell of it."""

    kind: ClassVar = "facts"
    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Grid:
    """A table; the first cell of a row says what the row is about."""

    kind: ClassVar = "grid"
    caption: str
    titles: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Listing:
    """A text whose lines stay as they are: a command, a config, a drawing of a circuit."""

    kind: ClassVar = "listing"
    label: str
    """What a screen reader calls it."""

    text: str


@dataclass(frozen=True)
class Picture:
    """A figure."""

    kind: ClassVar = "picture"
    caption: str
    alt: str
    """What it shows, with the numbers, for whoever does not see it."""

    png: bytes

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, as its header says: a page that knows them does not jump."""
        return int.from_bytes(self.png[16:20], "big"), int.from_bytes(self.png[20:24], "big")


Block = Words | Items | Facts | Grid | Listing | Picture


@dataclass(frozen=True)
class Section:
    """A part of a page below a heading, with parts of its own."""

    heading: str
    blocks: Sequence[Block] = ()
    parts: Sequence[Section] = ()
    folded: bool = False
    """Whether it is opened by whoever wants to read it; printed it is open."""


@dataclass(frozen=True)
class Page:
    """All of it."""

    title: str
    lead: str
    """What it is about, in a sentence or two."""

    sections: Sequence[Section] = field(default_factory=list)
