"""Fits tables and words into a terminal; knows telling.

A table that is too wide says first what is the same in all its rows, and then goes on below itself. Nothing is cut off.
"""

from __future__ import annotations

import shutil
import textwrap
from typing import TYPE_CHECKING, Final

from qrt_runner.runner.telling import tabled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Cells = Mapping[str, str]

_MOST_ROWS: Final = 60
_NARROWEST: Final = 40
_INDENT: Final = "  "


def width() -> int | None:
    """Return how many characters a line of the terminal holds; None where there is none, as in a pipe."""
    found = shutil.get_terminal_size(fallback=(0, 0)).columns
    return max(found, _NARROWEST) if found else None


def fitted(rows: Sequence[Cells], what: str, most: int | None) -> list[str]:
    """Return rows with equal columns as a table, in lines.

    Args:
        rows: The cells by the titles of their columns; columns without any content are left out.
        what: What the rows are, in the plural.
        most: Characters of a line at most; None for as many as it takes.
    """
    shown = rows[:_MOST_ROWS]
    titles = [title for title in (rows[0] if rows else ()) if any(row[title] for row in rows)]
    lines: list[str] = []
    if most is not None and len(rows) > 1 and _wide(titles, shown) > most:
        same = [title for title in titles[1:] if len({row[title] for row in rows}) == 1]
        titles = [title for title in titles if title not in same]
        told = "; ".join(f"{title} {rows[0][title]}" for title in same)
        lines += wrapped(f"all {len(rows)} {what}: {told}", most) if same else []
    for block in _blocks(titles, shown, most):
        lines += tabled(block, [[row[title] or "-" for title in block] for row in shown])
    return [*lines, f"and {len(rows) - len(shown)} more {what}"] if len(shown) < len(rows) else lines


def wrapped(line: str, most: int | None) -> list[str]:
    """Return a line as several, of which all but the first are indented, each no longer than a terminal is wide."""
    if most is None:
        return [line]
    return textwrap.wrap(line, most, subsequent_indent=_INDENT, break_long_words=False, break_on_hyphens=False)


def _blocks(titles: Sequence[str], rows: Sequence[Cells], most: int | None) -> list[list[str]]:
    """Return columns in groups that fit, each of which begins with the first one."""
    if not titles:
        return []
    blocks = [[titles[0]]]
    for title in titles[1:]:
        if most is not None and len(blocks[-1]) > 1 and _wide([*blocks[-1], title], rows) > most:
            blocks.append([titles[0]])
        blocks[-1].append(title)
    return blocks


def _wide(titles: Sequence[str], rows: Sequence[Cells]) -> int:
    widths = [max(len(title), *(len(row[title] or "-") for row in rows)) for title in titles]
    return sum(widths) + 2 * (len(widths) - 1)
