"""Moves every angle of a circuit to the nearest one that leaves it Clifford; knows qiskit and numpy.

The gates stay: a moved angle becomes a free parameter, which gets its value when the circuit is run. So the projected
circuit is lowered as the circuit itself is, and has its noise; where a number stood in the place of the angle, the
transpiler would take out every rotation by 0. After Czarnik, Arrasmith, Coles and Cincio, Quantum 5, 592 (2021), who
take their training circuits from the one in question in this way.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from qiskit.circuit import ControlledGate, ParameterExpression, ParameterVector, QuantumCircuit
from qiskit.circuit import library as gates
from qiskit.exceptions import QiskitError
from qiskit.quantum_info import Clifford

from qrt_runner.circuits.parameters import ParameterSets
from qrt_runner.errors import refuse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qiskit.circuit import Bit, CircuitInstruction, Operation

MOVED: Final = "clifford"
"""Name of the parameter vector that stands for the moved angles."""

_QUARTER: Final = math.pi / 2
_STEPS: Final[Mapping[type, float]] = {
    **dict.fromkeys((gates.RXGate, gates.RYGate, gates.RZGate, gates.RGate, gates.PhaseGate), _QUARTER),
    **dict.fromkeys((gates.UGate, gates.U1Gate, gates.U2Gate, gates.U3Gate), _QUARTER),
    **dict.fromkeys((gates.RXXGate, gates.RYYGate, gates.RZZGate, gates.RZXGate), _QUARTER),
    **dict.fromkeys((gates.CPhaseGate, gates.CU1Gate, gates.CRXGate, gates.CRYGate, gates.CRZGate), math.pi),
}
"""Rotations, and the step from one angle at which they are Clifford to the next."""

_EIGHTHS: Final[Mapping[type, float]] = {gates.TGate: math.pi / 4, gates.TdgGate: -math.pi / 4}
_CLIFFORD: Final = frozenset(
    (
        *(gates.IGate, gates.XGate, gates.YGate, gates.ZGate, gates.HGate, gates.SGate, gates.SdgGate, gates.SXGate),
        *(gates.SXdgGate, gates.CXGate, gates.CYGate, gates.CZGate, gates.SwapGate, gates.iSwapGate, gates.ECRGate),
    )
)
_NO_GATES: Final = ("measure", "reset", "barrier", "delay", "global_phase")
_TOLERANCE: Final = 1e-9


@dataclass(frozen=True)
class Angle:
    """An angle that was moved."""

    asked: float | ParameterExpression
    step: float
    """It is moved to the nearest multiple of this."""

    def values(self, sets: ParameterSets) -> np.ndarray:
        """Return where it is moved to for each parameter set, shape (parameter sets,)."""
        if not isinstance(self.asked, ParameterExpression):
            return np.full(len(sets.values), nearest_multiple(self.asked, self.step))
        columns = {parameter: sets.names.index(parameter.name) for parameter in self.asked.parameters}
        bound = (self.asked.bind({one: row[column] for one, column in columns.items()}) for row in sets.values)
        return np.array([nearest_multiple(float(value), self.step) for value in bound])


@dataclass(frozen=True)
class Projection:
    """A circuit that is Clifford for the parameter sets that `sets` returns, and for no others."""

    circuit: QuantumCircuit
    angles: tuple[Angle, ...]
    """What the elements of its parameter vector stand for."""

    moved: int
    """In how many places an angle was moved."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader must know of it."""
        count = f"{self.moved} angle{' was' if self.moved == 1 else 's were'} moved, see circuit/clifford.json"
        return (f"Clifford projection of the circuit: {count if self.moved else 'no angle had to be moved'}",)

    def sets(self, asked: ParameterSets) -> ParameterSets:
        """Return the parameter sets that were asked for, together with the angles that come of them."""
        columns = [asked.values, *(angle.values(asked)[:, None] for angle in self.angles)]
        names = (*asked.names, *(f"{MOVED}[{number}]" for number in range(len(self.angles))))
        return ParameterSets(names, np.hstack(columns))


def clifford_projected(circuit: QuantumCircuit, path: str = "circuit") -> Projection:
    """Return a circuit with every angle moved to the nearest one at which its gate is Clifford.

    Rotations go to multiples of pi/2, controlled ones to multiples of pi, T to S; halfway between two multiples the one
    farther from 0 is taken. Gates that are no rotations and not Clifford are taken apart first.

    Args:
        circuit: Parametrised or not.
        path: Config path of its section, for error texts.

    Raises:
        ConfigError: Where it has control flow, or a gate that says nothing of itself.
    """
    path, remedy = f"{path}.clifford", f"{path}.clifford=false"
    if circuit.has_control_flow_op():
        raise refuse(path, "true, for a circuit with control flow", "true for circuits without control flow", remedy)
    if any(parameter.name.startswith(MOVED) for parameter in circuit.parameters):
        given = f"true, for a circuit with a parameter called {MOVED}"
        raise refuse(path, given, "parameters of other names", f"rename it, or {remedy}")
    return _Projecting(path).projected(circuit)


def without_moved(sets: ParameterSets) -> ParameterSets:
    """Return the parameter sets of a projected circuit as they were asked for."""
    asked = [column for column, name in enumerate(sets.names) if not _is_moved(name)]
    return ParameterSets(tuple(sets.names[column] for column in asked), sets.values[:, asked])


def moved_files(sets: ParameterSets) -> dict[str, bytes]:
    """Return the artifact that tells where the angles of a projected circuit went, in each parameter set."""
    moved = {name: sets.values[:, column].tolist() for column, name in enumerate(sets.names) if _is_moved(name)}
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(values)}" for name, values in moved.items())
    return {"circuit/clifford.json": f"{{\n{lines}\n}}\n".encode()}


def _is_moved(name: str) -> bool:
    return name.startswith(f"{MOVED}[")


def nearest_multiple(angle: float, step: float) -> float:
    """Return the multiple of a step that is nearest to an angle; halfway, the one farther from 0."""
    return math.copysign(math.floor(abs(angle) / step + 0.5 + _TOLERANCE) * step, angle)


@dataclass
class _Projecting:
    """Lives for one circuit; numbers the angles that it moves, equal ones alike."""

    path: str
    vector: ParameterVector = field(default_factory=lambda: ParameterVector(MOVED, 0))
    known: dict[tuple[Any, float], int] = field(default_factory=dict)
    moved: int = 0

    def projected(self, circuit: QuantumCircuit) -> Projection:
        """Return what comes of a circuit."""
        into = circuit.copy_empty_like()
        if isinstance(into.global_phase, ParameterExpression):
            into.global_phase = 0
        self._put(circuit, into, into.qubits, into.clbits)
        angles = tuple(Angle(asked, step) for asked, step in self.known)
        return Projection(into, angles, self.moved)

    def _put(self, circuit: QuantumCircuit, into: QuantumCircuit, qubits: Sequence[Bit], clbits: Sequence[Bit]) -> None:
        """Append a circuit, projected, to another one on these of its bits."""
        for instruction in circuit.data:
            on = [qubits[circuit.find_bit(qubit).index] for qubit in instruction.qubits]
            to = [clbits[circuit.find_bit(bit).index] for bit in instruction.clbits]
            operation = self._moved(instruction)
            if operation is not None:
                into.append(operation, on, to)
            else:
                self._put(self._definition(instruction), into, on, to)

    def _moved(self, instruction: CircuitInstruction) -> Operation | None:
        """Return what stands in the place of an operation; None where it must be taken apart."""
        operation = instruction.operation
        kind = getattr(operation, "base_class", type(operation))
        if instruction.name in _NO_GATES or kind in _CLIFFORD:
            return operation
        if kind in _EIGHTHS:
            return gates.PhaseGate(self._angle(_EIGHTHS[kind], _QUARTER), label=operation.label)
        if kind in _STEPS:
            state = {"ctrl_state": operation.ctrl_state} if isinstance(operation, ControlledGate) else {}
            angles = [self._angle(angle, _STEPS[kind]) for angle in operation.params]
            return kind(*angles, label=operation.label, **state)
        return operation if _is_clifford(operation) else None

    def _angle(self, asked: Any, step: float) -> Any:
        """Return an angle as it is where it may stay, else the parameter that stands for it from now on."""
        free = isinstance(asked, ParameterExpression) and bool(asked.parameters)
        if not free:
            asked = float(asked)
            if abs(asked - nearest_multiple(asked, step)) <= _TOLERANCE:
                return asked
        self.moved += 1
        number = self.known.setdefault((asked, step), len(self.known))
        if number == len(self.vector):
            self.vector.resize(number + 1)
        return self.vector[number]

    def _definition(self, instruction: CircuitInstruction) -> QuantumCircuit:
        found = getattr(instruction.operation, "definition", None)
        if not isinstance(found, QuantumCircuit) or found.has_control_flow_op():
            given = f"true, for a circuit with {instruction.name}, which cannot be taken apart"
            raise refuse(self.path, given, "gates with a definition", f"{self.path}=false")
        return found


def _is_clifford(operation: Operation) -> bool:
    if any(isinstance(angle, ParameterExpression) for angle in getattr(operation, "params", ())):
        return False
    try:
        Clifford(operation)
    except (QiskitError, TypeError):
        return False
    return True
