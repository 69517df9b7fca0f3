"""What a result was made with: versions and git state; knows the standard library only."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

_PACKAGES: Final = (
    "qrt-runner",
    "qiskit",
    "qiskit-aer",
    "qiskit-ibm-runtime",
    "qiskit-mitigation",
    "qiskit-noise-learning",
    "samplomatic",
    "mlflow",
    "hydra-core",
    "omegaconf",
    "numpy",
    "pydantic",
)


def environment() -> dict[str, Any]:
    """Return versions of what computes and records, and the git state of the working directory."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "git": _git_state(),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _git_state() -> dict[str, Any] | None:
    """Return commit and whether there are changes; None outside a repository or without git."""
    try:
        found = subprocess.run(
            ["git", "status", "--porcelain=v2", "--branch", "--untracked-files=no"],  # noqa: S607 - the user's own git
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return None
    head = {line.split()[1]: line.split()[2] for line in found if line.startswith("# branch")}
    return {
        "commit": head.get("branch.oid"),
        "branch": head.get("branch.head"),
        "dirty": any(not line.startswith("#") for line in found),
    }
