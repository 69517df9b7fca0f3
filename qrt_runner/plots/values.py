"""Expectation values with their standard errors: against what is swept, or side by side; knows matplotlib and numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from qrt_runner.plots.pages import CORRECTED, CYCLE, IDEAL, MEASURED, TWIN, finite, page, png, title_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from qrt_runner.results import Expectations, TaskResult

_MOST_LINES: Final = 7


def expectation_values(result: TaskResult) -> bytes:
    """Draw expectation values with their standard errors: against the swept parameter, or side by side."""
    found = result.expectations
    assert found is not None
    figure, axes = page(6.5)
    ideal, twin = result.comparison.ideal, result.comparison.twin
    other = twin.expectations if twin is not None else None
    before = result.corrected.uncorrected if result.corrected is not None else None
    if len(found.values) == 1:
        _side_by_side(axes, found, ideal, other, before)
    else:
        _along(axes, found, ideal, other, _abscissa(result))
    if any(one is not None for one in (ideal, other, before)) or len(found.values) > 1:
        lines = [words for words, known in (("line: ideal", ideal), ("dashed: twin", other)) if known is not None]
        title = "\n".join(lines) if len(found.values) > 1 else None
        figure.legend(loc="outside right upper", frameon=False, title=title or None)
    along = before is not None and len(found.values) > 1
    axes.set_ylabel("expectation value, readout corrected" if along else "expectation value")
    axes.set_title(title_of(result), fontsize=10)
    return png(figure)


def _side_by_side(
    axes: Axes, found: Expectations, ideal: np.ndarray | None, twin: Expectations | None, before: Expectations | None
) -> None:
    """Draw the values of one parameter set; those that were corrected for readout errors beside what they were."""
    places = np.arange(len(found.names))
    if before is not None:
        bars = finite(before.errors[0])
        axes.errorbar(
            places - 0.15, before.values[0], bars, fmt="s", ms=5, color=MEASURED, capsize=3, label="as measured"
        )
    color, label = (MEASURED, "measured") if before is None else (CORRECTED, "corrected")
    axes.errorbar(
        places,
        found.values[0],
        yerr=finite(found.errors[0]),
        fmt="o",
        color=color,
        mec=MEASURED,
        capsize=4,
        label=label,
    )
    if twin is not None:
        errors = finite(twin.errors[0])
        axes.errorbar(places + 0.15, twin.values[0], errors, fmt="D", ms=5, color=TWIN, capsize=3, label="twin")
    if ideal is not None:
        axes.plot(places, ideal[0], "_", ms=22, mew=2, color=IDEAL, label="ideal")
    axes.set_xticks(places, found.names, rotation=90 if len(found.names) > 6 else 0)
    axes.set_xlim(-0.6, len(found.names) - 0.4)


def _along(
    axes: Axes,
    found: Expectations,
    ideal: np.ndarray | None,
    twin: Expectations | None,
    abscissa: tuple[str, np.ndarray],
) -> None:
    label, at = abscissa
    order = np.argsort(at)
    for column, name in enumerate(found.names[:_MOST_LINES]):
        color = CYCLE[column]
        values, errors = found.values[order, column], finite(found.errors[order, column])
        axes.errorbar(at[order], values, yerr=errors, fmt="o", ms=3, color=color, capsize=2, label=name)
        if ideal is not None:
            axes.plot(at[order], ideal[order, column], "-", lw=1, color=color, alpha=0.7)
        if twin is not None:
            axes.plot(at[order], twin.values[order, column], "--", lw=1, color=color, alpha=0.7)
    axes.set_xlabel(label)


def _abscissa(result: TaskResult) -> tuple[str, np.ndarray]:
    """Return what varies: the one parameter that does, else the index of the parameter set."""
    values = result.parameter_values
    varying = [column for column in range(values.shape[1]) if np.ptp(values[:, column]) > 0]
    if len(varying) == 1:
        return result.parameters[varying[0]], values[:, varying[0]]
    return "parameter set", np.arange(len(values), dtype=float)
