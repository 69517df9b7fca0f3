"""The tasks of a run beside each other, one row for each value that was measured; knows results."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qrt_runner.results import TaskResult


@dataclass(frozen=True)
class Measured:
    """One expectation value of one task."""

    label: str
    """What tells the task from the others: its name, or what was swept."""

    point: int
    task: str
    mode: str
    parameter_set: int
    observable: str
    value: float
    error: float
    ideal: float
    """NaN where it is not known, as for all below."""

    bias: float
    mse_cost: float
    mean_mse_cost: float
    """Over the observables of the task."""

    cost_s: float
    cost_source: str
    """`spent` or `estimated`; empty without a reference."""

    applied: str
    ignored: str


def overview_of(results: Sequence[TaskResult]) -> list[Measured]:
    """Return what was measured, task by task in the order of the points; failed tasks and sets are left out."""
    ordered = sorted(results, key=lambda result: result.point.index)
    labels = labels_of(ordered)
    return [one for result, label in zip(ordered, labels, strict=True) for one in _measured(result, label)]


def rows_of(measured: Sequence[Measured]) -> list[dict[str, Any]]:
    """Return rows of a table; what is not known is None."""
    return [{name: _known(value) for name, value in asdict(one).items()} for one in measured]


def labels_of(results: Sequence[TaskResult]) -> list[str]:
    """Return what tells each task from the others.

    Of a sweep those are its overrides: by their value where only one is swept over, or where it is the mitigation.
    """
    return [_label(result) for result in results]


def _label(result: TaskResult) -> str:
    swept = [override.lstrip("+~").partition("=")[::2] for override in result.point.overrides]
    words = [
        value if len(swept) == 1 or name in ("mitigation", "mode") else f"{name.rpartition('.')[2]}={value}"
        for name, value in swept
    ]
    several = len(result.point.experiment.tasks) > 1
    return " ".join([*words, *([result.name] if several or not words else [])])


def _measured(result: TaskResult, label: str) -> Iterator[Measured]:
    found, missing = result.expectations, frozenset(result.missing)
    if found is None:
        return
    for index in range(len(found.values)):
        for column, name in enumerate(found.names) if index not in missing else ():
            yield Measured(
                label=label,
                point=result.point.index,
                task=result.name,
                mode=result.task.mode.kind,
                parameter_set=index,
                observable=name,
                value=float(found.values[index, column]),
                error=float(found.errors[index, column]),
                **_compared(result, index, column),
                applied=", ".join(result.ledger.applied),
                ignored=", ".join(result.ledger.ignored),
            )


def _compared(result: TaskResult, index: int, column: int) -> dict[str, Any]:
    ideal, effect = result.comparison.ideal, result.comparison.effect
    unknown = dict.fromkeys(("bias", "mse_cost", "mean_mse_cost", "cost_s"), math.nan)
    known: dict[str, Any] = {**unknown, "cost_source": ""}
    if effect is not None:
        known = {
            "bias": float(effect.bias[index, column]),
            "mse_cost": float(effect.mse_cost[index, column]),
            "mean_mse_cost": float(effect.mean_mse_cost[index]),
            "cost_s": float(effect.cost_s[index]),
            "cost_source": effect.cost_source,
        }
    return {"ideal": float(ideal[index, column]) if ideal is not None else math.nan, **known}


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
