"""Teleportation of one qubit with mid-circuit measurement and feed-forward, checked by undoing the preparation.

Bennett et al., PRL 70, 1895 (1993). Qubit 0 holds the state, 1 and 2 the Bell pair; the state ends on qubit 2.
"""

from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister


def build(theta: float, phi: float, deferred: bool) -> QuantumCircuit:  # noqa: FBT001 (called by keyword)
    """Return the circuit that teleports U|0>, U = RZ(phi) RY(theta), undoes U and measures into the register `bob`.

    `bob` always reads 0 if teleportation is perfect. The Bell measurement goes into `crz` (qubit 0) and `crx` (qubit
    1), each of one bit, both uniformly random.

    Args:
        theta: Polar angle of the state on the Bloch sphere, in radians.
        phi: Azimuth of the state, in radians.
        deferred: Whether controlled gates take the place of measurement and feed-forward (principle of deferred
            measurement); then `bob` is the only register, and no control flow is left.
    """
    qubits, bob = QuantumRegister(3, "q"), ClassicalRegister(1, "bob")
    circuit = QuantumCircuit(qubits, name="dynamic_teleport")
    circuit.ry(theta, 0)
    circuit.rz(phi, 0)
    circuit.h(1)
    circuit.cx(1, 2)
    circuit.cx(0, 1)
    circuit.h(0)
    (_correct_coherently if deferred else _correct_by_feed_forward)(circuit)
    circuit.rz(-phi, 2)
    circuit.ry(-theta, 2)
    circuit.add_register(bob)
    circuit.measure(2, bob)
    return circuit


def observables() -> dict[str, str]:
    """Return `z_bob`: Z on qubit 2, exactly 1; the fidelity of the teleported state is (1 + <z_bob>)/2."""
    return {"z_bob": "ZII"}


def _correct_by_feed_forward(circuit: QuantumCircuit) -> None:
    crz, crx = ClassicalRegister(1, "crz"), ClassicalRegister(1, "crx")
    circuit.add_register(crz, crx)
    circuit.measure([0, 1], [crz[0], crx[0]])
    with circuit.if_test((crx, 1)):
        circuit.x(2)
    with circuit.if_test((crz, 1)):
        circuit.z(2)


def _correct_coherently(circuit: QuantumCircuit) -> None:
    circuit.cx(1, 2)
    circuit.cz(0, 2)
