"""Numbers from counts: expectation values, fidelities, success; knows numpy and qiskit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qiskit.quantum_info import hellinger_fidelity

from qrt_runner.circuits import measured_bits
from qrt_runner.results import Counts, Expectations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp


def expectations_from_counts(
    counts: Counts, observables: Mapping[str, SparsePauliOp], circuit: QuantumCircuit
) -> Expectations:
    """Return expectation values of diagonal observables, by the mean over shots.

    The standard error is that of the mean, sqrt((<O^2> - <O>^2) / shots), with the shots' own variance.

    Args:
        counts: Of a circuit.
        observables: Diagonal, over the circuit's qubits.
        circuit: The logical circuit with its measurements.
    """
    bits = measured_bits(circuit)
    places = joint_places(circuit)
    where = {qubit: places[bit] for qubit, bit in bits.items()}
    values = np.empty((len(counts.joint), len(observables)))
    errors = np.empty_like(values)
    for row, joint in enumerate(counts.joint):
        outcomes, weights = _table(joint)
        for column, operator in enumerate(observables.values()):
            per_outcome = _eigenvalues(operator, outcomes, where)
            mean = np.average(per_outcome, weights=weights)
            values[row, column] = mean
            errors[row, column] = np.sqrt(np.average((per_outcome - mean) ** 2, weights=weights) / weights.sum())
    return Expectations(tuple(observables), values, errors)


def joint_places(circuit: QuantumCircuit) -> dict[int, int]:
    """Return, for each classical bit of a circuit, its place from the right in a joint outcome."""
    bits = [circuit.find_bit(bit).index for register in circuit.cregs for bit in register]
    return {bit: place for place, bit in enumerate(bits)}


def hellinger(joint: Mapping[str, int], probabilities: Mapping[str, float]) -> float:
    """Return the Hellinger fidelity (sum of sqrt(p q))^2 of counts and exact probabilities."""
    return float(hellinger_fidelity(dict(joint), dict(probabilities)))


def success_probability(joint: Mapping[str, int], probabilities: Mapping[str, float]) -> float:
    """Return the share of the shots that fell on the most probable exact outcomes."""
    best = max(probabilities.values())
    wanted = {outcome for outcome, probability in probabilities.items() if probability > best * (1 - 1e-9)}
    return sum(count for outcome, count in joint.items() if outcome in wanted) / sum(joint.values())


def _table(joint: Mapping[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return outcomes, shape (distinct outcomes, bits) with bit 0 first, and how often each came."""
    text = "".join(key[::-1] for key in joint)
    outcomes = np.frombuffer(text.encode("ascii"), dtype=np.uint8).reshape(len(joint), -1) - ord("0")
    return outcomes, np.fromiter(joint.values(), dtype=float)


def _eigenvalues(operator: SparsePauliOp, outcomes: np.ndarray, where: Mapping[int, int]) -> np.ndarray:
    """Return the observable's value on each outcome."""
    total = np.zeros(len(outcomes))
    for z, coefficient in zip(operator.paulis.z, operator.coeffs.real, strict=True):
        places = [where[int(qubit)] for qubit in np.flatnonzero(z)]
        total += coefficient * (1.0 - 2.0 * (outcomes[:, places].sum(axis=1) % 2))
    return total
