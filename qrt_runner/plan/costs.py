"""What a parameter set costs a job, and how many fit into one; knows the modules above it.

The memory of a simulator's job was measured with 4-qubit circuits on `fake_manila` (Aer 0.18, runtime 0.51): each
circuit, and each of its operations, is copied as Python objects, and each shot is held as text.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from qiskit.quantum_info import PauliList

from qrt_runner.errors import refuse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp

    from qrt_runner.config import Limits

_MIB: Final = 2**20
_BYTES_OF_CIRCUIT: Final = 30_000
_BYTES_OF_OPERATION: Final = 600
_BYTES_OF_SHOT: Final = 100
_SENT_OF_OPERATION: Final = 60
_SENT_OF_VALUE: Final = 11
"""A double in base 64."""

_OVERHEAD_S: Final = 2.0
_EXECUTION_S: Final = 350e-6

_RANDOMIZATIONS: Final = 32
_SHOTS_OF_RANDOMIZATION: Final = 64
"""What `auto` means: at most so many randomizations, of at least so many shots each."""


@dataclass(frozen=True)
class SetCost:
    """What each parameter set of a PUB costs."""

    shots: int
    """Of each circuit."""

    payload_bytes: float
    memory_bytes: float

    fixed_payload_bytes: float
    """What the PUB sends however many sets it has."""

    randomizations: int = 1
    noise_factors: int = 1
    bases: int = 1
    """Measurement bases."""

    multiplied: bool = False
    """Whether PEC takes more randomizations, by a factor that the noise tells."""

    trex_circuits: int = 0
    """What TREX adds to a job, however many PUBs and sets it has: the randomizations of one calibration circuit."""

    @property
    def circuits(self) -> int:
        """How many circuits a set is made into."""
        return self.randomizations * self.noise_factors * self.bases

    @property
    def executions(self) -> int:
        """All circuits times their shots."""
        return self.circuits * self.shots

    @property
    def trex(self) -> Load | None:
        """What TREX runs once in a job; None without it."""
        return Load(self.trex_circuits, self.shots) if self.trex_circuits else None

    def load(self, sets: int) -> Load:
        """Return what so many sets are for a job."""
        return Load(sets * self.circuits, self.shots, None if self.multiplied else 1.0, self.randomizations)


@dataclass(frozen=True)
class Load:
    """What a job runs of one PUB."""

    circuits: int
    """Of all its parameter sets, with what PEC adds where that is known."""

    shots: int
    """Of each circuit."""

    overhead: float | None = 1.0
    """By how much PEC multiplies the randomizations, which is gamma squared; None while the noise is not known."""

    randomizations: int = 1
    """Of each circuit, before PEC multiplies them; 1 in plans of earlier versions."""

    @property
    def executions(self) -> int:
        """All circuits times their shots."""
        return self.circuits * self.shots

    def times(self, overhead: float) -> Load:
        """Return what it is with PEC's randomizations, each parameter set and basis by itself."""
        each = self.randomizations
        return Load(self.circuits // each * math.ceil(each * overhead), self.shots, overhead, each)


@dataclass(frozen=True)
class Beside:
    """What a job carries besides its tasks' parameter sets: the calibration of its readout."""

    circuits: int = 0
    executions: int = 0
    payload_bytes: float = 0.0
    memory_bytes: float = 0.0

    @property
    def told(self) -> str:
        """In words, for error texts."""
        return " and the readout calibration (m3)" if self.circuits else ""


_NOTHING: Final = Beside()


def cost_of(
    mode: str,
    circuit: QuantumCircuit,
    observables: Mapping[str, SparsePauliOp],
    shots: int,
    resolved: Mapping[str, Any],
) -> SetCost:
    """Return what each parameter set of a PUB costs.

    Args:
        mode: `raw`, `sampler` or `estimator`.
        circuit: The circuit as submitted.
        observables: Over its qubits.
        shots: Per parameter set and measurement basis.
        resolved: The primitive's options after the platform's own resolution; empty in raw mode.
    """
    randomizations, shots_each = _twirled(resolved, shots)
    factors, bases = (_noise_factors(resolved), _bases(observables)) if mode == "estimator" else (1, 1)
    variants = randomizations * factors * bases
    size = circuit.size()
    terms = sum(len(operator) * (operator.num_qubits + 8) for operator in observables.values())
    return SetCost(
        shots=shots_each,
        payload_bytes=_SENT_OF_VALUE * circuit.num_parameters,
        memory_bytes=variants * (_BYTES_OF_CIRCUIT + _BYTES_OF_OPERATION * size + _BYTES_OF_SHOT * shots_each),
        fixed_payload_bytes=_SENT_OF_OPERATION * size + terms,
        randomizations=randomizations,
        noise_factors=factors,
        bases=bases,
        multiplied=bool((resolved.get("resilience") or {}).get("pec_mitigation")),
        trex_circuits=_trex_circuits(resolved, randomizations) if mode == "estimator" else 0,
    )


def expected_s(executions: float) -> float:
    """Return the quantum seconds that a job is expected to take.

    By IBM's guide "Workload usage": 2 s and, for each execution, the usual repetition delay of 250 µs and 100 µs for
    the circuit.
    """
    return _OVERHEAD_S + _EXECUTION_S * executions


def sets_at_once(cost: SetCost, limits: Limits, max_circuits: int | None = None, beside: Beside = _NOTHING) -> float:
    """Return how many parameter sets of a PUB fit into a job of their own; infinite without limits.

    Args:
        cost: What each of them costs.
        limits: Of one job; those of PUBs and parameter sets are about what tasks ask for.
        max_circuits: So many circuits the backend takes at once, whatever they are for.
        beside: What the job carries besides.

    Raises:
        ConfigError: Where not even one does.
    """
    fixed_bytes = cost.fixed_payload_bytes + beside.payload_bytes
    once = beside.executions + (cost.trex.executions if cost.trex is not None else 0)
    if limits.executions is not None and (executions := cost.executions + once) > limits.executions:
        given = f"{executions} of a single parameter set{beside.told}"
        raise _too_large("executions", given, limits.executions, "fewer shots")
    if limits.payload_mib is not None and fixed_bytes + cost.payload_bytes > limits.payload_mib * _MIB:
        given = f"{(fixed_bytes + cost.payload_bytes) / _MIB:.3g} MiB of a single circuit{beside.told}"
        raise _too_large("payload_mib", given, limits.payload_mib, "a smaller circuit")
    if max_circuits is not None and max_circuits <= beside.circuits:
        given = f"m3, of which a job has {beside.circuits + 1} circuits"
        allowed = f"at most {max_circuits} circuits a job on this backend"
        raise refuse("mitigation.readout", given, allowed, "mitigation=none, or fewer qubits")
    room = [float(limits.parameter_sets)] if limits.parameter_sets is not None else []
    if max_circuits is not None:
        room.append(max_circuits - beside.circuits)
    if limits.executions is not None:
        room.append((limits.executions - once) / cost.executions)
    if limits.payload_mib is not None and cost.payload_bytes:
        room.append((limits.payload_mib * _MIB - fixed_bytes) / cost.payload_bytes)
    if limits.memory_mib is not None:
        room.append((limits.memory_mib * _MIB - beside.memory_bytes) / cost.memory_bytes)
    return max(math.floor(least), 1) if (least := min(room, default=math.inf)) != math.inf else least


def _too_large(name: str, given: str, limit: float, remedy: str) -> Exception:
    return refuse(f"backend.limits.{name}", given, f"at most {limit:g} a job", f"{remedy}, or another limit")


def _twirled(resolved: Mapping[str, Any], shots: int) -> tuple[int, int]:
    """Return the number of randomizations, and the shots of each."""
    twirling: Mapping[str, Any] = resolved.get("twirling") or {}
    if not (twirling.get("enable_gates") or twirling.get("enable_measure")):
        return 1, shots
    number, shots_each = twirling["num_randomizations"], twirling["shots_per_randomization"]
    if number != "auto":
        return int(number), math.ceil(shots / int(number)) if shots_each == "auto" else int(shots_each)
    if shots_each == "auto" and (resolved.get("resilience") or {}).get("pec_mitigation"):
        # What these are multiplied by, gamma^2, is not known before the noise is learned.
        shots_each = _SHOTS_OF_RANDOMIZATION
    elif shots_each == "auto":
        shots_each = max(_SHOTS_OF_RANDOMIZATION, math.ceil(shots / _RANDOMIZATIONS))
    number = math.ceil(shots / int(shots_each))
    return number, int(shots_each)


def _noise_factors(resolved: Mapping[str, Any]) -> int:
    resilience: Mapping[str, Any] = resolved.get("resilience") or {}
    if not resilience.get("zne_mitigation"):
        return 1
    factors = resilience["zne"]["noise_factors"]
    return 3 if factors == "auto" else len(factors)


def _trex_circuits(resolved: Mapping[str, Any], randomizations: int) -> int:
    """Return the randomizations of TREX's calibration circuit; `auto` means as many as the other circuits have."""
    resilience: Mapping[str, Any] = resolved.get("resilience") or {}
    if not resilience.get("measure_mitigation"):
        return 0
    number = (resilience.get("measure_noise_learning") or {}).get("num_randomizations", "auto")
    return randomizations if number == "auto" else int(number)


def _bases(observables: Mapping[str, SparsePauliOp]) -> int:
    """Return the number of measurement bases: groups of qubit-wise commuting Pauli strings."""
    labels = sorted({label for operator in observables.values() for label in operator.paulis.to_labels()})
    return len(PauliList(labels).group_commuting(qubit_wise=True)) if labels else 1
