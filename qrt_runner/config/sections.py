"""The config as frozen, strict sections, one class per group of `conf/`; knows pydantic only.

Fields have no defaults: defaults live in `conf/`, and the composed YAML is the complete record of what was asked. The
exception is a field that came later and that YAML files of users' own may lack; it then means what was done before.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, JsonValue, model_validator

from qrt_runner.config.fields import (
    Count,
    MaxTime,
    Measure,
    Observable,
    ObservableName,
    Plots,
    Seed,
    check_inside,
    check_store,
    without_unset,
)
from qrt_runner.config.learning import Learning, NoiseSource
from qrt_runner.config.values import Section, Values


class Circuit(Section):
    """What is run: a circuit file, its parameters and its observables."""

    name: Annotated[str, Field(min_length=1)]
    """How tables and MLflow call it."""
    source: Annotated[str, Field(min_length=1, examples=["my.qasm"])]
    """A `.qasm`, `.qasm2`, `.qasm3`, `.qpy` or `.py` file, looked up in the working directory and then as shipped."""
    params: dict[str, JsonValue]
    """Keyword arguments of the circuit file's `build` and `observables`."""
    parameter_values: dict[str, Values]
    """Values of the circuit's free parameters, by parameter name."""
    broadcast: Annotated[Literal["zip", "product"], Field(examples=["product"])]
    """How several parameters combine: side by side, or every value with every other. May stand among the values too."""
    observables: dict[ObservableName, Observable]
    """Named observables; empty takes those of the circuit file."""
    measure: Measure
    """`auto` measures all qubits where a counting mode finds no measurement; or `never`; or the qubits to measure."""
    clifford: Annotated[bool, Field(examples=["true"])] = False
    """Whether every angle is moved to the nearest one that leaves the circuit Clifford: exact values at any width.

    Circuits that were declared before there was such a field have none.
    """

    @model_validator(mode="before")
    @classmethod
    def _broadcast_among_values(cls, data: Any) -> Any:
        """Take `parameter_values.broadcast: product` for what it says; no parameter's values are a word."""
        values = data.get("parameter_values") if isinstance(data, dict) else None
        if not isinstance(values, dict) or not isinstance(values.get("broadcast"), str):
            return data
        rest = {name: value for name, value in values.items() if name != "broadcast"}
        return {**data, "parameter_values": rest, "broadcast": values["broadcast"]}


class Raw(Section):
    """No processing before or after: `BackendV2.run`, on IBM the Executor with plain circuits."""

    kind: Literal["raw"]
    shots: Annotated[Count, Field(examples=[1024])]
    """Shots per parameter set."""


class Sampler(Section):
    """The runtime's client-side Sampler."""

    kind: Literal["sampler"]
    shots: Annotated[Count, Field(examples=[1024])]
    """Shots per parameter set."""


class Estimator(Section):
    """The runtime's client-side Estimator."""

    kind: Literal["estimator"]
    shots: Annotated[Count, Field(examples=[4096])]
    """Shots per parameter set and measurement basis, when no precision is given."""
    precision: Annotated[float, Field(gt=0, lt=1, examples=[0.01])] | None
    """Aimed-at standard error of each expectation value, instead of shots."""


Mode = Annotated[Raw | Sampler | Estimator, Discriminator("kind")]


class Session(Section):
    """How jobs share a place in the queue."""

    kind: Literal["none", "batch", "dedicated", "auto"]
    """`auto`: a batch for several jobs, a dedicated session where some need what others learn, nothing for one."""
    scope: Annotated[Literal["task", "run", "sweep"], Field(examples=["sweep"])]
    """Whose tasks share a group: each task on its own, those of one experiment, or those of all points."""
    label: Annotated[str, Field(min_length=1, examples=["shared"])] | None
    """Tasks with the same label and backend share one group."""
    max_time: MaxTime | None
    """a number of seconds, or a time such as `2h 30m`, after which the service closes the group"""
    id: Annotated[str, Field(min_length=1)] | None
    """Id of an open session or batch to attach to; it is left open."""


class Mitigation(Section):
    """Which suppression and mitigation is asked for."""

    kind: Literal[
        "none",
        "level_0",
        "level_1",
        "level_2",
        "dd",
        "twirl",
        "trex",
        "zne",
        "pea",
        "pec",
        "m3",
        "suppression",
        "suppression_trex",
        "strong",
        "custom",
    ]
    readout: Annotated[Literal["as_measured", "m3"], Field(examples=["as_measured"])] = "as_measured"
    """Counts as they are measured, or corrected (M3) by the readout errors that each job measures for itself."""
    options: Annotated[dict[str, JsonValue], AfterValidator(without_unset)]
    """The runtime's own option models, by their own names; what is null is left to the platform's default."""
    noise_model: NoiseSource
    """auto (one learned before while it is valid, else learned), learn (always), or run:<id> (what that run had)"""
    learning: Learning
    """For PEC and PEA: how noise is learned, and for how long a model is valid."""


class Transpile(Section):
    """How circuits are lowered to the backend."""

    kind: Literal["preset", "none"]
    """`preset`: Qiskit's preset pass manager; `none`: the circuit is an ISA circuit already."""
    optimization_level: Annotated[int, Field(ge=0, le=3, examples=[2])]
    """0 (none) to 3 (most)."""
    seed: Seed | None
    """Seed of layout and routing; null for a fresh one."""
    initial_layout: list[Annotated[int, Field(ge=0)]] | None
    """Physical qubit of each circuit qubit; null lets the transpiler choose."""
    layout_method: Annotated[str, Field(examples=["sabre"])] | None
    """Name of the layout stage; null for Qiskit's choice."""
    routing_method: Annotated[str, Field(examples=["sabre"])] | None
    """Name of the routing stage; null for Qiskit's choice."""
    cache: bool
    """Whether ISA circuits are kept on disk and taken from there; those with a null seed never are."""
    cache_limit_mib: Annotated[int, Field(ge=1, examples=[512])]
    """Size of the cache, in MiB; beyond it the least recently used circuits go."""


class Tracking(Section):
    """Where results are logged."""

    kind: Literal["mlflow", "off"]
    uri: Annotated[str, AfterValidator(check_store), Field(examples=["sqlite:///mlflow.db"])] | None
    """`sqlite:///<file>`, another database or `http(s)://<server>`; null for `MLFLOW_TRACKING_URI`, else
    `sqlite:///mlflow.db` in the working directory."""
    plots: Plots
    """true or false, or auto: figures of a single experiment, none of the points of a sweep"""


class Run(Section):
    """The command compiles, runs and records the experiment."""

    kind: Literal["run"]


class Submit(Section):
    """The command compiles and submits, and does not wait for results."""

    kind: Literal["submit"]


class Foresee(Section):
    """The command tells what would run and what it would cost, and submits nothing."""

    kind: Literal["plan"]
    rate: Annotated[float, Field(ge=0, examples=[1.6])] | None
    """Price of a quantum second, in whatever currency; null for no prices."""
    dry_run: Annotated[bool, Field(examples=["true"])]
    """Whether the service is asked to run the jobs on its mock devices, which costs nothing."""


class Status(Section):
    """The command shows runs, their jobs, and what they spent."""

    kind: Literal["status"]


class Collect(Section):
    """The command fetches what is done of a run and records it."""

    kind: Literal["collect"]


class Cancel(Section):
    """The command cancels the jobs of a run and closes its session groups."""

    kind: Literal["cancel"]


class Replay(Section):
    """The command computes all numbers of a run again from its raw results."""

    kind: Literal["replay"]
    observables: dict[ObservableName, Observable]
    """Asked instead of those that the run asked for; empty for the same ones."""
    readout: Annotated[Literal["as_asked", "as_measured", "calibration"], Field(examples=["calibration"])]
    """Counts as the run asked for them, as they were measured, or corrected by the readout errors of the device's
    calibration at run time."""


class Compare(Section):
    """The command shows what changed between runs: results, calibration, config and versions."""

    kind: Literal["compare"]


class Report(Section):
    """The command writes all that is kept of a run into one HTML file."""

    kind: Literal["report"]


class ShowCache(Section):
    """The command shows the transpiled circuits and the learned noise models that are kept on disk."""

    kind: Literal["cache"]
    clear: Annotated[bool, Field(examples=["true"])]
    """Whether they are removed."""


Action = Annotated[
    Run | Submit | Foresee | Status | Collect | Cancel | Replay | Compare | Report | ShowCache, Discriminator("kind")
]


class Journal(Section):
    """Where runs and jobs are written down before they cost anything."""

    folder: Annotated[str, AfterValidator(check_inside), Field(examples=["outputs/journal"])]
    """a folder in the working directory"""


class Budget(Section):
    """What a run may cost; what is over is not submitted."""

    max_quantum_s: Annotated[float, Field(gt=0, examples=[60])] | None
    """Quantum seconds of all its jobs together; null for no limit."""
    max_jobs: Annotated[int, Field(ge=1, examples=[10])] | None
    """Jobs on a service; null for no limit."""
    max_session_s: Annotated[float, Field(gt=0, examples=[600])] | None
    """Seconds that each of its session groups may be open; null for no limit."""


class Sweep(Section):
    """How a multirun treats its points."""

    on_invalid: Annotated[Literal["refuse", "skip"], Field(examples=["skip"])]
    """A point whose config is wrong: refuse the whole sweep, or leave that point out and say so."""
    folders: bool
    """Whether each point gets a folder with Hydra's files in it."""
    objective: Annotated[str, Field(min_length=1, examples=["ev/zz"])] | None
    """Metric that a sweeper which optimises gets back; null for the first expectation value, else the fidelity or
    success with a reference."""
