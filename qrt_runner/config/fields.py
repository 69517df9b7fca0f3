"""The types of fields that several words or forms can fill, and what they check; knows pydantic only."""

from __future__ import annotations

import re
import sys
from pathlib import PurePath
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Discriminator, Field, StringConstraints, Tag, WithJsonSchema
from pydantic_core import PydanticCustomError

from qrt_runner.config.projectors import in_paulis

PAULI_LETTERS: Final = "IXYZ"
PROJECTED: Final = "projected"
"""Kind of the error for an observable with projection operators; the same in Pauli strings is its `instead`."""

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


def check_store(value: str) -> str:
    """Refuse what MLflow takes for no lasting store."""
    if re.fullmatch(_STORES, value) is None:
        raise PydanticCustomError("store", "not a store")
    return value


def check_inside(value: str) -> str:
    """Refuse a folder that does not lie in the working directory."""
    if not value.strip() or PurePath(value).is_absolute() or ".." in PurePath(value).parts:
        raise PydanticCustomError("inside", "not inside")
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
        if (instead := in_paulis(value)) is not None:
            raise PydanticCustomError(PROJECTED, "projection operators", {"instead": instead})
        raise PydanticCustomError("observable", "not an observable")
    return {value: 1.0} if isinstance(value, str) else {term: float(weight) for term, weight in value.items()}


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def switched_off(value: Any) -> Any:
    """Take false for the word off, which YAML files hold it for where it is not quoted."""
    return "off" if value is False else value


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
