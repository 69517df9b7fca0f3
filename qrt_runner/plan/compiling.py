"""Compiles experiments into a plan; knows the modules above it.

Each distinct circuit is loaded and lowered once for all points, and everything that can be refused is refused here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from qrt_runner.backends import Device, check_fits, open_device, simulator_of
from qrt_runner.circuits import LogicalCircuit, load, logical_files, qpy_bytes
from qrt_runner.circuits import drawn as drawing_of
from qrt_runner.errors import ConfigError, Mistake
from qrt_runner.modes import Pub, Submission
from qrt_runner.plan.records import Job, Place, Plan, PlannedTask, Program, Refusal
from qrt_runner.results import Ledger, Point
from qrt_runner.transpilation import lower, two_qubit_gates

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from qiskit.providers import BackendV2

    from qrt_runner import config
    from qrt_runner.config import Experiment, Task
    from qrt_runner.transpilation import Lowered

Thing = TypeVar("Thing")


def compile_plan(points: Iterable[Point]) -> Plan:
    """Compile points into one plan.

    Points that cannot be run become refusals of the plan; nothing has been submitted when this returns.

    Raises:
        AccessError: Where an account or a service refuses.
    """
    compiler = _Compiler()
    for point in points:
        compiler.add(point)
    return compiler.plan()


def program_files(program: Program) -> dict[str, bytes]:
    """Return the artifacts that show a program: as written, as submitted, and drawn."""
    isa = program.lowered.isa
    files = {"circuit/isa.qpy": qpy_bytes(isa), "circuit/isa.txt": drawing_of(isa).encode()}
    return logical_files(program.logical.circuit) | files


@dataclass
class _Compiler:
    """Lives for one plan; remembers what was opened, loaded and lowered, by its section's content."""

    devices: dict[Hashable, Device] = field(default_factory=dict)
    circuits: dict[Hashable, LogicalCircuit] = field(default_factory=dict)
    lowered: dict[Hashable, Lowered] = field(default_factory=dict)
    simulators: dict[Hashable, BackendV2] = field(default_factory=dict)
    programs: dict[Hashable, Program] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)
    tasks: list[PlannedTask] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    def plan(self) -> Plan:
        """Return what has been compiled."""
        return Plan(tuple(self.programs.values()), tuple(self.jobs), tuple(self.tasks), tuple(self.refusals))

    def add(self, point: Point) -> None:
        """Compile one point, all of it or nothing."""
        prepared: list[tuple[str, Program, Ledger, Submission]] = []
        mistakes: list[Mistake] = []
        for name in point.experiment.tasks:
            try:
                prepared.append(self._prepare(point, name))
            except ConfigError as error:
                mistakes += error.mistakes
        if mistakes:
            self.refusals.append(Refusal(point, ConfigError(mistakes)))
            return
        for name, program, ledger, submission in prepared:
            job = Job(len(self.jobs), point.experiment.tasks[name].mode.kind, submission)
            place = Place(job.index, 0, slice(0, len(submission.pubs[0].values)))
            self.jobs.append(job)
            self.tasks.append(PlannedTask(point, name, program, ledger, place))

    def _prepare(self, point: Point, name: str) -> tuple[str, Program, Ledger, Submission]:
        experiment, task = point.experiment, point.experiment.tasks[name]
        device = _once(
            self.devices, _key(experiment.document.backend), lambda: open_device(experiment.document.backend)
        )
        program = self._program(experiment, name, device)
        options, ledger = _options(task, experiment.document.seed, program)
        lowered = program.lowered
        observables = {key: lowered.observable(operator) for key, operator in program.logical.observables.items()}
        pub = Pub(lowered.circuit, program.logical.sets.values, observables if task.mode.kind == "estimator" else {})
        shots = _shots(task.mode)
        return (
            name,
            program,
            ledger,
            Submission(device, program.runs_on, (pub,), shots, experiment.document.seed, options),
        )

    def _program(self, experiment: Experiment, name: str, device: Device) -> Program:
        task, document = experiment.tasks[name], experiment.document
        path = _path_of(experiment, name)
        counting = task.mode.kind != "estimator"
        circuit_key = (_key(task.circuit), counting)
        program_key = (circuit_key, _key(document.backend), _key(document.transpile))

        def build() -> Program:
            logical = _once(self.circuits, circuit_key, lambda: load(task.circuit, task.mode.kind, path))
            lowered = _once(self.lowered, program_key, lambda: lower(logical.circuit, device, document.transpile))
            if device.where == "simulator":
                check_fits(device, lowered.circuit)
            physical = lowered.physical if device.shrinks else ()
            simulator_key = (_key(document.backend), physical)
            runs_on = _once(self.simulators, simulator_key, lambda: simulator_of(device, physical))
            return Program(logical, lowered, device, runs_on, _sizes(logical, lowered))

        return _once(self.programs, program_key, build)


def _options(task: Task, seed: int | None, program: Program) -> tuple[Any, Ledger]:
    if task.mode.kind == "raw":
        return None, Ledger(task.mitigation.kind, {}, (), {})
    from qrt_runner.mitigation import ledger, options_for

    options = options_for(task.mode, task.mitigation, seed)
    lowered = program.lowered
    return options, ledger(task.mitigation.kind, options, lowered.circuit, program.device, program.runs_on)


def _shots(mode: config.Mode) -> int:
    """Return the shots; for a precision those that give it for a single Pauli at worst, 1/precision^2."""
    precision = getattr(mode, "precision", None)
    return mode.shots if precision is None else round(precision**-2)


def _sizes(logical: LogicalCircuit, lowered: Lowered) -> dict[str, float]:
    return {
        "circuit/depth": float(logical.circuit.depth()),
        "circuit/two_qubit_gates": float(two_qubit_gates(logical.circuit)),
        "isa/depth": float(lowered.isa.depth()),
        "isa/two_qubit_gates": float(two_qubit_gates(lowered.isa)),
    }


def _path_of(experiment: Experiment, name: str) -> str:
    partial = experiment.document.tasks.get(name)
    return f"tasks.{name}.circuit" if partial is not None and partial.circuit is not None else "circuit"


def _key(section: config.Circuit | config.Backend | config.Transpile) -> str:
    return json.dumps(section.model_dump(mode="json"), sort_keys=True)


def _once(known: dict[Hashable, Thing], key: Hashable, make: Callable[[], Thing]) -> Thing:
    if key not in known:
        known[key] = make()
    return known[key]
