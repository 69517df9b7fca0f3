"""The Pauli part of a device's noise, which the stabilizer method simulates at any width; knows qiskit and aer."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from qiskit.quantum_info import Choi, SuperOp, pauli_basis
from qiskit_aer.noise import NoiseModel, QuantumError, ReadoutError, pauli_error

if TYPE_CHECKING:
    from qiskit_aer import AerSimulator

_NO_GATES: Final = ("delay", "for_loop", "if_else", "switch_case", "while_loop", "break_loop", "continue_loop", "store")
_NEGLIGIBLE: Final = 1e-15


def with_pauli_noise(simulator: AerSimulator) -> AerSimulator:
    """Return a simulator of a device with the Pauli part of its noise in the place of it."""
    simulator.set_options(noise_model=pauli_part(simulator.options.noise_model))
    return simulator


def pauli_part(noise: NoiseModel) -> NoiseModel:
    """Return a noise model with the Pauli twirl of each gate's error, and the readout errors as they are.

    The twirl is what averaging a channel over all Pauli operators around it leaves of it: the diagonal of its Pauli
    transfer matrix (Geller and Zhou, Phys. Rev. A 88, 012314 (2013)). The average fidelity of each gate is the same;
    its coherent errors and its relaxation towards 0 act at random. Relaxation while a qubit idles is left out.
    """
    twirled = NoiseModel(basis_gates=[name for name in noise.basis_gates if name not in _NO_GATES])
    for told in noise.to_dict()["errors"]:
        readout = told["type"] == "roerror"
        error = ReadoutError(told["probabilities"]) if readout else _twirled(QuantumError.from_dict(told))
        for qubits in told["gate_qubits"]:
            if readout:
                twirled.add_readout_error(error, list(qubits))
            else:
                names = [name for name in told["operations"] if name not in _NO_GATES]
                twirled.add_quantum_error(error, names, list(qubits), warnings=False)
    return twirled


def pauli_probabilities(error: QuantumError) -> dict[str, float]:
    """Return the probability of each Pauli string in the twirl of an error; the rightmost character is qubit 0.

    Of a channel with Choi matrix C that of P is <<P|C|P>> / 4^n, by Kraus operators the sum of |tr(P K)|^2 / 4^n.
    """
    labels, columns = _paulis(error.num_qubits)
    choi = np.asarray(Choi(SuperOp(error)).data)
    found = np.real(np.einsum("ik,ij,jk->k", columns.conj(), choi, columns)) / 4**error.num_qubits
    kept = np.where(found > _NEGLIGIBLE, found, 0.0)
    return {label: float(value) for label, value in zip(labels, kept / kept.sum(), strict=True) if value}


def _twirled(error: QuantumError) -> QuantumError:
    return pauli_error([*pauli_probabilities(error).items()])


@lru_cache
def _paulis(num_qubits: int) -> tuple[list[str], np.ndarray]:
    """Return all Pauli strings, and a matrix whose columns are their matrices, column by column."""
    paulis = pauli_basis(num_qubits)
    return paulis.to_labels(), np.stack([one.to_matrix().ravel(order="F") for one in paulis], axis=1)
