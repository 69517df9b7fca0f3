"""What a result is worth: its mean squared error times what it cost; knows numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qrt_runner.results import Effect

if TYPE_CHECKING:
    from qrt_runner.analysis.pricing import Costs
    from qrt_runner.results import Expectations


def effect_of(found: Expectations, ideal: np.ndarray, costs: Costs) -> Effect | None:
    """Return how far off expectation values are and at which price; None where no reference is known.

    The mean squared error is bias^2 + standard error^2. The bias is that of this one measurement, in which the
    statistical error is once more: where there is no other, the mean squared error is twice its square on average.
    Times the cost it is what techniques are ranked by, as more shots lower the one as they raise the other.

    Args:
        found: What was measured.
        ideal: What it should have been, shape (parameter sets, observables); NaN where that is not known.
        costs: What it cost.
    """
    known = ~np.isnan(ideal).all(axis=0)
    if not known.any():
        return None
    bias = found.values - ideal
    mse_cost = (bias**2 + found.errors**2) * costs.cost_s[:, None]
    return Effect(bias, mse_cost, mse_cost[:, known].mean(axis=1), costs.cost_s, costs.source)
