"""What was measured against each number that was swept, and over two of them as a map; knows matplotlib and numpy."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

from qrt_runner.analysis.sweeping import short
from qrt_runner.plots.pages import CYCLE, IDEAL, MARKERS, MEASURED, finite, grid, literal, png

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.colorizer import ColorizingArtist
    from matplotlib.figure import Figure

    from qrt_runner.analysis.sweeping import Swept

_MOST_PANELS: Final = 4
_MOST_LINES: Final = 7
_MOST_FIGURES: Final = 6
_LEAST_FILLED: Final = 0.5
"""Where fewer cells of a map have a value, its points are drawn as they lie."""

_COLOURS: Final = "cividis"
"""Looks the same to colour-blind readers, and orders as grey."""

_NOT_IN_FILES: Final = re.compile(r"[^A-Za-z0-9_.-]+")


def sweep_figures(swept: Sequence[Swept], title: str) -> dict[str, bytes]:
    """Return a figure for each number that was swept over and, of two, a map, as {artifact path: PNG}."""
    if not swept:
        return {}
    names = list(swept[0].at)
    files = {f"plots/against-{_file(name)}.png": png(against(swept, name, title)) for name in names[:_MOST_FIGURES]}
    if len(names) == 2:
        files[f"plots/map-{_file(names[0])}-{_file(names[1])}.png"] = png(heat_map(swept, title))
    return files


def against(swept: Sequence[Swept], name: str, title: str) -> Figure:
    """Draw each quantity with its standard errors against one number, a colour for each value of the others."""
    shown = swept[:_MOST_PANELS]
    figure, panels = _page(len(shown), title, len(swept) - len(shown))
    parts = [one.along(name) for one in shown]
    # A colour means the same in all panels, of which one legend tells: not all have all lines.
    places = {label: place for place, label in enumerate(dict.fromkeys(label for part in parts for label in part))}
    entries: dict[str, Artist] = {}
    for axes, one, part in zip(panels, shown, parts, strict=False):
        _lines(axes, one, name, part, places)
        axes.set_xlabel(literal(name))
        axes.set_ylabel(_told(one))
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    # Of what is drawn in one colour the ideal values have an entry of their own.
    known = "ideal" not in entries and any(np.isfinite(one.ideal).any() for one in shown)
    ideal = "line: ideal" if known else None
    if ideal or [*filter(None, entries)]:
        figure.legend([*entries.values()], [*entries], loc="outside right upper", frameon=False, title=ideal)
    return figure


def heat_map(swept: Sequence[Swept], title: str) -> Figure:
    """Draw each quantity over the two numbers that were swept, the first one to the right."""
    parts = [(word, part) for one in swept for word, part in one.by_words().items()]
    shown = parts[:_MOST_PANELS]
    figure, panels = _page(len(shown), title, len(parts) - len(shown))
    for axes, (word, part) in zip(panels, shown, strict=False):
        right, up = part.at
        drawn = _cells(axes, part) if _filled(part) >= _LEAST_FILLED else _points(axes, part)
        figure.colorbar(drawn, ax=axes, label=_told(part))
        axes.set_xlabel(literal(right))
        axes.set_ylabel(literal(up))
        axes.set_title(literal(", ".join(filter(None, (word, _doubt(part))))), fontsize=9)
    return figure


def cells_of(part: Swept) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the values of the two numbers, ascending, and the quantity, shape (second, first); NaN where none is."""
    first, second = part.at.values()
    across, columns = np.unique(first, return_inverse=True)
    upwards, lines = np.unique(second, return_inverse=True)
    cells = np.full((len(upwards), len(across)), np.nan)
    cells[lines, columns] = part.values
    return across, upwards, cells


def _lines(axes: Axes, one: Swept, name: str, parts: Mapping[str, Swept], places: Mapping[str, int]) -> None:
    """Draw a line of points for each value of the others; all alike where these are too many to tell apart.

    Args:
        axes: The panel.
        one: What is drawn.
        name: What it is drawn against.
        parts: Its lines by their labels.
        places: Which colour the line of a label has.
    """
    if len(places) > _MOST_LINES:
        label = "at all values of the others"
        axes.errorbar(one.at[name], one.values, finite(one.errors), fmt="o", ms=3, color=MEASURED, label=label)
        if np.isfinite(one.ideal).any():
            axes.plot(one.at[name], one.ideal, "_", ms=12, color=IDEAL, label="ideal")
        return
    alone = len(places) == 1
    for label, part in parts.items():
        place, order = places[label], np.argsort(part.at[name], kind="stable")
        at, color, bars = part.at[name][order], CYCLE[place], finite(part.errors[order])
        marker = MARKERS[place % len(MARKERS)]
        called = literal(label) or "measured"
        axes.errorbar(at, part.values[order], bars, fmt=marker, ms=4, color=color, capsize=2, label=called)
        if np.isfinite(part.ideal).any():
            look = {"color": IDEAL, "label": "ideal"} if alone else {"color": color, "alpha": 0.7}
            axes.plot(at, part.ideal[order], "-", lw=1, zorder=1, **look)


def _cells(axes: Axes, part: Swept) -> ColorizingArtist:
    across, upwards, cells = cells_of(part)
    return axes.pcolormesh(across, upwards, np.ma.masked_invalid(cells), shading="nearest", cmap=_COLOURS)


def _points(axes: Axes, part: Swept) -> ColorizingArtist:
    first, second = part.at.values()
    return axes.scatter(first, second, c=part.values, s=24, cmap=_COLOURS)


def _filled(part: Swept) -> float:
    """Return the share of the cells of a map that have a value; none where all are in one line, which has no width."""
    sides = [len(np.unique(values)) for values in part.at.values()]
    return len(part.values) / (sides[0] * sides[1]) if min(sides) > 1 else 0.0


def _doubt(part: Swept) -> str:
    """Return how large the standard errors are, which a colour cannot show."""
    known = part.errors[np.isfinite(part.errors)]
    return f"standard errors {known.min():.2g} to {known.max():.2g}" if len(known) else ""


def _page(count: int, title: str, more: int) -> tuple[Figure, list[Axes]]:
    columns = min(count, 2)
    rows = -(-count // 2)
    figure, panels = grid(columns, rows, 6.2 * columns + 0.6, 4.0 * rows)
    for axes in panels[count:]:
        axes.set_visible(False)
    figure.suptitle(literal(title) + (f" ({more} more in the table)" if more else ""), fontsize=10)
    return figure, panels


def _told(one: Swept) -> str:
    return "Hellinger fidelity" if one.quantity == "hellinger" else f"<{literal(one.quantity)}>"


def _file(name: str) -> str:
    return _NOT_IN_FILES.sub("_", short(name))
