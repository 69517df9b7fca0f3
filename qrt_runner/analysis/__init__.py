"""Derived numbers: expectation values from counts, references, distances; may know numpy and qiskit, not backends."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qrt_runner.analysis.counting import expectations_from_counts, hellinger, success_probability
from qrt_runner.analysis.exact import exact_reference
from qrt_runner.results import Comparison

if TYPE_CHECKING:
    from qrt_runner.results import Counts

__all__ = ["compared", "exact_reference", "expectations_from_counts"]


def compared(reference: Comparison, counts: Counts | None) -> Comparison:
    """Return a reference together with how counts compare with it, parameter set by parameter set."""
    if counts is None or reference.probabilities is None:
        return reference
    pairs = list(zip(counts.joint, reference.probabilities, strict=True))
    return Comparison(
        reference.ideal,
        reference.probabilities,
        tuple(hellinger(joint, probabilities) if joint else math.nan for joint, probabilities in pairs),
        tuple(success_probability(joint, probabilities) if joint else math.nan for joint, probabilities in pairs),
    )
