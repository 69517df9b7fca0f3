"""The ground state of molecular hydrogen on 2 qubits, with one free angle `theta`.

Hamiltonian: electronic part, STO-3G, 0.735 angstrom, parity mapping with two-qubit reduction, as in Qiskit Nature's and
the Qiskit textbook's VQE tutorials. Method: O'Malley et al., PRX 6, 031007 (2016). Energies in hartree; the nuclear
repulsion, 0.719969 hartree at this distance, is not included.
"""

from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

DIAGONAL = {
    "II": -1.052373245772859,
    "IZ": 0.39793742484318045,
    "ZI": -0.39793742484318045,
    "ZZ": -0.01128010425623538,
}
"""The I/Z part of the Hamiltonian; rightmost character is qubit 0."""

EXCHANGE = {"XX": 0.18093119978423156}
"""The part that couples the Hartree-Fock state to the double excitation."""


def build() -> QuantumCircuit:
    """Return the ansatz cos(theta/2)|01> + sin(theta/2)|10>, theta in radians; it does not measure.

    |01> (rightmost is qubit 0) is Hartree-Fock, |10> the double excitation: this is the unitary coupled cluster
    rotation of the one pair there is. With a = -1.052373 + 0.011280, c = 0.397937, g = 0.180931 the energy is
    E(theta) = a - 2 c cos(theta) + g sin(theta), lowest at theta = -arctan(g / 2c) = -0.2235369982676592, where
    E = a - sqrt(4 c^2 + g^2) = -1.857275 hartree, the exact ground state. theta = 0 is Hartree-Fock, -1.836968.
    """
    theta = Parameter("theta")
    circuit = QuantumCircuit(2, name="h2")
    circuit.x(0)
    circuit.ry(theta, 1)
    circuit.cx(1, 0)
    return circuit


def observables() -> dict[str, str | dict[str, float]]:
    """Return `energy` (hartree), `energy_diagonal` and `zz`.

    `energy_diagonal` is the I/Z part of the energy, what counts can show; `zz` is -1 for every theta, because one
    electron pair is in one orbital or the other: any other value is noise.
    """
    return {"energy": {**DIAGONAL, **EXCHANGE}, "energy_diagonal": dict(DIAGONAL), "zz": "ZZ"}
