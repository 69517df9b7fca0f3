"""What happened, as frozen records of plain arrays and numbers; knows numpy only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

    from qrt_runner.config import Experiment, Task
    from qrt_runner.noise import LayerNoise, NoiseModel
    from qrt_runner.price import Price

State = Literal["done", "failed"]
NO_SESSION = "none"
"""What is recorded where no session or batch of the service was used."""

GAMMA: Final = "pec_gamma"
"""The detail of expectation values that tells by which factor PEC made their standard errors larger."""


@dataclass(frozen=True)
class Counts:
    """How often each outcome came, per parameter set."""

    registers: tuple[tuple[str, int], ...]
    """Name and width of each classical register, in the circuit's order."""

    joint: tuple[Mapping[str, int], ...]
    """Per parameter set: outcomes over all registers. The last register stands leftmost; the rightmost is bit 0."""

    def by_register(self) -> list[dict[str, dict[str, int]]]:
        """Return {register: {bitstring: count}} per parameter set, each register on its own."""
        return [{name: self._marginal(joint, name) for name, _ in self.registers} for joint in self.joint]

    def shots(self) -> list[int]:
        """Return the number of shots per parameter set."""
        return [sum(joint.values()) for joint in self.joint]

    def _marginal(self, joint: Mapping[str, int], register: str) -> dict[str, int]:
        start, width = self._span(register)
        marginal: dict[str, int] = {}
        for bits, count in joint.items():
            end = len(bits) - start
            key = bits[end - width : end]
            marginal[key] = marginal.get(key, 0) + count
        return marginal

    def _span(self, register: str) -> tuple[int, int]:
        start = 0
        for name, width in self.registers:
            if name == register:
                return start, width
            start += width
        raise KeyError(register)


@dataclass(frozen=True)
class Expectations:
    """Expectation values with their standard errors."""

    names: tuple[str, ...]
    """Names of the observables."""

    values: np.ndarray
    """Shape (parameter sets, observables)."""

    errors: np.ndarray
    """Standard errors, shape (parameter sets, observables); infinite where the platform could not tell one."""

    details: Mapping[str, np.ndarray] = field(default_factory=dict)
    """What the platform returned beside them (ZNE: `evs_noise_factors` and the like), first axes as in `values`."""


@dataclass(frozen=True)
class Corrected:
    """What counts are once readout errors are undone, per parameter set."""

    quasi: tuple[Mapping[str, float], ...]
    """Quasi-probabilities of the outcomes that came, bit order as in `Counts.joint`; some may be below 0."""

    probabilities: tuple[Mapping[str, float], ...]
    """The nearest probability distributions."""

    overhead: np.ndarray
    """By how much more shots the same variance takes at most, shape (parameter sets,)."""

    uncorrected: Expectations
    """What the counts as measured tell."""


@dataclass(frozen=True)
class PubResult:
    """What one PUB gave: counts from the counting modes, expectation values from the estimator."""

    counts: Counts | None = None
    expectations: Expectations | None = None
    corrected: Corrected | None = None
    """What the expectation values are from, where readout errors are undone."""

    noise: tuple[LayerNoise, ...] = ()
    """From a job that learned the noise of layers."""


@dataclass(frozen=True)
class Span:
    """Parameter sets of one PUB of a job, side by side."""

    pub: int
    start: int
    stop: int


@dataclass(frozen=True)
class GroupReport:
    """What a session or batch spent its time with, by the service's clock."""

    id: str
    kind: str
    jobs: int
    wait_s: float
    """From its first job's submission to that job's start."""

    busy_s: float
    """In which at least one of its jobs ran."""

    idle_s: float
    """Between its first job's start and its last job's end, while none ran."""

    causes: tuple[str, ...]
    """What caused the idling, the longest first."""

    usage_s: float
    """Quantum seconds of its jobs, which is what a batch, or jobs by themselves, are charged."""


@dataclass(frozen=True)
class JobResult:
    """What one job gave, with what identifies it."""

    index: int
    """Index of the job in the plan."""

    state: State
    pubs: tuple[PubResult, ...]
    """In the order submitted; empty for a failed job."""

    spans: tuple[Span, ...]
    """Which parameter sets of the planned job these are: all, or a part of one that was tried again in parts."""

    record: Mapping[str, Any]
    """As in `jobs.json`: id, session id, backend, state, timestamps, usage, tags, applied options."""

    queue_s: float
    run_s: float
    quantum_s: float
    error: str = ""
    """The backend's own reason, for a failed job."""

    calibration: Counts | None = None
    """What its qubits were read as in each of the states that its calibration prepared; None where it has none."""

    reports: tuple[GroupReport, ...] = ()
    """Of the sessions that the jobs of its group were in, once this was the last of them."""


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
class Effect:
    """What expectation values are worth: how far off they are, times their price."""

    bias: np.ndarray
    """Value less reference, shape (parameter sets, observables); NaN where no reference is known.

    Metrics and tables call it `error`: in one measurement the statistical error is in it.
    """

    mse_cost: np.ndarray
    """(bias^2 + standard error^2) times cost, in seconds, shape as of `bias`; infinite where the error is."""

    mean_mse_cost: np.ndarray
    """The mean of these over the observables with a reference, shape (parameter sets,); not finite where one is not."""

    cost_s: np.ndarray
    """Quantum seconds of each parameter set: its share of those of its job, shape (parameter sets,)."""

    cost_source: Literal["spent", "estimated"]
    """Whether the platform told what was spent, or the plan's estimate stands in for it."""


@dataclass(frozen=True)
class Twin:
    """What a noisy simulator of the backend gave for the same program, and how far from that the result is."""

    counts: Counts | None = None
    """From the counting modes."""

    expectations: Expectations | None = None
    """From the estimator, or told by the counts."""

    sigmas: np.ndarray | None = None
    """Result less twin in standard errors of that difference, shape (parameter sets, observables)."""

    ideal_sigmas: np.ndarray | None = None
    """Result less exact value in standard errors of the result, shape as of `sigmas`."""

    distances: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Of counts, per parameter set, by metric name; beside them what sampling makes of equal distributions."""


@dataclass(frozen=True)
class Comparison:
    """How a result compares with its reference."""

    ideal: np.ndarray | None = None
    """Exact or known expectation values, shape (parameter sets, observables); NaN where none is known."""

    probabilities: tuple[Mapping[str, float], ...] | None = None
    """Exact outcome probabilities per parameter set, bit order as in `Counts.joint`."""

    hellinger: tuple[float, ...] = ()
    """Hellinger fidelity of counts and exact probabilities, per parameter set."""

    p_success: tuple[float, ...] = ()
    """Share of the shots that fell on the most probable exact outcomes, per parameter set."""

    total_variation: tuple[float, ...] = ()
    """Total variation distance of counts and exact probabilities, per parameter set."""

    effect: Effect | None = None
    """Of expectation values of which the reference tells some."""

    uncorrected: Comparison | None = None
    """How the counts as measured compare, where readout errors are undone."""
    twin: Twin | None = None


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
