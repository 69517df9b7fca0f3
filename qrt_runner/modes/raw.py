"""Raw: no processing before or after. `BackendV2.run` where it exists, on IBM the Executor with plain circuits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from qiskit.primitives import BitArray
from qiskit_aer import AerSimulator

from qrt_runner.modes.raw_results import RawResult, counts_read, counts_written, reading
from qrt_runner.modes.submission import Mode, Pub, Submission, counts_of, registers_of, without_spaces
from qrt_runner.results import Counts, PubResult

if TYPE_CHECKING:
    from qiskit import QuantumCircuit


def _submit(submission: Submission) -> Any:
    if submission.device.where == "ibm":
        return _submit_to_executor(submission)
    if isinstance(submission.runs_on, AerSimulator):
        return _submit_to_aer(submission)
    circuits = [circuit for pub in submission.pubs for circuit in _bound(pub)]
    return submission.runs_on.run(circuits, shots=submission.shots)


def _fetch(submission: Submission, job: Any) -> RawResult:
    if submission.device.where == "ibm":
        from qrt_runner.modes.executor_results import executor_result

        return executor_result(job)
    result = job.result()
    counts, start = [], 0
    for pub in submission.pubs:
        sets = len(pub.values)
        joint = tuple(without_spaces(result.get_counts(start + index)) for index in range(sets))
        counts.append(Counts(registers_of(pub.circuit), joint))
        start += sets
    return counts_written(counts)


def _submit_to_aer(submission: Submission) -> Any:
    """Let Aer bind the parameters: one circuit for all parameter sets of a PUB."""
    binds = [
        {parameter: pub.values[:, column].tolist() for column, parameter in enumerate(pub.circuit.parameters)}
        for pub in submission.pubs
    ]
    given = {"parameter_binds": binds} if any(binds) else {}
    circuits = [pub.circuit for pub in submission.pubs]
    return submission.runs_on.run(circuits, shots=submission.shots, seed_simulator=submission.seed, **given)


def _bound(pub: Pub) -> list[QuantumCircuit]:
    if not pub.circuit.parameters:
        return [pub.circuit]
    return [pub.circuit.assign_parameters(row) for row in pub.values]


def _submit_to_executor(submission: Submission) -> Any:
    """Submit plain circuit items to the runtime's Executor."""
    from qiskit_ibm_runtime import Executor, QuantumProgram

    program = QuantumProgram(shots=submission.shots)
    for pub in submission.pubs:
        values = pub.values if pub.circuit.parameters else None
        program.append_circuit_item(pub.circuit, circuit_arguments=values)
    executor = Executor(mode=submission.target)
    executor.options.simulator.seed_simulator = submission.seed
    executor.options.environment.job_tags = [*submission.tags]
    return executor.run(program, dry_run=submission.dry_run)


def _read_from_executor(submission: Submission, content: bytes) -> list[PubResult]:
    """Read the boolean arrays of plain circuit items, shape (sets, shots, bits) with bit 0 first, as counts."""
    from qrt_runner.modes.executor_results import program_result

    results = []
    for pub, item in zip(submission.pubs, program_result(content), strict=True):
        arrays = {
            name: BitArray.from_bool_array(np.asarray(item[name], dtype=bool), order="little")
            for name, _ in registers_of(pub.circuit)
        }
        results.append(PubResult(counts=counts_of(pub.circuit, arrays, len(pub.values))))
    return results


RAW: Final = Mode(_submit, _fetch, reading({"executor": _read_from_executor, "counts": counts_read}))
