"""What results can be compared with, one class per kind, and what is wrong with it; knows pydantic only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Discriminator, Field, Tag, WithJsonSchema

from qrt_runner.config.backends import Method
from qrt_runner.config.explaining import nearest
from qrt_runner.config.fields import ObservableName
from qrt_runner.config.values import Section
from qrt_runner.errors import Mistake

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

VALUE_ALLOWED: Final = "a number, or a list of one number for each parameter set"


def _form(value: Any) -> str:
    return "list" if isinstance(value, list) else "number"


KnownValue = Annotated[
    Annotated[float, Tag("number")] | Annotated[list[float], Field(min_length=1), Tag("list")],
    Discriminator(_form),
]
"""What an observable is known to be."""

_VALUE_SCHEMA: Final = {"description": VALUE_ALLOWED, "examples": ["1.0"]}
_VALUES_SCHEMA: Final = {"additionalProperties": _VALUE_SCHEMA, "examples": ["{zz: 1.0}"]}


class NoReference(Section):
    """Nothing."""

    kind: Literal["none"]


class Ideal(Section):
    """Exact values, computed."""

    kind: Literal["ideal"]
    max_qubits: Annotated[int, Field(ge=1, le=28, examples=[20])]
    """The widest circuit whose statevector is computed; Clifford circuits go beyond it."""
    on_unknown: Annotated[Literal["refuse", "skip"], Field(examples=["skip"])]
    """What has no exact values: refuse it, or run it without a reference and say so."""


class Known(Section):
    """Values that are known, from theory or from elsewhere."""

    kind: Literal["value"]
    values: Annotated[dict[ObservableName, KnownValue], WithJsonSchema(_VALUES_SCHEMA)]
    """observables by name, each with a number for all parameter sets, or with a list of one number for each"""


class Twin(Section):
    """What the same programs give on a noisy simulator made of the backend's calibration; and exact values."""

    kind: Literal["twin"]
    max_qubits: Annotated[int, Field(ge=1, le=28, examples=[20])]
    """The widest circuit whose exact values are computed beside it; Clifford circuits go beyond it."""
    method: Annotated[Method, Field(examples=["matrix_product_state"])]
    """Aer's simulation method for the twin."""


Reference = Annotated[NoReference | Ideal | Known | Twin, Discriminator("kind")]
"""What results are compared with."""


def reference_mistakes(data: Mapping[str, Any]) -> list[Mistake]:
    """Return the known values that belong to no observable, as far as the config by itself can tell.

    Args:
        data: The config as plain containers.
    """
    reference = data.get("reference")
    values = reference.get("values") if isinstance(reference, dict) and reference.get("kind") == "value" else None
    if not isinstance(values, dict):
        return []
    if not values:
        allowed = f"at least one observable by name, with {VALUE_ALLOWED}"
        return [Mistake("reference.values", "{}", allowed, "'+reference.values={zz: 1.0}', or reference=none")]
    names = _observables(data)
    return [] if names is None else without_observable(values, names)


def comparison_mistakes(data: Mapping[str, Any]) -> list[Mistake]:
    """Return what does not go with the kind of reference.

    Args:
        data: The config as plain containers.
    """
    mistakes = []
    if data.get("overview") == "ladder" and _kind(data, "reference") == "none":
        given, allowed = "ladder, with nothing to tell errors by", "ladder beside a reference"
        mistakes.append(Mistake("overview", given, allowed, "reference=ideal, or overview=side_by_side"))
    if _kind(data, "reference") == "twin" and _kind(data, "backend") == "aer":
        given = "twin, of an ideal simulator, which has no noise to be simulated"
        allowed = "twin for backends with a calibration"
        remedy = "reference=ideal, or a device such as backend=fake_manila"
        mistakes.append(Mistake("reference", given, allowed, remedy))
    return mistakes


def _kind(data: Mapping[str, Any], name: str) -> Any:
    section = data.get(name)
    return section.get("kind") if isinstance(section, dict) else None


def without_observable(values: Mapping[str, Any], names: Collection[str]) -> list[Mistake]:
    """Return a mistake for each value of which there is no observable among these."""
    allowed = ", ".join(names) or "nothing, there is no observable"
    return [
        Mistake(f"reference.values.{name}", "a value of no observable", allowed, _rename(name, names))
        for name in values
        if name not in names
    ]


def _rename(name: str, names: Collection[str]) -> str:
    meant = nearest(name, list(names))
    return f"did you mean reference.values.{meant}?" if meant else f"leave reference.values.{name} out"


def _observables(data: Mapping[str, Any]) -> list[str] | None:
    """Return the names of the observables of all tasks; None where a circuit file has its own."""
    tasks = data.get("tasks")
    owners = [data, *(task for task in tasks.values() if isinstance(task, dict))] if isinstance(tasks, dict) else [data]
    names: list[str] = []
    for owner in owners[1:] or owners:
        circuit = owner.get("circuit") or data.get("circuit")
        found = circuit.get("observables") if isinstance(circuit, dict) else None
        if not isinstance(found, dict) or not found:
            return None
        names += found
    return list(dict.fromkeys(names))
