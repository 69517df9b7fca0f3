"""The kicked Ising model on the qubits of a 127-qubit Eagle processor.

After Kim, Eddins, Anand, Wei, van den Berg, Rosenblatt, Nayfeh, Wu, Zaletel, Temme and Kandala, "Evidence for the
utility of quantum computing before fault tolerance", Nature 618, 500 (2023). Its qubits are numbered as there, which
is how every Eagle device (`fake_sherbrooke`) numbers them.
"""

from itertools import pairwise

from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

_ROWS = (range(14), range(18, 33), range(37, 52), range(56, 71), range(75, 90), range(94, 109), range(113, 127))
_FIGURES = {
    "fig3b": ("X13 X29 X31 Y9 Y30 Z8 Z12 Z17 Z28 Z32", 5, 0),
    "fig3c": ("X37 X41 X52 X56 X57 X58 X62 X79 Y75 Z38 Z40 Z42 Z63 Z72 Z80 Z90 Z91", 5, 0),
    "fig4a": ("X37 X41 X52 X56 X57 X58 X62 X79 Y38 Y40 Y42 Y63 Y72 Y80 Y90 Y91 Z75", 5, 1),
}
"""The observables of weight 10, 17 and 17, with the steps and the last kicks of their figures."""


def build(num_qubits: int, steps: int, kicks_after: int) -> QuantumCircuit:
    """Return the Trotter steps of the model; it does not measure.

    One step is RX(theta_h) on every qubit and then RZZ(-pi/2) on every pair of neighbours. The latter is written as
    its equal up to a global phase, a CZ with an inverse S on either side, so that one entangling gate is left of it.
    At theta_h = 0 and pi/2 the circuit is Clifford, and every expectation value is known exactly.

    Args:
        num_qubits: How many of the 127 qubits, from the first; at most 127.
        steps: Number of steps, at least 1; the paper takes 5 and 20.
        kicks_after: 1 for another RX(theta_h) on every qubit at the end, as in figure 4a of the paper, else 0.

    Raises:
        ValueError: If there are too few or too many qubits, or too few steps.
    """
    if not 2 <= num_qubits <= 127 or steps <= 0 or kicks_after not in (0, 1):
        given = f"given {num_qubits}, {steps} and {kicks_after}"
        raise ValueError(f"num_qubits must be 2 to 127, steps at least 1 and kicks_after 0 or 1, {given}")
    theta_h = Parameter("theta_h")
    circuit = QuantumCircuit(num_qubits, name="kicked_ising")
    for _ in range(steps):
        circuit.rx(theta_h, range(num_qubits))
        for layer in bonds(num_qubits):
            for pair in layer:
                circuit.sdg(pair)
                circuit.cz(*pair)
    for _ in range(kicks_after):
        circuit.rx(theta_h, range(num_qubits))
    return circuit


def observables(num_qubits: int, steps: int, kicks_after: int) -> dict[str, str | dict[str, float]]:
    """Return `magnetization`, the mean of Z over the qubits, and what the paper measures of this circuit.

    That is, of all 127 qubits, `fig3b` and `fig3c` after 5 steps, `fig4a` after 5 steps and a kick, and `fig4b`, which
    is Z of qubit 62, after any number. At theta_h = pi/2 the first three are 1 or -1, a stabilizer of the state.
    """
    found = {"magnetization": {_label({qubit: "Z"}, num_qubits): 1 / num_qubits for qubit in range(num_qubits)}}
    if num_qubits < 127:
        return found
    for name, (letters, of_steps, kicks) in _FIGURES.items():
        if (steps, kicks_after) == (of_steps, kicks):
            found[name] = _label({int(one[1:]): one[0] for one in letters.split()}, num_qubits)
    return {**found, "fig4b": _label({62: "Z"}, num_qubits)}


def bonds(num_qubits: int) -> list[list[tuple[int, int]]]:
    """Return the pairs of neighbours in three layers, in each of which no qubit stands twice."""
    layers: list[list[tuple[int, int]]] = [[], [], []]
    for pair in _pairs():
        if max(pair) < num_qubits:
            free = [layer for layer in layers if not {*pair} & {qubit for other in layer for qubit in other}]
            free[0].append(pair)
    return layers


def _pairs() -> list[tuple[int, int]]:
    """Return the pairs of neighbours on the heavy hexagons: those between the rows first, then along them."""
    pairs = []
    for number, (upper, lower) in enumerate(pairwise(_ROWS)):
        # Four qubits stand between two rows, by turns from their first and from their third place on; the last row
        # begins a place later than the others.
        for place in range(2 * (number % 2), 15, 4):
            between = upper.stop + place // 4
            pairs += [(upper[place], between), (between, lower[place - (number == 5)])]
    return pairs + [(left, left + 1) for row in _ROWS for left in row[:-1]]


def _label(letters: dict[int, str], num_qubits: int) -> str:
    return "".join(letters.get(qubit, "I") for qubit in reversed(range(num_qubits)))
