"""Bernstein-Vazirani: one question to an oracle reveals a whole secret bit string (SIAM J. Comput. 26, 1411 (1997))."""

from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister


def build(secret: str | int) -> QuantumCircuit:
    """Return the circuit on len(secret) data qubits and one ancilla, which is the last qubit.

    The oracle is a CX into the ancilla, held in |->, from every data qubit whose secret bit is 1. The data qubits are
    measured into the register `data`; without noise it always reads `secret`.

    Args:
        secret: Bit string such as "1011"; the rightmost character is qubit 0. A number is read by its digits, which is
            what YAML makes of 1011.

    Raises:
        ValueError: If `secret` is not a string of 0 and 1.
    """
    given, secret = secret, str(secret)
    if not secret or set(secret) - {"0", "1"}:
        raise ValueError(f'secret must be a bit string such as "1011", given {given!r}')
    data, ancilla = QuantumRegister(len(secret), "q"), QuantumRegister(1, "ancilla")
    bits = ClassicalRegister(len(secret), "data")
    circuit = QuantumCircuit(data, ancilla, bits, name="bernstein_vazirani")
    circuit.x(ancilla)
    circuit.h([*data, *ancilla])
    for qubit, bit in zip(data, reversed(secret), strict=True):
        if bit == "1":
            circuit.cx(qubit, ancilla)
    circuit.h(data)
    circuit.measure(data, bits)
    return circuit


def observables(secret: str | int) -> dict[str, str]:
    """Return `z_0` ... `z_{n-1}`: Z on data qubit j, which is (-1)^(bit j of the secret); the ancilla is left out."""
    size = len(str(secret))
    return {f"z_{qubit}": "I" * (size - qubit) + "Z" + "I" * qubit for qubit in range(size)}
