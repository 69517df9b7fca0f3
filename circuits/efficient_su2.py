"""Qiskit's EfficientSU2 ansatz: layers of RY and RZ with free angles `theta`, CX between them."""

from qiskit import QuantumCircuit
from qiskit.circuit import library


def build(num_qubits: int, reps: int) -> QuantumCircuit:
    """Return the ansatz; its ParameterVector `theta` has 2 * num_qubits * (reps + 1) angles in radians.

    It does not measure. Entanglement is Qiskit's default, `reverse_linear`: CX between neighbours on a line.

    Args:
        num_qubits: Number of qubits, at least 2.
        reps: How often the entangling layer is repeated, at least 0.

    Raises:
        ValueError: If there are fewer than 2 qubits.
    """
    if num_qubits <= 1:
        raise ValueError(f"num_qubits of this ansatz must be at least 2, given {num_qubits}")
    return library.efficient_su2(num_qubits, reps=reps, parameter_prefix="theta")


def observables(num_qubits: int) -> dict[str, dict[str, float]]:
    """Return `z_mean`, `zz_chain` and `x_mean`, each in [-1, 1].

    `z_mean` and `x_mean` are the means of Z and of X over all qubits, `zz_chain` is the mean of Z Z over the
    num_qubits - 1 neighbouring pairs.
    """
    return {
        "z_mean": _mean("Z", num_qubits),
        "zz_chain": _mean("ZZ", num_qubits),
        "x_mean": _mean("X", num_qubits),
    }


def _mean(letters: str, num_qubits: int) -> dict[str, float]:
    """Return the mean of `letters` over all places on the line; rightmost character is qubit 0."""
    places = num_qubits - len(letters) + 1
    return {"I" * (places - 1 - place) + letters + "I" * place: 1 / places for place in range(places)}
