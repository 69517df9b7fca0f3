"""Connects with a store by MLflow's own client, which makes a missing one; beside `client` what imports MLflow."""

from __future__ import annotations

import logging
import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from requests import RequestException
from sqlalchemy.exc import SQLAlchemyError

from qrt_runner.tracking.database import SQLITE, file_of, lock_of
from qrt_runner.tracking.fresh import put, with_leftovers
from qrt_runner.tracking.writer import POLL_S, told

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

ERRORS: Final = (MlflowException, RequestException, SQLAlchemyError)
_SETTINGS: Final = {
    # MLflow's own default of 7 waits four minutes for a server that is not there, while the results are safe on disk.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    # Two lines and a request for each run of a sweep; the table at the end names the run.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def migrate(file: Path) -> None:
    """Have MLflow make a SQLite store."""
    with told(*ERRORS):
        connected(f"{SQLITE}{file}")


def whole(where: str) -> str:
    """Return an address that leads to the same store from anywhere: MLflow keeps connections by address."""
    file = file_of(where)
    return f"{SQLITE}{file}" if file is not None else where


def locked(file: Path | None) -> AbstractContextManager[object]:
    """Hold a SQLite store's lock: its migration breaks when several processes meet a fresh store at once."""
    return lock_of(file).acquire(poll_interval=POLL_S) if file is not None else nullcontext()


def connected(where: str) -> MlflowClient:
    """Return MLflow's client for a store, which is made where there is none."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    # What it says of a store that cannot be opened is told once, by our own error.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    _make_whole(where)
    return MlflowClient(tracking_uri=where)


def _make_whole(where: str) -> None:
    """Have MLflow make a missing SQLite store beside its place: a kill meanwhile would leave half of one there."""
    name = where.removeprefix(SQLITE).partition("?")[0]
    file = Path(name).absolute()
    if not where.startswith(SQLITE) or name in ("", ":memory:") or file.exists() or not file.parent.is_dir():
        return
    draft = file.with_name(f"{file.name}.{os.getpid()}.whole")
    try:
        MlflowClient(tracking_uri=f"{SQLITE}{draft}")
        put(draft, file)
    finally:
        for left in with_leftovers(draft):
            left.unlink(missing_ok=True)
