"""The histogram of the outcomes of counts; knows matplotlib and numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from qrt_runner.plots.pages import CORRECTED, IDEAL, MEASURED, TWIN, page, png

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

_MOST_BARS: Final = 24
_WIDEST_LABEL: Final = 12


def histogram(
    joint: Mapping[str, int],
    ideal: Mapping[str, float] | None,
    title: str,
    twin: Mapping[str, int] | None = None,
    corrected: Mapping[str, float] | None = None,
) -> bytes:
    """Draw the shares of the most frequent outcomes.

    Args:
        joint: Counts as measured.
        ideal: Exact probabilities, drawn beside them where they are known.
        title: Of the figure.
        twin: Counts of a twin, whose shares are marked on the measured ones.
        corrected: Quasi-probabilities, drawn beside the measured shares.
    """
    shots = sum(joint.values())
    weight = {
        outcome: max(joint.get(outcome, 0) / shots, (ideal or {}).get(outcome, 0.0))
        for outcome in {*joint, *(ideal or {})}
    }
    outcomes = sorted(sorted(weight, key=lambda outcome: (-weight[outcome], outcome))[:_MOST_BARS])
    figure, axes = page(max(5.0, 0.42 * len(outcomes) + 2.0))
    places = np.arange(len(outcomes))
    beside = [("corrected", corrected, CORRECTED), ("ideal", ideal, IDEAL)]
    others = [(label, found, color) for label, found, color in beside if found]
    width = 0.8 / (1 + len(others)) if others else 0.7
    first = places - width * len(others) / 2
    shares = np.array([joint.get(outcome, 0) / shots for outcome in outcomes])
    errors = np.sqrt(shares * (1 - shares) / shots)
    axes.bar(first, shares, width, yerr=errors, color=MEASURED, label="measured", capsize=2)
    for number, (label, found, color) in enumerate(others, 1):
        axes.bar(first + number * width, [found.get(one, 0.0) for one in outcomes], width, color=color, label=label)
    if twin:
        _twin(axes, outcomes, twin, first)
    if others or twin:
        figure.legend(loc="outside right upper", frameon=False)
    labels = [label_of(outcome) for outcome in outcomes]
    steep = len(labels) > 8 or len(labels[0]) > 6
    axes.set_xticks(places, labels, rotation=90 if steep else 0, family="monospace")
    left_out = len(weight) - len(outcomes)
    axes.set_xlabel("outcome, rightmost bit 0" + (f" ({left_out} rarer ones left out)" if left_out else ""))
    axes.set_ylabel(f"share of {shots} shots")
    axes.set_title(title, fontsize=10)
    return png(figure)


def _twin(axes: Axes, outcomes: Sequence[str], twin: Mapping[str, int], places: np.ndarray) -> None:
    """Draw the twin's shares on the measured ones."""
    shots = sum(twin.values())
    shares = np.array([twin.get(outcome, 0) / shots for outcome in outcomes])
    errors = np.sqrt(shares * (1 - shares) / shots)
    axes.errorbar(places, shares, errors, fmt="D", ms=5, color=TWIN, mec="white", capsize=3, label="twin")


def label_of(outcome: str) -> str:
    """Return an outcome as it fits below a bar: long ones as hexadecimal numbers, their middle left out."""
    if len(outcome) <= _WIDEST_LABEL:
        return outcome
    digits = f"{int(outcome, 2):0{-(-len(outcome) // 4)}x}"
    return f"0x{digits}" if len(digits) <= _WIDEST_LABEL else f"0x{digits[:4]}…{digits[-4:]}"
