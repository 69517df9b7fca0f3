"""Two qubits in the Bell state (|00> + |11>)/sqrt(2)."""

from qiskit import QuantumCircuit


def build() -> QuantumCircuit:
    """Return the Bell circuit on 2 qubits; it does not measure."""
    circuit = QuantumCircuit(2, name="bell")
    circuit.h(0)
    circuit.cx(0, 1)
    return circuit


def observables() -> dict[str, str]:
    """Return `zz` (do the bits agree) and `xx` (do the phases agree); both are exactly 1.

    A classical mixture of 00 and 11 also has `zz` = 1, but `xx` = 0: the two together witness entanglement.
    """
    return {"zz": "ZZ", "xx": "XX"}
