"""What the rest of the package knows about an opened backend; knows qiskit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from qrt_runner.errors import AccessError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from qiskit.providers import BackendV2
    from qiskit.transpiler import Target

Where = Literal["simulator", "ibm", "vendor"]
TIMING: Final = ("dt", "granularity", "min_length", "pulse_alignment", "acquire_alignment")
"""What a target says of the times at which instructions can begin and end."""


@dataclass(frozen=True)
class Device:
    """An opened backend."""

    name: str
    """Resolved name: that of the device really used."""

    backend: BackendV2
    """What circuits are lowered to and, outside simulators, run on."""

    where: Where
    """Simulated here, on IBM's service, or at another vendor's."""

    noisy: bool
    """Whether results carry noise: always outside simulators."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    """Aer's options, for a simulator."""

    gates: Target | None = None
    """What circuits are lowered to where that is less than the backend takes; None for the backend's own target."""

    method: str = "backend.method"
    """What a user types in front of `=<method>` to choose another simulation method, for error texts."""

    section: str = ""
    """The section of the config that it was opened from, as JSON."""

    settle_s: float = 0.0
    """How long after a lost answer a job may still appear on the service."""

    shrinks: bool = False
    """Whether circuits are simulated on their active qubits only."""

    reads_evenly: bool = False
    """Whether 0 and 1 are misread alike, by the calibration's `readout_error`, as where noise is made of a target."""

    pauli_noise: bool = False
    """Whether a simulator's gate errors are the Pauli twirls of the device's."""

    numbers: tuple[int, ...] = ()
    """The number that each qubit of `gates` has on the backend, where those are a part of its qubits only."""

    @property
    def num_qubits(self) -> float:
        """Number of qubits that circuits are lowered to; infinite where the backend names none."""
        width = self.target.num_qubits
        return float("inf") if width is None else int(width)

    @property
    def target(self) -> Target:
        """What circuits are lowered to."""
        return self.gates if self.gates is not None else self.backend.target

    def calibration(self, qubits: Sequence[int]) -> dict[str, Any] | None:
        """Return the properties of these qubits and of the gates between them; None where the backend has none.

        With what the backend can do on them, this is all of which a simulator of them is made again.

        Raises:
            AccessError: Where a service does not give them.
        """
        found = self._properties()
        if found is None:
            return None
        everything = found.to_dict()
        chosen = set(qubits)
        gates = [gate for gate in everything.get("gates", []) if chosen.issuperset(gate["qubits"])]
        return {
            "backend": self.name,
            "last_update": str(everything.get("last_update_date")),
            "qubits": {
                str(qubit): everything["qubits"][qubit] for qubit in qubits if qubit < len(everything["qubits"])
            },
            "gates": gates,
            "reads_evenly": self.reads_evenly,
            "target": _told_target(self.backend.target, chosen),
        }

    def _properties(self) -> Any:
        properties = getattr(self.backend, "properties", None)
        if not callable(properties):
            return None
        try:
            return properties()
        except Exception as error:
            if self.where == "simulator":
                raise
            # What a client raises is the service's refusal, or that it gave no answer.
            told = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            msg = f"backend: the properties of {self.name} could not be read ({told}); remedy: try again"
            raise AccessError(msg) from error


def _told_target(target: Target, qubits: AbstractSet[int]) -> dict[str, Any]:
    """Return the timing of a target and, for each operation, where it acts among these qubits: None for everywhere."""
    places = {
        name: None if where is None or None in where else sorted(list(place) for place in where if set(place) <= qubits)
        for name, where in ((name, target[name]) for name in sorted(target.operation_names))
    }
    timing = {name: getattr(target, name) for name in TIMING}
    return {"num_qubits": target.num_qubits, **timing, "operations": places}
