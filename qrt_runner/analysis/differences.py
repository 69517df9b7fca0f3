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
_FEWEST_DRAWS: Final = 100
_MOST_NUMBERS: Final = 4_000_000
"""Draws times outcomes that are in memory at once, where that leaves the fewest draws."""

_ROUNDING: Final = 1e-12
"""Equal numbers that were computed in different ways may be so far apart."""


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
    if abs(found) <= _ROUNDING * max(1.0, abs(first[0]), abs(second[0])):
        return Difference(found, error, 0.0)
    return Difference(found, error, found / error if error > 0.0 else math.copysign(math.inf, found))


def total_variation(first: Mapping[str, float], second: Mapping[str, float]) -> float:
    """Return half the sum of |p - q|: 0 for equal distributions, 1 for disjoint ones.

    Args:
        first: Counts or probabilities by outcome.
        second: The same.
    """
    return float(_total_variation(*(_frequencies(one) for one in _aligned(first, second))))


def distances(first: Mapping[str, int], second: Mapping[str, int], seed: int = 0) -> tuple[Distance, Distance]:
    """Return the total variation and the Hellinger distance of two samples, each beside what sampling makes of it.

    What sampling makes of it is found by a permutation test: all shots are put together and dealt out anew, which
    assumes nothing of how they are distributed, also for outcomes that came once or twice.

    Args:
        first: Counts by outcome; at least one shot.
        second: The same.
        seed: Of the dealing.
    """
    one, other = _aligned(first, second)
    together = one + other
    draws = max(_FEWEST_DRAWS, min(_DRAWS, _MOST_NUMBERS // len(together)))
    dealt = np.random.default_rng(seed).multivariate_hypergeometric(together, int(one.sum()), size=draws)
    found, null = ([_frequencies(part) for part in parts] for parts in ((one, other), (dealt, together - dealt)))
    variation, hellinger = (
        _distance(float(measure(*found)), measure(*null)) for measure in (_total_variation, _hellinger)
    )
    return variation, hellinger


def _aligned(first: Mapping[str, float], second: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of two mappings in one order of their outcomes."""
    names = sorted({*first, *second})
    one, other = (np.array([numbers.get(name, 0) for name in names]) for numbers in (first, second))
    return one, other


def _frequencies(numbers: np.ndarray) -> np.ndarray:
    return np.asarray(numbers / numbers.sum(axis=-1, keepdims=True))


def _total_variation(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(p - q).sum(axis=-1) / 2.0)


def _hellinger(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Return the Hellinger distance, sqrt(1 - sum of sqrt(p q)): 0 for equal frequencies, 1 for disjoint ones."""
    return np.asarray(np.sqrt(np.clip(1.0 - np.sqrt(p * q).sum(axis=-1), 0.0, 1.0)))


def _distance(value: float, null: np.ndarray) -> Distance:
    as_far = int((null >= value - _ROUNDING).sum())
    return Distance(value, float(null.mean()), float(null.std()), (as_far + 1) / (len(null) + 1))
