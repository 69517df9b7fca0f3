"""A declarative experiment runner for quantum circuits.

Importing the package imports nothing heavy: Hydra, qiskit and MLflow come in when a config has been judged.
"""

from pathlib import Path
from typing import Final

__version__: Final = "0.1.0"

_PACKAGE: Final = Path(__file__).resolve().parent
SHIPPED: Final = _PACKAGE / "shipped" if (_PACKAGE / "shipped").is_dir() else _PACKAGE.parent
"""The folder that holds the shipped `conf/` and `circuits/`: inside the package in a wheel, beside it in a clone."""
