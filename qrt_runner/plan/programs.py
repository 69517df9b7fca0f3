"""Opens and lowers each distinct circuit once; knows the modules above it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from qrt_runner.backends import Device, check_fits, open_device, simulator_of
from qrt_runner.circuits import LogicalCircuit, OpenedCircuit, open_circuit
from qrt_runner.errors import QrtError
from qrt_runner.plan.records import Program
from qrt_runner.transpilation import lower, two_qubit_gates

if TYPE_CHECKING:
    from collections.abc import Callable

    from qiskit import QuantumCircuit
    from qiskit.providers import BackendV2

    from qrt_runner.config import Document, Task
    from qrt_runner.transpilation import Lowered

Thing = TypeVar("Thing")


@dataclass
class Programs:
    """Lives for one plan; remembers what was opened and lowered, by the content of its sections."""

    devices: dict[Any, Device] = field(default_factory=dict)
    circuits: dict[Any, tuple[OpenedCircuit, str]] = field(default_factory=dict)
    simulators: dict[Any, BackendV2] = field(default_factory=dict)
    programs: dict[Any, tuple[Program, str] | QrtError] = field(default_factory=dict)
    fitting: set[int] = field(default_factory=set)
    told: dict[int, tuple[Any, str]] = field(default_factory=dict)

    def all(self) -> tuple[Program, ...]:
        """Return the programs in the order in which they were first asked for."""
        return tuple(found[0] for found in self.programs.values() if isinstance(found, tuple))

    def opened(self, task: Task, path: str) -> tuple[OpenedCircuit, str]:
        """Open a circuit once for all tasks that differ only in parameter values and observables."""
        circuit = task.circuit
        estimating = task.mode.kind == "estimator"
        asked = [circuit.source, circuit.params, circuit.measure, circuit.clifford, estimating]
        key = json.dumps(asked, sort_keys=True)
        return once(self.circuits, key, lambda: (open_circuit(task.circuit, task.mode.kind, path), key))

    def program(self, opened: OpenedCircuit, circuit_key: str, document: Document) -> tuple[Program, str]:
        """Lower a circuit once for all tasks with the same backend and transpile options.

        Raises:
            ConfigError: Where it cannot be lowered, each time that it is asked for.
        """
        backend, transpile = self.text(document.backend), self.text(document.transpile)
        key = f"{circuit_key} {backend} {transpile}"
        if key not in self.programs:
            try:
                self.programs[key] = self._lowered(opened, backend, document), key
            except QrtError as error:
                self.programs[key] = error
        found = self.programs[key]
        if isinstance(found, QrtError):
            raise found
        return found

    def check_fits(self, program: Program, logical: LogicalCircuit) -> None:
        """Refuse what a simulator cannot hold, once for all values where they do not matter."""
        if program.device.where != "simulator" or id(program) in self.fitting:
            return
        if check_fits(program.device, program.lowered.circuit, program.values_of(logical.sets), program.runs_on):
            self.fitting.add(id(program))

    def _lowered(self, opened: OpenedCircuit, backend: str, document: Document) -> Program:
        device = once(self.devices, backend, lambda: open_device(document.backend))
        lowered = lower(opened.circuit, device, document.transpile)
        physical = lowered.used if device.shrinks else ()
        runs_on = once(self.simulators, f"{backend} {physical}", lambda: simulator_of(device, physical))
        return Program(opened.circuit, lowered, device, runs_on, _sizes(opened.circuit, lowered))

    def text(self, section: Any) -> str:
        """Return a section as text; sections that points share are written once."""
        known = self.told.get(id(section))
        if known is None:
            # The section is held beside its text, so that no other one gets its id.
            known = self.told[id(section)] = section, section.model_dump_json()
        return known[1]


def once(known: dict[Any, Thing], key: Any, make: Callable[[], Thing]) -> Thing:
    """Return what is known by that key, made now where it is not known yet."""
    if key not in known:
        known[key] = make()
    return known[key]


def _sizes(circuit: QuantumCircuit, lowered: Lowered) -> dict[str, float]:
    return {
        "circuit/depth": float(circuit.depth()),
        "circuit/two_qubit_gates": float(two_qubit_gates(circuit)),
        "isa/depth": float(lowered.isa.depth()),
        "isa/two_qubit_gates": float(two_qubit_gates(lowered.isa)),
    }
