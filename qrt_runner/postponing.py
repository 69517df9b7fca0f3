"""Keeps from being imported at the start what few commands need; knows the standard library only."""

from __future__ import annotations

import sys
from typing import Any


def postpone_learning() -> None:
    """Keep the runtime, which needs it for noise learning only, from importing qiskit-noise-learning with itself.

    With xarray and pandas that takes as long as all the rest of the runtime. `modes.learning` imports it when noise is
    learned; whoever else imports it gets it. It changes how a process imports, and is for commands, not for libraries.
    """
    if _Postponed not in sys.meta_path:
        sys.meta_path.insert(0, _Postponed)


class _Postponed:
    """Finds no qiskit-noise-learning for the runtime."""

    @staticmethod
    def find_spec(name: str, *_: object) -> Any:
        """Say that there is no such module where the runtime asks for it, as it does while it is imported."""
        if name == "qiskit_noise_learning" and _asking() == "qiskit.utils.lazy_tester":
            raise ModuleNotFoundError(f"No module named '{name}' yet", name=name)


def _asking() -> str:
    """Return the name of the module that imports something, the machinery of imports left out."""
    frame = sys._getframe(1)  # noqa: SLF001 - the standard library's only way to know
    while frame.f_back is not None:
        asking = str(frame.f_globals.get("__name__", ""))
        if asking != __name__ and not asking.startswith(("importlib", "_frozen_importlib")):
            return asking
        frame = frame.f_back
    return ""
