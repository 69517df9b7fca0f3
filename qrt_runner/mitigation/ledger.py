"""Tells what was requested, what was really applied, and what did nothing and why; knows runtime.

Nothing counts as applied that had nothing to act on: no noise of its kind, no two-qubit gate, no idle time; nor what
twirls errors that are by themselves what twirling would make of them.
"""

from __future__ import annotations

from math import pi
from typing import TYPE_CHECKING, Any, Final

from qiskit.circuit import ParameterExpression
from qiskit.transpiler import TranspilerError
from qiskit_ibm_runtime.executor.dynamical_decoupling import generate_dd_pass_manager
from qiskit_ibm_runtime.executor_estimator.finalize_options import finalize_estimator_options
from qiskit_ibm_runtime.executor_sampler.finalize_options import finalize_sampler_options
from qiskit_ibm_runtime.options_models import EstimatorOptions, SamplerOptions
from qiskit_mitigation.zne.gate_folding import SUPPORTED_FOLDED_GATES

from qrt_runner.errors import refuse
from qrt_runner.mitigation.acting import Noise, misreads_evenly, noise_of
from qrt_runner.results import Ledger

if TYPE_CHECKING:
    from collections.abc import Collection

    from qiskit import QuantumCircuit
    from qiskit.providers import BackendV2

    from qrt_runner.backends import Device

_NO_NOISE: Final = "the backend has no noise to act on"
_NO_IDLING: Final = "there is no idle time that is noisy and long enough for a sequence"
_NO_PAIRS: Final = "the circuit has no two-qubit gate to act on"
_NO_FOLDS: Final = "the circuit has no gate that the platform folds"
_NO_ERRORS: Final = "the backend's gates have no errors to act on"
_TWIRLED: Final = "the errors of the backend's gates are Pauli errors already"
_NO_MISREADING: Final = "the backend misreads no bit"
_EVEN: Final = "the backend misreads 0 and 1 alike already"
_OF_PAIRS: Final = ("gate_twirling", "zne", "pea", "pec")
_OF_READOUT: Final = ("measure_twirling", "trex")


def ledger(
    requested: str,
    options: EstimatorOptions | SamplerOptions,
    circuit: QuantumCircuit,
    device: Device,
    runs_on: BackendV2,
) -> Ledger:
    """Return the ledger of a task.

    Args:
        requested: Kind of mitigation asked for.
        options: What the primitive is sent.
        circuit: The circuit as submitted.
        device: The backend it is for.
        runs_on: The backend or simulator it is submitted to.

    Raises:
        ConfigError: Where a technique cannot work with this circuit or backend.
    """
    final = _finalized(options)
    wanted = _wanted(final)
    _check(wanted, circuit, device, final.twirling.group)
    if device.where != "vendor" and (isinstance(final, EstimatorOptions) or "twirling" in " ".join(wanted)):
        _check_boxes(device)
    noise = noise_of(device, runs_on)
    pulses = _added_pulses(final, circuit, device, runs_on) if "dd" in wanted else 0
    reasons = {name: _why_nothing(name, circuit, device, noise, pulses) for name in wanted}
    # TREX rests on it, whatever is misread.
    if reasons.get("measure_twirling") == "" and "trex" not in wanted and misreads_evenly(device, runs_on):
        reasons["measure_twirling"] = _EVEN
    applied = tuple(name for name, reason in reasons.items() if not reason)
    ignored = {name: reason for name, reason in reasons.items() if reason}
    return Ledger(requested, final.model_dump(mode="json"), applied, ignored)


def _finalized(options: EstimatorOptions | SamplerOptions) -> EstimatorOptions | SamplerOptions:
    if isinstance(options, EstimatorOptions):
        return finalize_estimator_options(options)
    return finalize_sampler_options(options)


def _wanted(final: EstimatorOptions | SamplerOptions) -> list[str]:
    switches: dict[str, Any] = {
        "dd": final.dynamical_decoupling.enable,
        "gate_twirling": final.twirling.enable_gates,
        "measure_twirling": final.twirling.enable_measure,
    }
    if isinstance(final, EstimatorOptions):
        resilience = final.resilience
        zne = "pea" if resilience.zne.amplifier == "pea" else "zne"
        switches |= {"trex": resilience.measure_mitigation, zne: resilience.zne_mitigation}
        switches["pec"] = resilience.pec_mitigation
    return [name for name, on in switches.items() if on]


def _check(wanted: list[str], circuit: QuantumCircuit, device: Device, group: str) -> None:
    if device.where == "vendor" and wanted:
        given = f"{', '.join(wanted)} on {device.name}"
        allowed = "none: the runtime's mitigation runs on IBM's backends and on simulators"
        raise refuse("mitigation", given, allowed, "mitigation=none")
    if circuit.has_control_flow_op() and wanted:
        given = f"{', '.join(wanted)} for a circuit with control flow"
        raise refuse("mitigation", given, "none for circuits with control flow", "mitigation=none")
    fractional = {"rzz", "rx"} & set(device.backend.operation_names) if device.where == "ibm" else set()
    if fractional and "gate_twirling" in wanted:
        given = "gate_twirling with fractional gates"
        raise refuse("mitigation", given, "one of the two", "backend.use_fractional_gates=false")
    learned = {"pea", "pec"}.intersection(wanted)
    if device.noisy and (learned or ("gate_twirling" in wanted and group != "local_pauli")) and _has_angles(circuit):
        given = f"{', '.join(wanted)} for a circuit with rzz gates of any angle on {device.name}"
        remedy = "mitigation=none, or a device without rzz"
        raise refuse("mitigation", given, "gate twirling, PEA and PEC for Clifford gates on two qubits", remedy)


def _has_angles(circuit: QuantumCircuit) -> bool:
    """Tell whether there is a fractional gate on two qubits that is no Clifford gate, or that may be none."""
    angles = (one.params[0] for one in circuit.data if one.name == "rzz")
    return any(isinstance(angle, ParameterExpression) or angle % (pi / 2) for angle in angles)


def _check_boxes(device: Device) -> None:
    """Refuse a device without rz, in which the primitives write their random and basis-changing gates."""
    if "rz" not in device.target.operation_names:
        given = f"{device.name}, which has no rz gate, for the estimator or for twirling"
        raise refuse("backend", given, "devices with rz", "mode=raw or mode=sampler, or a newer device")


def _why_nothing(name: str, circuit: QuantumCircuit, device: Device, noise: Noise, pulses: int) -> str:
    """Return why a technique does nothing here, or nothing where it acts."""
    if not device.noisy:
        return _NO_NOISE
    if name in _OF_PAIRS:
        return _why_no_gates(name, circuit, noise)
    if name in _OF_READOUT:
        return "" if noise.readout else _NO_MISREADING
    return "" if pulses and noise.delays else _NO_IDLING


def _why_no_gates(name: str, circuit: QuantumCircuit, noise: Noise) -> str:
    """Return why a technique that acts on two-qubit gates does nothing here, or nothing where it acts."""
    if not circuit.num_nonlocal_gates():
        return _NO_PAIRS
    if not noise.gates:
        return _NO_ERRORS
    if name == "zne" and not any(isinstance(one.operation, SUPPORTED_FOLDED_GATES) for one in circuit.data):
        return _NO_FOLDS
    return _TWIRLED if noise.pauli and name == "gate_twirling" else ""


def _added_pulses(
    final: EstimatorOptions | SamplerOptions, circuit: QuantumCircuit, device: Device, runs_on: BackendV2
) -> int:
    """Return how many decoupling pulses the circuit gets, without those on qubits that are not its own."""
    try:
        padded = generate_dd_pass_manager(runs_on, final.dynamical_decoupling).run(circuit)
    except TranspilerError as error:
        given = f"dd on {device.name}, which cannot be scheduled ({error.message})"
        allowed = "dynamical decoupling on backends that know the durations of their gates"
        raise refuse("mitigation", given, allowed, "mitigation=none, or a device such as backend=fake_fez") from error
    used = range(circuit.num_qubits) if device.shrinks else _used(circuit)
    return _pulses(padded, used) - _pulses(circuit, used)


def _pulses(circuit: QuantumCircuit, qubits: Collection[int]) -> int:
    places = (circuit.find_bit(one.qubits[0]).index for one in circuit.data if one.name == "x")
    return sum(place in qubits for place in places)


def _used(circuit: QuantumCircuit) -> set[int]:
    """Return the qubits of a device that a circuit's own ones are on, or pass by."""
    acting = (one for one in circuit.data if one.name not in ("barrier", "delay"))
    used = {circuit.find_bit(qubit).index for one in acting for qubit in one.qubits}
    return used if circuit.layout is None else used.union(circuit.layout.final_index_layout())
