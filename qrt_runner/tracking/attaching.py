"""Logs files to an MLflow run that is there, by MLflow's own client."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from qrt_runner.tracking.addresses import address, unwritten
from qrt_runner.tracking.database import file_of
from qrt_runner.tracking.writer import OUTSIDE, StoreError, told

if TYPE_CHECKING:
    from collections.abc import Mapping


def attach(run: str, files: Mapping[str, bytes], uri: str | None, remedy: str) -> None:
    """Log files as artifacts of a run; those of the same names are replaced.

    Args:
        run: Id of the MLflow run.
        files: Content by artifact path, which has no folder.
        uri: The store.
        remedy: What to do where it cannot be written.

    Raises:
        TrackingError: Where the store cannot be reached, or does not hold the run.
    """
    where = address(uri)
    try:
        _attach(run, files, where)
    except OUTSIDE as error:
        raise unwritten(where, error, remedy) from error


def _attach(run: str, files: Mapping[str, bytes], where: str) -> None:
    file = file_of(where)
    if file is not None and not file.exists():
        msg = "there is no such store"
        raise StoreError(msg)
    # Its import costs a second.
    from qrt_runner.tracking.connecting import ERRORS, connected, locked, whole

    with told(*ERRORS), locked(file), TemporaryDirectory(prefix="qrt_runner-") as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        connected(whole(where)).log_artifacts(run, folder)
