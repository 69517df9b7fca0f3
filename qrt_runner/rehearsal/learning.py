"""The noise learner's program, answered from the device's own noise model; knows qiskit, Aer and runtime's schemas.

No learning circuits are run: the service knows the noise that it simulates, so it answers what learning would
converge to, the Pauli-Lindblad rates of the twirled channel of each layer, with no spread. The generators are those
of the sparse model (van den Berg et al., Nature Physics 19, 1116, 2023): all Paulis on one qubit of the layer and on
two neighbours; for a measurement layer the X flips of each qubit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ibm_quantum_schemas.common import F64TensorModel
from ibm_quantum_schemas.noise_learner_v3.version_0_3 import (
    LinbdbladResultMetadataModel,
    LinbdbladResultPostSelectionMetadataModel,
    NoiseLearnerV3ResultModel,
    NoiseLearnerV3ResultsModel,
    TREXResultMetadataModel,
    TREXResultPostSelectionMetadataModel,
)
from qiskit.quantum_info import PTM, Pauli, SuperOp
from qiskit_aer.noise import QuantumError
from qiskit_ibm_runtime.noise_learner_v3.find_learning_protocol import find_learning_protocol
from qiskit_ibm_runtime.noise_learner_v3.learning_protocol import LearningProtocol
from qiskit_ibm_runtime.noise_learner_v3.params_converters import NOISE_LEARNER_V3_PARAMS_CONVERTERS

if TYPE_CHECKING:
    from qiskit.circuit import CircuitInstruction

    from qrt_runner.rehearsal.devices import Snapshot

Rates = dict[tuple[str, tuple[int, ...]], float]
"""Rate of each Pauli: its letters, and the places in the layer on which they act."""

_SCHEMA: Final = "v0.3"
_PAULIS: Final = "IXYZ"


def learn(device: Snapshot, params: dict[str, Any]) -> tuple[str, int]:
    """Return the noise of each instruction as the client's decoder reads it, and how many executions it takes.

    Raises:
        ValueError: For another version of the schema, or an instruction that no protocol learns.
    """
    if params.get("schema_version") != _SCHEMA:
        raise ValueError(f"Only schema version {_SCHEMA} is rehearsed, given {params.get('schema_version')}.")
    converter = NOISE_LEARNER_V3_PARAMS_CONVERTERS[_SCHEMA]
    model = converter.model.model_validate(params)
    instructions, options = converter.decoder(model)
    data = [_learned(device, instruction) for instruction in instructions]
    randomizations = options.num_randomizations * options.shots_per_randomization
    # Nine bases for each depth learn a layer, one experiment a readout; the service's own number is not published.
    depths = 9 * len(options.layer_pair_depths)
    runs = sum(1 if one.metadata.learning_protocol == "trex" else depths for one in data)
    return NoiseLearnerV3ResultsModel(data=data).model_dump_json(), runs * randomizations


def _learned(device: Snapshot, instruction: CircuitInstruction) -> NoiseLearnerV3ResultModel:
    protocol = find_learning_protocol(instruction)
    if protocol is None:
        raise ValueError("No learning protocol suits the instruction.")
    metadata: Any
    if protocol is LearningProtocol.TREX:
        rates = _readout_rates(device, [_physical(qubit) for qubit in instruction.qubits])
        kept = TREXResultPostSelectionMetadataModel(fraction_kept=1.0, success_rates={})
        metadata = TREXResultMetadataModel(post_selection=kept)
    else:
        rates = _layer_rates(device, instruction)
        kept_by_depth = LinbdbladResultPostSelectionMetadataModel(fraction_kept={}, success_rates={})
        metadata = LinbdbladResultMetadataModel(post_selection=kept_by_depth)
    return NoiseLearnerV3ResultModel(
        generators_sparse=[[term] for term in rates],
        num_qubits=len(instruction.qubits),
        rates=F64TensorModel.from_numpy(np.array(list(rates.values()), dtype=float)),
        rates_std=F64TensorModel.from_numpy(np.zeros(len(rates))),
        metadata=metadata,
    )


def _readout_rates(device: Snapshot, qubits: list[int]) -> Rates:
    """Return the rate at which each readout flips: 1 - 2p = exp(-2 rate), with p the mean over 0 and 1."""
    rates: Rates = {}
    for place, qubit in enumerate(qubits):
        errors = [one for one in _errors(device, (qubit,)) if one["type"] == "roerror"]
        confusion = np.array(errors[0]["probabilities"]) if errors else np.eye(2)
        rates["X", (place,)] = -np.log(1 - confusion[0, 1] - confusion[1, 0]) / 2
    return rates


def _layer_rates(device: Snapshot, instruction: CircuitInstruction) -> Rates:
    """Return the rates of a layer's two-qubit gates; in Aer idle qubits and neighbours have no noise of their own."""
    body = instruction.operation.body
    rates: Rates = {}
    for place in range(body.num_qubits):
        rates |= {(pauli, (place,)): 0.0 for pauli in "XYZ"}
    for gate in body.data:
        if gate.name == "barrier" or len(gate.qubits) != 2:
            continue
        places = tuple(body.find_bit(qubit).index for qubit in gate.qubits)
        qubits = tuple(_physical(instruction.qubits[place]) for place in places)
        for pauli, rate in _gate_rates(device, gate.name, qubits).items():
            acting = tuple(place for letter, place in zip(pauli, places, strict=True) if letter != "I")
            rates[pauli.replace("I", ""), acting] = rate
    return rates


def _gate_rates(device: Snapshot, name: str, qubits: tuple[int, ...]) -> dict[str, float]:
    """Return the rate of each Pauli of two qubits, the first letter for the first qubit.

    The twirled channel's fidelities are f_b = exp(-2 * sum of the rates of those that anticommute with b).
    """
    errors = [one for one in _errors(device, qubits) if name in one["operations"] and one["gate_qubits"] == [(0, 1)]]
    channel = SuperOp(QuantumError.from_dict(errors[0])) if errors else SuperOp(np.eye(16))
    # Qiskit's labels have the last qubit first.
    labels = [one + two for one in _PAULIS for two in _PAULIS][1:]
    fidelities = np.real(np.diag(PTM(channel).data))[1:]
    paulis = [Pauli(label) for label in labels]
    anticommute = np.array([[one.anticommutes(two) for two in paulis] for one in paulis], dtype=float)
    rates = np.linalg.solve(anticommute, -np.log(fidelities) / 2)
    return {label[::-1]: max(0.0, float(rate)) for label, rate in zip(labels, rates, strict=True)}


def _errors(device: Snapshot, qubits: tuple[int, ...]) -> list[dict[str, Any]]:
    errors: list[dict[str, Any]] = device.simulator(qubits).options.noise_model.to_dict()["errors"]
    return errors


def _physical(qubit: Any) -> int:
    """Return a qubit's place on the device; the client sends qubits of the device's register."""
    return int(qubit._index)  # noqa: SLF001 -- Qiskit tells the place in a register in no other way
