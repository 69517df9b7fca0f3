"""What a task, or a session group, is told by in numbers; knows results and numpy, and not MLflow."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from qrt_runner.digits import headline_of
from qrt_runner.results import GAMMA

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from qrt_runner.results import GroupReport, TaskResult

NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_\-. :/]")
"""What MLflow takes in no name of a param or metric."""


@dataclass(frozen=True)
class Metric:
    """One value of a metric."""

    key: str
    value: float
    step: int


def metrics_of_task(result: TaskResult) -> Iterator[Metric]:
    """Give what is told of a task in numbers, one step per parameter set where there are several."""
    for name, value in result.sizes.items():
        yield Metric(name, value, 0)
    yield Metric("time/transpile_s", result.transpile_s, 0)
    yield Metric("time/queue_s", sum(job.queue_s for job in result.jobs), 0)
    yield Metric("time/run_s", sum(job.run_s for job in result.jobs), 0)
    yield Metric("usage/quantum_s", sum(job.quantum_s for job in result.jobs), 0)
    yield from _headline(result)
    yield from _prediction(result)
    yield from _price(result)
    missing = frozenset(result.missing)
    for key, values in _series(result):
        yield from (Metric(key, value, step) for step, value in enumerate(values) if step not in missing)
    for key, values in (*_effects(result), *_twins(result)):
        # What is not finite is of no use to whoever ranks by it.
        yield from (Metric(key, value, step) for step, value in enumerate(values) if math.isfinite(value))


def _headline(result: TaskResult) -> Iterator[Metric]:
    """Give the one number of a task under a name that all tasks have, for a column of the run table."""
    found = headline_of(result)
    if found is not None:
        yield Metric("headline/value", found.value, 0)
        yield Metric("headline/error", found.error, 0)


def _prediction(result: TaskResult) -> Iterator[Metric]:
    """Give what the jobs of a task were predicted to take, and by how much more they took."""
    if result.price is None or result.price.predicted_s is None or result.reused_from:
        return
    predicted_s, spent_s = result.price.predicted_s, sum(job.quantum_s for job in result.jobs)
    yield Metric("usage/predicted_s", predicted_s, 0)
    if spent_s and result.state == "done":
        yield Metric("usage/prediction_error_s", spent_s - predicted_s, 0)


def _price(result: TaskResult) -> Iterator[Metric]:
    """Give what the task costs, as it was told before it ran."""
    price = result.price
    if price is None:
        return
    yield Metric("price/circuits", price.circuits, 0)
    yield Metric("price/shots", price.shots, 0)
    yield Metric("price/randomizations", price.randomizations, 0)
    yield Metric("price/estimated_s", price.estimated_s, 0)
    if price.learning_shots:
        yield Metric("price/learning_s", price.learning_s, 0)


def _series(result: TaskResult) -> Iterator[tuple[str, Sequence[float]]]:
    """Return the metrics that have one step per parameter set."""
    comparison, found = result.comparison, result.expectations
    if result.counts is not None:
        yield "fidelity/hellinger", comparison.hellinger
        yield "p_success", comparison.p_success
        yield "distance/total_variation", comparison.total_variation
    if (read := comparison.uncorrected) is not None:
        yield "fidelity/hellinger_as_measured", read.hellinger
        yield "p_success_as_measured", read.p_success
        yield "distance/total_variation_as_measured", read.total_variation
    if result.corrected is not None:
        yield "readout/overhead", result.corrected.overhead.tolist()
    if found is not None and GAMMA in found.details:
        yield "mitigation/gamma2", (found.details[GAMMA][:, 0] ** 2).tolist()
    for column, name in enumerate(found.names if found is not None else ()):
        assert found is not None
        key, values = NOT_IN_NAMES.sub("_", name), found.values[:, column]
        yield f"ev/{key}", values.tolist()
        yield f"std/{key}", found.errors[:, column].tolist()
        if result.corrected is not None:
            uncorrected = result.corrected.uncorrected
            yield f"ev_as_measured/{key}", uncorrected.values[:, column].tolist()
            yield f"std_as_measured/{key}", uncorrected.errors[:, column].tolist()
        if comparison.ideal is not None and not np.isnan(comparison.ideal[:, column]).all():
            yield f"ideal/{key}", comparison.ideal[:, column].tolist()
            yield f"error/{key}", (values - comparison.ideal[:, column]).tolist()


def _effects(result: TaskResult) -> Iterator[tuple[str, Sequence[float]]]:
    """Return what a task's expectation values are worth, and what they cost."""
    effect, found = result.comparison.effect, result.expectations
    if effect is None or found is None:
        return
    yield "effect/cost_s", effect.cost_s.tolist()
    yield "effect/mse_cost", effect.mean_mse_cost.tolist()
    for column, name in enumerate(found.names):
        key = NOT_IN_NAMES.sub("_", name)
        yield f"effect/mse_cost/{key}", effect.mse_cost[:, column].tolist()


def _twins(result: TaskResult) -> Iterator[tuple[str, Sequence[float]]]:
    """Return what tells how far a result is from that of the twin of its backend, and in its errors from exact."""
    twin, found = result.comparison.twin, result.expectations
    if twin is None:
        return
    yield from twin.distances.items()
    for column, name in enumerate(found.names if found is not None else ()):
        key = NOT_IN_NAMES.sub("_", name)
        if twin.expectations is not None:
            yield f"twin/ev/{key}", twin.expectations.values[:, column].tolist()
            yield f"twin/std/{key}", twin.expectations.errors[:, column].tolist()
        if twin.sigmas is not None:
            yield f"twin/error_sigmas/{key}", twin.sigmas[:, column].tolist()
        if twin.ideal_sigmas is not None:
            yield f"error_sigmas/{key}", twin.ideal_sigmas[:, column].tolist()


def metrics_of(reports: Collection[GroupReport]) -> tuple[Metric, ...]:
    """Return what session groups spent, together; nothing where there were none."""
    if not reports:
        return ()
    return (
        Metric("usage/session_busy_s", sum(report.busy_s for report in reports), 0),
        Metric("usage/session_idle_s", sum(report.idle_s for report in reports), 0),
        Metric("usage/session_wait_s", sum(report.wait_s for report in reports), 0),
    )
