"""Figures from results, as PNG; may know matplotlib and numpy only.

Colours are the Okabe-Ito ones, which colour-blind readers tell apart.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    from qrt_runner.results import Expectations, TaskResult

_MEASURED: Final = "#0072B2"
_IDEAL: Final = "#E69F00"
_CORRECTED: Final = "#009E73"
_CYCLE: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_MOST_BARS: Final = 24
_MOST_LINES: Final = 7
_WIDEST_LABEL: Final = 12
_MOST_PANELS: Final = 4


@dataclass(frozen=True)
class _Fit:
    """What an extrapolation was made of."""

    factors: Sequence[float]
    points: Sequence[float]
    """Noise factors at which the extrapolators were evaluated."""

    names: Sequence[str]
    """Of the extrapolators."""


def figures(result: TaskResult) -> dict[str, bytes]:
    """Return the figures of a task as {artifact path: PNG}."""
    drawn: dict[str, bytes] = {}
    first = _title(result) + (f", set 0 of {len(result.parameter_values)}" if len(result.parameter_values) > 1 else "")
    if result.counts is not None:
        ideal = result.comparison.probabilities
        corrected = result.corrected.quasi[0] if result.corrected is not None else None
        drawn["plots/counts.png"] = histogram(result.counts.joint[0], ideal[0] if ideal else None, first, corrected)
    if result.expectations is not None and result.expectations.names:
        drawn["plots/expectation_values.png"] = expectation_values(result)
        if "evs_noise_factors" in result.expectations.details:
            drawn["plots/zne.png"] = extrapolations(result.expectations, result.ledger.resolved, first)
    return drawn


def histogram(
    joint: Mapping[str, int],
    ideal: Mapping[str, float] | None,
    title: str,
    corrected: Mapping[str, float] | None = None,
) -> bytes:
    """Draw the shares of the most frequent outcomes.

    Args:
        joint: Counts as measured.
        ideal: Exact probabilities, drawn beside them where they are known.
        title: Of the figure.
        corrected: Quasi-probabilities, as well.
    """
    shots = sum(joint.values())
    weight = {
        outcome: max(joint.get(outcome, 0) / shots, (ideal or {}).get(outcome, 0.0))
        for outcome in {*joint, *(ideal or {})}
    }
    outcomes = sorted(sorted(weight, key=lambda outcome: (-weight[outcome], outcome))[:_MOST_BARS])
    figure, axes = _page(max(5.0, 0.42 * len(outcomes) + 2.0))
    places = np.arange(len(outcomes))
    beside = [("corrected", corrected, _CORRECTED), ("ideal", ideal, _IDEAL)]
    others = [(label, found, color) for label, found, color in beside if found]
    width = 0.8 / (1 + len(others)) if others else 0.7
    first = places - width * len(others) / 2
    shares = np.array([joint.get(outcome, 0) / shots for outcome in outcomes])
    errors = np.sqrt(shares * (1 - shares) / shots)
    axes.bar(first, shares, width, yerr=errors, color=_MEASURED, label="measured", capsize=2)
    for number, (label, found, color) in enumerate(others, 1):
        axes.bar(first + number * width, [found.get(one, 0.0) for one in outcomes], width, color=color, label=label)
    if others:
        figure.legend(loc="outside right upper", frameon=False)
    labels = [_label(outcome) for outcome in outcomes]
    steep = len(labels) > 8 or len(labels[0]) > 6
    axes.set_xticks(places, labels, rotation=90 if steep else 0, family="monospace")
    left_out = len(weight) - len(outcomes)
    axes.set_xlabel("outcome, rightmost bit 0" + (f" ({left_out} rarer ones left out)" if left_out else ""))
    axes.set_ylabel(f"share of {shots} shots")
    axes.set_title(title, fontsize=10)
    return _png(figure)


def _label(outcome: str) -> str:
    """Return an outcome as it fits below a bar: long ones as hexadecimal numbers, their middle left out."""
    if len(outcome) <= _WIDEST_LABEL:
        return outcome
    digits = f"{int(outcome, 2):0{-(-len(outcome) // 4)}x}"
    return f"0x{digits}" if len(digits) <= _WIDEST_LABEL else f"0x{digits[:4]}…{digits[-4:]}"


def expectation_values(result: TaskResult) -> bytes:
    """Draw expectation values with their standard errors: against the swept parameter, or side by side."""
    found = result.expectations
    assert found is not None
    figure, axes = _page(6.5)
    ideal = result.comparison.ideal
    if len(found.values) == 1:
        _side_by_side(axes, found, ideal)
    else:
        _along(axes, found, ideal, *_abscissa(result))
    if ideal is not None or len(found.values) > 1:
        title = "line: ideal" if ideal is not None and len(found.values) > 1 else None
        figure.legend(loc="outside right upper", frameon=False, title=title)
    axes.set_ylabel("expectation value")
    axes.set_title(_title(result), fontsize=10)
    return _png(figure)


def extrapolations(found: Expectations, resolved: Mapping[str, Any], title: str) -> bytes:
    """Draw, for the first parameter set, the value at each noise factor and what every extrapolator makes of it."""
    zne = resolved["resilience"]["zne"]
    count = found.details["evs_noise_factors"].shape[-1]
    factors = [1, 3, 5][:count] if zne["noise_factors"] == "auto" else list(zne["noise_factors"])
    points = zne["extrapolated_noise_factors"]
    points = [0, *factors] if points == "auto" else list(points)
    names = [zne["extrapolator"]] if isinstance(zne["extrapolator"], str) else list(zne["extrapolator"])
    fit = _Fit(factors, points, names)
    shown = min(len(found.names), _MOST_PANELS)
    figure = Figure(figsize=(3.4 * shown + 2.4, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = np.atleast_1d(figure.subplots(1, shown))
    for column, axes in enumerate(panels):
        _extrapolation(axes, found, column, fit)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", frameon=False)
    figure.suptitle(title, fontsize=10)
    return _png(figure)


def _extrapolation(axes: Axes, found: Expectations, column: int, fit: _Fit) -> None:
    details = found.details
    # The ensemble's errors are those of the mean; the plain ones are, without twirling, those of a single shot.
    errors = details.get("ensemble_stds_noise_factors", details["stds_noise_factors"])[0, column]
    data = details["evs_noise_factors"][0, column]
    axes.errorbar(fit.factors, data, yerr=_finite(errors), fmt="o", color=_MEASURED, capsize=3, label="at noise factor")
    order = np.argsort(fit.points)
    for index, name in enumerate(fit.names):
        curve = details["evs_extrapolated"][0, column, index]
        color = _CYCLE[1 + index % (len(_CYCLE) - 1)]
        axes.plot(np.array(fit.points)[order], curve[order], "--", color=color, label=name.replace("_", " "))
    error = found.errors[0, column]
    bar = _finite(np.array([error]))
    axes.errorbar([0], found.values[:1, column], yerr=bar, fmt="*", ms=11, color="#000000", capsize=3, label="result")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("noise factor")
    axes.set_ylabel("expectation value" if column == 0 else "")
    doubt = "" if np.isfinite(error) else " (no finite error)"
    axes.set_title(found.names[column] + doubt, fontsize=9)


def _side_by_side(axes: Axes, found: Expectations, ideal: np.ndarray | None) -> None:
    places = np.arange(len(found.names))
    axes.errorbar(
        places, found.values[0], yerr=_finite(found.errors[0]), fmt="o", color=_MEASURED, capsize=4, label="measured"
    )
    if ideal is not None:
        axes.plot(places, ideal[0], "_", ms=22, mew=2, color=_IDEAL, label="ideal")
    axes.set_xticks(places, found.names, rotation=90 if len(found.names) > 6 else 0)
    axes.set_xlim(-0.6, len(found.names) - 0.4)


def _along(axes: Axes, found: Expectations, ideal: np.ndarray | None, label: str, at: np.ndarray) -> None:
    order = np.argsort(at)
    for column, name in enumerate(found.names[:_MOST_LINES]):
        color = _CYCLE[column]
        values, errors = found.values[order, column], _finite(found.errors[order, column])
        axes.errorbar(at[order], values, yerr=errors, fmt="o", ms=3, color=color, capsize=2, label=name)
        if ideal is not None:
            axes.plot(at[order], ideal[order, column], "-", lw=1, color=color, alpha=0.7)
    axes.set_xlabel(label)


def _abscissa(result: TaskResult) -> tuple[str, np.ndarray]:
    """Return what varies: the one parameter that does, else the index of the parameter set."""
    values = result.parameter_values
    varying = [column for column in range(values.shape[1]) if np.ptp(values[:, column]) > 0]
    if len(varying) == 1:
        return result.parameters[varying[0]], values[:, varying[0]]
    return "parameter set", np.arange(len(values), dtype=float)


def _finite(errors: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(errors), errors, 0.0)


def _title(result: TaskResult) -> str:
    task = result.task
    mitigation = f", {task.mitigation.kind}" if task.mitigation.kind != "none" else ""
    return _literal(f"{task.circuit.name} on {result.backend}, {task.mode.kind}{mitigation}")


def _literal(text: str) -> str:
    """Return a text in which matplotlib finds no formula."""
    return text.replace("$", r"\$")


def _page(width: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=120, metadata={"Software": None})
    return stream.getvalue()
