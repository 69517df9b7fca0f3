"""The tasks of a run beside each other: error against cost, or values side by side; knows matplotlib and numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.optimize import isotonic_regression

from qrt_runner.plots.pages import CYCLE, IDEAL, MARKERS, covering, finite, grid, literal, moved, page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from qrt_runner.analysis.overviewing import Measured

_COLORS: Final = tuple(color for color in CYCLE if color != IDEAL)
"""Six beside seven markers: 42 tasks look different."""

_MOST_PANELS: Final = 4
_MOST_TASKS: Final = 24
_LABEL_POINTS: Final = 8.0
_LINE_POINTS: Final = 11.0
"""From one label to the next."""

_ASIDE_POINTS: Final = 6.0
"""From one point to the next that cost the same."""

_WIDE: Final = 20.0
"""Costs that differ by more than this factor are drawn on a logarithmic axis."""


def ladder(measured: Sequence[Measured], title: str) -> Figure:
    """Draw the error of each task against its cost, one panel for each observable, one labelled point for each task."""
    known = [one for one in measured if one.parameter_set == 0 and np.isfinite([one.bias, one.cost_s]).all()]
    names = list(dict.fromkeys(one.observable for one in known))
    shown = names[:_MOST_PANELS]
    columns = 1 if len(shown) == 1 else 2
    rows = -(-max(len(shown), 1) // columns)
    figure, panels = grid(columns, rows, 6.2 * columns, 4.4 * rows)
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    sources = {one.cost_source for one in known}
    unit = f"{sources.pop()} quantum seconds" if len(sources) == 1 else "quantum seconds, spent or estimated"
    drawn = {name: [one for one in known if one.observable == name][:_MOST_TASKS] for name in shown}
    for axes, (name, points) in zip(panels, drawn.items(), strict=False):
        _errors(axes, points)
        axes.set_xlabel(f"{unit} (equal ones are drawn side by side)")
        axes.set_ylabel("value less ideal")
        axes.set_title(literal(f"<{name}>"), fontsize=10)
    more = f" ({len(names) - len(shown)} more observables in the table)" if len(names) > len(shown) else ""
    figure.suptitle(literal(title) + more, fontsize=11)
    figure.draw_without_rendering()
    for axes, points in zip(panels, drawn.values(), strict=False):
        _labelled(axes, points)
    return figure


def _errors(axes: Axes, points: Sequence[Measured]) -> None:
    costs = np.array([one.cost_s for one in points])
    axes.axhline(0.0, color=IDEAL, lw=1.5, zorder=1)
    for place, (one, aside) in enumerate(zip(points, _asides(costs), strict=True)):
        axes.errorbar(
            [one.cost_s],
            [one.bias],
            finite(np.array([one.error])),
            fmt=MARKERS[place % len(MARKERS)],
            color=_COLORS[place % len(_COLORS)],
            ms=6,
            capsize=3,
            label=one.label,
            zorder=3,
            transform=moved(axes, aside),
        )
    covering(axes, costs, [one.bias for one in points], finite(np.array([one.error for one in points])))
    low, high = costs.min(), costs.max()
    if high > _WIDE * low:
        axes.set_xscale("log")
        axes.set_xlim(low / 1.6, high * (high / low) ** 0.3)
    else:
        span = max(high - low, 0.1 * high)
        axes.set_xlim(low - 0.15 * span, high + 0.5 * span)
    axes.margins(y=0.12)


def _asides(costs: np.ndarray) -> np.ndarray:
    """Return by how many points each is drawn beside its place, as equal costs would lie on each other."""
    asides = np.zeros(len(costs))
    for cost in np.unique(costs):
        members = np.flatnonzero(np.isclose(costs, cost, rtol=1e-6))
        asides[members] = _ASIDE_POINTS * (np.arange(len(members)) - (len(members) - 1) / 2)
    return asides


def _labelled(axes: Axes, points: Sequence[Measured]) -> None:
    """Write each point's name to the right of all that are as expensive, none above another."""
    figure = axes.get_figure()
    assert figure is not None
    places = axes.transData.transform([(one.cost_s, one.bias) for one in points]) * 72.0 / figure.dpi
    asides = _asides(np.array([one.cost_s for one in points]))
    for members in _columns(places[:, 0]):
        right = (places[members, 0] + asides[members]).max() + 16.0
        order = members[np.argsort(places[members, 1], kind="stable")]
        for member, height in zip(order, _apart(places[order, 1]), strict=True):
            x, y = places[member]
            axes.annotate(
                literal(points[member].label),
                (points[member].cost_s, points[member].bias),
                xycoords=moved(axes, asides[member]),
                xytext=(right - x - asides[member], height - y),
                textcoords="offset points",
                fontsize=_LABEL_POINTS,
                va="center",
                bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.85},
                arrowprops={"arrowstyle": "-", "lw": 0.5, "color": "0.6", "shrinkA": 0, "shrinkB": 4},
                annotation_clip=False,
                zorder=6,
            )


def _columns(abscissae: np.ndarray) -> list[np.ndarray]:
    """Return points that lie so close to each other that their labels must stand in one column."""
    order = np.argsort(abscissae, kind="stable")
    gaps = np.flatnonzero(np.diff(abscissae[order]) > _LABEL_POINTS * 0.62 * 16 + 16.0)
    return list(np.split(order, gaps + 1))


def _apart(heights: np.ndarray) -> np.ndarray:
    """Return ascending heights moved as little as possible so that there is a line between any two."""
    steps = _LINE_POINTS * np.arange(len(heights))
    return np.asarray(isotonic_regression(heights - steps).x + steps)


def side_by_side(measured: Sequence[Measured], title: str) -> Figure:
    """Draw the values of each task with their standard errors, observable by observable, and what they should be."""
    first = [one for one in measured if one.parameter_set == 0]
    names = list(dict.fromkeys(one.observable for one in first))
    labels = list(dict.fromkeys(one.label for one in first))[:_MOST_TASKS]
    figure, axes = page(max(6.5, 1.2 + 0.55 * len(names) * (1 + 0.4 * len(labels))), 4.2)
    told = {one.observable: one.ideal for one in first if np.isfinite(one.ideal)}
    ideal = {name: told[name] for name in names if name in told}
    known = [place for place, name in enumerate(names) if name in ideal]
    if known:
        at = np.array(known)
        axes.hlines(list(ideal.values()), at - 0.4, at + 0.4, color=IDEAL, lw=2, zorder=1, label="ideal")
    for index, label in enumerate(labels):
        own = {one.observable: one for one in first if one.label == label}
        _values(axes, [own.get(name) for name in names], index, len(labels), label)
    axes.set_xticks(np.arange(len(names)), [f"<{literal(name)}>" for name in names])
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_ylabel("expectation value")
    axes.set_title(literal(title), fontsize=10)
    figure.legend(loc="outside right upper", frameon=False)
    return figure


def _values(axes: Axes, own: Sequence[Measured | None], index: int, count: int, label: str) -> None:
    """Draw the values of one task, beside those of the others."""
    shift = 0.0 if count == 1 else 0.5 * (index / (count - 1) - 0.5)
    there = {place: one for place, one in enumerate(own) if one is not None}
    axes.errorbar(
        [place + shift for place in there],
        [one.value for one in there.values()],
        finite(np.array([one.error for one in there.values()])),
        fmt=MARKERS[index % len(MARKERS)],
        color=_COLORS[index % len(_COLORS)],
        ms=6,
        capsize=3,
        label=literal(label),
        zorder=3,
    )


OVERVIEWS: Final[Mapping[str, Callable[[Sequence[Measured], str], Figure]]] = {
    "ladder": ladder,
    "side_by_side": side_by_side,
}
"""What draws an overview, by its kind."""
