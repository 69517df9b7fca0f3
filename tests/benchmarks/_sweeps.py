"""The reference workload of compiled sweeps, ours and by hand; no benchmark itself.

A 4-qubit ansatz with one free angle theta (`by_hand/ansatz.py`), on `fake_manila` with its noise, 1,024 shots, theta
swept over whole numbers, observable ZZII. By hand, the scripts in `by_hand/` do the same.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from _measuring import ours

if TYPE_CHECKING:
    from collections.abc import Iterator

BY_HAND = Path(__file__).parent / "by_hand"
WORKLOAD = "4-qubit ansatz, 3 layers of ry(theta) and cx, on fake_manila, 1,024 shots"
STORE = "MLflow on an existing SQLite store, one child run per point"
_MIGRATE = """
from mlflow.tracking import MlflowClient

MlflowClient(tracking_uri="sqlite:///mlflow.db").search_experiments()
"""


def our_sweep(points: int, *words: str) -> list[str]:
    """Return our command line for the sweep over so many points."""
    swept = f"+circuit.parameter_values.theta=range(0,{points})"
    return ours("-m", "circuit=file", "circuit.source=ansatz.py", swept, "backend=fake_manila", *words)


def by_hand(script: str, *words: object) -> list[str]:
    """Return the command line of a script in `by_hand/`, run where it has been copied to."""
    return [sys.executable, f"{script}.py", *(str(word) for word in words)]


def migrate(folder: Path) -> None:
    """Make an empty SQLite store in a folder; its migration is nobody's cost then."""
    subprocess.run([sys.executable, "-c", _MIGRATE], cwd=folder, check=True, capture_output=True)


@contextmanager
def workplace(*, store: bool) -> Iterator[Path]:
    """Lend a folder that commands run in copies of: circuit file, scripts and, where asked for, a store."""
    with tempfile.TemporaryDirectory() as name:
        template = Path(name) / "template"
        shutil.copytree(BY_HAND, template, ignore=shutil.ignore_patterns("__pycache__"))
        if store:
            migrate(template)
        yield template
