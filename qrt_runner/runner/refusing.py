"""Judges the points of a plan that cannot be run; knows config and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qrt_runner.config import merged_mistakes
from qrt_runner.errors import CircuitError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qrt_runner.plan import Refusal
    from qrt_runner.runner.outcome import Outcome, Request


def judged_refusals(refusals: Sequence[Refusal], request: Request, outcome: Outcome) -> list[Refusal]:
    """Return the points that fail alone, because their circuits cannot be loaded or bound.

    Raises:
        ConfigError: Where points cannot be run for other reasons and are not to be skipped, or no point can be run.
    """
    failing = [refusal for refusal in refusals if isinstance(refusal.error, CircuitError)]
    wrong = [refusal for refusal in refusals if refusal not in failing]
    if (wrong and not request.skip_invalid) or (refusals and len(refusals) == len(request.points)):
        errors = {refusal.point.index: refusal.error for refusal in refusals}
        raise ConfigError(merged_mistakes(errors, grouped=request.grouped))
    if wrong:
        outcome.exit_code = 1
    outcome.troubles += [
        f"left out: point {refusal.point.index} [{' '.join(refusal.point.overrides)}]: {mistake}"
        for refusal in wrong
        for mistake in refusal.error.mistakes
    ]
    return failing
