"""How far a result is from that of its twin, in units of what chance makes of it; knows numpy."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from qrt_runner.analysis.differences import distances

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qrt_runner.results import Comparison, Counts, Expectations, PubResult, Twin

_TOLD = "total_variation", "hellinger"


def with_twin_distances(comparison: Comparison, result: PubResult) -> Comparison:
    """Return a comparison that tells how far a result is from its twin's, and in its own errors from exact values.

    Args:
        comparison: With the twin's numbers.
        result: What was measured.
    """
    twin = comparison.twin
    assert twin is not None
    if result.expectations is not None:
        twin = _with_sigmas(twin, result.expectations, comparison.ideal)
    if result.counts is not None and twin.counts is not None:
        twin = replace(twin, distances=_distances(result.counts, twin.counts, comparison.hellinger))
    return replace(comparison, twin=twin)


def _with_sigmas(twin: Twin, found: Expectations, ideal: np.ndarray | None) -> Twin:
    if ideal is not None:
        twin = replace(twin, ideal_sigmas=in_errors(found.values - ideal, found.errors))
    if twin.expectations is None:
        return twin
    errors = np.hypot(found.errors, twin.expectations.errors)
    return replace(twin, sigmas=in_errors(found.values - twin.expectations.values, errors))


def in_errors(differences: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Return differences in their standard errors; NaN where an error is not finite, or nothing errs and differs."""
    told = np.isfinite(errors) & ((errors > 0) | (differences == 0))
    safe = np.where(told & (errors > 0), errors, 1.0)
    return np.where(told, differences / safe, np.nan)


def _distances(counts: Counts, twin: Counts, fidelities: Sequence[float]) -> Mapping[str, tuple[float, ...]]:
    """Return by metric name the distances from the twin, what sampling makes of equal distributions, and from exact."""
    pairs = [distances(one, other) if one else None for one, other in zip(counts.joint, twin.joint, strict=True)]
    told = {}
    for place, name in enumerate(_TOLD):
        of_sets = [None if pair is None else pair[place] for pair in pairs]
        told[f"twin/{name}"] = tuple(math.nan if one is None else one.value for one in of_sets)
        told[f"twin/{name}_expected"] = tuple(math.nan if one is None else one.expected for one in of_sets)
    if fidelities:
        # The fidelity is (sum of sqrt(p q))^2, the distance sqrt(1 - sum of sqrt(p q)).
        told["distance/hellinger"] = tuple(math.sqrt(max(1.0 - math.sqrt(one), 0.0)) for one in fidelities)
    return told
