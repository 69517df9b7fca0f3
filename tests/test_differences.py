"""Differences in standard errors and distances of counts, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qrt_runner.analysis.differences import CHANCE, difference, distances


def test_errors_add_in_squares():
    """0.9(3) and then 0.4(4): -0.5 with the error sqrt(0.09 + 0.16) = 0.5, which is one standard error."""
    found = difference((0.9, 0.3), (0.4, 0.4))
    assert found.difference == pytest.approx(-0.5)
    assert found.error == pytest.approx(0.5)
    assert found.sigmas == pytest.approx(-1.0)
    assert not found.is_significant


def test_more_than_two_standard_errors_are_significant():
    """1.1 in errors of 0.5 is 2.2 of them, 0.9 is 1.8."""
    assert difference((0.0, 0.3), (1.1, 0.4)).is_significant
    assert not difference((0.0, 0.3), (0.9, 0.4)).is_significant


@pytest.mark.parametrize(("second", "sigmas"), [(1.0, 0.0), (0.5, -math.inf), (1.5, math.inf)])
def test_without_errors_any_difference_exceeds_them(second, sigmas):
    """Equal values differ by no standard error, others by more than any."""
    found = difference((1.0, 0.0), (second, 0.0))
    assert found.sigmas == sigmas
    assert found.is_significant == (sigmas != 0.0)


@pytest.mark.parametrize("error", [0.0, 1e-17])
def test_rounding_is_no_difference(error):
    """One third, and 1 - 2/3, are equal but for their last digit, and no error bar is that short."""
    found = difference((1 / 3, error), (1 - 2 / 3, error))
    assert found.difference != 0.0
    assert (found.sigmas, found.is_significant) == (0.0, False)


@pytest.mark.parametrize("error", [math.inf, math.nan])
def test_without_a_finite_error_nothing_is_significant(error):
    """A zero-noise extrapolation may tell none."""
    found = difference((0.0, error), (100.0, 0.1))
    assert math.isnan(found.sigmas)
    assert not found.is_significant


def test_distances_are_those_of_the_frequencies():
    """3/4, 1/4 and 1/4, 3/4: total variation 1/2, Hellinger sqrt(1 - sqrt(3)/2)."""
    variation, hellinger = distances({"0": 30, "1": 10}, {"0": 5, "1": 15})
    assert variation.value == pytest.approx(0.5)
    assert hellinger.value == pytest.approx(math.sqrt(1 - math.sqrt(3) / 2))
    assert [one.value for one in distances({"0": 4}, {"1": 2})] == [1.0, 1.0]


def test_what_sampling_makes_of_a_distance_is_worked_out_by_hand():
    """Two shots of 0 and two of 1, dealt out two by two: they fall 2|0 in 1 case of 6, 1|1 in 4, 0|2 in 1.

    The total variation is then 1, 0 and 1: the mean is 1/3, the variance 1/3 - 1/9 = 2/9, and 1/3 are as far as 1.
    """
    variation, hellinger = distances({"0": 2}, {"1": 2})
    assert variation.value == hellinger.value == 1.0
    assert variation.expected == pytest.approx(1 / 3, abs=5 * math.sqrt(2 / 9 / 1000))
    assert variation.spread == pytest.approx(math.sqrt(2 / 9), abs=0.03)
    assert variation.chance == pytest.approx(1 / 3, abs=5 * math.sqrt(2 / 9 / 1000) + 0.001)
    assert not variation.is_significant


def test_many_shots_expect_the_known_mean():
    """With 10,000 shots each of p = 1/2 the difference of frequencies is normal, its mean sqrt(2/pi) sqrt(1/20000)."""
    variation, _ = distances({"0": 5000, "1": 5000}, {"0": 5000, "1": 5000})
    assert (variation.value, variation.chance) == (0.0, 1.0)
    assert variation.expected == pytest.approx(math.sqrt(2 / math.pi / 20000), rel=0.12)


def test_equal_distributions_are_rarely_called_different():
    """Of 200 pairs from one distribution about 4.6 % are called significant: 9, and 5 standard deviations make 24."""
    draws = np.random.default_rng(3).multinomial(500, [0.4, 0.3, 0.2, 0.1], size=(200, 2))
    called = [distances(*({str(k): int(n) for k, n in enumerate(counts)} for counts in pair))[0] for pair in draws]
    assert sum(one.is_significant for one in called) <= 200 * CHANCE + 5 * math.sqrt(200 * CHANCE)
    assert pytest.approx(0.0455, abs=1e-4) == CHANCE


def test_distributions_that_differ_are_told_apart():
    """0.5 against 0.6 with 2,000 shots each is 6 standard deviations."""
    variation, hellinger = distances({"0": 1000, "1": 1000}, {"0": 1200, "1": 800})
    assert variation.value == pytest.approx(0.1)
    assert variation.is_significant
    assert hellinger.is_significant


def test_the_same_comparison_gives_the_same_numbers():
    """What is dealt out is dealt out from a seed."""
    counts = {"00": 30, "11": 20}, {"00": 22, "11": 28}
    assert distances(*counts) == distances(*counts)
