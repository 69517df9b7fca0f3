"""Sampler and estimator: the runtime's client-side primitives, for other vendors Qiskit's own on `BackendV2.run`.

The runtime's primitives in local mode simulate whatever backend they are given. A vendor's device must therefore
never reach them: its results would be simulated ones shown as measured.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from qiskit.primitives import BackendEstimatorV2, BackendSamplerV2
from qiskit_ibm_runtime.executor_estimator import Estimator
from qiskit_ibm_runtime.executor_sampler import Sampler
from qiskit_mitigation.zne import gate_folding

from qrt_runner.modes.submission import Mode, Pub, Submission, counts_of
from qrt_runner.results import Expectations, PubResult

if TYPE_CHECKING:
    from collections.abc import Iterator


def _submit_to_sampler(submission: Submission) -> Any:
    pubs = [(pub.circuit, _values(pub)) for pub in submission.pubs]
    if submission.device.where == "vendor":
        return BackendSamplerV2(backend=submission.runs_on).run(pubs, shots=submission.shots)
    return Sampler(mode=submission.runs_on, options=submission.options).run(pubs)


def _read_from_sampler(submission: Submission, job: Any) -> list[PubResult]:
    return [
        PubResult(counts=counts_of(pub.circuit, dict(result.data), len(pub.values)))
        for pub, result in zip(submission.pubs, job.result(), strict=True)
    ]


def _submit_to_estimator(submission: Submission) -> Any:
    pubs = [(pub.circuit, _column(pub), _values(pub)) for pub in submission.pubs]
    if submission.device.where == "vendor":
        return BackendEstimatorV2(backend=submission.runs_on).run(pubs, precision=submission.shots**-0.5)
    with _seeded_folding(submission.seed):
        return Estimator(mode=submission.runs_on, options=submission.options).run(pubs)


def _read_from_estimator(submission: Submission, job: Any) -> list[PubResult]:
    return [
        PubResult(expectations=_expectations(pub, result))
        for pub, result in zip(submission.pubs, job.result(), strict=True)
    ]


def _values(pub: Pub) -> np.ndarray | None:
    return pub.values if pub.circuit.parameters else None


def _column(pub: Pub) -> Any:
    """Return the observables along the first axis, so that they broadcast against the parameter sets' axis."""
    operators = list(pub.observables.values())
    return [[operator] for operator in operators] if pub.circuit.parameters else operators


def _expectations(pub: Pub, result: Any) -> Expectations:
    names, sets = tuple(pub.observables), len(pub.values)
    by_set = partial(_by_set, observables=len(names), sets=sets)
    details = {name: by_set(value) for name, value in dict(result.data).items() if name not in ("evs", "stds")}
    return Expectations(names, by_set(result.data.evs), by_set(result.data.stds), details)


def _by_set(array: Any, observables: int, sets: int) -> np.ndarray:
    """Bring an array of shape (observables[, sets], ...) to (sets, observables, ...)."""
    whole = np.asarray(array, dtype=float)
    rest = whole.shape[1:] if whole.shape[:2] != (observables, sets) else whole.shape[2:]
    return np.swapaxes(whole.reshape((observables, sets, *rest)), 0, 1)


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


SAMPLER: Final = Mode(_submit_to_sampler, _read_from_sampler)
ESTIMATOR: Final = Mode(_submit_to_estimator, _read_from_estimator)
