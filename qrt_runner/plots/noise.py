"""The rates of a learned noise model; knows matplotlib and numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from qrt_runner.plots.pages import IDEAL, MEASURED, literal, png

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qrt_runner.noise import NoiseModel

_MOST_PANELS: Final = 4
_MOST_LABELS: Final = 70


def noise_rates(model: NoiseModel) -> bytes:
    """Draw the rate of every generator of a noise model, a panel for each of the first layers."""
    shown = model.layers[:_MOST_PANELS]
    figure = Figure(figsize=(9.0, 2.3 * len(shown) + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, one in zip(np.atleast_1d(figure.subplots(len(shown), 1)), shown, strict=True):
        order = sorted(range(len(one.rates)), key=lambda index: _place_of(one.generators[index]))
        alone = sum(_place_of(generator)[0] == 1 for generator in one.generators)
        rates = [one.rates[index] for index in order]
        axes.bar(range(alone), rates[:alone], color=MEASURED, label="on one qubit")
        axes.bar(range(alone, len(rates)), rates[alone:], color=IDEAL, label="on two")
        axes.set_title(f"{one.layer}: gamma^2 = {one.gamma**2:.4g}", fontsize=9)
        axes.set_ylabel("rate")
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.01)
        labels = [_named(one.generators[index], one.layer.qubits) for index in order]
        few = len(labels) <= _MOST_LABELS
        axes.set_xticks(range(len(labels)) if few else [], labels if few else [], rotation=90, fontsize=7)
        axes.set_xlabel("" if few else f"{len(labels)} generators")
        axes.legend(frameon=False, fontsize=8)
    left = len(model.layers) - len(shown)
    more = f", {left} more layers are in noise_model.json" if left else ""
    figure.suptitle(literal(f"learned noise of {model.backend}{more}"), fontsize=10)
    return png(figure)


def _place_of(generator: str) -> tuple[int, list[int], str]:
    """Return what orders generators: on how many qubits they act, on which, and by which letters."""
    acts = [place for place, letter in enumerate(reversed(generator)) if letter != "I"]
    return len(acts), acts, generator


def _named(generator: str, qubits: Sequence[int]) -> str:
    """Return a generator by its letters and qubits, such as `X3 Z4`."""
    letters = enumerate(reversed(generator))
    return " ".join(f"{letter}{qubits[place]}" for place, letter in letters if letter != "I")
