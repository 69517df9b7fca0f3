"""Which columns MLflow's run table opens with; knows the standard library only.

MLflow keeps a view that was shared as a tag of the experiment, and opens it by its key in the address.
"""

from __future__ import annotations

import json
from typing import Final

_KEY: Final = "qrt"
VIEW: Final = f"mlflow.sharedViewState.{_KEY}"
"""The experiment's tag that holds the view."""

_COLUMNS: Final = {
    "params": ("circuit.name", "mode", "mitigation"),
    "tags": ("qrt.backend", "qrt.session_id", "qrt.headline"),
    "metrics": ("headline/value", "headline/error"),
}
_DEFAULT_SERVER: Final = "http://127.0.0.1:5000"
"""Where `mlflow ui` listens unless told otherwise."""


def view() -> str:
    """Return the view: the run table with what every task has in common."""
    columns = [f"{kind}.`{name}`" for kind, names in _COLUMNS.items() for name in names]
    return json.dumps({"selectedColumns": columns})


def view_address(where: str, experiment: str) -> str:
    """Return the address of the run table with these columns.

    Args:
        where: Address of the store; of one that is no server, where `mlflow ui` serves it.
        experiment: Id of the MLflow experiment.
    """
    server = where.rstrip("/") if where.startswith("http") else _DEFAULT_SERVER
    return f"{server}/#/experiments/{experiment}/runs?viewStateShareKey={_KEY}"
