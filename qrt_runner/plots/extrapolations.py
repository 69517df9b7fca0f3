"""What an extrapolation to zero noise was made of, a figure for each value; knows matplotlib, numpy and scipy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.polynomial import Polynomial
from scipy.interpolate import PchipInterpolator

from qrt_runner.analysis.extrapolating import extrapolations_of
from qrt_runner.plots.pages import (
    CYCLE,
    IDEAL,
    MARKERS,
    MEASURED,
    covering,
    finite,
    literal,
    moved,
    page,
    png,
    title_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from qrt_runner.analysis.extrapolating import Curve, Extrapolation
    from qrt_runner.results import TaskResult

_STYLES: Final = ("--", "-.", ":")
_APART_POINTS: Final = 6.0
"""Between the values at zero noise, which all lie at one abscissa."""


def extrapolations(result: TaskResult) -> dict[str, bytes]:
    """Return a figure for each extrapolated value, up to a bound, as {artifact path: PNG}."""
    sets = len(result.parameter_values)
    found = extrapolations_of(result)
    return {_path(one, sets): png(extrapolation(one, _titled(result, one, sets))) for one in found}


def extrapolation(one: Extrapolation, title: str) -> Figure:
    """Draw the value at each noise factor, what every extrapolator makes of it, and the result."""
    figure, axes = page(7.2, 4.2)
    bars = finite(one.errors)
    axes.errorbar(one.factors, one.values, bars, fmt="o", color=MEASURED, capsize=3, zorder=3, label="at noise factor")
    for place, curve in enumerate(one.curves):
        _draw(axes, curve, place, len(one.curves))
    doubt = "" if np.isfinite(one.error) else " (no finite error)"
    bar = finite(np.array([one.error]))
    axes.errorbar([0], [one.result], bar, fmt="*", ms=13, color="#000000", capsize=4, zorder=5, label=f"result{doubt}")
    if one.ideal is not None:
        axes.axhline(one.ideal, color=IDEAL, lw=1.5, zorder=1, label="ideal")
    axes.set_xlim(left=-0.045 * (1 + len(one.curves)) * float(one.factors.max()))
    axes.set_xlabel("noise factor")
    axes.set_ylabel(f"<{literal(one.observable)}>")
    axes.set_title(title, fontsize=10)
    figure.legend(loc="outside right upper", frameon=False)
    return figure


def _draw(axes: Axes, curve: Curve, place: int, count: int) -> None:
    """Draw a curve through where the platform evaluated it, and its value at zero noise to the left of the result."""
    color = CYCLE[1 + place % (len(CYCLE) - 2)]
    told = np.isfinite(curve.values)
    at, values = curve.at[told], curve.values[told]
    name = curve.name.replace("_", " ") + ("" if told.all() else " (failed)")
    if len(at) > 1:
        smooth = np.linspace(at[0], at[-1], 101)
        axes.plot(
            smooth,
            _through(curve.name, at, values)(smooth),
            _STYLES[place % len(_STYLES)],
            lw=1.2,
            color=color,
            zorder=2,
        )
    zero = told & (curve.at == 0)
    marker = MARKERS[1 + place % (len(MARKERS) - 1)]
    axes.errorbar(
        curve.at[zero],
        curve.values[zero],
        yerr=finite(curve.errors[zero]),
        fmt=marker,
        ms=5,
        color=color,
        capsize=2,
        transform=moved(axes, -_APART_POINTS * (count - place)),
        label=name,
        zorder=4,
    )
    covering(axes, curve.at[zero], curve.values[zero], finite(curve.errors[zero]))


def _through(name: str, at: np.ndarray, values: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return a curve through the values that the platform tells: of a polynomial its own, else a monotone one."""
    degree = 1 if name == "linear" else int(name[-1]) if name.startswith("polynomial_degree_") else len(at)
    if len(at) > degree:
        return Polynomial.fit(at, values, degree)
    return PchipInterpolator(at, values)  # type: ignore[no-any-return] # scipy tells no types


def _path(one: Extrapolation, sets: int) -> str:
    return f"plots/zne-{one.observable}{f'-{one.index}' if sets > 1 else ''}.png"


def _titled(result: TaskResult, one: Extrapolation, sets: int) -> str:
    of_set = ""
    if sets > 1:
        values = zip(result.parameters, result.parameter_values[one.index], strict=True)
        told = ", ".join(f"{name} = {value:.4g}" for name, value in values)
        of_set = f"\nset {one.index} of {sets}: {literal(told[:90])}"
    return f"{title_of(result)}{of_set}"
