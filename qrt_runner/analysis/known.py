"""The reference that a config gives: known values of observables; knows numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qrt_runner.config.references import without_observable
from qrt_runner.errors import ConfigError, Mistake
from qrt_runner.results import Comparison

if TYPE_CHECKING:
    from qrt_runner import config
    from qrt_runner.circuits import LogicalCircuit


def known_reference(section: config.Known, logical: LogicalCircuit, *, alone: bool) -> Comparison:
    """Return the known values of a circuit's observables, for each of its parameter sets; NaN where none is given.

    Where others are asked for than the task's own observables, values are known of those that both have in common.

    Args:
        section: The reference asked for.
        logical: The circuit.
        alone: Whether the values are for this circuit alone, and not for those of other tasks too.

    Raises:
        ConfigError: Where there is a value of no observable, or not one for each parameter set.
    """
    own, sets = logical.own, len(logical.sets.values)
    if own is None and (mistakes := _mistakes(section, logical, alone=alone)):
        raise ConfigError(mistakes)
    values = np.full((sets, len(logical.observables)), np.nan)
    for column, (name, operator) in enumerate(logical.observables.items()):
        if name in section.values and (own is None or own.get(name) == operator):
            values[:, column] = section.values[name]
    return Comparison(ideal=values) if logical.observables else Comparison()


def _mistakes(section: config.Known, logical: LogicalCircuit, *, alone: bool) -> list[Mistake]:
    names, sets = [*logical.observables, *logical.left_out], len(logical.sets.values)
    unknown = without_observable(section.values, names) if alone else []
    return unknown + [
        _of_other_length(name, value, sets)
        for name, value in section.values.items()
        if name in names and isinstance(value, list) and len(value) != sets
    ]


def _of_other_length(name: str, values: list[float], sets: int) -> Mistake:
    path, count = f"reference.values.{name}", len(values)
    given = f"{count} value{'s' * (count != 1)} for {sets} parameter set{'s' * (sets != 1)}"
    return Mistake(path, given, "one for each, or a number for all of them", f"{path}={values[0]}")
