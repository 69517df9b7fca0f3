"""What became of a task, with what was asked for and what was applied; knows numpy only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qrt_runner.results.compared import Comparison

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

    from qrt_runner.config import Experiment, Task
    from qrt_runner.noise import NoiseModel
    from qrt_runner.price import Price
    from qrt_runner.results.jobs import JobResult, State
    from qrt_runner.results.measured import Corrected, Counts, Expectations


@dataclass(frozen=True)
class Ledger:
    """What was asked for by way of mitigation, and what came of it."""

    requested: str
    resolved: Mapping[str, Any]
    """Each knob as it was sent, after the platform's own resolution; empty in raw mode."""

    applied: tuple[str, ...]
    ignored: Mapping[str, str]
    """Technique to the reason why it did nothing."""


@dataclass(frozen=True)
class Point:
    """One point of a sweep, or the only one."""

    index: int
    experiment: Experiment
    config_yaml: Callable[[], str]
    """Returns the composed config, as it goes into `config.yaml`."""

    overrides: tuple[str, ...] = ()
    """The swept overrides that make this point."""


@dataclass(frozen=True)
class TaskResult:
    """All numbers of one task, with its request and what was really applied."""

    point: Point
    name: str
    """Name of the task."""

    state: State
    backend: str
    """Resolved name of the backend."""

    jobs: tuple[JobResult, ...]
    parameters: tuple[str, ...]
    """Names of the circuit's free parameters."""

    parameter_values: np.ndarray
    """Shape (parameter sets, parameters)."""

    ledger: Ledger
    sizes: Mapping[str, float]
    """Depths and two-qubit gates, by metric name."""

    transpile_s: float
    counts: Counts | None = None
    expectations: Expectations | None = None
    corrected: Corrected | None = None
    """What the expectation values and distances are from, where readout errors are undone; counts are as measured."""

    readouts: tuple[Mapping[str, Any], ...] = ()
    """How the qubits were misread, of each job that has measured it, as in `readout.json`."""

    comparison: Comparison = field(default_factory=Comparison)
    missing: tuple[int, ...] = ()
    """Parameter sets of which there is no result, because their job failed: empty counts, NaN for numbers."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    """Circuit files and drawings, by artifact path."""

    calibration: Mapping[str, Any] | None = None
    """Properties of the backend's used qubits at run time; None where it has none."""

    notes: tuple[str, ...] = ()
    """What the reader must know besides, such as an observable left out."""

    noise: NoiseModel | None = None
    """What its mitigation took for the noise of the circuit's layers."""

    price: Price | None = None
    """None where nothing could be planned, or by an earlier version."""

    reused_from: str = ""
    """The run that measured this, where the task was not run again."""

    error: str = ""

    @property
    def task(self) -> Task:
        """The task as asked for."""
        return self.point.experiment.tasks[self.name]
