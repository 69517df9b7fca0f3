"""Tells circuits and targets in nested tuples that are equal in every process for equal ones; knows qiskit.

QPY cannot do that. Its bytes hold random identities, tables in random order and names that count up; and what library
gates keep outside their parameters is not in them: IntegerComparatorGate(3, 1) and (3, 2) are the same to it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import numpy as np
from qiskit.circuit import (
    AnnotatedOperation,
    Bit,
    ControlFlowOp,
    Duration,
    Instruction,
    Parameter,
    ParameterExpression,
    ParameterVectorElement,
    QuantumCircuit,
    Register,
    SwitchCaseOp,
)
from qiskit.circuit.classical import expr, types
from qiskit.circuit.library import Initialize, UnitaryGate, get_standard_gate_name_mapping
from qiskit.providers import QubitProperties
from qiskit.quantum_info import Clifford

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qiskit.circuit import CircuitInstruction
    from qiskit.transpiler import Target

Told = tuple[Any, ...]
"""Nested tuples of text, numbers, booleans and None."""

_COUNTED: Final = re.compile(r"circuit-\d+(-\d+)?")
"""The name of a circuit that was given none, and so of the gate made of it: the how-manieth of its process it is."""

_STANDARD: Final = {gate.base_class for gate in get_standard_gate_name_mapping().values()}
_TOLD_BY_PARAMS: Final = {*_STANDARD, UnitaryGate, Initialize}
"""Their definitions say nothing more. Those of standard gates hold sums in an order of chance, others take seconds."""

_NOWHERE: Final = QuantumCircuit()
"""Where the operations of a target stand."""


class UntoldError(Exception):
    """Something cannot be told completely."""


@dataclass
class Canon:
    """Lives for one circuit or target; numbers what each process names anew, in the order in which it is met."""

    numbers: dict[UUID | str, int] = field(default_factory=dict)
    """Of parameters, vectors and variables by their identities, and of counted names."""

    definitions: dict[int, tuple[QuantumCircuit, str]] = field(default_factory=dict)
    """By id, which the circuit held beside the digest keeps from being given to another one."""

    @property
    def identities(self) -> tuple[UUID, ...]:
        """The identities met, which correspond one by one in circuits that are told equally."""
        return tuple(name for name in self.numbers if isinstance(name, UUID))

    def circuit(self, circuit: QuantumCircuit) -> Told:
        """Tell a circuit, its name and metadata aside.

        Raises:
            UntoldError: Where it holds what cannot be told completely.
        """
        variables = (
            circuit.iter_input_vars(),
            circuit.iter_captured_vars(),
            circuit.iter_declared_vars(),
            circuit.iter_captured_stretches(),
            circuit.iter_declared_stretches(),
        )
        layout = circuit.layout and (circuit.layout.initial_index_layout(), circuit.layout.final_index_layout())
        return (
            circuit.num_qubits,
            circuit.num_clbits,
            tuple(self._value(register, circuit) for register in (*circuit.qregs, *circuit.cregs)),
            tuple(self._values(kind, circuit) for kind in variables),
            self._value(circuit.global_phase, circuit),
            self._value(layout, circuit),
            tuple(self._instruction(instruction, circuit) for instruction in circuit.data),
        )

    def target(self, target: Target) -> Told:
        """Tell a target: what pickle would keep of it, which is all but what is worked out from the rest.

        Raises:
            UntoldError: Where it holds what cannot be told completely.
        """
        state = target.__getstate__()["base"]
        rest = {key: value for key, value in state.items() if key not in ("description", "qarg_gate_map", "gate_map")}
        gates = sorted(state["gate_map"].items())
        return self._value(rest, _NOWHERE), tuple((name, *self._gate(gate)) for name, gate in gates)

    def _gate(self, gate: dict[str, Any]) -> Told:
        places = [
            (place is None, place or (), known and self._values((known.duration, known.error), _NOWHERE))
            for place, known in (gate["properties"] or {}).items()
        ]
        rest = {key: value for key, value in gate.items() if key not in ("instruction", "properties")}
        return self._operation(gate["instruction"], _NOWHERE), tuple(sorted(places)), self._value(rest, _NOWHERE)

    def _instruction(self, instruction: CircuitInstruction, circuit: QuantumCircuit) -> Told:
        if instruction.is_standard_gate():
            told: Told = (instruction.name, self._values(instruction.params, circuit), instruction.label)
        else:
            told = self._operation(instruction.operation, circuit)
        bits = (*instruction.qubits, *instruction.clbits)
        return *told, tuple(circuit.find_bit(bit).index for bit in bits)

    def _operation(self, operation: Any, circuit: QuantumCircuit) -> Told:
        if isinstance(operation, type):
            return (_name(operation),)
        if isinstance(operation, AnnotatedOperation):
            return "annotated", self._operation(operation.base_op, circuit), repr(operation.modifiers)
        if isinstance(operation, Clifford):
            return "clifford", self._value(operation.tableau, circuit)
        if not isinstance(operation, Instruction):
            raise UntoldError(_name(type(operation)))
        return (
            _name(operation.base_class),
            _COUNTED.sub(lambda found: f"circuit-{self._number(found[0])}", operation.name),
            operation.num_qubits,
            operation.num_clbits,
            operation.label,
            self._values(operation.params, circuit),
            self._beside_params(operation, circuit),
        )

    def _beside_params(self, operation: Instruction, circuit: QuantumCircuit) -> Told:
        """Tell what an operation has beside its parameters, for most of them in the form of its definition."""
        if isinstance(operation, ControlFlowOp):
            if getattr(operation, "annotations", ()):
                raise UntoldError("annotations")
            cases = [labels for labels, _ in operation.cases_specifier()] if isinstance(operation, SwitchCaseOp) else []
            kept = [getattr(operation, name, None) for name in ("condition", "target", "duration", "unit")]
            return self._values([*kept, str(cases)], circuit)
        definition = None if operation.base_class in _TOLD_BY_PARAMS else self._definition(operation)
        return definition, getattr(operation, "ctrl_state", None), getattr(operation, "unit", None)

    def _definition(self, operation: Instruction) -> str | None:
        definition = operation.definition
        if definition is None:
            return None
        if id(definition) not in self.definitions:
            self.definitions[id(definition)] = definition, digest(self.circuit(definition))
        return self.definitions[id(definition)][1]

    def _values(self, values: Iterable[Any], circuit: QuantumCircuit) -> Told:
        return tuple(self._value(value, circuit) for value in values)

    def _value(self, value: Any, circuit: QuantumCircuit) -> Any:
        """Tell a value of an operation in a circuit."""
        told: Any = value
        match value:
            case Enum():
                told = str(value)
            case np.generic():
                told = value.item()
            case None | bool() | int() | str() | float() | complex():
                pass
            case UUID():
                told = self._number(value)
            case tuple() | list() | range():
                told = self._values(value, circuit)
            case set():
                told = tuple(sorted(value))
            case dict():
                told = tuple(sorted((key, self._value(item, circuit)) for key, item in value.items()))
            case np.ndarray():
                told = value.dtype.str, value.shape, hashlib.sha256(value.tobytes()).hexdigest()
            case _:
                told = self._object(value, circuit)
        return told

    def _object(self, value: Any, circuit: QuantumCircuit) -> Told:
        told: Told
        match value:
            case ParameterExpression():
                told = self._expression(value, circuit)
            case Bit():
                told = "bit", circuit.find_bit(value).index
            case Register():
                told = _name(type(value)), value.name, tuple(circuit.find_bit(bit).index for bit in value)
            case QuantumCircuit():
                told = self.circuit(value)
            case expr.Expr() | types.Type() | Duration():
                # What pickle would make it of anew is all there is to it.
                make, *parts = value.__reduce__()
                told = make.__qualname__, self._values(parts, circuit)
            case QubitProperties():
                told = value.t1, value.t2, value.frequency
            case _:
                raise UntoldError(_name(type(value)))
        return told

    def _expression(self, expression: ParameterExpression, circuit: QuantumCircuit) -> Told:
        match expression:
            case ParameterVectorElement():
                vector, index = expression.vector, expression.index
                root = UUID(int=expression.uuid.int - index)
                return vector.name, len(vector), index, self._number(root), self._number(expression.uuid)
            case Parameter():
                return expression.name, self._number(expression.uuid)
            case _:
                (steps,) = expression.__reduce__()[1]
                return tuple((str(step.op), *self._values((step.lhs, step.rhs), circuit)) for step in steps)

    def _number(self, name: UUID | str) -> int:
        return self.numbers.setdefault(name, len(self.numbers))


def digest(told: Told) -> str:
    """Return the hash of what was told; `repr` keeps apart what differs, floats to the last bit."""
    return hashlib.sha256(repr(told).encode()).hexdigest()


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
