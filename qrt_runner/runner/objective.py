"""The one number of a point that a sweeper gets back to propose the next ones; knows results and circuits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from qrt_runner.circuits import load
from qrt_runner.errors import ConfigError, refuse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qrt_runner.config import Experiment
    from qrt_runner.results import TaskResult

_SIZES: Final = ("circuit/depth", "circuit/two_qubit_gates", "isa/depth", "isa/two_qubit_gates")


def objective_of(result: TaskResult, name: str | None) -> float | None:
    """Return a task's metric for its first parameter set, nan where the task failed or no reference is known of it.

    Args:
        result: What happened.
        name: The metric; None for the headline number: the first expectation value, else the Hellinger fidelity, else
            the share of successes. A task may have none of them.
    """
    if result.state == "failed":
        return math.nan
    if name is None:
        return next((value for _, value in _headlines(result)), None)
    return {**dict(_details(result)), **dict(_headlines(result)), **result.sizes}.get(name, math.nan)


def check_objective(experiment: Experiment, *, needed: bool) -> None:
    """Refuse a `sweep.objective` that the first task will not have.

    Args:
        experiment: What is asked for.
        needed: Whether there must be one, because a sweeper proposes points by it.

    Raises:
        ConfigError: With what it will have.
    """
    name, task = experiment.document.sweep.objective, next(iter(experiment.tasks.values()))
    if name is None and not needed:
        return
    try:
        observables = load(task.circuit, task.mode.kind).observables
    except ConfigError:
        # A circuit that cannot be loaded is told where it is compiled, by its own path.
        return
    counting, reference = task.mode.kind != "estimator", experiment.document.reference.kind
    allowed = objectives(list(observables), reference, counting=counting)
    if name is None and allowed[0] in _SIZES:
        given = "null for a task without observables and reference"
        raise refuse("sweep.objective", given, ", ".join(allowed), f"reference=ideal, or sweep.objective={allowed[0]}")
    if name is not None and name not in allowed:
        raise refuse("sweep.objective", name, ", ".join(allowed), f"sweep.objective={allowed[0]}")


def objectives(observables: Sequence[str], reference: str, *, counting: bool) -> list[str]:
    """Return the metrics that a task will have, by its observables, its mode and the kind of its reference."""
    kinds = ("ev", "std") if reference == "none" else ("ev", "std", "ideal", "error", "effect/mse_cost")
    effects = ["effect/mse_cost", "effect/cost_s"] if reference != "none" and observables else []
    counted = ["fidelity/hellinger", "p_success", "distance/total_variation"]
    counted = counted if counting and reference == "ideal" else []
    return [*(f"{kind}/{name}" for kind in kinds for name in observables), *effects, *counted, *_SIZES]


def _headlines(result: TaskResult) -> Iterator[tuple[str, float]]:
    found, comparison = result.expectations, result.comparison
    if found is not None:
        for column, name in enumerate(found.names):
            yield f"ev/{name}", float(found.values[0, column])
    for name, series in (("fidelity/hellinger", comparison.hellinger), ("p_success", comparison.p_success)):
        if series:
            yield name, float(series[0])


def _details(result: TaskResult) -> Iterator[tuple[str, float]]:
    found, ideal, effect = result.expectations, result.comparison.ideal, result.comparison.effect
    if result.comparison.total_variation:
        yield "distance/total_variation", float(result.comparison.total_variation[0])
    for column, name in enumerate(found.names if found is not None else ()):
        assert found is not None
        yield f"std/{name}", float(found.errors[0, column])
        if ideal is not None:
            yield f"ideal/{name}", float(ideal[0, column])
            yield f"error/{name}", float(found.values[0, column] - ideal[0, column])
        if effect is not None:
            yield f"effect/mse_cost/{name}", float(effect.mse_cost[0, column])
    if effect is not None:
        yield "effect/mse_cost", float(effect.mean_mse_cost[0])
        yield "effect/cost_s", float(effect.cost_s[0])
