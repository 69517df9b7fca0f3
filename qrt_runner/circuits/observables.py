"""Names and checks observables; knows qiskit.

An observable is real and Hermitian: Pauli strings with real coefficients. The rightmost letter is qubit 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError
from qiskit.quantum_info import Pauli, SparsePauliOp

from qrt_runner.config.fields import NAME_ALLOWED, OBSERVABLE_ALLOWED, Observable, is_observable_name
from qrt_runner.config.projectors import in_paulis
from qrt_runner.errors import ConfigError, Mistake, refuse

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

    from qrt_runner import config
    from qrt_runner.circuits.sources import Source

Observables = Mapping[str, SparsePauliOp]
"""Observables by name, over the qubits of the circuit as its file has it."""


def observables_of(section: config.Circuit, source: Source, path: str = "circuit") -> Observables:
    """Return the observables asked for: those of the config, else those of the circuit file.

    Raises:
        ConfigError: Where one is no observable, or of another width than the circuit.
    """
    if section.observables:
        return operators_of(section.observables, source.circuit, f"{path}.observables")
    return _checked(
        {str(name): _from_file(str(name), value, section.source) for name, value in source.observables.items()},
        source.circuit,
        f"{section.source}: observables()",
    )


def operators_of(wanted: Mapping[str, Mapping[str, float]], circuit: QuantumCircuit, path: str) -> Observables:
    """Return observables that a config names, each as coefficients by Pauli string.

    Raises:
        ConfigError: Where one is of another width than the circuit.
    """
    return _checked({name: _operator(terms) for name, terms in wanted.items()}, circuit, path)


def is_diagonal(operator: SparsePauliOp) -> bool:
    """Tell whether an observable holds only I and Z, so that counts tell its value."""
    return not operator.paulis.x.any()


def _from_file(name: str, value: Any, source: str) -> SparsePauliOp:
    path = f"{source}: observables().{name}"
    if not is_observable_name(name):
        raise refuse(path, repr(name), NAME_ALLOWED, f"rename it in {source}")
    if isinstance(value, SparsePauliOp | Pauli):
        return _real(SparsePauliOp(value), path, source)
    try:
        return _operator(TypeAdapter(Observable).validate_python(value))
    except ValidationError:
        instead = in_paulis(value)
        remedy = f"write {instead} in {source}" if instead else f"mend it in {source}"
        raise refuse(path, repr(value), OBSERVABLE_ALLOWED, remedy) from None


def _real(operator: SparsePauliOp, path: str, source: str) -> SparsePauliOp:
    if abs(operator.coeffs.imag).max() > 0:
        raise refuse(path, "complex coefficients", "real coefficients", f"make the observable Hermitian in {source}")
    return operator


def _operator(terms: Mapping[str, float]) -> SparsePauliOp:
    return SparsePauliOp.from_list(list(terms.items()))


def _checked(observables: Observables, circuit: QuantumCircuit, path: str) -> Observables:
    width = circuit.num_qubits
    mistakes = [
        Mistake(
            f"{path}.{name}",
            f"an observable over {operator.num_qubits} qubits",
            f"{OBSERVABLE_ALLOWED}, one letter for each of the circuit's {width} qubits",
            f"write {width} letters, I where nothing is measured",
        )
        for name, operator in observables.items()
        if operator.num_qubits != width
    ]
    if mistakes:
        raise ConfigError(mistakes)
    return observables
