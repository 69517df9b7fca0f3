"""raw, sampler, estimator, learner: ways to submit PUBs, fetch what the platform gives and read it, one registry.

May know qiskit and runtime; knows neither configs nor MLflow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qrt_runner.modes.raw_results import RawResult
from qrt_runner.modes.submission import Mode, Pub, Submission

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LEARNER_MODE", "MODES", "Mode", "Pub", "RawResult", "Submission", "mode_named"]


def _raw() -> Mode:
    from qrt_runner.modes.raw import RAW

    return RAW


def _sampler() -> Mode:
    from qrt_runner.modes.primitives import SAMPLER

    return SAMPLER


def _estimator() -> Mode:
    from qrt_runner.modes.primitives import ESTIMATOR

    return ESTIMATOR


def _learner() -> Mode:
    from qrt_runner.modes.learning import LEARNER

    return LEARNER


LEARNER_MODE: Final = "learner"
"""The mode of jobs that no task asks for: they learn the noise of the layers of others."""

MODES: Final[dict[str, Callable[[], Mode]]] = {
    "raw": _raw,
    "sampler": _sampler,
    "estimator": _estimator,
    LEARNER_MODE: _learner,
}
"""Modes by name, each imported when it is first asked for."""


def mode_named(name: str) -> Mode:
    """Return the mode of that name."""
    return MODES[name]()
