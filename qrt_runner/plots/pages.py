"""What all figures have in common: colours, pages, titles, PNG; knows matplotlib and numpy.

Colours are the Okabe-Ito ones, which colour-blind readers tell apart; markers differ as well.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.axes import Axes
    from matplotlib.transforms import Transform

    from qrt_runner.results import TaskResult

MEASURED: Final = "#0072B2"
IDEAL: Final = "#E69F00"
TWIN: Final = "#009E73"
CORRECTED: Final = "#56B4E9"
CYCLE: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")


def page(width: float, height: float = 3.8) -> tuple[Figure, Axes]:
    """Return a figure of one panel, its sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    bare(axes)
    return figure, axes


def grid(columns: int, rows: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure of several panels, row by row."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    panels: list[Axes] = list(np.atleast_1d(figure.subplots(rows, columns)).ravel())
    for axes in panels:
        bare(axes)
    return figure, panels


def bare(axes: Axes) -> None:
    """Take off the frame where it says nothing."""
    axes.spines[["top", "right"]].set_visible(False)


def moved(axes: Axes, points: float) -> Transform:
    """Return the data coordinates of a panel, moved to the right by so many points: what lies there is seen apart."""
    figure = axes.get_figure()
    assert figure is not None
    return axes.transData + ScaledTranslation(points / 72.0, 0, figure.dpi_scale_trans)


def covering(axes: Axes, at: Iterable[float], values: Iterable[float], errors: Iterable[float]) -> None:
    """Make a panel show values with their bars: what is moved aside, matplotlib does not count."""
    bars = [(x, y + sign * bar) for x, y, bar in zip(at, values, errors, strict=True) for sign in (-1, 1)]
    axes.update_datalim(bars)
    axes.autoscale_view()


def png(figure: Figure) -> bytes:
    """Return a figure as PNG."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=120, metadata={"Software": None})
    return stream.getvalue()


def finite(errors: np.ndarray) -> np.ndarray:
    """Return errors as bars of which none is infinite."""
    return np.where(np.isfinite(errors), errors, 0.0)


def title_of(result: TaskResult) -> str:
    """Return what a task's figures are about."""
    task = result.task
    mitigation = f", {task.mitigation.kind}" if task.mitigation.kind != "none" else ""
    return literal(f"{task.circuit.name} on {result.backend}, {task.mode.kind}{mitigation}")


def literal(text: str) -> str:
    """Return a text in which matplotlib finds no formula."""
    return text.replace("$", r"\$")
