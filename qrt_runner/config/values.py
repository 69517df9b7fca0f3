"""The forms in which a parameter's values can be written; knows pydantic only, turns nothing into arrays."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, WithJsonSchema

VALUES_ALLOWED: Final = (
    "a number, a list of numbers, a list of such lists (for a parameter vector), {linspace: [start, stop, count]}, "
    "{random: {count: n, low: a, high: b, seed: s}} or {file: path.npy or path.csv}"
)
"""What `circuit.parameter_values.<name>` may be, for error texts."""


class Section(BaseModel):
    """A part of the config: frozen, strict, and without unknown keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True, defer_build=True
    )


class Linspace(Section):
    """Evenly spaced values, both ends included."""

    linspace: Annotated[list[float], Field(min_length=3, max_length=3, examples=["[0, 3.14, 50]"])]
    """Start, stop and count."""


class RandomRange(Section):
    """Where random values come from: uniform in [low, high), by numpy's default generator."""

    count: Annotated[int, Field(ge=1, examples=[10])]
    """How many parameter sets."""
    low: Annotated[float, Field(examples=[0])]
    """Lower end, included."""
    high: Annotated[float, Field(examples=[6.283])]
    """Upper end, excluded."""
    seed: Annotated[int, Field(ge=0, examples=[1])]
    """Seed of the generator."""


class Random(Section):
    """Uniformly random values."""

    random: RandomRange


class File(Section):
    """Values from a file: `.npy`, sets along the first axis, or `.csv`, one set per line below an optional header."""

    file: Annotated[str, Field(examples=["values.csv"])]


def _form(value: Any) -> str | None:
    """Tell the forms apart by their shape, so that each mistake is told once and not once per form."""
    if isinstance(value, Linspace | Random | File):
        return type(value).__name__.lower()
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, list):
        return "vectors" if value and all(isinstance(item, list) for item in value) else "list"
    if isinstance(value, dict) and len(value) == 1:
        return next((key for key in value if key in ("linspace", "random", "file")), None)
    return None


Values = Annotated[
    Annotated[float, Tag("number")]
    | Annotated[list[float], Field(min_length=1), Tag("list")]
    | Annotated[list[Annotated[list[float], Field(min_length=1)]], Tag("vectors")]
    | Annotated[Linspace, Tag("linspace")]
    | Annotated[Random, Tag("random")]
    | Annotated[File, Tag("file")],
    Discriminator(_form),
    WithJsonSchema({"description": VALUES_ALLOWED}),
]
"""What one parameter's values are in a config."""
