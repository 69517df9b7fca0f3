"""What a task costs, as a frozen record that JSON can hold; knows the standard library only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Price:
    """What a task costs, as far as that is known before it runs; and what it has cost, once that is known."""

    circuits: int
    """Parameter sets, randomizations, noise factors and bases multiplied, and the overhead where it is known."""

    shots_per_circuit: int
    randomizations: int
    """Of each circuit, before PEC multiplies them."""

    noise_factors: int
    bases: int
    """Measurement bases."""

    overhead: float | None
    """By how much PEC multiplies the randomizations, gamma squared; 1 without PEC, None while the noise is unknown."""

    estimated_s: float
    """Quantum seconds on a device: its share of those of its jobs, what calibrates their readout included."""

    calibration_shots: int = 0
    """Of what calibrates the readout (M3, TREX) in its jobs, for all tasks in them."""

    learning_shots: int = 0
    """Of the jobs that learn the noise for it, and for others where there are some on the same layers."""

    learning_s: float = 0.0
    """The quantum seconds that those are expected to take; not in `estimated_s`."""

    spent_s: float | None = None
    """Its share of what the platform says of its jobs; None where it tells nothing, as of a simulator."""

    learning_spent_s: float | None = None

    predicted_s: float | None = None
    """Quantum seconds of all its jobs, those that learn its noise included, as the journal's history corrects the
    estimates; None where nothing runs on a device, where PEC's noise was not known yet, or by an earlier version."""

    @property
    def shots(self) -> int:
        """All circuits times their shots, which limits call executions."""
        return self.circuits * self.shots_per_circuit
