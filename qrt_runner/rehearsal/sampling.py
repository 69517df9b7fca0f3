"""Samples a circuit with a device's noise, on the qubits that do something; knows qiskit and Aer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from qiskit.converters import circuit_to_dag, dag_to_circuit

from qrt_runner.rehearsal.lines import Draw, Noise, lines_of, sample_line

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

    from qrt_runner.rehearsal.devices import Snapshot


class Sampler:
    """Samples circuits on one device; keeps what it learned about it."""

    def __init__(self, device: Snapshot) -> None:
        """Start with nothing learned."""
        self._device = device
        self._noise: dict[int, Noise] = {}

    def sample(
        self, circuit: QuantumCircuit, values: np.ndarray, shots: int, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """Return the bits of each classical register, shape (..., shots, bits), bit 0 first.

        Args:
            circuit: An ISA circuit.
            values: Its parameter values, shape (..., parameters).
            shots: Shots for each parameter set.
            rng: Source of all randomness.
        """
        shape = values.shape[:-1]
        flat = values.reshape(math.prod(shape), values.shape[-1])
        if self._device.mock:
            bits = rng.random((len(flat), shots, circuit.num_clbits)) < 0.5
        else:
            by_name = dict(zip(circuit.parameters, flat.T, strict=True))
            bits = self._bits(circuit, Draw(by_name, len(flat), shots, rng))
        places = {register.name: [circuit.find_bit(bit).index for bit in register] for register in circuit.cregs}
        return {name: bits[..., where].reshape(*shape, shots, len(where)) for name, where in places.items()}

    def _bits(self, circuit: QuantumCircuit, draw: Draw) -> np.ndarray:
        """Return all classical bits, shape (parameter sets, shots, bits)."""
        bits = np.zeros((draw.sets, draw.shots, circuit.num_clbits), dtype=bool)
        lines = lines_of(circuit)
        for qubit, line in lines.items():
            place = circuit.find_bit(line[-1].clbits[0]).index
            bits[:, :, place] = sample_line(line, self._noise_of(qubit), draw)
        for part, qubits in _parts(circuit, set(lines)):
            bits |= self._simulate(part, qubits, draw)
        return bits

    def _noise_of(self, qubit: int) -> Noise:
        if qubit not in self._noise:
            self._noise[qubit] = Noise(self._device, qubit)
        return self._noise[qubit]

    def _simulate(self, part: QuantumCircuit, qubits: tuple[int, ...], draw: Draw) -> np.ndarray:
        self._device.check_fits(part, qubits)
        binds = {parameter: draw.values[parameter].tolist() for parameter in part.parameters}
        options: dict[str, Any] = {"parameter_binds": [binds]} if binds else {}
        shots = draw.shots if binds else draw.shots * draw.sets
        seed = int(draw.rng.integers(2**31))
        ended = self._device.simulator(qubits).run([part], shots=shots, seed_simulator=seed, **options).result()
        if not ended.success:
            raise RuntimeError(f"The simulation of {len(qubits)} qubits failed: {ended.status}")
        drawn = np.array([_drawn(one.data.counts, part.num_clbits, draw.rng) for one in ended.results])
        return drawn.reshape(draw.sets, draw.shots, part.num_clbits)


def _parts(circuit: QuantumCircuit, lines: set[int]) -> list[tuple[QuantumCircuit, tuple[int, ...]]]:
    """Return the rest of a circuit, taken apart where nothing couples it, with the qubits of each part.

    Parts share neither gates nor conditions, so that their joint distribution is the product of theirs. Parts that
    write no bit are left out.
    """
    rest = circuit.copy_empty_like()
    for instruction in circuit.data:
        places = {circuit.find_bit(qubit).index for qubit in instruction.qubits}
        if instruction.name != "barrier" and not places & lines:
            rest.append(instruction)
    parts = circuit_to_dag(rest).separable_circuits(remove_idle_qubits=True)
    return [
        (dag_to_circuit(part), tuple(circuit.find_bit(qubit).index for qubit in part.qubits))
        for part in parts
        if any(node.cargs for node in part.op_nodes())
    ]


def _drawn(counts: dict[str, int], width: int, rng: np.random.Generator) -> np.ndarray:
    """Return counts as shots in random order, shape (shots, bits): parts must not be correlated by Aer's sorting."""
    size = (width + 7) // 8
    keys = np.frombuffer(b"".join(int(key, 16).to_bytes(size, "little") for key in counts), dtype=np.uint8)
    bits = np.unpackbits(keys.reshape(-1, size), axis=1, count=width, bitorder="little").astype(bool)
    shots: np.ndarray = rng.permutation(np.repeat(bits, list(counts.values()), axis=0))
    return shots
