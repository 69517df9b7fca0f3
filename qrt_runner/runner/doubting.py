"""Tells what is not known of a result, and what it shares with others; knows the modules above it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from qrt_runner.config import Ideal, Known, Twin
from qrt_runner.runner.correcting import corrections

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qrt_runner.config import Reference
    from qrt_runner.plan import PlannedTask
    from qrt_runner.results import Comparison, Expectations, JobResult, PubResult

_OF_THE_FIT: Final = (
    "standard errors are those of the fit to zero noise alone: by how much its curve misses is not in them"
)


def sharing(task: PlannedTask, jobs: Sequence[JobResult], pub: PubResult | None) -> Iterator[str]:
    """Tell what was corrected, and with whom a calibration is shared."""
    yield from _shared(task, jobs)
    if pub is not None and pub.corrected is not None:
        yield from corrections(task, jobs)


def doubts(task: PlannedTask, pub: PubResult, comparison: Comparison, missing: tuple[int, ...]) -> Iterator[str]:
    """Tell what is not known of a result.

    Args:
        task: Whose result it is.
        pub: Its numbers.
        comparison: How they compare.
        missing: Indices of the parameter sets without a number.
    """
    experiment, names = task.point.experiment, tuple(task.logical.observables)
    counting = experiment.tasks[task.name].mode.kind != "estimator"
    yield from _unknown(experiment.document.reference, comparison, names, counting=counting)
    if pub.expectations is not None:
        yield from _not_finite(pub.expectations, comparison, missing)
        if {"zne", "pea"}.intersection(task.ledger.applied):
            yield _OF_THE_FIT


def _shared(task: PlannedTask, jobs: Sequence[JobResult]) -> tuple[str, ...]:
    """Tell where a readout calibration is shared, which makes the errors of points correlated."""
    if "trex" not in task.ledger.applied:
        return ()
    others = sum(span.stop - span.start for job in jobs for span in job.spans) - len(task.logical.sets.values)
    return (f"readout calibration (TREX) shared with {others} other parameter sets of the job",) if others > 0 else ()


def _unknown(section: Reference, reference: Comparison, names: tuple[str, ...], *, counting: bool) -> Iterator[str]:
    """Tell of what there is no reference, although one was asked for."""
    ideal, probabilities = reference.ideal, reference.probabilities
    if isinstance(section, Ideal) and ideal is None and probabilities is None:
        yield "no reference: exact values of this circuit cannot be computed"
    elif isinstance(section, Ideal) and counting and probabilities is None:
        yield "no fidelity: exact probabilities of the outcomes cannot be listed"
    elif isinstance(section, Twin):
        if reference.twin is None:
            yield "no twin of these observables: it gave the expectation values of those that were asked for"
        if names and ideal is None:
            yield "no exact values beside the twin: they cannot be computed"
    elif isinstance(section, Known) and ideal is not None:
        unknown = [name for name, column in zip(names, ideal.T, strict=True) if np.isnan(column).all()]
        if unknown:
            yield f"no reference for {', '.join(unknown)}: reference.values has no value"


def _not_finite(found: Expectations, comparison: Comparison, missing: tuple[int, ...]) -> Iterator[str]:
    errors = np.delete(found.errors, missing, axis=0)
    doubtful = [name for column, name in enumerate(found.names) if not np.isfinite(errors[:, column]).all()]
    if doubtful:
        yield f"no finite standard error for {', '.join(doubtful)}: the extrapolation could not tell one"
    if doubtful and comparison.effect is not None:
        yield "effect/mse_cost left out where a standard error is not finite, and the average with it"
