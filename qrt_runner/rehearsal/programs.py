"""Runs what a job carries and writes what the client's decoder reads; knows runtime's own schemas and decoders.

Programs: `executor`, which the client's Sampler, Estimator, NoiseLearnerV3 and Executor submit, and `noise-learner`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ibm_quantum_schemas.common import CompressedTensorModel
from ibm_quantum_schemas.executor.version_2_0 import (
    ChunkPart,
    ChunkSpan,
    ItemMetadataModel,
    MetadataModel,
    QuantumProgramResultItemModel,
    QuantumProgramResultModel,
)
from qiskit_ibm_runtime.fake_provider.executor.broadcast_sample import broadcast_sample
from qiskit_ibm_runtime.quantum_program.params_converters import QUANTUM_PROGRAM_PARAMS_CONVERTERS

from qrt_runner.rehearsal.engine import Outcome
from qrt_runner.rehearsal.learning import learn
from qrt_runner.rehearsal.sampling import Sampler
from qrt_runner.rehearsal.usage import DEFAULT_DELAY_S, job_usage_s

if TYPE_CHECKING:
    from qrt_runner.rehearsal.devices import Snapshot

_LEARNER: Final = "noise-learner"
_SCHEMA: Final = "v2.0"


class Programs:
    """Runs jobs on the devices, one after the other."""

    def __init__(self, devices: dict[str, Snapshot], seed: int | None) -> None:
        """Run on these devices; with a seed, every job's numbers follow from it and the job's ordinal."""
        self._devices, self._seed = devices, seed
        self._samplers = {name: Sampler(device) for name, device in devices.items()}

    def run(self, program: str, backend: str, params: dict[str, Any], ordinal: int, started: float) -> Outcome:
        """Run what a client submitted.

        Raises:
            Exception: Whatever Qiskit or Aer raise on a program that cannot run; the job fails with it.
        """
        rng = np.random.default_rng(None if self._seed is None else [self._seed, ordinal])
        if program == _LEARNER:
            return self._learn(backend, params)
        return self._execute(backend, params, rng, started)

    def _execute(self, backend: str, params: dict[str, Any], rng: np.random.Generator, started: float) -> Outcome:
        if params.get("schema_version") != _SCHEMA:
            raise ValueError(f"Only schema version {_SCHEMA} is rehearsed, given {params.get('schema_version')}.")
        converter = QUANTUM_PROGRAM_PARAMS_CONVERTERS[_SCHEMA]
        model: Any = converter.model.model_validate(params)
        program, options = converter.decoder(model)
        if program.meas_level not in (None, "classified"):
            raise ValueError(f"meas_level={program.meas_level} is not rehearsed: a simulation has no kerneled data.")
        found = [self._item(item, backend, program.shots, rng) for item in program.items]
        executions = program.shots * sum(size for size, _ in found)
        usage_s = job_usage_s(executions, self._delay_s(backend, options.execution.rep_delay))
        result = QuantumProgramResultModel(
            data=[data for _, data in found],
            metadata=MetadataModel(chunk_timing=[_span(started, usage_s, [size for size, _ in found])]),
            passthrough_data=model.quantum_program.passthrough_data,
            semantic_role=model.quantum_program.semantic_role,
        )
        return Outcome(result.model_dump_json(), executions, usage_s)

    def _item(
        self, item: Any, backend: str, shots: int, rng: np.random.Generator
    ) -> tuple[int, QuantumProgramResultItemModel]:
        """Return how many bound circuits an item is, and its data."""
        drawn: dict[str, np.ndarray] = {}
        if hasattr(item, "samplex"):
            drawn = dict(broadcast_sample(item.samplex.finalize(), item.samplex_arguments, item.shape, rng))
            values = drawn.pop("parameter_values")
        else:
            values = item.circuit_arguments
        bits = self._samplers[backend].sample(item.circuit, values, shots, rng)
        tensors = {name: CompressedTensorModel.from_numpy(data) for name, data in {**drawn, **bits}.items()}
        size = int(np.prod(values.shape[:-1], dtype=int))
        return size, QuantumProgramResultItemModel(results=tensors, metadata=ItemMetadataModel())

    def _learn(self, backend: str, params: dict[str, Any]) -> Outcome:
        result, executions = learn(self._devices[backend], params)
        return Outcome(result, executions, job_usage_s(executions, self._delay_s(backend, None)))

    def _delay_s(self, backend: str, asked_s: float | None) -> float:
        own = self._devices[backend].rep_delay_s
        return asked_s if asked_s is not None else DEFAULT_DELAY_S if own is None else own


def _span(started: float, usage_s: float, sizes: list[int]) -> ChunkSpan:
    """Return the one chunk in which everything ran."""
    parts = [
        ChunkPart(idx_item=index, size=size, permutation=[0], element_range=(0, size, 1))
        for index, size in enumerate(sizes)
    ]
    start, stop = (datetime.fromtimestamp(moment, tz=UTC) for moment in (started, started + usage_s))
    return ChunkSpan(start=start, stop=stop, parts=parts)
