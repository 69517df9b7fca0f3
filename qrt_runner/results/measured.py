"""What a PUB gave: counts, expectation values, learned noise; knows numpy only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from qrt_runner.noise import LayerNoise

GAMMA: Final = "pec_gamma"
"""The detail of expectation values that tells by which factor PEC made their standard errors larger."""


@dataclass(frozen=True)
class Counts:
    """How often each outcome came, per parameter set."""

    registers: tuple[tuple[str, int], ...]
    """Name and width of each classical register, in the circuit's order."""

    joint: tuple[Mapping[str, int], ...]
    """Per parameter set: outcomes over all registers. The last register stands leftmost; the rightmost is bit 0."""

    def by_register(self) -> list[dict[str, dict[str, int]]]:
        """Return {register: {bitstring: count}} per parameter set, each register on its own."""
        return [{name: self._marginal(joint, name) for name, _ in self.registers} for joint in self.joint]

    def shots(self) -> list[int]:
        """Return the number of shots per parameter set."""
        return [sum(joint.values()) for joint in self.joint]

    def _marginal(self, joint: Mapping[str, int], register: str) -> dict[str, int]:
        start, width = self._span(register)
        marginal: dict[str, int] = {}
        for bits, count in joint.items():
            end = len(bits) - start
            key = bits[end - width : end]
            marginal[key] = marginal.get(key, 0) + count
        return marginal

    def _span(self, register: str) -> tuple[int, int]:
        start = 0
        for name, width in self.registers:
            if name == register:
                return start, width
            start += width
        raise KeyError(register)


@dataclass(frozen=True)
class Expectations:
    """Expectation values with their standard errors."""

    names: tuple[str, ...]
    """Names of the observables."""

    values: np.ndarray
    """Shape (parameter sets, observables)."""

    errors: np.ndarray
    """Standard errors, shape (parameter sets, observables); infinite where the platform could not tell one."""

    details: Mapping[str, np.ndarray] = field(default_factory=dict)
    """What the platform returned beside them (ZNE: `evs_noise_factors` and the like), first axes as in `values`."""


@dataclass(frozen=True)
class Corrected:
    """What counts are once readout errors are undone, per parameter set."""

    quasi: tuple[Mapping[str, float], ...]
    """Quasi-probabilities of the outcomes that came, bit order as in `Counts.joint`; some may be below 0."""

    probabilities: tuple[Mapping[str, float], ...]
    """The nearest probability distributions."""

    overhead: np.ndarray
    """By how much more shots the same variance takes at most, shape (parameter sets,)."""

    uncorrected: Expectations
    """What the counts as measured tell."""


@dataclass(frozen=True)
class PubResult:
    """What one PUB gave: counts from the counting modes, expectation values from the estimator."""

    counts: Counts | None = None
    expectations: Expectations | None = None
    corrected: Corrected | None = None
    """What the expectation values are from, where readout errors are undone."""

    noise: tuple[LayerNoise, ...] = ()
    """From a job that learned the noise of layers."""
