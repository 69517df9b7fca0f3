"""Sampler and estimator: the runtime's client-side primitives, for other vendors Qiskit's own on `BackendV2.run`.

The runtime's primitives in local mode simulate whatever backend they are given. A vendor's device must therefore
never reach them: its results would be simulated ones shown as measured.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from qiskit.primitives import BackendEstimatorV2, BackendSamplerV2
from qiskit_ibm_runtime.executor_estimator import Estimator
from qiskit_ibm_runtime.executor_sampler import Sampler
from qiskit_mitigation.zne import gate_folding

from qrt_runner.modes.executor_results import executor_result, gammas_in, program_result
from qrt_runner.modes.layers import with_noise
from qrt_runner.modes.raw_results import counts_read, counts_written, expectations_read, expectations_written, reading
from qrt_runner.modes.submission import Mode, Pub, Submission, counts_of, in_column
from qrt_runner.results import GAMMA, Counts, Expectations, PubResult

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qrt_runner.modes.raw_results import RawResult


def _submit_to_sampler(submission: Submission) -> Any:
    pubs = [(pub.circuit, _values(pub)) for pub in submission.pubs]
    if submission.device.where == "vendor":
        return BackendSamplerV2(backend=submission.runs_on).run(pubs, shots=submission.shots)
    return Sampler(mode=submission.target, options=_tagged(submission)).run(pubs, dry_run=submission.dry_run)


def _fetch_from_sampler(submission: Submission, job: Any) -> RawResult:
    if submission.device.where != "vendor":
        return executor_result(job)
    return counts_written(_counts(pub, result) for pub, result in zip(submission.pubs, job.result(), strict=True))


def _read_from_sampler(submission: Submission, content: bytes) -> list[PubResult]:
    return [
        PubResult(counts=_counts(pub, result))
        for pub, result in zip(submission.pubs, program_result(content), strict=True)
    ]


def _submit_to_estimator(submission: Submission) -> Any:
    pubs = [(pub.circuit, in_column(pub), _values(pub)) for pub in submission.pubs]
    if submission.device.where == "vendor":
        return BackendEstimatorV2(backend=submission.runs_on).run(pubs, precision=_precision(submission.shots))
    options = _tagged(submission)
    if submission.noise is not None:
        options = with_noise(options, submission)
    with _seeded_folding(submission.seed):
        return Estimator(mode=submission.target, options=options).run(pubs, dry_run=submission.dry_run)


def _fetch_from_estimator(submission: Submission, job: Any) -> RawResult:
    if submission.device.where != "vendor":
        return executor_result(job)
    pubs = zip(submission.pubs, job.result(), strict=True)
    return expectations_written(_expectations(pub, result) for pub, result in pubs)


def _read_from_estimator(submission: Submission, content: bytes) -> list[PubResult]:
    gammas = gammas_in(content) or [None] * len(submission.pubs)
    return [
        PubResult(expectations=_with_gamma(_expectations(pub, result), gamma))
        for pub, result, gamma in zip(submission.pubs, program_result(content), gammas, strict=True)
    ]


def _with_gamma(found: Expectations, gamma: float | None) -> Expectations:
    """Return expectation values with the factor by which PEC made their standard errors larger."""
    if gamma is None:
        return found
    return replace(found, details={**found.details, GAMMA: np.full(found.values.shape, gamma)})


def _tagged(submission: Submission) -> Any:
    """Return the options with the job's tags; they are shared with other jobs, and stay as they are."""
    if not submission.tags:
        return submission.options
    environment = submission.options.environment
    tags = [*submission.tags, *(environment.job_tags or ())]
    tagged = environment.model_copy(update={"job_tags": tags})
    return submission.options.model_copy(update={"environment": tagged})


def _precision(shots: int) -> float:
    """Return the precision for which Qiskit's estimator takes just so many shots: it rounds 1/precision^2 up."""
    return float((shots - 0.5) ** -0.5)


def _values(pub: Pub) -> np.ndarray | None:
    return pub.values if pub.circuit.parameters else None


def _counts(pub: Pub, result: Any) -> Counts:
    return counts_of(pub.circuit, dict(result.data), len(pub.values))


def _expectations(pub: Pub, result: Any) -> Expectations:
    details = {
        name: _with_extrapolators(name, _by_set(pub, value))
        for name, value in dict(result.data).items()
        if name not in ("evs", "stds")
    }
    return Expectations(tuple(pub.observables), _by_set(pub, result.data.evs), _by_set(pub, result.data.stds), details)


def _by_set(pub: Pub, array: Any) -> np.ndarray:
    """Bring shape (observables, sets, ...), without parameters (observables, ...), to (sets, observables, ...)."""
    whole = np.asarray(array, dtype=float)
    return np.swapaxes(whole if pub.circuit.parameters else whole[:, None], 0, 1)


def _with_extrapolators(name: str, array: np.ndarray) -> np.ndarray:
    """Give an extrapolated array the axis of extrapolators that the platform drops where there is only one."""
    return array[:, :, None] if name.endswith("_extrapolated") and array.ndim == 3 else array


@contextmanager
def _seeded_folding(seed: int | None) -> Iterator[None]:
    """Let gate folding draw from our seed.

    Noise factors other than odd integers fold a random subset of the gates. The pass takes a seed, but nothing
    between the Estimator and the pass hands one on (qiskit-mitigation 0.1), so equal seeds would differ.
    """
    original = gate_folding.GateFoldingPass
    gate_folding.GateFoldingPass = partial(original, seed=seed)
    try:
        yield
    finally:
        gate_folding.GateFoldingPass = original


SAMPLER: Final = Mode(
    _submit_to_sampler,
    _fetch_from_sampler,
    reading({"executor": _read_from_sampler, "counts": counts_read}),
)
ESTIMATOR: Final = Mode(
    _submit_to_estimator,
    _fetch_from_estimator,
    reading({"executor": _read_from_estimator, "expectations": expectations_read}),
)
