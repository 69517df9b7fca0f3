"""The simulators: ideal Aer, Aer with a device's noise, and the fake devices; knows qiskit, aer and runtime.

A device's circuit is simulated on its active qubits only, with the layout kept: 5 of 127 qubits cost what 5 cost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qiskit.providers import BackendV2, Options
from qiskit.transpiler import Target
from qiskit_aer import AerSimulator

from qrt_runner.backends.device import Device
from qrt_runner.backends.pauli_noise import with_pauli_noise
from qrt_runner.config import nearest
from qrt_runner.errors import refuse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qrt_runner import config

_WIDEST: Final = 10_000
"""Qubits of the ideal simulator's target; what really limits it is memory, see `fitting`."""

_IDEAL_GATES: Final = ("id", "x", "y", "z", "h", "s", "sdg", "sx", "rz", "cx", "cz", "measure", "reset", "delay")
"""What circuits are lowered to on the ideal simulator: of all gates Aer takes, those that the primitives can work with.
A free parameter stands in rz only, a twirled pair is Clifford, and Clifford circuits stay ones that Aer's stabilizer
method takes."""

PARALLEL: Final = {"max_parallel_experiments": 0}
"""As many circuits at once as there are threads: on two cores 1.6 times the speed, and the same numbers."""

_CONTROL_FLOW: Final = ("if_else", "for_loop", "while_loop", "switch_case", "break_loop", "continue_loop", "store")


def open_aer(section: config.Aer) -> Device:
    """Open the ideal Aer simulator."""
    settings = settings_of(section)
    simulator = AerSimulator(**settings)
    simulator.set_max_qubits(_WIDEST)
    return Device(
        section.name,
        simulator,
        "simulator",
        noisy=False,
        settings=settings,
        gates=_ideal_target(),
        method="backend.method",
    )


def open_noisy(section: config.AerNoisy) -> Device:
    """Open Aer with the noise of a fake device."""
    fake = fake_class(section.name)()
    part = ", pauli" if section.noise == "pauli" else ""
    name, settings = f"aer_noisy({section.name}{part})", settings_of(section)
    return Device(
        name,
        fake,
        "simulator",
        noisy=True,
        settings=settings,
        shrinks=True,
        reads_evenly=True,
        pauli_noise=section.noise == "pauli",
    )


def open_fake(section: config.Fake) -> Device:
    """Open a fake device of the runtime."""
    method = f"backend=aer_noisy backend.name={section.name} backend.method"
    settings = dict(PARALLEL)
    return Device(
        section.name,
        fake_class(section.name)(),
        "simulator",
        noisy=True,
        settings=settings,
        shrinks=True,
        reads_evenly=True,
        method=method,
    )


def simulator_of(device: Device, qubits: Sequence[int]) -> BackendV2:
    """Return the simulator that runs circuits on these physical qubits, renumbered from 0 in the order given."""
    if not device.shrinks:
        return device.backend
    simulator = AerSimulator.from_backend(_Part(device.backend, qubits), **device.settings)
    return with_pauli_noise(simulator) if device.pauli_noise else simulator


def fake_names() -> list[str]:
    """Return the names of the runtime's fake devices."""
    return sorted(_fakes())


def settings_of(section: config.Aer | config.AerNoisy | config.Snapshot) -> dict[str, Any]:
    """Return Aer's options as a section of ours chooses them."""
    return {
        "method": section.method,
        "precision": section.precision,
        "max_parallel_threads": section.threads,
        **PARALLEL,
    }


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


def fake_class(name: str) -> type[BackendV2]:
    """Return the class of a fake device.

    Raises:
        ConfigError: Where there is none of that name.
    """
    fakes = _fakes()
    if name not in fakes:
        meant = nearest(name, list(fakes)) or "fake_manila"
        raise refuse("backend.name", name, ", ".join(sorted(fakes)), f"backend.name={meant}")
    return fakes[name]


class Described(BackendV2):
    """A backend that is a name and a target, of which Aer takes its noise; it runs nothing."""

    def __init__(self, name: str, target: Target) -> None:
        """Keep them."""
        super().__init__(name=name)
        self._target = target

    @property
    def target(self) -> Target:
        """Its gates, with their errors and times."""
        return self._target

    @property
    def max_circuits(self) -> None:
        """No limit."""
        return

    @classmethod
    def _default_options(cls) -> Options:
        return Options()

    def run(self, run_input: Any, **options: Any) -> Any:
        """Not for running."""
        raise NotImplementedError


class _Part(Described):
    """A part of a device as a backend of its own: same gates, errors and times, qubits renumbered."""

    def __init__(self, whole: BackendV2, qubits: Sequence[int]) -> None:
        super().__init__(whole.name, part_of(whole.target, qubits))


def part_of(target: Target, qubits: Sequence[int], *, flow: bool = False) -> Target:
    """Return what a target holds of some qubits, renumbered from 0 in the order given.

    Args:
        target: The whole.
        qubits: Their numbers in it.
        flow: Whether control flow is kept; Aer knows it by itself.
    """
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
            # Global instructions (control flow) have no place.
            if flow:
                part.add_instruction(operation, name=name)
            continue
        inside = {
            tuple(index[qubit] for qubit in place): value
            for place, value in places.items()
            if index.keys() >= set(place)
        }
        if inside:
            part.add_instruction(operation, inside, name=name)
    return part
