"""Packs a compiled plan into named parts, of which another process makes it again; knows the modules above it.

What stands in several places of a plan is written once, told apart by identity. Of devices and simulators only that is
written what opens them again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, astuple, dataclass, field
from typing import TYPE_CHECKING, Any

from qrt_runner import __version__
from qrt_runner.noise import plain
from qrt_runner.plan.identity import circuit_key
from qrt_runner.plan.numbers import arrays_of
from qrt_runner.plan.parts import (
    ARRAYS,
    CIRCUITS,
    FORMAT,
    PLAN,
    POINTS,
    check_size,
    written_arrays,
    written_circuits,
)
from qrt_runner.plan.points import written_points
from qrt_runner.plan.shared import Shared

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp

    from qrt_runner.backends import Device
    from qrt_runner.noise import NoiseModel
    from qrt_runner.plan.records import Group, Job, Plan, PlannedTask, Program, Refusal
    from qrt_runner.price import Price
    from qrt_runner.results import Ledger, Point

Content = dict[str, Any]
"""What JSON takes."""


def packed(plan: Plan) -> dict[str, bytes]:
    """Return a plan as files by name: `plan.json`, `circuits.qpy`, `arrays.npz` and `points.jsonl`.

    Programs that no task needs, because all that asked for them were refused, are left out.

    Raises:
        QrtError: Where QPY cannot say a circuit, or a part is larger than will be read again.
    """
    packer = _Packer(_sections(plan))
    content, arrays = packer.content(plan), arrays_of(plan, packer.texts)
    parts = {
        PLAN: json.dumps(content | packer.shared()).encode(),
        CIRCUITS: written_circuits(packer.circuits.things),
        ARRAYS: written_arrays(arrays),
        POINTS: written_points(_points(plan)),
    }
    for part, written in parts.items():
        check_size(part, len(written))
    return parts


def _points(plan: Plan) -> list[Point]:
    """Return the points in the order of their indices, refused ones among them."""
    there = [task.point for task in plan.tasks]
    there += [*(refusal.point for refusal in plan.refusals), *(task.point for task in plan.left_out)]
    points = {point.index: point for point in there}
    return [points[index] for index in sorted(points)]


def _sections(plan: Plan) -> dict[int, str]:
    """Return what opens each device again, by the device's id: the backend section of a point that asks for it."""
    tasks = {id(task.program.device): task for task in plan.tasks}
    sections = {}
    for number, task in tasks.items():
        device, backend = task.program.device, task.point.experiment.document.backend
        # Circuits were lowered to the one that was the least busy then.
        chosen = {"name": device.name} if device.where == "ibm" and backend.name is None else {}
        sections[number] = backend.model_copy(update=chosen).model_dump_json()
    return sections


@dataclass
class _Packer:
    """Lives for one plan; numbers what it shares."""

    sections: Mapping[int, str]
    """What opens each device again, by its id."""

    devices: Shared[Device] = field(default_factory=Shared)
    simulators: Shared[tuple[int, tuple[int, ...]]] = field(default_factory=Shared)
    """Device and active qubits."""

    circuits: Shared[QuantumCircuit] = field(default_factory=Shared)
    programs: Shared[Program] = field(default_factory=Shared)
    calibrations: Shared[Program] = field(default_factory=Shared)
    """Each told by one of the programs on the same qubits."""

    observables: Shared[Mapping[str, SparsePauliOp]] = field(default_factory=Shared)
    options: Shared[Any] = field(default_factory=Shared)
    ledgers: Shared[Ledger] = field(default_factory=Shared)
    noise: Shared[NoiseModel] = field(default_factory=Shared)
    prices: Shared[Price | None] = field(default_factory=Shared)
    texts: Shared[tuple[str, ...]] = field(default_factory=Shared)

    def content(self, plan: Plan) -> Content:
        """Return what a plan is made of, which refers to what it shares."""
        needed = {id(task.program) for task in plan.tasks}
        return {
            "format": FORMAT,
            "version": __version__,
            "programs": [self._program(program) for program in plan.programs if id(program) in needed],
            "jobs": [self._job(job) for job in plan.jobs],
            "groups": [self._group(group) for group in plan.groups],
            "tasks": [self._task(task) for task in plan.tasks],
            "refusals": [_refusal(refusal) for refusal in plan.refusals],
        }

    def shared(self) -> Content:
        """Return what has been referred to."""
        return {
            "devices": [self._device(device) for device in self.devices.things],
            "simulators": [{"device": device, "qubits": qubits} for device, qubits in self.simulators.things],
            "calibrations": [_calibration(program) for program in self.calibrations.things],
            "observables": [_observables(found) for found in self.observables.things],
            "options": [_options(found) for found in self.options.things],
            "ledgers": [asdict(found) for found in self.ledgers.things],
            "noise": [plain(found) for found in self.noise.things],
            "prices": [None if found is None else asdict(found) for found in self.prices.things],
            "texts": self.texts.things,
        }

    def _device(self, device: Device) -> Content:
        kept = {name: getattr(device, name) for name in ("name", "where", "noisy", "shrinks")}
        return {**kept, "section": self.sections[id(device)]}

    def _program(self, program: Program) -> Content:
        self.programs.number(program)
        lowered, device = program.lowered, self.devices.number(program.device)
        qubits = program.qubits
        return {
            "circuit": self.circuits.number(program.circuit),
            "isa": self.circuits.number(lowered.isa),
            "submitted": self.circuits.number(lowered.circuit),
            "key": None if program.device.where == "ibm" else circuit_key(lowered.circuit),
            "used": lowered.used,
            "layout": lowered.layout,
            "seconds": lowered.seconds,
            "cached": lowered.cached,
            "device": device,
            "simulator": self.simulators.number((device, qubits), (id(program.device), id(program.runs_on))),
            "sizes": dict(program.sizes),
            "calibration": self.calibrations.number(program, (device, lowered.used)),
        }

    def _job(self, job: Job) -> Content:
        sent = job.submission
        return {
            "index": job.index,
            "mode": job.mode,
            "group": job.group,
            "expected_s": job.expected_s,
            "device": self.devices.number(sent.device),
            "simulator": self.simulators.numbers[id(sent.device), id(sent.runs_on)],
            "pubs": [
                (self.circuits.number(pub.circuit), self.observables.number(pub.observables)) for pub in sent.pubs
            ],
            "shots": sent.shots,
            "seed": sent.seed,
            "options": None if sent.options is None else self.options.number(sent.options),
            "calibrated": job.calibrated,
            "needs": job.needs,
            "loads": [astuple(load) for load in job.loads],
            "trex": None if job.trex is None else astuple(job.trex),
            "noise": None if sent.noise is None else self.noise.number(sent.noise),
        }

    def _group(self, group: Group) -> Content:
        device = self.devices.number(group.device)
        return {
            "index": group.index,
            "asked": asdict(group.asked),
            "device": device,
            "jobs": group.jobs,
            "reason": group.reason,
        }

    def _task(self, task: PlannedTask) -> Content:
        logical = task.logical
        return {
            "point": task.point.index,
            "name": task.name,
            "program": self.programs.number(task.program),
            "circuit": self.circuits.number(logical.circuit),
            "parameters": self.texts.number(logical.sets.names, logical.sets.names),
            "observables": self.observables.number(logical.observables),
            "notes": self.texts.number(logical.notes, logical.notes),
            "ledger": self.ledgers.number(task.ledger),
            "price": self.prices.number(task.price, (task.price,)),
        }


def _refusal(refusal: Refusal) -> Content:
    error = refusal.error
    mistakes = [astuple(mistake) for mistake in error.mistakes]
    return {"point": refusal.point.index, "kind": type(error).__name__, "mistakes": mistakes}


def _calibration(program: Program) -> Any:
    """Return properties as they go into `calibration.json`: dates are text there."""
    return json.loads(json.dumps(program.calibration, default=str))


def _observables(observables: Mapping[str, SparsePauliOp]) -> Content:
    return {
        name: [operator.paulis.to_labels(), operator.coeffs.real.tolist(), operator.coeffs.imag.tolist()]
        for name, operator in observables.items()
    }


def _options(options: Any) -> Content:
    """Return a primitive's options as given and as meant: the runtime's defaults may be others when they are read."""
    given, meant = (options.model_dump(mode="json", exclude_unset=unset) for unset in (True, False))
    return {"model": type(options).__name__, "given": given, "meant": meant}
