"""Makes a noisy simulator of what a run recorded of its backend; knows qiskit, and nothing of runs.

A snapshot has the qubits that the run used, by their own numbers: a layout or an ISA circuit that ran there runs here.
"""

from __future__ import annotations

import json
from itertools import permutations
from typing import TYPE_CHECKING, Any, Final

from qiskit.circuit import ForLoopOp, IfElseOp, SwitchCaseOp, WhileLoopOp
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.providers import QubitProperties
from qiskit.transpiler import InstructionProperties, Target

from qrt_runner.backends.device import TIMING, Device
from qrt_runner.backends.properties import by_name
from qrt_runner.backends.simulators import PARALLEL, Described, part_of, settings_of
from qrt_runner.errors import refuse

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from qrt_runner import config
    from qrt_runner.backends.properties import Told

_MARK: Final = "_snapshot"
_TWIN: Final = "_twin"
_CONTROL_FLOW: Final = {
    "if_else": IfElseOp,
    "for_loop": ForLoopOp,
    "while_loop": WhileLoopOp,
    "switch_case": SwitchCaseOp,
}
_FRACTIONAL: Final = ("rx", "rzz")
"""Gates whose errors IBM tells whether they are in use or not."""

_TWO_SIDED: Final = ("prob_meas1_prep0", "prob_meas0_prep1")


def open_snapshot(section: config.Snapshot) -> Device:
    """Open the backend of a recorded run.

    Raises:
        ConfigError: Where what was recorded is no calibration, or the name is that of the device itself.
    """
    calibration = _calibration_in(section)
    recorded = str(calibration.get("backend") or "unnamed")
    if section.name == recorded:
        allowed = "a name that tells it from the device, whose results these are not"
        raise refuse("backend.name", recorded, allowed, f"backend.name={recorded}{_MARK}")
    try:
        backend = Recorded(_named_after(recorded), calibration)
        numbers = tuple(sorted(map(int, calibration["qubits"])))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable(section, f"{type(error).__name__}: {error}") from error
    return Device(
        section.name or backend.name,
        backend,
        "simulator",
        noisy=True,
        settings=settings_of(section),
        method="backend.method",
        shrinks=True,
        reads_evenly=bool(calibration.get("reads_evenly")),
        gates=part_of(backend.target, numbers, flow=True),
        numbers=numbers,
    )


def twin_of(name: str, calibration: Mapping[str, Any], method: str) -> Device:
    """Return a noisy simulator of a backend.

    Args:
        name: Name of the backend.
        calibration: Of the qubits that will be used, as `Device.calibration` returns it.
        method: Aer's simulation method.
    """
    backend = Recorded(f"{name}{_TWIN}", calibration)
    settings = {"method": method, **PARALLEL}
    path = "reference.method"
    return Device(backend.name, backend, "simulator", noisy=True, settings=settings, method=path, shrinks=True)


class Recorded(Described):
    """What was recorded of a backend, as one to lower circuits to, with the properties that were recorded."""

    def __init__(self, name: str, calibration: Mapping[str, Any]) -> None:
        """Make its target, in which other qubits than those recorded have no gates.

        Args:
            name: Its own name, which is not that of the device.
            calibration: As `Device.calibration` returns it; without `target`, as older records are, the gates that
                have an error are all there are.
        """
        super().__init__(name, _target_of(calibration))
        self._calibration = calibration

    def properties(self) -> Recorded:
        """Return what gives the properties of its qubits and gates."""
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return the recorded properties, those of a qubit by its number."""
        qubits = {int(qubit): told for qubit, told in self._calibration["qubits"].items()}
        told = {"last_update_date": self._calibration.get("last_update"), "gates": self._calibration["gates"]}
        return {**told, "qubits": [qubits.get(qubit, []) for qubit in range(max(qubits) + 1)]}


class _Misread(InstructionProperties):
    """A measurement that misreads 0 and 1 differently, by the names under which Aer looks for that."""

    def __init__(self, duration: float | None, one_for_zero: float, zero_for_one: float) -> None:
        super().__init__(duration, (one_for_zero + zero_for_one) / 2)
        self.prob_meas1_prep0 = one_for_zero
        self.prob_meas0_prep1 = zero_for_one


def _calibration_in(section: config.Snapshot) -> dict[str, Any]:
    try:
        calibration = json.loads(section.calibration)
    except ValueError as error:
        raise _unreadable(section, f"{error}") from error
    if not isinstance(calibration, dict) or not calibration.get("qubits"):
        raise _unreadable(section, "there are no qubits in it")
    return calibration


def _unreadable(section: config.Snapshot, why: str) -> Exception:
    given = f"{section.run}, whose calibration cannot be read ({why})"
    return refuse("backend.run", given, "a run with the properties of its qubits", "backend.run=<id of another run>")


def _named_after(recorded: str) -> str:
    return recorded if recorded.endswith(_MARK) else f"{recorded}{_MARK}"


def _target_of(calibration: Mapping[str, Any]) -> Target:
    qubits = {int(qubit): by_name(told) for qubit, told in calibration["qubits"].items()}
    recorded = calibration.get("target") or {}
    width = max([*qubits, int(recorded.get("num_qubits") or 0) - 1]) + 1
    target = Target(
        num_qubits=width,
        qubit_properties=[_qubit_properties(qubits.get(qubit, {})) for qubit in range(width)],
        **{name: recorded[name] for name in TIMING if recorded.get(name) is not None},
    )
    gates = {(gate["gate"], tuple(gate["qubits"])): by_name(gate["parameters"]) for gate in calibration["gates"]}
    operations = recorded.get("operations") or _operations_in(gates, qubits)
    known = get_standard_gate_name_mapping()
    even = bool(calibration.get("reads_evenly"))
    for name, places in operations.items():
        if name in _CONTROL_FLOW:
            target.add_instruction(_CONTROL_FLOW[name], name=name)
        elif name in known:
            where = [tuple(place) for place in _places(places, known[name].num_qubits, qubits)]
            told = {place: _instruction(name, gates.get((name, place)), qubits[place[0]], even) for place in where}
            if told:
                target.add_instruction(known[name], told, name=name)
    return target


def _operations_in(gates: Iterable[tuple[str, tuple[int, ...]]], qubits: Collection[int]) -> dict[str, Any]:
    """Return where operations act by the gates that have properties."""
    operations: dict[str, Any] = {name: [[qubit] for qubit in qubits] for name in ("measure", "delay")}
    for name, place in gates:
        if name not in _FRACTIONAL:
            operations.setdefault(name, []).append(place)
    return {**operations, **dict.fromkeys(_CONTROL_FLOW)}


def _places(places: Sequence[Sequence[int]] | None, width: int, qubits: Collection[int]) -> Iterator[Sequence[int]]:
    """Give where an operation acts; one that acts everywhere, on the recorded qubits."""
    if places is not None:
        yield from places
    elif width <= 2:
        yield from permutations(sorted(qubits), width)


def _instruction(name: str, gate: Told | None, qubit: Told, even: bool) -> InstructionProperties | None:  # noqa: FBT001 - one of four facts
    """Return duration and error of an operation; None where nothing is known of it."""
    if name == "measure":
        return _measurement(qubit, even=even)
    return None if gate is None else InstructionProperties(gate.get("gate_length"), gate.get("gate_error"))


def _measurement(qubit: Told, *, even: bool) -> InstructionProperties | None:
    duration, error = qubit.get("readout_length"), qubit.get("readout_error")
    if qubit.keys() >= set(_TWO_SIDED) and (not even or error is None):
        return _Misread(duration, *(qubit[name] for name in _TWO_SIDED))
    return None if error is None else InstructionProperties(duration, error)


def _qubit_properties(told: Told) -> QubitProperties:
    return QubitProperties(t1=told.get("T1"), t2=told.get("T2"), frequency=told.get("frequency"))
