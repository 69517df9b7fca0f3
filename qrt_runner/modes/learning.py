"""learner: the runtime's noise learner on the layers of the circuits that other jobs run; knows runtime.

Its PUBs are those circuits, of which only the layers count: observables and values are not sent. It runs through the
Executor as the primitives do, and what it gives is kept and read as theirs is.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.modes.executor_results import executor_result, program_result
from qrt_runner.modes.layers import layers_of, noise_of
from qrt_runner.modes.raw_results import reading
from qrt_runner.modes.submission import Mode, Submission
from qrt_runner.results import PubResult

if TYPE_CHECKING:
    from qiskit.circuit import CircuitInstruction

    from qrt_runner.modes.raw_results import RawResult
    from qrt_runner.noise import Layer


def _import_learning() -> None:
    """Import qiskit-noise-learning, which was kept from being imported with the runtime, and let the runtime see it."""
    import qiskit_noise_learning  # noqa: F401 - so that the runtime finds it
    from qiskit_ibm_runtime.decoders.executor_noise_learner import post_processor_v0_1
    from qiskit_ibm_runtime.executor_noise_learner import prepare
    from qiskit_ibm_runtime.utils.utils import HAS_QNL

    if not HAS_QNL:
        HAS_QNL._bool = None  # noqa: SLF001 - it remembers that there was none
        # What the runtime has taken from these modules sees what they import now.
        importlib.reload(sys.modules[post_processor_v0_1.__name__])
        importlib.reload(sys.modules[prepare.__name__])


def _layers(submission: Submission, width: int = 0) -> dict[Layer, CircuitInstruction]:
    asked = submission.options
    return layers_of((pub.circuit for pub in submission.pubs), submission.qubits, asked.strategy, asked.group, width)


def _submit(submission: Submission) -> Any:
    _import_learning()
    from qiskit_ibm_runtime.executor_noise_learner import NoiseLearnerV3

    options = submission.options.learner
    if submission.tags:
        tags = [*submission.tags, *(options.environment.job_tags or ())]
        environment = options.environment.model_copy(update={"job_tags": tags})
        options = options.model_copy(update={"environment": environment})
    # The learner takes boxes on as many qubits as the backend has, which for a vendor's simulator are more than used.
    boxes = _layers(submission, submission.runs_on.num_qubits or 0).values()
    return NoiseLearnerV3(mode=submission.target, options=options).run(list(boxes))


def _fetch(_: Submission, job: Any) -> RawResult:
    return executor_result(job)


def _read(submission: Submission, content: bytes) -> list[PubResult]:
    """Return what was learned as the result of the first PUB: layers of several are learned together."""
    _import_learning()
    maps = program_result(content).to_pauli_lindblad_maps()
    layers = zip(_layers(submission), maps, strict=True)
    found = PubResult(noise=tuple(noise_of(layer, one) for layer, one in layers))
    return [found, *(PubResult() for _ in submission.pubs[1:])]


LEARNER: Final = Mode(_submit, _fetch, reading({"executor": _read}))
