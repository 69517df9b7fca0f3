"""A declarative experiment runner for quantum circuits.

From Python and in notebooks:

    asked = qrt_runner.compose(["circuit=ghz", "backend=fake_manila", "mode=estimator"])
    qrt_runner.plan(asked)
    results = qrt_runner.run(asked)
    qrt_runner.load("latest").to_pandas()

Importing the package imports nothing heavy: Hydra, qiskit and MLflow come in when a config has been judged.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final

__version__: Final = "0.1.0"

_PACKAGE: Final = Path(__file__).resolve().parent
SHIPPED: Final = _PACKAGE / "shipped" if (_PACKAGE / "shipped").is_dir() else _PACKAGE.parent
"""The folder that holds the shipped `conf/` and `circuits/`: inside the package in a wheel, beside it in a clone."""

compose: Callable[..., Any]
load: Callable[..., Any]
run: Callable[..., Any]

_FUNCTIONS: Final = ("compose", "load", "plan", "run")
_OFFERED: Final = f"{__name__}.api"


class _AlsoFunction(ModuleType):
    """A module that has the name of a function of the package, and is called as that."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call the function."""
        return getattr(import_module(_OFFERED), self.__name__.rpartition(".")[2])(*arguments, **named)


class _Package(ModuleType):
    """The package: what it offers is imported when it is asked for."""

    def __getattr__(self, name: str) -> Any:
        """Return a function of `qrt_runner.api`."""
        if name not in _FUNCTIONS:
            msg = f"module {self.__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        return getattr(import_module(_OFFERED), name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Let `qrt_runner.plan` be a module and a function: Python sets it to the module, whoever imports that."""
        if name in _FUNCTIONS and isinstance(value, ModuleType):
            value.__class__ = _AlsoFunction
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        """Name the functions as well."""
        return sorted({*super().__dir__(), *_FUNCTIONS})


sys.modules[__name__].__class__ = _Package
