"""Command lines: the one that repeats a point, and how a long one is set so that it can be copied; knows the stdlib."""

from __future__ import annotations

import re
import shlex
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH: Final = 80
_PIECES: Final = re.compile(r"""(?:'[^']*'|"[^"]*"|[^\s'"])+""")
"""The words of a command line, what is quoted left whole."""

_WORDS_BEFORE: Final = 3
"""`python -m qrt_runner`, before the words of a command."""


def repeating(command: str, overrides: Sequence[str]) -> str:
    """Return the command that runs one point of what a command ran: what was swept over has the point's values."""
    if not command or not overrides:
        return command
    words = _split(command)
    start, words = words[:_WORDS_BEFORE], words[_WORDS_BEFORE:]
    swept = {_key(override) for override in overrides}
    kept = [word for word in words if word not in ("-m", "--multirun") and _key(word) not in swept]
    # A preset that is a sweep by itself needs to be told that this is none.
    kept += [] if len(kept) < len(words) and {"-m", "--multirun"} & {*words} else ["hydra.mode=RUN"]
    return shlex.join([*start, *kept, *overrides])


@lru_cache(maxsize=1)
def _split(command: str) -> tuple[str, ...]:
    """Return the words of a command, which are the same for all points of a sweep."""
    return tuple(shlex.split(command))


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0]


def command_lines(command: str, indent: int = 2, width: int = WIDTH) -> list[str]:
    """Return a command line, carried over where it is long in such a way that it can be copied."""
    lines, line = [], " " * indent
    for piece in _PIECES.findall(command):
        if len(line) + len(piece) + 3 > width and line.strip():
            lines.append(f"{line} \\")
            line = " " * (indent + 2)
        line += f" {piece}" if line.strip() else piece
    return [*lines, line]
