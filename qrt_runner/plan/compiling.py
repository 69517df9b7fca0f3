"""Compiles experiments into a plan; knows the modules above it.

Each distinct circuit is loaded and lowered once for all points, and everything that can be refused is refused here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from qrt_runner.backends import Device, check_fits, open_device, simulator_of
from qrt_runner.circuits import LogicalCircuit, OpenedCircuit, ask, logical_files, open_circuit, qpy_bytes
from qrt_runner.circuits import drawn as drawing_of
from qrt_runner.errors import ConfigError, Mistake, refuse
from qrt_runner.modes import Pub, Submission
from qrt_runner.plan.records import Job, Place, Plan, PlannedTask, Program, Refusal
from qrt_runner.results import Comparison, Ledger, Point
from qrt_runner.transpilation import lower, two_qubit_gates

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qiskit import QuantumCircuit
    from qiskit.providers import BackendV2

    from qrt_runner import config
    from qrt_runner.config import Document, Experiment, Task
    from qrt_runner.transpilation import Lowered

Thing = TypeVar("Thing")


Refer = Callable[["Task", "Document", LogicalCircuit], Comparison]
"""Computes what a task's results will be compared with, before anything is submitted."""


def compile_plan(points: Iterable[Point], refer: Refer) -> Plan:
    """Compile points into one plan.

    Points that cannot be run become refusals of the plan; nothing has been submitted when this returns.

    Args:
        points: What is asked for.
        refer: Computes the reference of a task.

    Raises:
        AccessError: Where an account or a service refuses.
    """
    compiler = _Compiler(refer)
    for point in points:
        compiler.add(point)
    return compiler.plan()


def program_files(program: Program) -> dict[str, bytes]:
    """Return the artifacts that show a program: as written, as submitted, and drawn."""
    isa = program.lowered.isa
    files = {"circuit/isa.qpy": qpy_bytes(isa), "circuit/isa.txt": drawing_of(isa).encode()}
    return logical_files(program.circuit) | files


@dataclass(frozen=True)
class _Prepared:
    """One task, ready to become a job."""

    name: str
    program: Program
    logical: LogicalCircuit
    ledger: Ledger
    reference: Comparison
    submission: Submission


@dataclass
class _Compiler:
    """Lives for one plan; remembers what was opened and lowered, by the content of its sections."""

    refer: Refer
    devices: dict[str, Device] = field(default_factory=dict)
    circuits: dict[str, OpenedCircuit] = field(default_factory=dict)
    simulators: dict[str, BackendV2] = field(default_factory=dict)
    programs: dict[str, Program] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)
    tasks: list[PlannedTask] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    def plan(self) -> Plan:
        """Return what has been compiled."""
        return Plan(tuple(self.programs.values()), tuple(self.jobs), tuple(self.tasks), tuple(self.refusals))

    def add(self, point: Point) -> None:
        """Compile one point, all of it or nothing."""
        prepared: list[_Prepared] = []
        mistakes: list[Mistake] = []
        for name in point.experiment.tasks:
            try:
                prepared.append(self._prepare(point.experiment, name))
            except ConfigError as error:
                mistakes += error.mistakes
        if mistakes:
            self.refusals.append(Refusal(point, ConfigError(mistakes)))
            return
        for ready in prepared:
            job = Job(len(self.jobs), point.experiment.tasks[ready.name].mode.kind, ready.submission)
            place = Place(job.index, 0, slice(0, len(ready.logical.sets.values)))
            self.jobs.append(job)
            self.tasks.append(
                PlannedTask(point, ready.name, ready.program, ready.logical, ready.ledger, ready.reference, place)
            )

    def _prepare(self, experiment: Experiment, name: str) -> _Prepared:
        task, document = experiment.tasks[name], experiment.document
        path, mode = _path_of(experiment, name), task.mode.kind
        opened = self._opened(task, path)
        logical = ask(opened, task.circuit, mode, path)
        program = self._program(opened, document)
        lowered = program.lowered
        if program.device.where == "simulator":
            check_fits(program.device, lowered.circuit, logical.sets.values, program.runs_on)
        options, ledger = _options(task, document.seed, program)
        sent = {key: lowered.observable(operator) for key, operator in logical.observables.items()}
        pub = Pub(lowered.circuit, logical.sets.values, sent if mode == "estimator" else {})
        submission = Submission(program.device, program.runs_on, (pub,), _shots(task.mode), document.seed, options)
        return _Prepared(name, program, logical, ledger, self.refer(task, document, logical), submission)

    def _opened(self, task: Task, path: str) -> OpenedCircuit:
        """Open a circuit once for all tasks that differ only in parameter values and observables."""
        what = task.circuit.model_dump(mode="json", include={"source", "params", "measure"})
        key = json.dumps([what, task.mode.kind == "estimator"], sort_keys=True)
        return _once(self.circuits, key, lambda: open_circuit(task.circuit, task.mode.kind, path))

    def _program(self, opened: OpenedCircuit, document: Document) -> Program:
        backend = document.backend.model_dump_json()
        device = _once(self.devices, backend, lambda: open_device(document.backend))

        def build() -> Program:
            lowered = lower(opened.circuit, device, document.transpile)
            physical = lowered.used if device.shrinks else ()
            runs_on = _once(self.simulators, f"{backend} {physical}", lambda: simulator_of(device, physical))
            return Program(opened.circuit, lowered, device, runs_on, _sizes(opened.circuit, lowered))

        return _once(self.programs, f"{id(opened)} {backend} {document.transpile.model_dump_json()}", build)


def _options(task: Task, seed: int | None, program: Program) -> tuple[Any, Ledger]:
    if task.mode.kind == "raw":
        return None, Ledger(task.mitigation.kind, {}, (), {})
    from qrt_runner.mitigation import ledger, options_for

    options = options_for(task.mode, task.mitigation, seed)
    circuit = program.lowered.circuit
    told = ledger(task.mitigation.kind, options, circuit, program.device, program.runs_on)
    if program.device.where != "vendor":
        return options, told
    if task.mitigation.options:
        given = f"{', '.join(sorted(task.mitigation.options))} on {program.device.name}"
        allowed = "no options: the runtime's are for IBM's backends and simulators"
        raise refuse("mitigation.options", given, allowed, "leave them out")
    return None, Ledger(task.mitigation.kind, {}, (), {})


def _shots(mode: config.Mode) -> int:
    """Return the shots; for a precision those that give it for a single Pauli at worst, 1/precision^2."""
    precision = getattr(mode, "precision", None)
    return mode.shots if precision is None else round(precision**-2)


def _sizes(circuit: QuantumCircuit, lowered: Lowered) -> dict[str, float]:
    return {
        "circuit/depth": float(circuit.depth()),
        "circuit/two_qubit_gates": float(two_qubit_gates(circuit)),
        "isa/depth": float(lowered.isa.depth()),
        "isa/two_qubit_gates": float(two_qubit_gates(lowered.isa)),
    }


def _path_of(experiment: Experiment, name: str) -> str:
    partial = experiment.document.tasks.get(name)
    return f"tasks.{name}.circuit" if partial is not None and partial.circuit is not None else "circuit"


def _once(known: dict[str, Thing], key: str, make: Callable[[], Thing]) -> Thing:
    if key not in known:
        known[key] = make()
    return known[key]
