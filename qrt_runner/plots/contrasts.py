"""What several runs measured, side by side: expectation values and distributions; knows matplotlib and numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from qrt_runner.plots.outcomes import label_of
from qrt_runner.plots.pages import CYCLE, MARKERS, finite, literal, page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

_MOST_RUNS: Final = len(CYCLE)
_MOST_BARS: Final = 16
_STEEP: Final = 4
"""More labels than these stand on end."""


def contrasted_values(
    labels: Sequence[str], runs: Mapping[str, Sequence[tuple[float, float] | None]], apart: Sequence[bool]
) -> Figure:
    """Draw what each run found of some quantities, with standard errors, beside what the others found.

    Args:
        labels: Of the quantities.
        runs: By the name of a run value and standard error of each quantity; None where it has none.
        apart: Of each quantity whether runs differ in it by more than their errors.
    """
    shown = list(runs.items())[:_MOST_RUNS]
    figure, axes = page(max(6.5, 2.5 + 0.5 * len(labels)), 4.6)
    for place, (name, found) in enumerate(shown):
        there = [index for index, one in enumerate(found) if one is not None]
        pairs = np.array([one for one in found if one is not None], dtype=float).reshape(-1, 2)
        axes.errorbar(
            np.array(there) + 0.5 * (place / (len(shown) - 1) - 0.5 if len(shown) > 1 else 0.0),
            pairs[:, 0],
            finite(pairs[:, 1]),
            fmt=MARKERS[place],
            color=CYCLE[place],
            ms=5,
            capsize=3,
            label=literal(name),
        )
    marked = [f"{literal(label)}{' *' if one else ''}" for label, one in zip(labels, apart, strict=True)]
    axes.set_xticks(range(len(labels)), marked, rotation=90 if len(labels) > _STEEP else 0, fontsize=8)
    axes.set_xlim(-0.6, len(labels) - 0.4)
    axes.set_ylabel("expectation value")
    axes.set_xlabel(
        "*: more than two standard errors apart" if any(apart) else "none more than two standard errors apart"
    )
    figure.legend(loc="outside right upper", frameon=False, title=_left_out(len(runs) - len(shown)))
    return figure


def contrasted_counts(runs: Mapping[str, Mapping[str, int]], title: str) -> Figure:
    """Draw the shares of the most frequent outcomes of each run, with standard errors, side by side.

    Args:
        runs: Counts by the name of a run.
        title: Of the figure.
    """
    shown = list(runs.items())[:_MOST_RUNS]
    weight: dict[str, float] = {}
    for _, counts in shown:
        for outcome, count in counts.items():
            weight[outcome] = max(weight.get(outcome, 0.0), count / sum(counts.values()))
    outcomes = sorted(sorted(weight, key=lambda outcome: (-weight[outcome], outcome))[:_MOST_BARS])
    figure, axes = page(max(6.0, 2.0 + 0.45 * len(outcomes)))
    width = 0.8 / len(shown)
    for place, (name, counts) in enumerate(shown):
        shots = sum(counts.values())
        shares = np.array([counts.get(outcome, 0) / shots for outcome in outcomes])
        at = np.arange(len(outcomes)) + (place - (len(shown) - 1) / 2) * width
        bars = np.sqrt(shares * (1 - shares) / shots)
        axes.bar(at, shares, width, yerr=bars, color=CYCLE[place], label=f"{literal(name)}, {shots} shots", capsize=2)
    labels = [label_of(outcome) for outcome in outcomes]
    steep = len(labels) > 8 or len(labels[0]) > 6
    axes.set_xticks(range(len(labels)), labels, rotation=90 if steep else 0, family="monospace")
    left_out = len(weight) - len(outcomes)
    axes.set_xlabel("outcome, rightmost bit 0" + (f" ({left_out} rarer ones left out)" if left_out else ""))
    axes.set_ylabel("share of the shots")
    axes.set_title(literal(title), fontsize=10)
    figure.legend(loc="outside right upper", frameon=False, title=_left_out(len(runs) - len(shown)))
    return figure


def _left_out(count: int) -> str | None:
    """Return the title of a legend: how many runs there are no colours for."""
    return f"{count} more left out" if count else None
