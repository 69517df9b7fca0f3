"""The quantum Fourier transform of one basis state, whose answer is known in closed form."""

from qiskit import QuantumCircuit
from qiskit.synthesis.qft import synth_qft_full


def build(num_qubits: int, value: int) -> QuantumCircuit:
    """Return the QFT applied to the basis state |value>; it does not measure.

    Args:
        num_qubits: Number of qubits n, at least 1.
        value: The basis state as an integer, 0 <= value < 2^n; bit j is the state of qubit j.

    Raises:
        ValueError: If `value` does not fit into `num_qubits` bits.
    """
    if not 0 <= value < 2**num_qubits:
        raise ValueError(f"value must be in [0, {2**num_qubits}) for num_qubits={num_qubits}, given {value}")
    circuit = QuantumCircuit(num_qubits, name="qft")
    for qubit in range(num_qubits):
        if value >> qubit & 1:
            circuit.x(qubit)
    return circuit.compose(synth_qft_full(num_qubits))


def observables(num_qubits: int) -> dict[str, str]:
    """Return `x_0` ... `x_{n-1}` (X on one qubit each) and `z_parity` (Z on every qubit).

    The QFT maps |v> to sum_k exp(2 pi i v k / 2^n) |k> / 2^(n/2). With k = sum_j k_j 2^j this is a product in which
    qubit j is (|0> + exp(2 pi i v 2^j / 2^n) |1>)/sqrt(2), see Nielsen and Chuang, eq. (5.4). Hence
    <x_j> = cos(2 pi v / 2^(n-j)), and <z_parity> = 0 because every qubit lies on the equator of its Bloch sphere.
    """
    single = {f"x_{qubit}": "I" * (num_qubits - 1 - qubit) + "X" + "I" * qubit for qubit in range(num_qubits)}
    return {**single, "z_parity": "Z" * num_qubits}
