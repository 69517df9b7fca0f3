"""`num_qubits` qubits in the GHZ state (|0...0> + |1...1>)/sqrt(2)."""

from qiskit import QuantumCircuit


def build(num_qubits: int) -> QuantumCircuit:
    """Return the GHZ circuit, one Hadamard and a chain of CX; it does not measure.

    Args:
        num_qubits: Number of qubits, at least 2.

    Raises:
        ValueError: If there are fewer than 2 qubits.
    """
    if num_qubits <= 1:
        raise ValueError(f"num_qubits of a GHZ state must be at least 2, given {num_qubits}")
    circuit = QuantumCircuit(num_qubits, name="ghz")
    circuit.h(0)
    for qubit in range(num_qubits - 1):
        circuit.cx(qubit, qubit + 1)
    return circuit


def observables(num_qubits: int) -> dict[str, str]:
    """Return `zz_ends` and `parity_x`, both exactly 1.

    `zz_ends` is Z on the first and the last qubit: do the ends of the chain agree? `parity_x` is X on every qubit:
    the coherence between |0...0> and |1...1>, which one phase flip anywhere reverses.
    """
    return {"zz_ends": "Z" + "I" * (num_qubits - 2) + "Z", "parity_x": "X" * num_qubits}
