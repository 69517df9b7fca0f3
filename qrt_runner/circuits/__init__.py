"""Turns a circuit section into a circuit, its parameter sets and its observables; may know qiskit.

It may not know backends, Hydra or MLflow.
"""

from __future__ import annotations

import io
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from qiskit import qasm3, qpy

from qrt_runner.circuits.measurement import for_counting, for_estimating, kind_of, measured_bits, steering_bits
from qrt_runner.circuits.observables import Observables, is_diagonal, observables_of, operators_of
from qrt_runner.circuits.parameters import ParameterSets, parameter_sets
from qrt_runner.circuits.projection import Projection, clifford_projected, moved_files, without_moved
from qrt_runner.circuits.sources import Source, open_source, with_registers
from qrt_runner.errors import CircuitError, ConfigError, Mistake, refuse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp

    from qrt_runner import config

__all__ = [
    "LogicalCircuit",
    "OpenedCircuit",
    "ParameterSets",
    "ask",
    "ask_instead",
    "clifford_projected",
    "drawn",
    "is_diagonal",
    "kind_of",
    "load",
    "logical_files",
    "measured_bits",
    "moved_files",
    "open_circuit",
    "qpy_bytes",
    "steering_bits",
    "values_of",
    "without_moved",
]

_DRAWN_QUBITS: Final = 40
_DRAWN_OPERATIONS: Final = 600


@dataclass(frozen=True)
class OpenedCircuit:
    """A circuit as its mode runs it, before any backend and any parameter value is known."""

    circuit: QuantumCircuit
    """With measurements for a counting mode, without final ones for the estimator."""

    source: Source
    projection: Projection | None = None
    """Where the circuit's angles went, if it was to be Clifford."""


@dataclass(frozen=True)
class LogicalCircuit:
    """A circuit with what a task asks of it."""

    circuit: QuantumCircuit
    """As in `OpenedCircuit`."""

    sets: ParameterSets
    observables: Observables
    """Those that the mode can tell: any for the estimator, diagonal ones of measured qubits for counts."""

    notes: tuple[str, ...]
    """Which of the circuit file's own observables were left out, and why, and what was done to the circuit."""

    left_out: tuple[str, ...] = ()
    """Names of those observables."""

    own: Observables | None = None
    """The observables that its task asked for, where others are asked for now."""


def load(section: config.Circuit, mode: str, path: str = "circuit") -> LogicalCircuit:
    """Open the circuit that a section asks for, and ask of it what the section asks.

    Args:
        section: What is asked for.
        mode: `raw`, `sampler` or `estimator`.
        path: Config path of the section, for error texts.

    Raises:
        ConfigError: Where anything about the circuit is wrong.
    """
    return ask(open_circuit(section, mode, path), section, mode, path)


def open_circuit(section: config.Circuit, mode: str, path: str = "circuit") -> OpenedCircuit:
    """Open a circuit file as `mode` runs its circuit; parameter values and observables do not matter to it.

    Raises:
        CircuitError: Where the circuit cannot be loaded.
        ConfigError: Where the mode cannot run it.
    """
    with _failing_alone():
        source = with_registers(open_source(section, path), path)
    if mode == "estimator":
        circuit = for_estimating(source.circuit, path)
    else:
        circuit = for_counting(source.circuit, section.measure, path)
    if not section.clifford:
        return OpenedCircuit(circuit, source)
    projection = clifford_projected(circuit, path)
    return OpenedCircuit(projection.circuit, source, projection)


def values_of(opened: OpenedCircuit, section: config.Circuit, path: str = "circuit") -> ParameterSets:
    """Return the parameter sets that a section asks of an opened circuit.

    Raises:
        CircuitError: Where they do not fit its parameters.
    """
    circuit = opened.circuit if opened.projection is None else opened.source.circuit
    with _failing_alone():
        asked = parameter_sets(section, circuit, path)
    return asked if opened.projection is None else opened.projection.sets(asked)


def ask(opened: OpenedCircuit, section: config.Circuit, mode: str, path: str = "circuit") -> LogicalCircuit:
    """Return an opened circuit with the parameter sets and observables that a section asks for.

    Raises:
        CircuitError: Where the circuit's parameters cannot be bound.
        ConfigError: Where the observables do not fit the circuit, or the mode cannot tell them.
    """
    circuit, told = opened.circuit, opened.projection.notes if opened.projection is not None else ()
    sets = values_of(opened, section, path)
    observables = observables_of(section, opened.source, path)
    if mode == "estimator":
        if not observables:
            given = "none, and the circuit file has none of its own"
            remedy = f"'+{path}.observables={{zz: {'Z' * min(circuit.num_qubits, 8)}}}', or mode=sampler"
            raise refuse(f"{path}.observables", given, "at least one observable in mode=estimator", remedy)
        return LogicalCircuit(circuit, sets, observables, told)
    kept, reasons = _countable(observables, circuit)
    if section.observables:
        _refuse(reasons, f"{path}.observables", "mode=estimator")
    notes = [f"observable {name} left out: {reason}; mode=estimator tells it" for name, reason in reasons.items()]
    return LogicalCircuit(circuit, sets, kept, (*told, *notes), tuple(reasons))


def ask_instead(
    logical: LogicalCircuit, mode: str, observables: Mapping[str, Mapping[str, float]], path: str
) -> LogicalCircuit:
    """Return a circuit that ran already with other observables asked of it.

    Args:
        logical: The circuit.
        mode: `raw`, `sampler` or `estimator`.
        observables: Coefficients by Pauli string, by name.
        path: Config path of the observables, for error texts.

    Raises:
        ConfigError: Where they do not fit the circuit, or the mode cannot tell them.
    """
    wanted = operators_of(observables, logical.circuit, path)
    if mode != "estimator":
        _, reasons = _countable(wanted, logical.circuit)
        _refuse(reasons, path, "a run of the circuit with mode=estimator")
    return replace(logical, observables=wanted, own=logical.observables if logical.own is None else logical.own)


@contextmanager
def _failing_alone() -> Iterator[None]:
    """Turn the refusal of a circuit that cannot be loaded or bound into one that concerns its own point only."""
    try:
        yield
    except ConfigError as error:
        raise CircuitError(error.mistakes) from error


def _countable(observables: Observables, circuit: QuantumCircuit) -> tuple[Observables, Mapping[str, str]]:
    """Return the observables that counts can tell, and why they cannot tell the others."""
    bits = measured_bits(circuit)
    kept: dict[str, SparsePauliOp] = {}
    reasons: dict[str, str] = {}
    for name, operator in observables.items():
        qubits = sorted({int(qubit) for pauli in operator.paulis for qubit in (pauli.z | pauli.x).nonzero()[0]})
        unmeasured = [qubit for qubit in qubits if qubit not in bits]
        if is_diagonal(operator) and not unmeasured:
            kept[name] = operator
        else:
            told = f"qubit {unmeasured[0]} is not measured at the end" if unmeasured else ""
            reasons[name] = told or "it is not diagonal (X or Y in it)"
    return kept, reasons


def _refuse(reasons: Mapping[str, str], path: str, remedy: str) -> None:
    """Refuse observables that counts cannot tell, where there are any."""
    allowed = "I and Z on measured qubits in mode=raw and mode=sampler"
    given = "an observable that counts cannot tell"
    if reasons:
        raise ConfigError(
            Mistake(f"{path}.{name}", f"{given}: {reason}", allowed, remedy) for name, reason in reasons.items()
        )


def logical_files(circuit: QuantumCircuit) -> dict[str, bytes]:
    """Return the artifacts that show a circuit as written: OpenQASM 3 (else QPY) and a drawing."""
    try:
        files = {"circuit/logical.qasm3": qasm3.dumps(circuit).encode()}
    except Exception:  # noqa: BLE001 - what OpenQASM 3 cannot say ends in exporter errors, TypeError and others alike
        files = {"circuit/logical.qpy": qpy_bytes(circuit)}
    return files | {"circuit/logical.txt": drawn(circuit).encode()}


def qpy_bytes(circuit: QuantumCircuit) -> bytes:
    """Return a circuit as QPY."""
    stream = io.BytesIO()
    qpy.dump(circuit, stream)
    return stream.getvalue()


def drawn(circuit: QuantumCircuit) -> str:
    """Return a folded text drawing without idle qubits, or the reason why there is none."""
    acting = (one for one in circuit.data if one.name not in ("barrier", "delay"))
    qubits, size = len({qubit for one in acting for qubit in one.qubits}), circuit.size()
    if qubits > _DRAWN_QUBITS or size > _DRAWN_OPERATIONS:
        return f"Not drawn: {qubits} qubits and {size} operations are too many for a page.\n"
    return str(circuit.draw("text", fold=120, idle_wires=False)) + "\n"
