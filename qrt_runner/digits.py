"""Numbers with the digits that their standard errors leave meaningful, and the one number of a task; knows results."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qrt_runner.results import Counts, TaskResult


@dataclass(frozen=True)
class Headline:
    """The one number of a task that a table has room for."""

    name: str
    """An observable, or the probability of the most frequent outcome."""

    value: float
    error: float
    """Standard error."""

    sets: int
    """Of how many parameter sets it is the first."""


def with_error(value: float, error: float) -> str:
    """Return a value with the digits that its standard error leaves meaningful, such as 0.891(20)."""
    from uncertainties import ufloat

    if not math.isfinite(error):
        return f"{value:.4g} (no finite error)"
    return f"{value:.6g}" if error == 0 else f"{ufloat(value, error):.2uS}"


def headline_of(result: TaskResult) -> Headline | None:
    """Return a task's headline number, that of its first parameter set; None where there is no result of that."""
    found = result.expectations
    if 0 in result.missing:
        return None
    if found is not None and found.names and len(found.values):
        return Headline(found.names[0], float(found.values[0, 0]), float(found.errors[0, 0]), len(found.values))
    if result.counts is not None and any(result.counts.joint[:1]):
        return _most_frequent(result.counts, " as measured" if result.corrected is not None else "")
    return None


def _most_frequent(counts: Counts, how: str) -> Headline:
    """Return the share of the most frequent outcome, with its binomial standard error; counts are never corrected."""
    joint = counts.joint[0]
    outcome, shots = max(joint, key=lambda outcome: joint[outcome]), sum(joint.values())
    share = joint[outcome] / shots
    return Headline(f"P({outcome}){how}", share, math.sqrt(share * (1 - share) / shots), len(counts.joint))
