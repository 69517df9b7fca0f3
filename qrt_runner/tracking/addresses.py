"""Which MLflow store is meant, and how it is told; knows the standard library only."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Final

from qrt_runner.errors import TrackingError
from qrt_runner.tracking.viewing import view_address
from qrt_runner.tracking.writer import StoreError

_DEFAULT: Final = "sqlite:///mlflow.db"
_LONGEST: Final = 300


def address(uri: str | None) -> str:
    """Return the store: `tracking.uri`, else MLFLOW_TRACKING_URI, else SQLite in the working directory."""
    return uri or os.environ.get("MLFLOW_TRACKING_URI") or _DEFAULT


def browse_command(uri: str | None) -> str:
    """Return the command that shows the recorded runs."""
    where = address(uri)
    if where.startswith("http"):
        return f"open {_shown(where)}"
    return f"{_interpreter()} -m mlflow ui --backend-store-uri {shlex.quote(_shown(where))}"


def _interpreter() -> str:
    """Return what calls this interpreter, also where its environment is not the one of the user's shell."""
    own = Path(sys.executable)
    found = shutil.which("python")
    if found is not None and Path(found) == own:
        return "python"
    here = Path.cwd()
    return shlex.quote(str(own.relative_to(here) if own.is_relative_to(here) else own))


def browse_address(uri: str | None, experiment: str) -> str:
    """Return the address of the run table with the columns that tell what was run and what came of it."""
    return _shown(view_address(address(uri), experiment))


def unwritten(where: str, error: Exception, remedy: str) -> TrackingError:
    """Return what tells that a store could not be written, why, and what to do."""
    told = str(error) if isinstance(error, StoreError) else f"{type(error).__name__}: {error}"
    why = _shown(" ".join(told.split()))[:_LONGEST]
    msg = f"tracking.uri: given {_shown(where)}, which could not be written ({why}). {remedy}"
    return TrackingError(f"{msg} tracking.uri=<a store that can be reached>")


def _shown(where: str) -> str:
    """Return a text without the users and passwords that addresses in it may hold."""
    return re.sub(r"://[^/\s]*@", "://", where)
