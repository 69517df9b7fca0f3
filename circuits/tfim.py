"""A quench of the transverse-field Ising chain, by second-order Trotter steps from |0...0>.

H = -J sum_i Z_i Z_{i+1} - h sum_i X_i on an open chain; J and h in one unit of energy, times in its
inverse (hbar = 1).
"""

from qiskit import QuantumCircuit


def build(num_qubits: int, steps: int, dt: float, J: float, h: float) -> QuantumCircuit:
    """Return exp(-i H steps dt)|0...0> up to a Trotter error of order steps * dt^3; it does not measure.

    One step is exp(-i H_X dt/2) exp(-i H_ZZ dt) exp(-i H_X dt/2) (Strang; Suzuki, J. Math. Phys. 32, 400 (1991));
    the half layers between two steps are merged. RX(a) = exp(-i a X/2) gives a = -2 h dt for a whole field layer,
    RZZ(b) = exp(-i b ZZ/2) gives b = -2 J dt. Even bonds come before odd ones: two layers, whatever the length.

    Args:
        num_qubits: Length of the chain, at least 2.
        steps: Number of Trotter steps, at least 1.
        dt: Time of one step, in inverse units of energy.
        J: Coupling of neighbours; positive is ferromagnetic.
        h: Transverse field, in the same unit as J.

    Raises:
        ValueError: If the chain or the number of steps is too small.
    """
    if num_qubits <= 1 or steps <= 0:
        raise ValueError(f"num_qubits must be at least 2 and steps at least 1, given {num_qubits} and {steps}")
    qubits = range(num_qubits)
    circuit = QuantumCircuit(num_qubits, name="tfim")
    circuit.rx(-h * dt, qubits)
    for step in range(steps):
        for left in (*qubits[:-1:2], *qubits[1:-1:2]):
            circuit.rzz(-2 * J * dt, left, left + 1)
        circuit.rx(-h * dt if step == steps - 1 else -2 * h * dt, qubits)
    return circuit


def observables(num_qubits: int, J: float, h: float) -> dict[str, dict[str, float]]:
    """Return `z_mean`, `zz_chain`, `x_mean` and `energy`; rightmost character is qubit 0.

    The first three are means over the qubits, or over the num_qubits - 1 bonds, in [-1, 1]. `energy` is H itself, in
    the unit of J: exact evolution keeps it at -J (num_qubits - 1), so what it drifts by is Trotter error and noise.
    """
    z, zz, x = (_places(letters, num_qubits) for letters in ("Z", "ZZ", "X"))
    return {
        "z_mean": dict.fromkeys(z, 1 / len(z)),
        "zz_chain": dict.fromkeys(zz, 1 / len(zz)),
        "x_mean": dict.fromkeys(x, 1 / len(x)),
        "energy": {**dict.fromkeys(zz, -J), **dict.fromkeys(x, -h)},
    }


def _places(letters: str, num_qubits: int) -> list[str]:
    """Return `letters` at every place on the chain, identity elsewhere."""
    places = num_qubits - len(letters) + 1
    return ["I" * (places - 1 - place) + letters + "I" * place for place in range(places)]
