"""Sets text in lines of 80 columns, bold where there is colour; knows the standard library only."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from qrt_runner.commands import WIDTH


@dataclass(frozen=True)
class Paper:
    """How text is set."""

    colour: bool

    def bold(self, words: str) -> str:
        """Make words stand out, where there is colour."""
        return f"\033[1m{words}\033[0m" if self.colour else words

    def hung(self, name: str, words: str, column: int) -> list[str]:
        """Return a name with its text beside it, from a column on; below it, where the name is too long."""
        lines = wrapped(words, column)
        head = f"  {self.bold(name)}"
        if len(name) + 4 > column or not lines:
            return [head, *lines]
        return [head + " " * (column - 2 - len(name)) + lines[0].lstrip(), *lines[1:]]


def wrapped(words: str, indent: int = 0) -> list[str]:
    """Return a paragraph as lines."""
    margin = " " * indent
    return textwrap.wrap(
        words, WIDTH, initial_indent=margin, subsequent_indent=margin, break_long_words=False, break_on_hyphens=False
    )
