"""What goes into a job and how its counts are read; knows qiskit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from qiskit.primitives import BitArray

from qrt_runner.modes.raw_results import RawResult
from qrt_runner.results import Counts, PubResult

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.providers import BackendV2
    from qiskit.quantum_info import SparsePauliOp

    from qrt_runner.backends import Device
    from qrt_runner.noise import NoiseModel


@dataclass(frozen=True)
class Pub:
    """Program, observables and parameter values."""

    circuit: QuantumCircuit
    """As submitted, still parametrised."""

    values: np.ndarray
    """Shape (parameter sets, parameters), in the order of `circuit.parameters`."""

    observables: Mapping[str, SparsePauliOp]
    """Over the qubits of `circuit`; only the estimator sends them."""

    def __post_init__(self) -> None:
        """Refuse to pair values with the wrong parameters."""
        assert self.values.shape[1:] == (self.circuit.num_parameters,), "one column for each parameter of the circuit"


@dataclass(frozen=True)
class Submission:
    """One job before it is submitted: PUBs of equal mode, options and shots or precision."""

    device: Device
    runs_on: BackendV2
    """The backend or, for a simulated device, the simulator of its active qubits."""

    pubs: tuple[Pub, ...]
    shots: int
    seed: int | None
    options: Any = None
    """The primitive's own option model; None in raw mode."""

    place: Any = None
    """The open session or batch it is submitted to; None where it queues by itself."""

    tags: tuple[str, ...] = ()
    """What the job carries on the service besides the tags of its options."""

    qubits: tuple[int, ...] = ()
    """The qubits of the device that the circuits' qubits stand for; empty where those have the device's own numbers."""

    noise: NoiseModel | None = None
    """The learned noise of the circuits' layers, where the mitigation needs one."""

    dry_run: bool = False
    """Whether it goes to the mock of its IBM backend, which answers with random data of the right shape."""

    @property
    def target(self) -> Any:
        """What the runtime calls the mode of a primitive: a session, a batch or a backend."""
        return self.runs_on if self.place is None else self.place


Submit = Callable[[Submission], Any]
"""Submits a job and returns the platform's own job object at once."""

Fetch = Callable[[Submission, Any], RawResult]
"""Waits for a job's result and returns what the platform gave, nothing computed from it."""

Read = Callable[[Submission, RawResult], list[PubResult]]
"""Returns one result per PUB, computed from what the platform gave; raises a JobError where that cannot be read.

Of the submission it needs circuits, shapes of values and names of observables: device, backend and options may be None.
"""


@dataclass(frozen=True)
class Mode:
    """One way to submit PUBs, to fetch what the platform gives, and to read it."""

    submit: Submit
    fetch: Fetch
    read: Read


def registers_of(circuit: QuantumCircuit) -> tuple[tuple[str, int], ...]:
    """Return name and width of each classical register."""
    return tuple((register.name, register.size) for register in circuit.cregs)


def in_column(pub: Pub) -> Any:
    """Return a PUB's observables along the first axis, so that they broadcast against the axis of parameter sets."""
    operators = list(pub.observables.values())
    return [[operator] for operator in operators] if pub.circuit.parameters else operators


def counts_of(circuit: QuantumCircuit, arrays: Mapping[str, BitArray], sets: int) -> Counts:
    """Return the counts of a PUB from its registers' bit arrays, each of shape () or (sets,)."""
    registers = registers_of(circuit)
    joined = BitArray.concatenate_bits([arrays[name] for name, _ in registers])
    return Counts(
        registers,
        tuple(_counted(shots, joined.num_bits) for shots in joined.array.reshape((sets, joined.num_shots, -1))),
    )


def _counted(shots: np.ndarray, bits: int) -> dict[str, int]:
    """Count the outcomes of one parameter set, shape (shots, bytes) with the last bits in the last byte.

    As `BitArray.get_counts`, which turns each shot into text: counting first is many times as fast.
    """
    width = shots.shape[1]
    if width == 1:
        numbers, counts = np.unique(shots[:, 0], return_counts=True)
        found = numbers.tolist()
    else:
        kept, counts = np.unique(np.ascontiguousarray(shots).view(f"V{width}")[:, 0], return_counts=True)
        found = [int.from_bytes(outcome.tobytes(), "big") for outcome in kept]
    return {format(number, f"0{bits}b"): count for number, count in zip(found, counts.tolist(), strict=True)}


def without_spaces(counts: Mapping[str, int]) -> dict[str, int]:
    """Return counts whose keys run over all registers without the spaces that `Result.get_counts` puts between them."""
    return _sorted({key.replace(" ", ""): count for key, count in counts.items()})


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return {key: int(counts[key]) for key in sorted(counts)}
