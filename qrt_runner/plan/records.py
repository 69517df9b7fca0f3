"""What a plan is made of; knows the modules above it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from qrt_runner.circuits import drawn, logical_files, qpy_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from qiskit import QuantumCircuit
    from qiskit.providers import BackendV2

    from qrt_runner.backends import Device
    from qrt_runner.circuits import LogicalCircuit, ParameterSets
    from qrt_runner.errors import ConfigError
    from qrt_runner.modes import Pub, Submission
    from qrt_runner.plan.costs import Load
    from qrt_runner.price import Price
    from qrt_runner.results import Comparison, Ledger, Point
    from qrt_runner.sessions import SessionRequest
    from qrt_runner.transpilation import Lowered


@dataclass(frozen=True, eq=False)
class Program:
    """One distinct circuit, lowered once to one target, still parametrised."""

    circuit: QuantumCircuit
    """As its mode runs it, before lowering."""

    lowered: Lowered
    device: Device
    runs_on: BackendV2
    """The backend or, for a simulated device, the simulator of the circuit's active qubits."""

    sizes: Mapping[str, float]
    """Depths and two-qubit gates before and after lowering, by metric name."""

    @property
    def qubits(self) -> tuple[int, ...]:
        """The device's qubits that those of the submitted circuit stand for; empty for the same."""
        return self.lowered.used if self.device.shrinks else ()

    @cached_property
    def files(self) -> Mapping[str, bytes]:
        """The artifacts that show it: as written, as submitted, and drawn."""
        isa = self.lowered.isa
        files = {"circuit/isa.qpy": qpy_bytes(isa), "circuit/isa.txt": drawn(isa).encode()}
        return logical_files(self.circuit) | files

    @cached_property
    def calibration(self) -> Mapping[str, Any] | None:
        """Properties of its qubits; None where the backend has none."""
        return self.device.calibration(self.lowered.used)

    def values_of(self, sets: ParameterSets) -> np.ndarray:
        """Return the values of the submitted circuit's parameters, shape (parameter sets, its parameters).

        They are chosen by name: lowering drops parameters that change nothing, such as an rz before a measurement.
        """
        columns = [sets.names.index(parameter.name) for parameter in self.lowered.circuit.parameters]
        return sets.values[:, columns]


@dataclass(frozen=True, eq=False)
class Job:
    """One submission to one backend."""

    index: int
    mode: str
    submission: Submission
    group: int | None = None
    """Index of its session group; None where it queues by itself."""

    expected_s: float = 0.0
    """Quantum seconds that it is expected to take; 0 on simulators."""

    calibrated: tuple[int, ...] = ()
    """Physical qubits whose readout the last PUB measures, in the order of its bits; empty without such a PUB."""

    needs: int | None = None
    """Index of the job that learns the noise model it is submitted with; None where it needs none, or has one."""

    loads: tuple[Load, ...] = ()
    """What it runs of each PUB, and of a job that learns in one; empty in plans of earlier versions."""

    trex: Load | None = None
    """What the estimator adds to calibrate the readout of all its PUBs; None without TREX."""

    @property
    def circuits(self) -> int:
        """All circuits that it runs."""
        return sum(load.circuits for load in self._all)

    @property
    def executions(self) -> int:
        """All circuits times their shots."""
        return sum(load.executions for load in self._all)

    @property
    def _all(self) -> tuple[Load, ...]:
        return self.loads if self.trex is None else (*self.loads, self.trex)

    @property
    def asked(self) -> tuple[Pub, ...]:
        """The PUBs that tasks asked for: all but that of a calibration."""
        return self.submission.pubs[:-1] if self.calibrated else self.submission.pubs


@dataclass(frozen=True)
class Group:
    """Jobs that share one dedicated session or one batch."""

    index: int
    asked: SessionRequest
    device: Device
    jobs: tuple[int, ...]
    reason: str
    """Why this kind of group was chosen, where the choice was ours."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where some of a task's numbers will be found: a task with many parameter sets may be in several places."""

    job: int
    pub: int
    rows: np.ndarray
    """Which parameter sets of the PUB they are, shape (sets here,)."""

    sets: np.ndarray
    """Which of the task's own parameter sets those are, shape (sets here,)."""


@dataclass(frozen=True, eq=False)
class PlannedTask:
    """One task with its program and its places in the plan."""

    point: Point
    name: str
    program: Program
    logical: LogicalCircuit
    ledger: Ledger
    reference: Comparison
    """What its results will be compared with; empty without a reference."""

    places: tuple[Place, ...]
    price: Price | None = None
    """None in plans of earlier versions."""


@dataclass(frozen=True)
class Refusal:
    """A point that cannot be run, with everything that is wrong with it."""

    point: Point
    error: ConfigError


@dataclass(frozen=True)
class LeftOut:
    """A task of which there are results already."""

    point: Point
    name: str
    key: str
    """What tells its content."""


@dataclass(frozen=True)
class Plan:
    """Programs, jobs, and where each task's numbers will be found."""

    programs: tuple[Program, ...]
    jobs: tuple[Job, ...]
    tasks: tuple[PlannedTask, ...]
    refusals: tuple[Refusal, ...]
    groups: tuple[Group, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    """Tasks that need not be run, because there are results of equal ones."""
