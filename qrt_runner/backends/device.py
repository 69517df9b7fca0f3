"""What the rest of the package knows about an opened backend; knows qiskit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from qrt_runner.errors import AccessError

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

    settle_s: float = 0.0
    """How long after a lost answer a job may still appear on the service."""

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
        """Return the properties of these qubits and of the gates between them; None where the backend has none.

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
