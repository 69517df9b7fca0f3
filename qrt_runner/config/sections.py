"""The config as frozen, strict sections, one class per group of `conf/`; knows pydantic only.

No field has a default: defaults live in `conf/`, and the composed YAML is the complete record of what was asked.
"""

from __future__ import annotations

import re
import sys
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    JsonValue,
    StringConstraints,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from qrt_runner.config.values import Section, Values

PAULI_LETTERS: Final = "IXYZ"
_NAME: Final = r"^[A-Za-z0-9_\-.]*[A-Za-z0-9_\-][A-Za-z0-9_\-.]*$"
NAME_ALLOWED: Final = "a name of letters, digits, _, - and ."
OBSERVABLE_ALLOWED: Final = (
    "a Pauli string such as ZZII (letters I, X, Y, Z; the rightmost is qubit 0) or a mapping of Pauli strings of one "
    "width to coefficients"
)


_STORES: Final = (
    r"((sqlite(\+\w+)?:///(?!:memory:).+)|((postgresql|mysql|mssql)(\+\w+)?://.+)|https?://.+|databricks.*)"
)
"""Addresses that MLflow 3 takes for a lasting store; it refuses `file:`, and takes anything else for a folder."""


def _check_store(value: str) -> str:
    if re.fullmatch(_STORES, value) is None:
        raise PydanticCustomError("store", "not a store")
    return value


def _check_max_time(value: str) -> str:
    if re.fullmatch(r"(?=.*\d)\s*(\d+\s*h)?\s*(\d+\s*m)?\s*(\d+\s*s)?\s*", value) is None:
        raise PydanticCustomError("max_time", "not a time")
    return value


def _check_observable(value: Any) -> Any:
    """Check letters and widths; whether the width fits the circuit is known only once the circuit is."""
    terms = [value] if isinstance(value, str) else list(value) if isinstance(value, dict) else []
    paulis = all(term and set(term) <= set(PAULI_LETTERS) for term in terms)
    numbers = not isinstance(value, dict) or all(_is_finite(coefficient) for coefficient in value.values())
    if not terms or not paulis or not numbers or len({len(term) for term in terms}) != 1:
        raise PydanticCustomError("observable", "not an observable")
    return {value: 1.0} if isinstance(value, str) else {term: float(weight) for term, weight in value.items()}


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def is_observable_name(name: str) -> bool:
    """Tell whether an observable's name can be part of an MLflow metric's."""
    return re.fullmatch(_NAME, name) is not None


def _form_of_measure(value: Any) -> str:
    return "qubits" if isinstance(value, list) else "word"


def without_unset(value: dict[str, Any]) -> dict[str, Any]:
    """Drop what is null at any depth: null means that the platform's own default applies."""
    kept = {key: without_unset(item) if isinstance(item, dict) else item for key, item in value.items()}
    return {key: item for key, item in kept.items() if item is not None and item != {}}


Observable = Annotated[
    Any,
    AfterValidator(_check_observable),
    WithJsonSchema({"description": OBSERVABLE_ALLOWED}),
    Field(examples=["ZZ"]),
]
ObservableName = Annotated[str, StringConstraints(pattern=_NAME)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32, examples=[42])]
Measure = Annotated[
    Annotated[Literal["auto", "never"], Tag("word")]
    | Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1), Tag("qubits")],
    Discriminator(_form_of_measure),
    WithJsonSchema({"description": "auto, never, or a list of qubits such as [0, 2]"}),
    Field(examples=["auto"]),
]


MaxTime = Annotated[
    Annotated[int, Field(ge=1), Tag("seconds")] | Annotated[str, AfterValidator(_check_max_time), Tag("words")],
    Discriminator(lambda value: "words" if isinstance(value, str) else "seconds"),
    WithJsonSchema({"description": "a number of seconds, or a time such as 2h 30m"}),
    Field(examples=["2h 30m"]),
]
"""A time as the runtime takes it."""

Plots = Annotated[
    Annotated[Literal["auto"], Tag("word")] | Annotated[bool, Tag("switch")],
    Discriminator(lambda value: "word" if isinstance(value, str) else "switch"),
    Field(examples=["auto"]),
    WithJsonSchema({}),
]


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
    """`auto`: a batch for several jobs, nothing for a single one."""
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

    kind: Literal["none", "level_0", "level_1", "level_2", "dd", "twirl", "trex", "zne", "custom"]
    options: Annotated[dict[str, JsonValue], AfterValidator(without_unset)]
    """The runtime's own option models, by their own names; what is null is left to the platform's default."""


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


class Reference(Section):
    """What the results are compared with."""

    kind: Literal["none", "ideal"]
    max_qubits: Annotated[int, Field(ge=1, le=28, examples=[20])]
    """The widest circuit whose statevector is computed; Clifford circuits go beyond it."""


class Tracking(Section):
    """Where results are logged."""

    kind: Literal["mlflow", "off"]
    uri: Annotated[str, AfterValidator(_check_store), Field(examples=["sqlite:///mlflow.db"])] | None
    """`sqlite:///<file>`, another database or `http(s)://<server>`; null for `MLFLOW_TRACKING_URI`, else
    `sqlite:///mlflow.db` in the working directory."""
    plots: Plots
    """true or false, or auto: figures of a single experiment, none of the points of a sweep"""


class Run(Section):
    """The command compiles, runs and records the experiment."""

    kind: Literal["run"]


class Collect(Section):
    """The command logs a run whose results were kept on disk."""

    kind: Literal["collect"]


class ShowCache(Section):
    """The command shows the transpiled circuits that are kept on disk."""

    kind: Literal["cache"]
    clear: Annotated[bool, Field(examples=["true"])]
    """Whether they are removed."""


Action = Annotated[Run | Collect | ShowCache, Discriminator("kind")]


class Sweep(Section):
    """How a multirun treats its points."""

    on_invalid: Annotated[Literal["refuse", "skip"], Field(examples=["skip"])]
    """A point whose config is wrong: refuse the whole sweep, or leave that point out and say so."""
    folders: bool
    """Whether each point gets a folder with Hydra's files in it."""
    objective: Annotated[str, Field(min_length=1, examples=["ev/zz"])] | None
    """Metric that a sweeper which optimises gets back; null for the first expectation value, else the fidelity or
    success with a reference."""
