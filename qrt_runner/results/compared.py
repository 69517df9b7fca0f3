"""How results compare with references and twins, and what they are worth; knows numpy only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from qrt_runner.results.measured import Counts, Expectations


@dataclass(frozen=True)
class Effect:
    """What expectation values are worth: how far off they are, times their price."""

    bias: np.ndarray
    """Value less reference, shape (parameter sets, observables); NaN where no reference is known.

    Metrics and tables call it `error`: in one measurement the statistical error is in it.
    """

    mse_cost: np.ndarray
    """(bias^2 + standard error^2) times cost, in seconds, shape as of `bias`; infinite where the error is."""

    mean_mse_cost: np.ndarray
    """The mean of these over the observables with a reference, shape (parameter sets,); not finite where one is not."""

    cost_s: np.ndarray
    """Quantum seconds of each parameter set: its share of those of its job, shape (parameter sets,)."""

    cost_source: Literal["spent", "estimated"]
    """Whether the platform told what was spent, or the plan's estimate stands in for it."""


@dataclass(frozen=True)
class Twin:
    """What a noisy simulator of the backend gave for the same program, and how far from that the result is."""

    counts: Counts | None = None
    """From the counting modes."""

    expectations: Expectations | None = None
    """From the estimator, or told by the counts."""

    sigmas: np.ndarray | None = None
    """Result less twin in standard errors of that difference, shape (parameter sets, observables)."""

    ideal_sigmas: np.ndarray | None = None
    """Result less exact value in standard errors of the result, shape as of `sigmas`."""

    distances: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Of counts, per parameter set, by metric name; beside them what sampling makes of equal distributions."""


@dataclass(frozen=True)
class Comparison:
    """How a result compares with its reference."""

    ideal: np.ndarray | None = None
    """Exact or known expectation values, shape (parameter sets, observables); NaN where none is known."""

    probabilities: tuple[Mapping[str, float], ...] | None = None
    """Exact outcome probabilities per parameter set, bit order as in `Counts.joint`."""

    hellinger: tuple[float, ...] = ()
    """Hellinger fidelity of counts and exact probabilities, per parameter set."""

    p_success: tuple[float, ...] = ()
    """Share of the shots that fell on the most probable exact outcomes, per parameter set."""

    total_variation: tuple[float, ...] = ()
    """Total variation distance of counts and exact probabilities, per parameter set."""

    effect: Effect | None = None
    """Of expectation values of which the reference tells some."""

    uncorrected: Comparison | None = None
    """How the counts as measured compare, where readout errors are undone."""
    twin: Twin | None = None
