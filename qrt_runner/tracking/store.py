"""Logs kept runs to MLflow; the only module that knows MLflow.

A run opened is a run ended, whatever happens in between; a task already logged is not logged again.
"""

from __future__ import annotations

import getpass
import logging
import os
import re
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from filelock import FileLock
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME, MLFLOW_SOURCE_NAME, MLFLOW_USER
from requests import RequestException
from sqlalchemy.exc import SQLAlchemyError

from qrt_runner.errors import TrackingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qrt_runner.tracking.keeping import KeptRun, KeptTask

_DEFAULT: Final = "sqlite:///mlflow.db"
_SQLITE: Final = "sqlite:///"
_METRICS_AT_ONCE: Final = 1000
_PARAMS_AT_ONCE: Final = 100
_LOCK_TIMEOUT_S: Final = 600
_RETRIES: Final = ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
"""MLflow's own default of 7 waits four minutes for a server that is not there, while the results are safe on disk."""


def address(uri: str | None) -> str:
    """Return the store: `tracking.uri`, else MLFLOW_TRACKING_URI, else SQLite in the working directory."""
    return uri or os.environ.get("MLFLOW_TRACKING_URI") or _DEFAULT


def log_run(run: KeptRun, uri: str | None) -> KeptRun:
    """Log what of a kept run is not logged yet, and return it with its MLflow ids.

    Raises:
        TrackingError: Where the store cannot be reached; what was logged before stays noted.
    """
    where = _absolute(address(uri))
    os.environ.setdefault(*_RETRIES)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    # What it says of a store that cannot be opened is told once, by the error below.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    try:
        with _locked(where):
            return _log(run, MlflowClient(tracking_uri=where))
    except (MlflowException, RequestException, SQLAlchemyError, OSError) as error:
        told = f"{type(error).__name__}: {_shown(' '.join(str(error).split()))[:300]}"
        msg = f"tracking.uri: given {_shown(address(uri))}, which could not be written ({told}). {run.remedy()}"
        raise TrackingError(f"{msg} tracking.uri=<a store that can be reached>") from error


def _log(run: KeptRun, client: MlflowClient) -> KeptRun:
    experiment = _experiment(client, run.experiment)
    with ExitStack() as stack:
        if run.grouped:
            parent = run.parent or _opened(client, experiment, run, run.title, {"qrt.run": run.id})
            run = replace(run, parent=parent).save()
            stack.enter_context(_ending(client, parent, _state(run)))
        for position, task in enumerate(run.tasks):
            if task.mlflow_run is None:
                run = run.noted(position, _log_task(client, experiment, run, task))
    return run


def _log_task(client: MlflowClient, experiment: str, run: KeptRun, task: KeptTask) -> KeptTask:
    tags = dict(task.tags) | ({MLFLOW_PARENT_RUN_ID: run.parent} if run.parent else {})
    opened = _opened(client, experiment, run, task.title, tags)
    with _ending(client, opened, task.state):
        now = int(time.time() * 1000)
        metrics = [Metric(key, float(value), now, step) for key, value, step in task.metrics]
        params = [Param(name, value[:6000]) for name, value in task.params.items()]
        _log_in_batches(client, opened, metrics, params)
        client.log_artifacts(opened, str(run.folder / task.folder))
    return replace(task, mlflow_run=opened)


def _log_in_batches(client: MlflowClient, run_id: str, metrics: list[Metric], params: list[Param]) -> None:
    """Log everything in one batch where one serves: MLflow takes 1,000 metrics and 100 params at once."""
    client.log_batch(run_id, metrics[:_METRICS_AT_ONCE], params[:_PARAMS_AT_ONCE])
    for start in range(_METRICS_AT_ONCE, len(metrics), _METRICS_AT_ONCE):
        client.log_batch(run_id, metrics[start : start + _METRICS_AT_ONCE])
    for start in range(_PARAMS_AT_ONCE, len(params), _PARAMS_AT_ONCE):
        client.log_batch(run_id, params=params[start : start + _PARAMS_AT_ONCE])


def _opened(client: MlflowClient, experiment: str, run: KeptRun, title: str, tags: dict[str, str]) -> str:
    context = {MLFLOW_RUN_NAME: title, MLFLOW_SOURCE_NAME: "qrt_runner", MLFLOW_USER: getpass.getuser()}
    opened = client.create_run(experiment, start_time=run.started_ms, tags={**context, **tags}, run_name=title)
    return str(opened.info.run_id)


@contextmanager
def _ending(client: MlflowClient, run_id: str, state: str) -> Iterator[None]:
    """End a run as `state`, or as KILLED where logging it was interrupted."""
    try:
        yield
    except BaseException:
        client.set_terminated(run_id, "KILLED")
        raise
    client.set_terminated(run_id, state)


def _state(run: KeptRun) -> str:
    if run.interrupted:
        return "KILLED"
    return "FINISHED" if all(task.state == "FINISHED" for task in run.tasks) else "FAILED"


def _experiment(client: MlflowClient, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(name))
    except MlflowException:
        # Another process was faster.
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)


def _absolute(where: str) -> str:
    """Return a SQLite store's address with its whole path: MLflow keeps connections by address, wherever they lead."""
    if not where.startswith(_SQLITE):
        return where
    file, question, options = where.removeprefix(_SQLITE).partition("?")
    return f"{_SQLITE}{Path(file).absolute()}{question}{options}"


@contextmanager
def _locked(where: str) -> Iterator[None]:
    """Hold a SQLite store's lock: its migration breaks when several processes meet a fresh store at once."""
    if not where.startswith(_SQLITE):
        yield
        return
    file = Path(where.removeprefix(_SQLITE).split("?")[0])
    with FileLock(f"{file}.lock", timeout=_LOCK_TIMEOUT_S):
        yield


def _shown(where: str) -> str:
    """Return a text without the users and passwords that addresses in it may hold."""
    return re.sub(r"://[^/\s]*@", "://", where)


def browse_command(uri: str | None) -> str:
    """Return the command that shows the recorded runs."""
    where = address(uri)
    return f"open {_shown(where)}" if where.startswith("http") else f"mlflow ui --backend-store-uri {_shown(where)}"


__all__ = ["address", "browse_command", "log_run"]
