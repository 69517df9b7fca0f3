"""What an extrapolation to zero noise was made of; knows results and numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qrt_runner.results import TaskResult

MOST_DRAWN: Final = 12
"""Values of which an extrapolation is drawn."""

_AUTOMATIC: Final = (1.0, 3.0, 5.0)
"""Noise factors that the runtime takes for `auto`."""


@dataclass(frozen=True)
class Curve:
    """What one extrapolator makes of the data."""

    name: str
    at: np.ndarray
    """Noise factors at which the platform evaluated it, ascending."""

    values: np.ndarray
    errors: np.ndarray


@dataclass(frozen=True)
class Extrapolation:
    """One expectation value that was extrapolated."""

    observable: str
    index: int
    """Of the parameter set."""

    factors: np.ndarray
    values: np.ndarray
    """At the noise factors."""

    errors: np.ndarray
    curves: tuple[Curve, ...]
    result: float
    """What the platform made of the curves, term by term of the observable."""

    error: float
    ideal: float | None


def extrapolations_of(result: TaskResult, most: int = MOST_DRAWN) -> list[Extrapolation]:
    """Return a task's extrapolations, parameter set by parameter set; nothing where none took place."""
    places = _places(result)[:most]
    return [_extrapolation(result, index, column) for index, column in places]


def left_undrawn(result: TaskResult) -> str | None:
    """Return a note about the extrapolations of which there is no figure; None where there are figures of all."""
    places = _places(result)
    if len(places) <= MOST_DRAWN:
        return None
    return f"extrapolations drawn: the first {MOST_DRAWN} of {len(places)}; all are in results.json"


def _places(result: TaskResult) -> list[tuple[int, int]]:
    """Return parameter set and observable of each extrapolated value of which there is a result."""
    found = result.expectations
    if found is None or "evs_noise_factors" not in found.details:
        return []
    missing = frozenset(result.missing)
    sets = [index for index in range(len(found.values)) if index not in missing]
    return [(index, column) for index in sets for column in range(len(found.names))]


def _extrapolation(result: TaskResult, index: int, column: int) -> Extrapolation:
    found, ideal = result.expectations, result.comparison.ideal
    assert found is not None
    details, zne = found.details, result.ledger.resolved["resilience"]["zne"]
    # The ensemble's errors are those of the mean; the plain ones are, without twirling, those of a single shot.
    errors = details.get("ensemble_stds_noise_factors", details["stds_noise_factors"])
    known = ideal is not None and not np.isnan(ideal[index, column])
    values = details["evs_noise_factors"][index, column]
    return Extrapolation(
        observable=found.names[column],
        index=index,
        factors=_factors(zne, len(values)),
        values=values,
        errors=errors[index, column],
        curves=_curves(details, zne, index, column),
        result=float(found.values[index, column]),
        error=float(found.errors[index, column]),
        ideal=float(ideal[index, column]) if ideal is not None and known else None,
    )


def _factors(zne: Mapping[str, Any], count: int) -> np.ndarray:
    told = _AUTOMATIC[:count] if zne["noise_factors"] == "auto" else zne["noise_factors"]
    return np.asarray(told, dtype=float)


def _curves(details: Mapping[str, np.ndarray], zne: Mapping[str, Any], index: int, column: int) -> tuple[Curve, ...]:
    count = details["evs_noise_factors"].shape[-1]
    points = zne["extrapolated_noise_factors"]
    at = np.asarray([0.0, *_factors(zne, count)] if points == "auto" else points, dtype=float)
    names = [zne["extrapolator"]] if isinstance(zne["extrapolator"], str) else list(zne["extrapolator"])
    order = np.argsort(at)
    values, errors = details["evs_extrapolated"][index, column], details["stds_extrapolated"][index, column]
    return tuple(Curve(name, at[order], values[row][order], errors[row][order]) for row, name in enumerate(names))
