"""The layers that the Estimator makes of circuits, and their noise as it takes it; knows qiskit and runtime.

The runtime names a layer by a hash that it shortens as far as the process has met no equal one. What is kept of a layer
therefore goes by its gates and qubits, and the runtime's names are looked up anew for every submission.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, Final

from qiskit.circuit import QuantumCircuit, QuantumRegister
from qiskit.quantum_info import PauliLindbladMap
from qiskit_ibm_runtime.executor_estimator.finalize_options import finalize_estimator_options
from qiskit_ibm_runtime.executor_estimator.utils import estimator_options_to_boxing_options
from qiskit_ibm_runtime.options_models import TwirlingOptions
from qiskit_mitigation import PEC, find_combined_unique_layers

from qrt_runner.errors import JobError
from qrt_runner.noise import Layer, LayerNoise

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from qiskit.circuit import CircuitInstruction

    from qrt_runner.modes.submission import Submission
    from qrt_runner.noise import NoiseModel

_MOST_OVERHEAD: Final = 2.0**53


def layers_of(
    circuits: Iterable[QuantumCircuit], qubits: Sequence[int], strategy: str, group: str, width: int = 0
) -> dict[Layer, CircuitInstruction]:
    """Return the distinct layers of two-qubit gates of circuits, each with a box as the noise learner takes it.

    Args:
        circuits: As submitted.
        qubits: The device's qubits that theirs stand for; empty for the same.
        strategy: Which qubits are twirled with a layer's gates.
        group: The group they are twirled by.
        width: Qubits of the backend, where the boxes have to be on them; 0 for those of the circuits.
    """
    twirling = TwirlingOptions(enable_gates=True, enable_measure=True, strategy=strategy, group=group)
    boxing = estimator_options_to_boxing_options(twirling, measure_mitigation=True, inject_noise=True, add_tags=True)
    found: dict[Layer, CircuitInstruction] = {}
    for circuit in circuits:
        plain = _in_one_register(circuit, width)
        for box in find_combined_unique_layers([plain], [PEC()], boxing, "gates"):
            layer = _layer(box, plain, qubits, group)
            if layer.gates:
                found.setdefault(layer, box)
    return found


def with_noise(options: Any, submission: Submission) -> Any:
    """Return an Estimator's options with the noise of the submission's layers, as far as those are its own.

    Raises:
        JobError: Where the model lacks a layer.
    """
    assert submission.noise is not None
    twirling, known = finalize_estimator_options(options).twirling, submission.noise.by_layer
    circuits = {id(pub.circuit): pub.circuit for pub in submission.pubs}
    layers = layers_of(circuits.values(), submission.qubits, twirling.strategy, twirling.group)
    if lacking := [str(layer) for layer in layers if layer.key not in known]:
        raise JobError(f"the noise model lacks the layers {'; '.join(lacking)}")
    model = [(box, map_of(known[layer.key])) for layer, box in layers.items()]
    resilience = options.resilience.model_copy(update={"layer_noise_model": model})
    # Else local mode would simulate the learned noise on top of the simulator's own.
    simulator = options.simulator.model_copy(update={"layer_noise_model": []})
    return options.model_copy(update={"resilience": resilience, "simulator": simulator})


def overheads_of(submission: Submission, model: NoiseModel) -> list[float]:
    """Return by how much PEC multiplies the randomizations of each PUB of a job; without PEC 1.

    Args:
        submission: The job, whose layers the model has.
        model: Their noise.
    """
    final = finalize_estimator_options(submission.options)
    if not final.resilience.pec_mitigation:
        return [1.0] * len(submission.pubs)
    most, gain = final.resilience.pec.max_overhead, final.resilience.pec.noise_gain
    boxing = estimator_options_to_boxing_options(final.twirling, measure_mitigation=True, inject_noise=True)
    known, found = model.by_layer, dict[int, float]()
    for circuit in {id(pub.circuit): pub.circuit for pub in submission.pubs}.values():
        plain = _in_one_register(circuit)
        boxes = [box for box in PEC._box_circuit(plain, boxing) if box.name == "box"]  # noqa: SLF001 - as it prepares
        layers = [_layer(box, plain, submission.qubits, final.twirling.group) for box in boxes]
        gamma2 = prod(known[layer.key].gamma ** 2 for layer in layers if layer.key in known)
        gamma2 = gamma2 if gain == "auto" else gamma2 ** (1.0 - float(gain))
        found[id(circuit)] = max(min(gamma2, _MOST_OVERHEAD if most is None else float(most)), 1.0)
    return [found[id(pub.circuit)] for pub in submission.pubs]


def map_of(noise: LayerNoise) -> PauliLindbladMap:
    """Return a layer's noise as the runtime takes it: its qubits are numbered in ascending order."""
    pairs = list(zip(noise.generators, noise.rates, strict=True))
    return PauliLindbladMap.from_list(pairs, num_qubits=len(noise.layer.qubits))


def noise_of(layer: Layer, found: PauliLindbladMap) -> LayerNoise:
    """Return a layer's noise as it was learned."""
    generators, rates = [], []
    for letters, places, rate in found.to_sparse_list():
        label = ["I"] * len(layer.qubits)
        for letter, place in zip(letters, places, strict=True):
            label[-1 - place] = letter
        generators.append("".join(label))
        rates.append(float(rate))
    return LayerNoise(layer, tuple(generators), tuple(rates))


def _in_one_register(circuit: QuantumCircuit, width: int = 0) -> QuantumCircuit:
    """Return a circuit whose qubits are in one register, at least so wide, by which the noise learner numbers them."""
    width = max(width, circuit.num_qubits)
    if len(circuit.qregs) == 1 and circuit.qregs[0].name == "q" and len(circuit.qregs[0]) == width:
        return circuit
    plain = QuantumCircuit(QuantumRegister(width, "q"), *circuit.cregs)
    plain.add_bits([bit for bit in circuit.clbits if not circuit.find_bit(bit).registers])
    return plain.compose(circuit, plain.qubits[: circuit.num_qubits], plain.clbits) or plain


def _layer(box: CircuitInstruction, circuit: QuantumCircuit, qubits: Sequence[int], group: str) -> Layer:
    def physical(place: int) -> int:
        return qubits[place] if qubits else place

    outer = [physical(circuit.find_bit(qubit).index) for qubit in box.qubits]
    body = box.operation.body
    gates = sorted(
        (_name_of(inner), tuple(outer[body.find_bit(qubit).index] for qubit in inner.qubits))
        for inner in body.data
        if len(inner.qubits) == 2 and inner.name != "barrier"
    )
    return Layer(tuple(sorted(outer)), tuple(gates), group)


def _name_of(inner: CircuitInstruction) -> str:
    """Return a gate's name, with its angles where it has some."""
    params = inner.operation.params
    return f"{inner.name}({','.join(map(str, params))})" if params else str(inner.name)
