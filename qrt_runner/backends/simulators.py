"""The simulators: ideal Aer, Aer with a device's noise, and the fake devices; knows qiskit, aer and runtime.

A device's circuit is simulated on its active qubits only, with the layout kept: 5 of 127 qubits cost what 5 cost.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qiskit.exceptions import QiskitError
from qiskit.providers import BackendV2, Options
from qiskit.quantum_info import Clifford
from qiskit.transpiler import Target
from qiskit_aer import AerSimulator

from qrt_runner.backends.device import Device
from qrt_runner.config import nearest
from qrt_runner.errors import refuse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qiskit import QuantumCircuit

    from qrt_runner import config

_WIDEST: Final = 10_000
"""Qubits of the ideal simulator's target; what really limits it is memory, see `check_fits`."""

_IDEAL_GATES: Final = ("id", "x", "y", "z", "h", "s", "sdg", "sx", "rz", "cx", "cz", "measure", "reset", "delay")
"""What circuits are lowered to on the ideal simulator: of all gates Aer takes, those that the primitives can work with.
A free parameter stands in rz only, a twirled pair is Clifford, and Clifford circuits stay ones that Aer's stabilizer
method takes."""

_CONTROL_FLOW: Final = ("if_else", "for_loop", "while_loop", "switch_case", "break_loop", "continue_loop", "store")

_BYTES: Final = {"double": 16, "single": 8}
_UNBOUNDED: Final = ("stabilizer", "extended_stabilizer", "matrix_product_state")
"""Methods whose memory does not grow with 2^qubits."""


def open_aer(section: config.Aer) -> Device:
    """Open the ideal Aer simulator."""
    settings = _settings(section)
    simulator = AerSimulator(**settings)
    simulator.set_max_qubits(_WIDEST)
    return Device(section.name, simulator, "simulator", noisy=False, settings=settings, gates=_ideal_target())


def open_noisy(section: config.AerNoisy) -> Device:
    """Open Aer with the noise of a fake device."""
    fake = _fake(section.name)
    return Device(
        f"aer_noisy({section.name})", fake, "simulator", noisy=True, settings=_settings(section), shrinks=True
    )


def open_fake(section: config.Fake) -> Device:
    """Open a fake device of the runtime."""
    return Device(section.name, _fake(section.name), "simulator", noisy=True, shrinks=True)


def simulator_of(device: Device, qubits: Sequence[int]) -> BackendV2:
    """Return the simulator that runs circuits on these physical qubits, renumbered from 0 in the order given."""
    if not device.shrinks:
        return device.backend
    return AerSimulator.from_backend(_Part(device.backend, qubits), **device.settings)


def check_fits(device: Device, circuit: QuantumCircuit, path: str = "backend") -> None:
    """Refuse a circuit that the simulator's memory cannot hold.

    Args:
        device: A simulator.
        circuit: The circuit on its active qubits.
        path: Config path of the backend section, for error texts.

    Raises:
        ConfigError: With the memory it would need and what would do instead.
    """
    method = device.settings.get("method", "automatic")
    width = circuit.num_qubits
    if method == "stabilizer":
        _check_clifford(device, circuit, path)
    if method in _UNBOUNDED:
        return
    exponent = 2 * width if method == "density_matrix" else width
    needed = _BYTES[device.settings.get("precision", "double")] * 2.0**exponent
    if needed <= _memory_bytes() or (method == "automatic" and not device.noisy and _is_clifford(circuit)):
        return
    kept = "" if "method" in device.settings else f"{path}=aer_noisy {path}.name={device.name} "
    given = f"a circuit with {width} active qubits, which needs {_told_bytes(needed)} of memory by method {method}"
    allowed = f"what fits into {_told_bytes(_memory_bytes())}"
    remedy = f"{kept}{path}.method=matrix_product_state (low entanglement)"
    clifford = f", {kept}{path}.method=stabilizer (Clifford circuits)" if not device.noisy else ""
    raise refuse(path, given, allowed, f"{remedy}{clifford}, or fewer qubits")


def fake_names() -> list[str]:
    """Return the names of the runtime's fake devices."""
    return sorted(_fakes())


def _settings(section: config.Aer | config.AerNoisy) -> dict[str, Any]:
    return {"method": section.method, "precision": section.precision, "max_parallel_threads": section.threads}


def _ideal_target() -> Target:
    simulator = AerSimulator(basis_gates=[*_IDEAL_GATES, *_CONTROL_FLOW])
    simulator.set_max_qubits(_WIDEST)
    return simulator.target


def _fakes() -> dict[str, type[BackendV2]]:
    """Return the classes of the runtime's fake devices by the devices' names; opening all of them would take 0.1 s."""
    from qiskit_ibm_runtime import fake_provider

    base = fake_provider.fake_backend.FakeBackendV2
    classes = [kind for kind in vars(fake_provider).values() if isinstance(kind, type) and issubclass(kind, base)]
    return {kind.backend_name: kind for kind in classes if hasattr(kind, "backend_name")}


def _fake(name: str) -> BackendV2:
    fakes = _fakes()
    if name not in fakes:
        meant = nearest(name, list(fakes)) or "fake_manila"
        raise refuse("backend.name", name, ", ".join(sorted(fakes)), f"backend.name={meant}")
    return fakes[name]()


def _is_clifford(circuit: QuantumCircuit) -> bool:
    if circuit.parameters or circuit.has_control_flow_op():
        return False
    try:
        Clifford(circuit.remove_final_measurements(inplace=False))
    except QiskitError:
        return False
    return True


def _check_clifford(device: Device, circuit: QuantumCircuit, path: str) -> None:
    if circuit.parameters or circuit.has_control_flow_op() or _is_clifford(circuit):
        return
    given = f"stabilizer, for a circuit that is not Clifford on {device.name}"
    raise refuse(f"{path}.method", given, "stabilizer for Clifford circuits only", f"{path}.method=automatic")


def _memory_bytes() -> float:
    """Return the memory that a simulation may take: the machine's, or less where a control group limits it."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text(encoding="ascii").strip() if limit.is_file() else "max"
    return float(min(physical, int(text)) if text.isdigit() else physical)


def _told_bytes(count: float) -> str:
    units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
    for unit in units:
        if count < 1024 or unit == units[-1]:
            break
        count /= 1024
    return f"{count:.3g} {unit}"


class _Part(BackendV2):
    """A part of a device as a backend of its own: same gates, errors and times, qubits renumbered."""

    def __init__(self, whole: BackendV2, qubits: Sequence[int]) -> None:
        super().__init__(name=whole.name)
        self._target = _part_of(whole.target, qubits)

    @property
    def target(self) -> Target:
        """The part's target."""
        return self._target

    @property
    def max_circuits(self) -> None:
        """No limit."""
        return

    @classmethod
    def _default_options(cls) -> Options:
        return Options()

    def run(self, run_input: Any, **options: Any) -> Any:
        """Not for running: Aer takes its noise from here."""
        raise NotImplementedError


def _part_of(target: Target, qubits: Sequence[int]) -> Target:
    index = {qubit: position for position, qubit in enumerate(qubits)}
    properties = target.qubit_properties
    part = Target(
        num_qubits=len(qubits),
        dt=target.dt,
        granularity=target.granularity,
        min_length=target.min_length,
        pulse_alignment=target.pulse_alignment,
        acquire_alignment=target.acquire_alignment,
        qubit_properties=None if properties is None else [properties[qubit] for qubit in qubits],
    )
    for name in target.operation_names:
        operation, places = target.operation_from_name(name), target[name]
        if isinstance(operation, type) or None in places:
            # Global instructions (control flow) have no place; Aer knows them by itself.
            continue
        inside = {
            tuple(index[qubit] for qubit in place): value
            for place, value in places.items()
            if index.keys() >= set(place)
        }
        if inside:
            part.add_instruction(operation, inside, name=name)
    return part
