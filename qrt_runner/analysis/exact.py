"""The ideal reference: exact expectation values and probabilities; knows numpy and qiskit.

By statevector up to a stated width, by stabilizers for Clifford circuits of any width, else refused or left out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from qiskit.exceptions import QiskitError
from qiskit.quantum_info import Clifford, StabilizerState, Statevector

from qrt_runner.analysis.counting import joint_places
from qrt_runner.circuits import kind_of, measured_bits
from qrt_runner.errors import ConfigError, refuse
from qrt_runner.results import Comparison

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp

    from qrt_runner import config
    from qrt_runner.circuits import LogicalCircuit

ExactState: TypeAlias = Statevector | StabilizerState
_MOST_RANDOM_BITS: Final = 16
"""Of a stabilizer state, so many random bits make 65,536 outcomes; more are not listed."""
_NEGLIGIBLE: Final = 1e-12


def exact_reference(section: config.Ideal | config.Twin, logical: LogicalCircuit, *, counting: bool) -> Comparison:
    """Return the exact numbers of a circuit, for each of its parameter sets; what has none is left out where told so.

    Args:
        section: The reference asked for.
        logical: The circuit.
        counting: Whether outcome probabilities are wanted beside expectation values.

    Raises:
        ConfigError: Where the circuit is too wide, or follows measurement outcomes, and that is not to be skipped.
    """
    found = Comparison()
    try:
        states = _states(section, logical)
        ideal = np.array([[_value(state, operator) for operator in logical.observables.values()] for state in states])
        found = Comparison(ideal=ideal if logical.observables else None)
        if counting:
            found = replace(found, probabilities=tuple(_probabilities(state, logical.circuit) for state in states))
    except ConfigError:
        # What is compared with a twin can do without.
        if getattr(section, "on_unknown", "skip") == "refuse":
            raise
    return found


def _states(section: config.Ideal | config.Twin, logical: LogicalCircuit) -> list[ExactState]:
    """Return the state that each parameter set ends in."""
    if kind_of(logical.circuit) == "dynamic":
        given = "ideal, for a circuit with mid-circuit measurement, reset or control flow"
        raise refuse("reference", given, "ideal for circuits that measure at their end only", "reference=none")
    bare = logical.circuit.remove_final_measurements(inplace=False)
    values = logical.sets.of(bare)
    return [_state(bare.assign_parameters(row) if bare.parameters else bare, section) for row in values]


def _state(circuit: QuantumCircuit, section: config.Ideal | config.Twin) -> ExactState:
    if circuit.num_qubits <= section.max_qubits:
        return Statevector(circuit)
    try:
        return StabilizerState(Clifford(circuit))
    except QiskitError:
        given = f"ideal, for a circuit of {circuit.num_qubits} qubits that is not Clifford"
        allowed = f"at most {section.max_qubits} qubits (reference.max_qubits), or a Clifford circuit"
        memory = f"reference.max_qubits={circuit.num_qubits} needs {16 * 2.0**circuit.num_qubits:.1e} bytes"
        remedy = f"reference=none, or circuit.clifford=true for the nearest Clifford circuit, or {memory}"
        raise refuse("reference", given, allowed, remedy) from None


def _value(state: ExactState, operator: SparsePauliOp) -> float:
    if isinstance(state, Statevector):
        return float(np.real(state.expectation_value(operator)))
    terms = zip(operator.coeffs.real, operator.paulis, strict=True)
    return float(sum(weight * np.real(state.expectation_value(pauli)) for weight, pauli in terms))


def _probabilities(state: ExactState, circuit: QuantumCircuit) -> dict[str, float]:
    """Return outcome probabilities by joint outcome: all registers, the last one leftmost; unmeasured bits are 0."""
    places = joint_places(circuit)
    measured = sorted((places[bit], qubit) for qubit, bit in measured_bits(circuit).items())
    qubits, spots = [qubit for _, qubit in measured], [place for place, _ in measured]
    if isinstance(state, StabilizerState):
        found = _stabilizer_probabilities(state, qubits)
    else:
        found = state.probabilities_dict(qargs=qubits)
    kept = {key: float(value) for key, value in found.items() if value > _NEGLIGIBLE}
    return {_spread(key, spots, len(places)): value for key, value in kept.items()}


def _stabilizer_probabilities(state: StabilizerState, qubits: Sequence[int]) -> dict[str, float]:
    """Return the outcomes of measuring some qubits of a stabilizer state, the first qubit rightmost.

    They are equally probable and form an affine space over GF(2): any one outcome, plus the span of the X parts of the
    stabilizers (Aaronson and Gottesman, Phys. Rev. A 70, 052328 (2004)). Qiskit's own listing takes seconds here.
    """
    basis = _independent(state.clifford.stab_x[:, qubits])
    if len(basis) > _MOST_RANDOM_BITS:
        given = f"ideal, for counts over 2^{len(basis)} outcomes"
        raise refuse("reference", given, f"at most 2^{_MOST_RANDOM_BITS} outcomes", "mode=estimator, or reference=none")
    drawn = state.copy()
    drawn.seed(0)
    outcome, _ = drawn.measure(list(qubits))
    outcomes = np.array([[bit == "1" for bit in reversed(outcome)]])
    for row in basis:
        outcomes = np.concatenate([outcomes, outcomes ^ row])
    return {"".join("1" if bit else "0" for bit in row[::-1]): 1.0 / len(outcomes) for row in outcomes}


def _independent(rows: np.ndarray) -> list[np.ndarray]:
    """Return a basis over GF(2) of the span of some rows."""
    rows, basis = rows.copy(), []
    for column in range(rows.shape[1]):
        hits = np.flatnonzero(rows[:, column])
        if not hits.size:
            continue
        pivot = rows[hits[0]].copy()
        basis.append(pivot)
        rows[hits] ^= pivot
    return basis


def _spread(key: str, spots: Sequence[int], width: int) -> str:
    bits = ["0"] * width
    for spot, bit in zip(spots, reversed(key), strict=True):
        bits[width - 1 - spot] = bit
    return "".join(bits)
