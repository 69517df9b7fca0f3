"""A declarative experiment runner for quantum circuits.

Importing the package imports nothing heavy: Hydra, qiskit and MLflow come in when a config has been judged.
"""

import sys
from pathlib import Path
from typing import Any, Final

__version__: Final = "0.1.0"

_PACKAGE: Final = Path(__file__).resolve().parent
SHIPPED: Final = _PACKAGE / "shipped" if (_PACKAGE / "shipped").is_dir() else _PACKAGE.parent
"""The folder that holds the shipped `conf/` and `circuits/`: inside the package in a wheel, beside it in a clone."""


class _Postponed:
    """Keeps the runtime, which needs it for noise learning only, from importing qiskit-noise-learning with itself.

    With xarray and pandas that takes as long as all the rest of the runtime. `modes.learning` imports it when noise is
    learned; whoever else imports it gets it.
    """

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


sys.meta_path.insert(0, _Postponed)
