"""What the rest of the package knows about an opened backend; knows qiskit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qiskit.providers import BackendV2
    from qiskit.transpiler import Target

Where = Literal["simulator", "ibm", "vendor"]


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

    method: str = "another simulation method"
    """What a user types in front of `=<method>` to choose another simulation method, for error texts."""

    section: str = ""
    """The section of the config that it was opened from, as JSON."""

    shrinks: bool = False
    """Whether circuits are simulated on their active qubits only."""

    @property
    def num_qubits(self) -> float:
        """Number of qubits; infinite where the backend names none."""
        width = self.target.num_qubits
        return float("inf") if width is None else int(width)

    @property
    def target(self) -> Target:
        """What circuits are lowered to."""
        return self.gates if self.gates is not None else self.backend.target

    def calibration(self, qubits: Sequence[int]) -> dict[str, Any] | None:
        """Return the properties of these qubits and of the gates between them; None where the backend has none."""
        properties = getattr(self.backend, "properties", None)
        found = properties() if callable(properties) else None
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
        }
