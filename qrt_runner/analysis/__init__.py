"""Derived numbers: expectation values from counts, references, distances; may know numpy and qiskit, not backends."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from qrt_runner.analysis.counting import expectations_from_counts, hellinger, success_probability
from qrt_runner.analysis.differences import total_variation
from qrt_runner.analysis.effect import effect_of
from qrt_runner.analysis.exact import exact_reference
from qrt_runner.analysis.known import known_reference
from qrt_runner.analysis.pricing import Costs, Pricing
from qrt_runner.analysis.twins import with_twin_distances

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from qrt_runner.results import Comparison, PubResult

__all__ = ["Costs", "Pricing", "compared", "exact_reference", "expectations_from_counts", "known_reference"]


def compared(reference: Comparison, result: PubResult, costs: Callable[[], Costs]) -> Comparison:
    """Return a reference together with how a result compares with it, parameter set by parameter set.

    Args:
        reference: What the result should have been.
        result: Counts, expectation values, or both.
        costs: Tells what they cost.
    """
    if result.counts is not None and (exact := reference.probabilities) is not None:
        measured = _with_distances(reference, result.counts.joint, exact)
        if result.corrected is None:
            reference = measured
        else:
            corrected = _with_distances(reference, result.corrected.probabilities, exact)
            reference = replace(corrected, uncorrected=measured)
    if result.expectations is not None and reference.ideal is not None:
        reference = replace(reference, effect=effect_of(result.expectations, reference.ideal, costs()))
    return with_twin_distances(reference, result) if reference.twin is not None else reference


def _with_distances(
    reference: Comparison, found: Sequence[Mapping[str, float]], probabilities: tuple[Mapping[str, float], ...]
) -> Comparison:
    pairs = list(zip(found, probabilities, strict=True))

    def by_set(distance: Callable[[Mapping[str, float], Mapping[str, float]], float]) -> tuple[float, ...]:
        return tuple(distance(joint, exact) if joint else math.nan for joint, exact in pairs)

    return replace(
        reference,
        hellinger=by_set(hellinger),
        p_success=by_set(success_probability),
        total_variation=by_set(total_variation),
    )
