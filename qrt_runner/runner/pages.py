"""Shows tables and words in a notebook; knows the standard library only."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MOST_ROWS = 60


def page(tables: Sequence[Sequence[Mapping[str, Any]]], words: Sequence[str] = ()) -> str:
    """Return tables of rows with equal columns, and lines of words, as HTML."""
    shown = "".join(_table(rows) for rows in tables if rows)
    return f"<div>{shown}{''.join(f'<p>{escape(line)}</p>' for line in words)}</div>"


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    heads = "".join(f'<th scope="col" style="{_style(rows[0][name])}">{escape(str(name))}</th>' for name in rows[0])
    body = "".join(
        "<tr>" + "".join(f'<td style="{_style(value)}">{escape(_cell(value))}</td>' for value in row.values()) + "</tr>"
        for row in rows[:_MOST_ROWS]
    )
    more = f"<p>and {len(rows) - _MOST_ROWS} more</p>" if len(rows) > _MOST_ROWS else ""
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>{more}"


def _style(value: object) -> str:
    """Return how a cell is set: numbers stand on the right."""
    is_number = isinstance(value, int | float) or value is None
    return f"padding: 0.1em 0.8em; text-align: {'right' if is_number else 'left'}"


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
