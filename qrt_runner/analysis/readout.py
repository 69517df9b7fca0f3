"""Readout errors of a device's calibration, and how they are undone; knows numpy and qiskit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from qrt_runner.circuits import measured_bits
from qrt_runner.errors import refuse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qiskit import QuantumCircuit

PATH: Final = "action.readout"
_REMEDY: Final = "action.readout=as_measured"


@dataclass(frozen=True)
class ReadoutError:
    """How often a qubit is misread."""

    one_for_zero: float
    """Probability that 1 is read of a qubit in 0: `prob_meas1_prep0`."""

    zero_for_one: float
    """Probability that 0 is read of a qubit in 1: `prob_meas0_prep1`."""

    @property
    def acts(self) -> bool:
        """Whether it is ever misread."""
        return self.one_for_zero != 0.0 or self.zero_for_one != 0.0

    @property
    def contrast(self) -> float:
        """What is left of the difference between 0 and 1."""
        return 1.0 - self.one_for_zero - self.zero_for_one

    @property
    def matrix(self) -> np.ndarray:
        """Probabilities of what is read (rows) of what was prepared (columns), shape (2, 2)."""
        return np.array([[1.0 - self.one_for_zero, self.zero_for_one], [self.one_for_zero, 1.0 - self.zero_for_one]])

    def variances(self, shots: int) -> np.ndarray:
        """Return the variances of both probabilities where each state was prepared so often, shape (2,)."""
        shares = np.array([self.one_for_zero, self.zero_for_one])
        return np.asarray(shares * (1.0 - shares) / shots)

    def undone(self, signs: np.ndarray) -> np.ndarray:
        """Return what a read sign, 1 for 0 and -1 for 1, tells of Z without bias.

        The sign that is read has the mean 1 - 2 p10 in state 0 and 2 p01 - 1 in state 1, which is
        (1 - p01 - p10) <Z> + (p01 - p10). Undone, it has the mean <Z>; where the qubits are misread independently, a
        product of such values over qubits has that of their Pauli string. This is the inverse of a tensor product of
        readout errors (Bravyi, Sheldon, Kandala, McKay and Gambetta, Phys. Rev. A 103, 042605 (2021)), string by
        string.

        Args:
            signs: Of any shape.
        """
        return (signs - (self.zero_for_one - self.one_for_zero)) / self.contrast

    def evened(self) -> ReadoutError:
        """Return the error as it is where bits are flipped at random before the readout, and back after it."""
        mean = (self.one_for_zero + self.zero_for_one) / 2
        return ReadoutError(mean, mean)


def readout_errors(
    calibration: Mapping[str, Any] | None, logical: QuantumCircuit, isa: QuantumCircuit, *, asymmetric: bool
) -> dict[int, ReadoutError]:
    """Return the readout errors of the classical bits that a circuit's final measurements write.

    Args:
        calibration: Properties of the backend's qubits, as `Device.calibration` returns them.
        logical: The circuit as its mode runs it.
        isa: The same over the qubits of the device, by which it is known which qubit a bit is read from.
        asymmetric: Whether the device misreads 0 and 1 differently; simulators take `readout_error` for both.

    Raises:
        ConfigError: Where the backend has no calibration, or it does not tell of a qubit.
    """
    if calibration is None:
        allowed = "calibration for backends that have one, such as those of IBM and the fake devices"
        raise refuse(PATH, "calibration, for a backend without one", allowed, _REMEDY)
    qubits = {bit: qubit for qubit, bit in measured_bits(isa).items()}
    bits = measured_bits(logical).values()
    if lacking := sorted(set(bits) - qubits.keys()):
        given = f"calibration, for a circuit of which bit {lacking[0]} is not a final measurement of a qubit"
        raise refuse(PATH, given, "circuits that measure at their end", _REMEDY)
    return {bit: _error_of(calibration, qubits[bit], asymmetric=asymmetric) for bit in bits}


def _error_of(calibration: Mapping[str, Any], qubit: int, *, asymmetric: bool) -> ReadoutError:
    told = _by_name(calibration["qubits"].get(str(qubit), ()))
    names = ("prob_meas1_prep0", "prob_meas0_prep1")
    if asymmetric and told.keys() >= set(names):
        error = ReadoutError(*(told[name] for name in names))
    elif "readout_error" in told:
        error = ReadoutError(told["readout_error"], told["readout_error"])
    else:
        given = f"calibration, which does not tell the readout error of qubit {qubit}"
        raise refuse(PATH, given, f"a calibration with {' and '.join(names)}, or readout_error", _REMEDY)
    if not error.contrast > 0:
        given = f"calibration, by which qubit {qubit} is misread as often as not"
        raise refuse(PATH, given, "readout errors that add up to less than 1", _REMEDY)
    return error


def _by_name(properties: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return {one["name"]: float(one["value"]) for one in properties}
