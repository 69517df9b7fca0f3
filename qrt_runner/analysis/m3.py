"""Readout errors as a job has measured them, and counts corrected for them by M3; knows numpy and mthree."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from qrt_runner.analysis.counting import eigenvalues, joint_places, signs_of, table_of
from qrt_runner.analysis.readout import ReadoutError
from qrt_runner.circuits import measured_bits
from qrt_runner.errors import JobError
from qrt_runner.results import Corrected, Expectations, PubResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mthree import M3Mitigation
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp

    from qrt_runner.results import Counts

_MOST_SOLVED: Final = 8192
"""Of more distinct outcomes mthree solves its equations by iteration, which takes longer up to there, not memory."""

_MOST_SOLVED_AGAIN: Final = 4096
"""Of so many the transposed equations are solved as well, for standard errors."""

_MOST_ITERATIONS: Final = 100


@dataclass(frozen=True)
class MeasuredReadout:
    """How a job's qubits were misread, as the job itself has measured it."""

    errors: Mapping[int, ReadoutError]
    """By physical qubit."""

    shots: int
    """So often each qubit was prepared in 0, and as often in 1."""

    @property
    def acts(self) -> bool:
        """Whether any qubit was ever misread."""
        return any(error.acts for error in self.errors.values())

    def told(self) -> dict[str, Any]:
        """Return it as it goes into `readout.json`; of each qubit, columns are the states prepared, rows those read."""
        qubits = {str(qubit): error.matrix.tolist() for qubit, error in self.errors.items()}
        return {"shots_per_state": self.shots, "confusion": qubits}


def measured_readout(counts: Counts, qubits: Sequence[int], prepared: np.ndarray) -> MeasuredReadout:
    """Return how often each qubit was misread in a calibration.

    Args:
        counts: Of the calibration, one set for each string; bit k is read from its k-th qubit.
        qubits: Physical numbers of its qubits.
        prepared: States that they were prepared in, shape (strings, qubits).
    """
    read, shots = np.zeros((2, len(qubits))), np.zeros((2, len(qubits)))
    for string, joint in zip(prepared, counts.joint, strict=True):
        outcomes, weights = table_of(joint)
        misread = weights @ (outcomes != string)
        for state in (0, 1):
            read[state] += misread * (string == state)
            shots[state] += weights.sum() * (string == state)
    shares = read / shots
    errors = {qubit: ReadoutError(*column) for qubit, column in zip(qubits, shares.T.tolist(), strict=True)}
    return MeasuredReadout(errors, int(shots.min()))


@dataclass(frozen=True)
class M3:
    """Corrects the counts of one circuit."""

    circuit: QuantumCircuit
    """The logical circuit with its measurements."""

    errors: Mapping[int, ReadoutError]
    """Of the classical bits that are corrected; the others are taken as they were read."""

    shots: int
    """So often each state was prepared in the calibration."""

    @cached_property
    def places(self) -> Mapping[int, int]:
        """Place from the right, in a joint outcome, of each classical bit."""
        return joint_places(self.circuit)

    @cached_property
    def undone(self) -> Mapping[int, ReadoutError]:
        """Readout errors by that place."""
        return {self.places[bit]: error for bit, error in self.errors.items()}

    @cached_property
    def solver(self) -> M3Mitigation:
        """What mthree solves with; its `qubits` are the places in a joint outcome."""
        from mthree import M3Mitigation

        perfect = ReadoutError(0.0, 0.0)
        solver = M3Mitigation(None, iter_threshold=_MOST_SOLVED)
        solver.cals_from_matrices(
            [self.undone.get(place, perfect).matrix.astype(np.float32) for place in range(len(self.places))]
        )
        return solver

    def applied(self, counts: Counts, observables: Mapping[str, SparsePauliOp], uncorrected: Expectations) -> PubResult:
        """Return counts with what they are once corrected, and expectation values from that.

        M3 solves the readout's equations among the outcomes that came (Nation, Kang, Sundaresan and Gambetta, PRX
        Quantum 2, 040326 (2021)). The standard errors are not mthree's, which are an upper bound, the root of overhead
        by shots, whatever the observable: they are those of the solution, to first order, with the covariance of the
        counts, (sum of w^2 p - <O>^2) / shots, w being what an outcome contributes, and with the variance that the
        calibration has of its own shots. Points that share a calibration have the latter in common.

        Args:
            counts: As measured.
            observables: Diagonal, over the circuit's qubits.
            uncorrected: What the counts as measured tell of them.

        Raises:
            JobError: Where there is no solution.
        """
        self._check()
        where = {qubit: self.places[bit] for qubit, bit in measured_bits(self.circuit).items()}
        values = np.empty((len(counts.joint), len(observables)))
        errors = np.empty_like(values)
        quasis, nearest, overheads = [], [], []
        for row, joint in enumerate(counts.joint):
            quasi = self._solved(joint)
            quasis.append({outcome: float(share) for outcome, share in quasi.items()})
            nearest.append({one: float(share) for one, share in quasi.nearest_probability_distribution().items()})
            overheads.append(float(quasi.mitigation_overhead))
            values[row], errors[row] = self._told(joint, quasis[-1], list(observables.values()), where)
        corrected = Corrected(tuple(quasis), tuple(nearest), np.array(overheads), uncorrected)
        return PubResult(counts, Expectations(tuple(observables), values, errors), corrected)

    def _check(self) -> None:
        for bit, error in self.errors.items():
            if not error.contrast > 0:
                raise JobError(f"M3 cannot correct bit {bit}, which was misread as often as not in the calibration")

    def _solved(self, joint: Mapping[str, int]) -> Any:
        from mthree.exceptions import M3Error

        try:
            return self.solver.apply_correction(
                joint, [*range(len(self.places))], max_iter=_MOST_ITERATIONS, return_mitigation_overhead=True
            )
        except M3Error as error:
            raise JobError(f"M3 finds no solution for {len(joint)} outcomes ({error})") from error

    def _told(
        self,
        joint: Mapping[str, int],
        quasi: Mapping[str, float],
        operators: Sequence[SparsePauliOp],
        where: Mapping[int, int],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return expectation values and their standard errors, each of shape (observables,)."""
        ordered = {outcome: joint[outcome] for outcome in sorted(joint)}
        outcomes, weights = table_of(ordered)
        signs, shares = signs_of(outcomes), np.array([quasi[outcome] for outcome in ordered])
        found = np.array([eigenvalues(operator, signs, where) for operator in operators]).reshape(-1, len(ordered))
        values = found @ shares
        frequencies = weights / weights.sum()
        each = self._contributions(ordered, operators, where, found)
        counted = np.maximum(each**2 @ frequencies - (each @ frequencies) ** 2, 0.0) / weights.sum()
        calibrated = [self._calibrated(operator, signs, shares, where) for operator in operators]
        return values, np.sqrt(counted + np.array(calibrated))

    def _contributions(
        self,
        joint: Mapping[str, int],
        operators: Sequence[SparsePauliOp],
        where: Mapping[int, int],
        found: np.ndarray,
    ) -> np.ndarray:
        """Return what each outcome contributes to each observable, shape (observables, outcomes).

        The transposed equations solved for the observable; of very many outcomes what they would contribute if all
        outcomes had come, which is the inverse of the whole readout.
        """
        if len(joint) > _MOST_SOLVED_AGAIN:
            undone = signs_of(table_of(joint)[0], self.undone)
            return np.array([eigenvalues(operator, undone, where) for operator in operators]).reshape(found.shape)
        # Outcomes are in the order of their text there, too.
        matrix, _ = self.solver.reduced_cal_matrix(joint, [*range(len(self.places))], min(len(self.places), 3))
        return np.asarray(np.linalg.solve(matrix.T, found.T)).T

    def _calibrated(
        self, operator: SparsePauliOp, signs: np.ndarray, shares: np.ndarray, where: Mapping[int, int]
    ) -> float:
        """Return the variance that an expectation value has from that of the calibration.

        A Pauli string S with a qubit q changes with the probabilities p10 and p01 of misreading q by (<S> + <S without
        q>) / c and (<S> - <S without q>) / c, c being what is left of the contrast, 1 - p10 - p01.
        """
        slopes: dict[int, np.ndarray] = {}
        for z, coefficient in zip(operator.paulis.z, operator.coeffs.real, strict=True):
            places = [where[int(qubit)] for qubit in np.flatnonzero(z)]
            product = shares * signs[:, places].prod(axis=1)
            for place in (one for one in places if one in self.undone):
                whole, without = product.sum(), product @ signs[:, place]
                slope = coefficient * np.array([whole + without, whole - without]) / self.undone[place].contrast
                slopes[place] = slopes.get(place, np.zeros(2)) + slope
        return sum(float(slope**2 @ self.undone[place].variances(self.shots)) for place, slope in slopes.items())
