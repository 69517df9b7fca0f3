"""An ansatz on 4 qubits with one free angle, in three layers: the circuit of the sweeps."""

from qiskit import QuantumCircuit
from qiskit.circuit import Parameter


def build() -> QuantumCircuit:
    """Return three layers of RY(theta) on every qubit and a chain of CX, theta free, in radians."""
    theta = Parameter("theta")
    circuit = QuantumCircuit(4, name="ansatz")
    for _ in range(3):
        circuit.ry(theta, circuit.qubits)
        circuit.cx([0, 1, 2], [1, 2, 3])
    return circuit


def observables() -> dict[str, str]:
    """Return ZZ of qubits 2 and 3."""
    return {"zz": "ZZII"}
