"""Which rows of a tidy table are the best, or the lowest and the highest where no direction is known; knows numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Row = Mapping[str, Any]

_COLUMNS: Final = {
    "ev": "ev",
    "std": "std",
    "ideal": "ideal",
    "error": "error",
    "effect/mse_cost": "mse_cost",
}
"""Columns of the table by the metrics that have one value for each observable."""

_OF_SETS: Final = {
    "fidelity/hellinger": "hellinger",
    "p_success": "p_success",
    "distance/total_variation": "total_variation",
    "effect/cost_s": "cost_s",
}
"""Columns of the table by the metrics that have one value for each parameter set."""

_WITH_ERROR: Final = ("ev", "error")
"""Columns whose standard error is `std`: exact values and costs have none."""

_LARGE: Final = ("fidelity/hellinger", "p_success")
"""Metrics that are the better, the larger they are; of values and ideal ones neither is better."""


@dataclass(frozen=True)
class Extreme:
    """A row that stands out."""

    word: Literal["best", "lowest", "highest"]
    metric: str
    """Such as `error/zz`."""

    value: float
    error: float
    """Standard error; NaN where there is none."""

    row: Row


def extremes_of(rows: Sequence[Row], objective: str | None) -> list[Extreme]:
    """Return the rows that stand out; nothing where no row has the metric.

    Args:
        rows: Of the table of a sweep.
        objective: The metric to go by. None for the error of the first observable where a reference tells it, else its
            value, else the Hellinger fidelity.
    """
    metric = objective or _metric_of(rows)
    column, observable = _column_of(metric)
    known = [
        row
        for row in rows
        if isinstance(row.get(column), int | float)
        and math.isfinite(row[column])
        and observable in (None, row.get("observable"))
    ]
    if not known:
        return []
    sides: dict[Literal["best", "lowest", "highest"], Callable[[Row], float]]
    if metric.startswith(("ev/", "ideal/")):
        sides = {"lowest": lambda row: row[column], "highest": lambda row: -row[column]}
    else:
        sides = {"best": lambda row: -row[column] if metric in _LARGE else abs(row[column])}
    has_error = column in _WITH_ERROR
    chosen = {word: min(known, key=rank) for word, rank in sides.items()}
    return [
        Extreme(word, metric, float(row[column]), float(row.get("std", math.nan) if has_error else math.nan), row)
        for word, row in chosen.items()
    ]


def _metric_of(rows: Sequence[Row]) -> str:
    name = next((str(row["observable"]) for row in rows if "observable" in row), None)
    if name is None:
        return "fidelity/hellinger"
    told = any(row.get("observable") == name and row.get("error") is not None for row in rows)
    return f"error/{name}" if told else f"ev/{name}"


def _column_of(metric: str) -> tuple[str, str | None]:
    """Return column and observable of a metric; a column that no table has where it has none."""
    if metric in _OF_SETS:
        return _OF_SETS[metric], None
    for kind, column in _COLUMNS.items():
        if metric.startswith(f"{kind}/"):
            return column, metric.removeprefix(f"{kind}/")
    return "", None
