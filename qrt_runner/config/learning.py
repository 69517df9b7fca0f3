"""How the noise is learned that PEC and PEA need, and what does not go with them; knows pydantic only."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from qrt_runner.config.values import Section

if TYPE_CHECKING:
    from collections.abc import Mapping

RUN: Final = "run:"
"""Begins a source of noise models that is an earlier run."""


def _check_source(value: str) -> str:
    if re.fullmatch(r"auto|learn|run:\S+", value) is None:
        raise PydanticCustomError("source", "not a source of noise models")
    return value


NoiseSource = Annotated[
    Any,
    AfterValidator(lambda value: _check_source(str(value))),
    WithJsonSchema({}),
    Field(examples=["auto"]),
]
"""Where PEC and PEA have their noise model from."""


def _check_depths(value: list[int] | None) -> list[int] | None:
    if value is not None and len(set(value)) < 2:
        raise PydanticCustomError("depths", "not enough depths")
    return value


class Learning(Section):
    """How the runtime's noise learner is used; what is null is left to its default."""

    num_randomizations: Annotated[int, Field(ge=1, examples=[32])] | None
    """Random circuits for each basis and depth."""
    shots_per_randomization: Annotated[int, Field(ge=1, examples=[128])] | None
    """Shots of each."""
    layer_pair_depths: Annotated[
        list[Annotated[int, Field(ge=0)]] | None,
        AfterValidator(_check_depths),
        WithJsonSchema({}),
        Field(examples=["[0, 1, 2, 4, 16, 32]"]),
    ]
    """null, or a list of at least two different depths >= 0: how often a layer is repeated, in pairs"""
    max_layers: Annotated[int, Field(ge=1, examples=[20])]
    """Distinct layers of a job at most; more are refused, because each costs quantum seconds."""
    max_age_s: Annotated[float, Field(ge=0, examples=[14400])]
    """For how long a model is used for later tasks; the backend's calibration must be the same besides."""


def with_learning(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a config whose tasks take from the top level what their mitigation leaves out of the learning of noise."""
    tasks, above = data.get("tasks"), data.get("mitigation")
    if not isinstance(tasks, dict) or not isinstance(above, dict):
        return data
    taken = {name: above[name] for name in ("noise_model", "learning") if name in above}
    return {**data, "tasks": {name: _with(task, taken) for name, task in tasks.items()}}


def _with(task: Any, taken: Mapping[str, Any]) -> Any:
    mitigation = task.get("mitigation") if isinstance(task, dict) else None
    return {**task, "mitigation": {**taken, **mitigation}} if isinstance(mitigation, dict) else task
