"""Makes a plan of the parts that one was packed into; knows the modules above it.

It opens devices only as it is told to: what reads results and computes from them needs none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, cast, get_args

import numpy as np
from qiskit.quantum_info import SparsePauliOp

from qrt_runner.backends import Device, reopened, simulator_of
from qrt_runner.circuits import LogicalCircuit, ParameterSets
from qrt_runner.errors import AccessError, CircuitError, ConfigError, JournalError, Mistake
from qrt_runner.modes import Pub, Submission
from qrt_runner.noise import model_of
from qrt_runner.plan.costs import Load
from qrt_runner.plan.identity import circuit_key
from qrt_runner.plan.numbers import numbers_in
from qrt_runner.plan.parts import ARRAYS, PLAN, POINTS, arrays_in, circuits_in, damaged, plan_in, reading
from qrt_runner.plan.records import Group, Job, Plan, PlannedTask, Program, Refusal
from qrt_runner.price import Price
from qrt_runner.results import Ledger
from qrt_runner.sessions import SessionRequest
from qrt_runner.transpilation import Lowered

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.providers import BackendV2

    from qrt_runner.backends.device import Where
    from qrt_runner.noise import NoiseModel
    from qrt_runner.plan.numbers import Numbers
    from qrt_runner.results import Point

Stored = Mapping[str, Any]
"""A JSON object of `plan.json`."""

_REFUSALS: Final = {kind.__name__: kind for kind in (ConfigError, CircuitError)}


@dataclass(frozen=True)
class StoredDevice:
    """What is known of a plan's device without opening it."""

    name: str
    where: Where
    noisy: bool
    shrinks: bool
    jobs: tuple[int, ...]
    """Indices of the plan's jobs on it."""


Opened = Callable[[str, StoredDevice], Device]
"""Returns a device for the backend's section of the config, as JSON: opened, or `away`."""


def away(section: str, stored: StoredDevice) -> Device:
    """Return a device without a backend, for whoever submits nothing."""
    # What a result is read and computed with asks a device for its name and its kind only.
    backend = cast("BackendV2", None)
    kept = "" if stored.where == "simulator" else section
    return Device(stored.name, backend, stored.where, stored.noisy, section=kept, shrinks=stored.shrinks)


def reopened_device(section: str, stored: StoredDevice) -> Device:
    """Open a device again, to which jobs will be submitted.

    Raises:
        AccessError: Where an account or a service refuses, or it is another device now.
    """
    device = reopened(section)
    if device.name != stored.name:
        msg = f"backend: given {device.name}, for circuits that were lowered to {stored.name}"
        raise AccessError(f"{msg}; remedy: run the command anew with resume=never")
    return device


def unpacked(parts: Mapping[str, bytes], points: Mapping[int, Point], opened: Opened) -> Plan:
    """Return the plan that was packed, with what it shares shared again.

    Args:
        parts: What `packed` returned.
        points: At least those that the plan has tasks of, by index.
        opened: Asked once for each device; simulators of circuits are made only where it has opened a backend.

    Raises:
        JournalError: Where a part is damaged, missing, too large or of another version, or where a circuit that may be
            submitted is not what it was.
        AccessError: Where a device cannot be opened.
    """
    content = plan_in(parts)
    circuits, arrays = circuits_in(parts), arrays_in(parts)
    with reading(PLAN):
        _check_points(content, points)
        stored = _stored_devices(content)
        simulators = [(one["device"], tuple(one["qubits"])) for one in content["simulators"]]
    with reading(ARRAYS):
        numbers = numbers_in(arrays, content["texts"], len(content["tasks"]))
    devices = [opened(section, device) for section, device in stored]
    runs_on = [_simulator(devices[device], qubits) for device, qubits in simulators]
    with reading(PLAN):
        return _Restorer(content, circuits, numbers, points, devices, runs_on).plan()


def _check_points(content: Stored, points: Mapping[int, Point]) -> None:
    wanted = {one["point"] for one in (*content["tasks"], *content["refusals"])}
    if lacking := wanted - points.keys():
        raise damaged(POINTS, f"points {', '.join(map(str, sorted(lacking)))} are not in it")


def _stored_devices(content: Stored) -> list[tuple[str, StoredDevice]]:
    found = []
    for number, one in enumerate(content["devices"]):
        jobs = tuple(job["index"] for job in content["jobs"] if job["device"] == number)
        found.append((one["section"], StoredDevice(one["name"], one["where"], one["noisy"], one["shrinks"], jobs)))
    return found


def _simulator(device: Device, qubits: Sequence[int]) -> BackendV2:
    # As `away`: without a backend nothing will be submitted.
    return simulator_of(device, qubits) if device.backend is not None else device.backend


@dataclass(frozen=True, eq=False)
class _Restorer:
    """Lives for one plan; makes once what its jobs and tasks share."""

    content: Stored
    circuits: Sequence[QuantumCircuit]
    numbers: Numbers
    points: Mapping[int, Point]
    devices: Sequence[Device]
    runs_on: Sequence[BackendV2]

    @cached_property
    def texts(self) -> list[tuple[str, ...]]:
        """Names of parameters, and notes."""
        return [tuple(text) for text in self.content["texts"]]

    @cached_property
    def observables(self) -> list[dict[str, SparsePauliOp]]:
        """Those of tasks, and those of PUBs."""
        return [_observables(one) for one in self.content["observables"]]

    @cached_property
    def options(self) -> list[Any]:
        """The primitives' own option models."""
        return [_options(one) for one in self.content["options"]]

    @cached_property
    def noise(self) -> list[NoiseModel]:
        """The noise models that were there when it was planned."""
        return [model_of(one) for one in self.content["noise"]]

    @cached_property
    def ledgers(self) -> list[Ledger]:
        """What was asked for by way of mitigation, and what comes of it."""
        return [
            Ledger(one["requested"], one["resolved"], tuple(one["applied"]), one["ignored"])
            for one in self.content["ledgers"]
        ]

    @cached_property
    def prices(self) -> list[Price | None]:
        """What tasks cost."""
        return [None if one is None else Price(**one) for one in self.content["prices"]]

    @cached_property
    def programs(self) -> list[Program]:
        """The programs that tasks need."""
        return [self._program(one) for one in self.content["programs"]]

    def plan(self) -> Plan:
        """Return the plan."""
        return Plan(
            tuple(self.programs),
            tuple(self._jobs()),
            tuple(self._task(number, one) for number, one in enumerate(self.content["tasks"])),
            tuple(self._refusal(one) for one in self.content["refusals"]),
            tuple(self._group(one) for one in self.content["groups"]),
        )

    def _program(self, one: Stored) -> Program:
        device, circuits = self.devices[one["device"]], self.circuits
        used, layout = tuple(one["used"]), tuple(one["layout"])
        sent = circuits[one["submitted"]]
        # What goes to IBM's service is QPY in any case.
        if device.backend is not None and device.where != "ibm":
            _check_unchanged(sent, one["key"])
        lowered = Lowered(circuits[one["isa"]], sent, used, layout, one["seconds"], one["cached"])
        program = Program(circuits[one["circuit"]], lowered, device, self.runs_on[one["simulator"]], one["sizes"])
        # As it was before its jobs were submitted; a backend is not asked again.
        vars(program)["calibration"] = self.content["calibrations"][one["calibration"]]
        return program

    def _jobs(self) -> Iterator[Job]:
        values = iter(self.numbers.pubs)
        for one in self.content["jobs"]:
            pubs = tuple(
                Pub(self.circuits[circuit], next(values), self.observables[observables])
                for circuit, observables in one["pubs"]
            )
            options = None if one["options"] is None else self.options[one["options"]]
            device, runs_on = self.devices[one["device"]], self.runs_on[one["simulator"]]
            qubits = tuple(self.content["simulators"][one["simulator"]]["qubits"])
            noise = None if one.get("noise") is None else self.noise[one["noise"]]
            submission = Submission(
                device, runs_on, pubs, one["shots"], one["seed"], options, qubits=qubits, noise=noise
            )
            # A plan of an earlier version has neither calibrations nor models nor jobs that learn them, nor loads.
            beside = {"calibrated": tuple(one.get("calibrated", ())), "needs": one.get("needs")}
            loads = tuple(Load(*load) for load in one.get("loads", ()))
            beside["trex"] = Load(*trex) if (trex := one.get("trex")) is not None else None
            yield Job(one["index"], one["mode"], submission, one["group"], one["expected_s"], **beside, loads=loads)

    def _group(self, one: Stored) -> Group:
        asked = SessionRequest(**one["asked"])
        return Group(one["index"], asked, self.devices[one["device"]], tuple(one["jobs"]), one["reason"])

    def _task(self, number: int, one: Stored) -> PlannedTask:
        sets = ParameterSets(self.texts[one["parameters"]], self.numbers.sets[number])
        observables, notes = self.observables[one["observables"]], self.texts[one["notes"]]
        return PlannedTask(
            point=self.points[one["point"]],
            name=one["name"],
            program=self.programs[one["program"]],
            logical=LogicalCircuit(self.circuits[one["circuit"]], sets, observables, notes),
            ledger=self.ledgers[one["ledger"]],
            reference=self.numbers.references[number],
            places=self.numbers.places[number],
            price=self.prices[one["price"]] if "price" in one else None,
        )

    def _refusal(self, one: Stored) -> Refusal:
        mistakes = [Mistake(*mistake) for mistake in one["mistakes"]]
        return Refusal(self.points[one["point"]], _REFUSALS[one["kind"]](mistakes))


def _check_unchanged(circuit: QuantumCircuit, key: str | None) -> None:
    """Refuse to submit a circuit with gates of somebody's own, which QPY gives back as plain ones."""
    if key is None or circuit_key(circuit) != key:
        msg = f"circuit: given {circuit.name}, with gates that QPY does not give back as they were"
        raise JournalError(f"{msg}; allowed: Qiskit's own gates; remedy: run the command anew with resume=never")


def _observables(stored: Stored) -> dict[str, SparsePauliOp]:
    return {
        name: SparsePauliOp(labels, np.array(real) + 1j * np.array(imaginary))
        for name, (labels, real, imaginary) in stored.items()
    }


def _options(stored: Stored) -> Any:
    """Make a primitive's options again; where the runtime's defaults have changed since, as they were meant."""
    from qrt_runner.mitigation import LearnerOptions, PrimitiveOptions

    models = (*get_args(PrimitiveOptions), LearnerOptions)
    model = next(one for one in models if one.__name__ == stored["model"])
    options = model(**stored["given"])
    return options if options.model_dump(mode="json") == stored["meant"] else model(**stored["meant"])
