"""The devices of the service, from the snapshots of the runtime's fake devices; knows runtime and Aer."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from qrt_runner.backends import Device, check_fits, fake_names, simulator_of
from qrt_runner.errors import ConfigError, refuse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qiskit import QuantumCircuit
    from qiskit.providers import BackendV2

MOCK: Final = "mock"
"""What stands in a device's name instead of its first word for a dry run: the client puts it there."""

_SETTINGS: Final = {"max_parallel_experiments": 0}
"""As many circuits at once as there are threads, with the same numbers."""


@dataclass
class Snapshot:
    """One device."""

    name: str
    fake: Any
    """The runtime's fake device."""

    simulators: dict[tuple[int, ...], BackendV2] = field(default_factory=dict)
    """Simulators of parts of it that were already made."""

    @property
    def mock(self) -> bool:
        """Whether it is for dry runs: random numbers of the right shape."""
        return self.name.startswith(f"{MOCK}_")

    @cached_property
    def configuration(self) -> dict[str, Any]:
        """What the service tells about it."""
        told = self._file(self.fake.conf_filename) | {"backend_name": self.name, "simulator": False}
        features = told.get("supported_features") or []
        # The snapshots are older than the name by which the client asks for control flow.
        told["supported_features"] = [*features, *(["dynamic_circuits"] if "qasm3" in features else [])]
        return told

    @cached_property
    def properties(self) -> dict[str, Any]:
        """Its calibration, on the day of the snapshot."""
        return self._file(self.fake.props_filename) | {"backend_name": self.name}

    @property
    def rep_delay_s(self) -> float | None:
        """Repetition delay that it has by itself."""
        delay_us = self.configuration.get("default_rep_delay")
        return None if delay_us is None else float(delay_us) * 1e-6

    def simulator(self, qubits: tuple[int, ...]) -> BackendV2:
        """Return the simulator of these qubits, with their noise."""
        if qubits not in self.simulators:
            self.simulators[qubits] = simulator_of(self._device, qubits)
        return self.simulators[qubits]

    def check_fits(self, circuit: QuantumCircuit, qubits: tuple[int, ...]) -> None:
        """Refuse what the memory cannot hold, before Aer answers it with success and no data.

        Raises:
            MemoryError: With the number of qubits.
        """
        try:
            check_fits(self._device, circuit, np.empty((0, circuit.num_parameters)), self.simulator(qubits))
        except ConfigError as error:
            raise MemoryError(f"{len(qubits)} coupled qubits do not fit into the memory.") from error

    @cached_property
    def _device(self) -> Device:
        return Device(self.name, self.fake, "simulator", noisy=True, settings=_SETTINGS, shrinks=True)

    def _file(self, name: str) -> dict[str, Any]:
        read: dict[str, Any] = json.loads((Path(self.fake.dirname) / name).read_text(encoding="utf-8"))
        return read


def check_devices(names: Iterable[str]) -> None:
    """Refuse names of which there is no fake device.

    Raises:
        ConfigError: With the names there are.
    """
    known = fake_names()
    if unknown := [name for name in names if name not in known]:
        raise refuse("backend.devices", ", ".join(unknown), ", ".join(known), f"name one of them, such as {known[0]}")


def open_devices(names: Iterable[str]) -> dict[str, Snapshot]:
    """Open these fake devices, and for each the mock that dry runs go to."""
    from qiskit_ibm_runtime.fake_provider import FakeProviderForBackendV2

    with warnings.catch_warnings(action="ignore"):  # it opens all of them, and some warn of their numbers
        known = {fake.name: fake for fake in FakeProviderForBackendV2().backends()}
    opened = [Snapshot(name, known[name]) for name in names]
    mocks = [Snapshot(f"{MOCK}_{one.name.partition('_')[2]}", one.fake) for one in opened]
    return {one.name: one for one in [*opened, *mocks]}
