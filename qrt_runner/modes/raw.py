"""Raw: no processing before or after. `BackendV2.run` where it exists, on IBM the Executor with plain circuits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from qiskit.primitives import BitArray
from qiskit_aer import AerSimulator

from qrt_runner.modes.submission import Mode, Pub, Submission, counts_of, registers_of, without_spaces
from qrt_runner.results import Counts, PubResult

if TYPE_CHECKING:
    from qiskit import QuantumCircuit


def _submit(submission: Submission) -> Any:
    if submission.device.where == "ibm":
        return submit_to_executor(submission)
    if isinstance(submission.runs_on, AerSimulator):
        return _submit_to_aer(submission)
    circuits = [circuit for pub in submission.pubs for circuit in _bound(pub)]
    return submission.runs_on.run(circuits, shots=submission.shots)


def _read(submission: Submission, job: Any) -> list[PubResult]:
    if submission.device.where == "ibm":
        return read_from_executor(submission, job)
    result = job.result()
    results, start = [], 0
    for pub in submission.pubs:
        sets = len(pub.values)
        joint = tuple(without_spaces(result.get_counts(start + index)) for index in range(sets))
        results.append(PubResult(counts=Counts(registers_of(pub.circuit), joint)))
        start += sets
    return results


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


def submit_to_executor(submission: Submission) -> Any:
    """Submit plain circuit items to the runtime's Executor."""
    from qiskit_ibm_runtime import Executor, QuantumProgram

    program = QuantumProgram(shots=submission.shots)
    for pub in submission.pubs:
        values = pub.values if pub.circuit.parameters else None
        program.append_circuit_item(pub.circuit, circuit_arguments=values)
    executor = Executor(mode=submission.target)
    executor.options.simulator.seed_simulator = submission.seed
    return executor.run(program)


def read_from_executor(submission: Submission, job: Any) -> list[PubResult]:
    """Read the boolean arrays of plain circuit items, shape (sets, shots, bits) with bit 0 first, as counts."""
    results = []
    for pub, item in zip(submission.pubs, job.result(), strict=True):
        arrays = {
            name: BitArray.from_bool_array(np.asarray(item[name], dtype=bool), order="little")
            for name, _ in registers_of(pub.circuit)
        }
        results.append(PubResult(counts=counts_of(pub.circuit, arrays, len(pub.values))))
    return results


RAW: Final = Mode(_submit, _read)
