"""Tells whether two measurements differ by more than their errors; knows numpy only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_SIGMAS: Final = 2.0
"""A difference of more standard errors than this is called significant."""

CHANCE: Final = math.erfc(MOST_SIGMAS / math.sqrt(2.0))
"""How often equal quantities with normal errors differ by more than that: 4.6 % of the time."""

_DRAWS: Final = 1000
_MOST_NUMBERS: Final = 4_000_000
"""Draws times outcomes that are in memory at once."""


@dataclass(frozen=True)
class Difference:
    """How two values with standard errors differ."""

    difference: float
    """The second less the first."""

    error: float
    """Standard error of the difference of independent values: the root of the sum of the squares."""

    sigmas: float
    """The difference in its standard errors; nan where one of the values has no finite error."""

    @property
    def is_significant(self) -> bool:
        """Whether it exceeds its error bars."""
        return abs(self.sigmas) > MOST_SIGMAS


@dataclass(frozen=True)
class Distance:
    """How far two samples of outcomes are apart, and how far two of one distribution would be."""

    value: float
    expected: float
    """Mean over samples of these sizes, drawn from all shots together without being put back."""

    spread: float
    """Standard deviation of the same."""

    chance: float
    """Share of those that are as far apart, or further; this one counts among them."""

    @property
    def is_significant(self) -> bool:
        """Whether it exceeds what sampling alone makes of it as clearly as a difference of two standard errors."""
        return self.chance < CHANCE


def difference(first: tuple[float, float], second: tuple[float, float]) -> Difference:
    """Return how two values differ, each given with its standard error."""
    found = second[0] - first[0]
    error = math.hypot(first[1], second[1])
    if not math.isfinite(error) or math.isnan(found):
        return Difference(found, error, math.nan)
    sigmas = found / error if error > 0.0 else math.copysign(math.inf, found) if found else 0.0
    return Difference(found, error, sigmas)


def total_variation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return half the sum of the absolute differences of frequencies: 0 for equal ones, 1 for disjoint ones.

    Args:
        first: Counts, shape (..., outcomes).
        second: Counts of the same outcomes.
    """
    p, q = _frequencies(first), _frequencies(second)
    return np.asarray(np.abs(p - q).sum(axis=-1) / 2.0)


def hellinger_distance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return sqrt(1 - sum of sqrt(p q)) of frequencies: 0 for equal ones, 1 for disjoint ones.

    Args:
        first: Counts, shape (..., outcomes).
        second: Counts of the same outcomes.
    """
    overlap = np.sqrt(_frequencies(first) * _frequencies(second)).sum(axis=-1)
    return np.asarray(np.sqrt(np.clip(1.0 - overlap, 0.0, 1.0)))


def distances(first: Mapping[str, int], second: Mapping[str, int], seed: int = 0) -> tuple[Distance, Distance]:
    """Return the total variation and the Hellinger distance of two samples, each beside what sampling makes of it.

    What sampling makes of it is found by a permutation test: all shots are put together and dealt out anew, which
    assumes nothing of how they are distributed, also for outcomes that came once or twice.

    Args:
        first: Counts by outcome; at least one shot.
        second: The same.
        seed: Of the dealing.
    """
    names = sorted({*first, *second})
    one, other = (np.array([counts.get(name, 0) for name in names]) for counts in (first, second))
    together = one + other
    draws = max(100, min(_DRAWS, _MOST_NUMBERS // len(names)))
    dealt = np.random.default_rng(seed).multivariate_hypergeometric(together, int(one.sum()), size=draws)
    measures = (total_variation, hellinger_distance)
    found = [(float(measure(one, other)), measure(dealt, together - dealt)) for measure in measures]
    variation, hellinger = (_distance(value, null) for value, null in found)
    return variation, hellinger


def _distance(value: float, null: np.ndarray) -> Distance:
    # Equal distances may differ in their last digits.
    as_far = int((null >= value - 1e-12).sum())
    return Distance(value, float(null.mean()), float(null.std()), (as_far + 1) / (len(null) + 1))


def _frequencies(counts: np.ndarray) -> np.ndarray:
    return np.asarray(counts / counts.sum(axis=-1, keepdims=True))
