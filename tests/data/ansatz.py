"""An ansatz on 4 qubits with one free angle, as a user would write it; it names no observables."""

from qiskit import QuantumCircuit
from qiskit.circuit import Parameter


def build(depth: int) -> QuantumCircuit:
    """Return `depth` layers of RY(theta) on every qubit and a chain of CX, theta free, in radians."""
    theta = Parameter("theta")
    circuit = QuantumCircuit(4, name="ansatz")
    for _ in range(depth):
        circuit.ry(theta, circuit.qubits)
        circuit.cx([0, 1, 2], [1, 2, 3])
    return circuit
