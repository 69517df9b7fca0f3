"""A random circuit of one- and two-qubit gates: no structure that a compiler or a mitigation could lean on."""

from qiskit import QuantumCircuit
from qiskit.circuit.random import random_circuit


def build(num_qubits: int, depth: int, seed: int) -> QuantumCircuit:
    """Return Qiskit's random circuit with at most two-qubit gates; it does not measure.

    The same arguments give the same circuit under one version of Qiskit; versions may differ.

    Args:
        num_qubits: Number of qubits, at least 1.
        depth: Number of layers before any lowering.
        seed: Seed of the choice of gates and angles.
    """
    return random_circuit(num_qubits, depth, max_operands=2, measure=False, seed=seed)


def observables(num_qubits: int) -> dict[str, str | dict[str, float]]:
    """Return `z_0` ... `z_{n-1}` (Z on one qubit each), `z_parity` (Z on every qubit) and `x_mean` (mean of all X).

    A single Z feels the noise of the gates before that qubit, the parity that of the whole circuit; both are diagonal.
    `x_mean` needs a change of basis, so it shows only with the estimator. Rightmost character is qubit 0.
    """
    on_one = {letter: ["I" * (num_qubits - 1 - q) + letter + "I" * q for q in range(num_qubits)] for letter in "ZX"}
    single = {f"z_{qubit}": pauli for qubit, pauli in enumerate(on_one["Z"])}
    return {**single, "z_parity": "Z" * num_qubits, "x_mean": dict.fromkeys(on_one["X"], 1 / num_qubits)}
