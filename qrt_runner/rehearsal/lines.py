"""Qubits that no gate couples to others: single gates, then a measurement; many of them at once, exactly.

The client's Estimator measures every qubit of the device, so that a circuit on three qubits of 127 arrives with 124
of these. Aer would take the product of all of them for one state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from qiskit.circuit import Parameter
from qiskit.quantum_info import SuperOp
from qiskit_aer.noise import QuantumError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qiskit import QuantumCircuit
    from qiskit.circuit import CircuitInstruction

    from qrt_runner.rehearsal.devices import Snapshot

_GATES: Final = ("rz", "rx", "sx", "x", "id")


@dataclass(frozen=True)
class Draw:
    """What is to be drawn of one circuit."""

    values: Mapping[Parameter, np.ndarray]
    """The values of each parameter, shape (parameter sets,)."""

    sets: int
    shots: int
    """Shots for each parameter set."""

    rng: np.random.Generator


def lines_of(circuit: QuantumCircuit) -> dict[int, list[CircuitInstruction]]:
    """Return what happens on each qubit that is measured once, at the end, after plain single-qubit gates only."""
    found: dict[int, list[CircuitInstruction]] = {}
    others: set[int] = set()
    for instruction in circuit.data:
        if instruction.name == "barrier":
            continue
        places = [circuit.find_bit(qubit).index for qubit in instruction.qubits]
        for place in places:
            found.setdefault(place, []).append(instruction)
        if len(places) > 1 or not (_is_plain(instruction) or instruction.name == "measure"):
            others.update(places)
    measured_once = {
        place
        for place, line in found.items()
        if line[-1].name == "measure" and sum(one.name == "measure" for one in line) == 1
    }
    bits = [bit for line in found.values() for one in line for bit in one.clbits]
    shared = {bit for bit in bits if bits.count(bit) > 1} if len(bits) != len(set(bits)) else set()
    alone = measured_once - others
    return {place: found[place] for place in sorted(alone) if not shared & set(found[place][-1].clbits)}


def sample_line(line: list[CircuitInstruction], noise: Noise, draw: Draw) -> np.ndarray:
    """Return the measured bits of one such qubit, shape (parameter sets, shots)."""
    chances = chances_of_one(line, noise, draw)
    bits: np.ndarray = draw.rng.random((draw.sets, draw.shots)) < chances[:, None]
    return bits


def chances_of_one(line: list[CircuitInstruction], noise: Noise, draw: Draw) -> np.ndarray:
    """Return the probability that 1 is read, shape (parameter sets,)."""
    sets = draw.sets
    state = np.zeros((sets, 2, 2), dtype=complex)
    state[:, 0, 0] = 1.0
    for instruction in line[:-1]:
        gate = _matrices(instruction, draw)
        state = gate @ state @ gate.conj().transpose(0, 2, 1)
        channel = noise.channel(instruction.name)
        if channel is not None:
            # Columns are stacked, as in Qiskit's SuperOp.
            stacked = state.transpose(0, 2, 1).reshape(sets, 4) @ channel.T
            state = stacked.reshape(sets, 2, 2).transpose(0, 2, 1)
    ones = np.clip(state[:, 1, 1].real, 0.0, 1.0)
    chances: np.ndarray = (1 - ones) * noise.readout[0, 1] + ones * noise.readout[1, 1]
    return chances


class Noise:
    """The noise of one qubit, read out of the simulator's noise model, so that it is the same noise."""

    def __init__(self, device: Snapshot, qubit: int) -> None:
        """Read it."""
        errors = device.simulator((qubit,)).options.noise_model.to_dict()["errors"]
        self._errors = {name: error for error in errors for name in error["operations"] if error["type"] == "qerror"}
        self._channels: dict[str, np.ndarray | None] = {}
        confusion = [error["probabilities"] for error in errors if error["type"] == "roerror"]
        self.readout = np.array(confusion[0]) if confusion else np.eye(2)
        """The readout's confusion, shape (prepared, read)."""

    def channel(self, gate: str) -> np.ndarray | None:
        """Return the channel after a gate, shape (4, 4); None where the gate is perfect."""
        if gate not in self._channels:
            error = self._errors.get(gate)
            self._channels[gate] = None if error is None else SuperOp(QuantumError.from_dict(error)).data
        return self._channels[gate]


def _is_plain(instruction: CircuitInstruction) -> bool:
    angles = instruction.operation.params
    return instruction.name in _GATES and all(isinstance(angle, Parameter | float | int) for angle in angles)


def _matrices(instruction: CircuitInstruction, draw: Draw) -> np.ndarray:
    """Return a gate's matrix for each parameter set, shape (parameter sets, 2, 2)."""
    sets, values = draw.sets, draw.values
    gate: Any = instruction.operation
    if not gate.params:
        return np.broadcast_to(gate.to_matrix(), (sets, 2, 2))
    angle = gate.params[0]
    half = np.broadcast_to(values[angle] if isinstance(angle, Parameter) else float(angle), sets) / 2
    if gate.name == "rz":
        zero = np.zeros(sets)
        return np.array([[np.exp(-1j * half), zero], [zero, np.exp(1j * half)]]).transpose(2, 0, 1)
    cos, sin = np.cos(half), -1j * np.sin(half)
    return np.array([[cos, sin], [sin, cos]]).transpose(2, 0, 1)
