"""Numbers from counts: expectation values, fidelities, success; knows numpy and qiskit."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from qiskit.quantum_info import hellinger_fidelity

from qrt_runner.circuits import measured_bits
from qrt_runner.results import Counts, Expectations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp

    from qrt_runner.analysis.readout import ReadoutError

_PERFECT: Final[Mapping[int, Any]] = MappingProxyType({})


def expectations_from_counts(
    counts: Counts,
    observables: Mapping[str, SparsePauliOp],
    circuit: QuantumCircuit,
    errors: Mapping[int, ReadoutError] = _PERFECT,
) -> Expectations:
    """Return expectation values of diagonal observables, by the mean over shots.

    The standard error is that of the mean, sqrt((<O^2> - <O>^2) / shots), with the shots' own variance. With readout
    errors given, O is the unbiased estimate that a shot gives, see `ReadoutError.undone`; how exactly the errors are
    known is not in it.

    Args:
        counts: Of a circuit.
        observables: Diagonal, over the circuit's qubits.
        circuit: The logical circuit with its measurements.
        errors: Readout errors to be undone, by classical bit.
    """
    bits = measured_bits(circuit)
    places = joint_places(circuit)
    where = {qubit: places[bit] for qubit, bit in bits.items()}
    undone = {places[bit]: error for bit, error in errors.items()}
    values = np.empty((len(counts.joint), len(observables)))
    deviations = np.empty_like(values)
    for row, joint in enumerate(counts.joint):
        outcomes, weights = table_of(joint)
        signs = signs_of(outcomes, undone)
        for column, operator in enumerate(observables.values()):
            per_outcome = eigenvalues(operator, signs, where)
            mean = np.average(per_outcome, weights=weights)
            values[row, column] = mean
            deviations[row, column] = np.sqrt(np.average((per_outcome - mean) ** 2, weights=weights) / weights.sum())
    return Expectations(tuple(observables), values, deviations)


def joint_places(circuit: QuantumCircuit) -> dict[int, int]:
    """Return, for each classical bit of a circuit, its place from the right in a joint outcome."""
    bits = [circuit.find_bit(bit).index for register in circuit.cregs for bit in register]
    return {bit: place for place, bit in enumerate(bits)}


def hellinger(joint: Mapping[str, float], probabilities: Mapping[str, float]) -> float:
    """Return the Hellinger fidelity (sum of sqrt(p q))^2 of counts, or shares, and exact probabilities."""
    return float(hellinger_fidelity(dict(joint), dict(probabilities)))


def success_probability(joint: Mapping[str, float], probabilities: Mapping[str, float]) -> float:
    """Return the share of the shots that fell on the most probable exact outcomes."""
    best = max(probabilities.values())
    wanted = {outcome for outcome, probability in probabilities.items() if probability > best * (1 - 1e-9)}
    return sum(count for outcome, count in joint.items() if outcome in wanted) / sum(joint.values())


def table_of(joint: Mapping[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return outcomes, shape (distinct outcomes, bits) with bit 0 first, and how often each came."""
    text = "".join(key[::-1] for key in joint)
    outcomes = np.frombuffer(text.encode("ascii"), dtype=np.uint8).reshape(len(joint), -1) - ord("0")
    return outcomes, np.fromiter(joint.values(), dtype=float)


def signs_of(outcomes: np.ndarray, errors: Mapping[int, ReadoutError] = _PERFECT) -> np.ndarray:
    """Return what each bit of each outcome tells of its qubit's Z, shape as of the outcomes: 1 for 0, -1 for 1.

    Args:
        outcomes: Shape (outcomes, bits), bit 0 first.
        errors: Readout errors to be undone, by the place of their bit.
    """
    signs: np.ndarray = 1.0 - 2.0 * outcomes
    for place, error in errors.items():
        signs[:, place] = error.undone(signs[:, place])
    return signs


def eigenvalues(operator: SparsePauliOp, signs: np.ndarray, where: Mapping[int, int]) -> np.ndarray:
    """Return the observable's value on each outcome.

    Args:
        operator: Diagonal.
        signs: What each bit tells of Z, shape (outcomes, bits).
        where: Place of the bit that each qubit is read into.
    """
    total = np.zeros(len(signs))
    for z, coefficient in zip(operator.paulis.z, operator.coeffs.real, strict=True):
        places = [where[int(qubit)] for qubit in np.flatnonzero(z)]
        total += coefficient * signs[:, places].prod(axis=1)
    return total
