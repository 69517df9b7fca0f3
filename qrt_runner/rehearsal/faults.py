"""The faults that are armed, and which of them strikes now; knows nothing of the wire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from qrt_runner.rehearsal.settings import Fault


@dataclass
class _Armed:
    fault: Fault
    skip: int
    times: int


class Faults:
    """What is still to go wrong."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        """Arm these."""
        self._armed: list[_Armed] = []
        for fault in faults:
            self.arm(fault)

    def arm(self, fault: Fault) -> None:
        """Add one fault."""
        self._armed.append(_Armed(fault, fault.skip, fault.times))

    def clear(self) -> None:
        """Lift them all."""
        self._armed = []

    def armed(self) -> list[Fault]:
        """Return what has not yet struck as often as it should."""
        return [armed.fault for armed in self._armed]

    def strike(self, applies: Callable[[Fault], bool]) -> Fault | None:
        """Return the first fault that applies and strikes now, and count it; each that applies has had its chance."""
        for armed in [armed for armed in self._armed if applies(armed.fault)]:
            if armed.skip > 0:
                armed.skip -= 1
                continue
            armed.times -= 1
            if armed.times == 0:
                self._armed.remove(armed)
            return armed.fault
        return None

    def in_maintenance(self, backend: str) -> bool:
        """Tell whether a device is down; this one lasts until it is lifted."""
        return any(
            armed.fault.kind == "maintenance" and armed.fault.backend in (None, backend) for armed in self._armed
        )
