"""Writes through MLflow's own client, to any store that it knows; the only module that imports MLflow."""

from __future__ import annotations

import logging
import os
import time
from contextlib import contextmanager, nullcontext, suppress
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from filelock import FileLock
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from requests import RequestException
from sqlalchemy.exc import SQLAlchemyError

from qrt_runner.tracking.direct import SQLITE, file_of
from qrt_runner.tracking.writer import (
    LOCK_TIMEOUT_S,
    OUTSIDE,
    PARENT,
    POLL_S,
    Known,
    key_of,
    params_of,
    tags_of,
    told,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from mlflow.entities import Run

    from qrt_runner.tracking.keeping import KeptRun
    from qrt_runner.tracking.records import Record

_ERRORS: Final = (MlflowException, RequestException, SQLAlchemyError)
_METRICS_AT_ONCE: Final = 1000
_PARAMS_AT_ONCE: Final = 100
_SETTINGS: Final = {
    # MLflow's own default of 7 waits four minutes for a server that is not there, while the results are safe on disk.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    # Two lines and a request for each run of a sweep; the table at the end names the run.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def migrate(file: Path) -> None:
    """Have MLflow make a SQLite store."""
    with told(*_ERRORS):
        _client(f"{SQLITE}{file}")


class Client:
    """Writes one run after the other; a run opened is a run ended, whatever happens in between."""

    at_once = 1

    def __init__(self, run: KeptRun, where: str) -> None:
        """Remember what to write, and where; nothing is asked for yet."""
        self._run = run
        self._file = file_of(where)
        # MLflow keeps connections by address, wherever a relative one leads.
        self._where = f"{SQLITE}{self._file}" if self._file else where

    def known(self) -> Mapping[str, Known]:
        """Return the store's runs of the kept run."""
        with told(*_ERRORS), self._locked():
            return self._known

    def write(self, records: Sequence[Record]) -> dict[str, str]:
        """Write records, each with its artifacts before it is ended."""
        with told(*_ERRORS):
            return {record.key: self._write(record) for record in records}

    def close(self) -> None:
        """Leave the connections to MLflow, which keeps them."""

    def _write(self, record: Record) -> str:
        with self._locked():
            begun = self._known.get(record.key)
            run_id = begun.id if begun else self._create(record)
            self._known[record.key] = Known(run_id, "RUNNING")
            with self._ending(run_id, record):
                self._log(run_id, record, begun)
            return run_id

    def _create(self, record: Record) -> str:
        tags = self._tags_of(record)
        created = self._mlflow.create_run(self._experiment, self._run.started_ms, tags, record.title)
        return str(created.info.run_id)

    def _tags_of(self, record: Record) -> dict[str, str]:
        return tags_of(record, self._known.get(PARENT))

    def _log(self, run_id: str, record: Record, begun: Known | None) -> None:
        """Log what is missing of a record: all of it, but for a run that was begun before."""
        now_ms = int(time.time() * 1000)
        there = self._values_of(run_id) if begun else set()
        metrics = [
            Metric(metric.key, float(metric.value), now_ms, metric.step)
            for metric in record.metrics
            if (metric.key, metric.step) not in there
        ]
        params = [Param(name, value) for name, value in params_of(record).items()]
        tags = [RunTag(name, value) for name, value in self._tags_of(record).items()] if begun else []
        _in_batches(self._mlflow, run_id, metrics, params, tags)
        if record.artifacts:
            with TemporaryDirectory(prefix="qrt_runner-") as folder:
                _write_files(Path(folder), record.artifacts)
                self._mlflow.log_artifacts(run_id, folder)

    def _values_of(self, run_id: str) -> set[tuple[str, int]]:
        keys = self._mlflow.get_run(run_id).data.metrics
        return {(key, value.step) for key in keys for value in self._mlflow.get_metric_history(run_id, key)}

    @contextmanager
    def _ending(self, run_id: str, record: Record) -> Iterator[None]:
        """End a run in its record's state, or as KILLED where logging it was cut off."""
        try:
            yield
        except BaseException:
            with suppress(*_ERRORS, *OUTSIDE):
                self._end(run_id, record.key, "KILLED")
            raise
        if record.state != "RUNNING":
            self._end(run_id, record.key, record.state)

    def _end(self, run_id: str, key: str, state: str) -> None:
        self._mlflow.set_terminated(run_id, state)
        self._known[key] = Known(run_id, state)

    @cached_property
    def _mlflow(self) -> MlflowClient:
        return _client(self._where)

    @cached_property
    def _experiment(self) -> str:
        name = self._run.experiment
        found = self._mlflow.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        try:
            return str(self._mlflow.create_experiment(name))
        except MlflowException:
            # Another process was faster.
            found = self._mlflow.get_experiment_by_name(name)
            if found is None:
                raise
            return str(found.experiment_id)

    @cached_property
    def _known(self) -> dict[str, Known]:
        wanted = f"tags.`qrt.run` = '{self._run.id}' and attributes.start_time = {self._run.started_ms}"
        known = [(_key_of(run), Known(run.info.run_id, run.info.status)) for run in self._found(wanted)]
        return dict(sorted(known, key=lambda item: item[1].complete))

    def _found(self, wanted: str) -> Iterator[Run]:
        token = None
        while True:
            found = self._mlflow.search_runs([self._experiment], wanted, page_token=token)
            yield from found
            token = found.token
            if not token:
                return

    def _locked(self) -> AbstractContextManager[object]:
        """Hold a SQLite store's lock: its migration breaks when several processes meet a fresh store at once."""
        if self._file is None:
            return nullcontext()
        return FileLock(f"{self._file}.lock", timeout=LOCK_TIMEOUT_S).acquire(poll_interval=POLL_S)


def _client(where: str) -> MlflowClient:
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    # What it says of a store that cannot be opened is told once, by our own error.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    return MlflowClient(tracking_uri=where)


def _key_of(run: Run) -> str:
    return key_of(run.data.tags.get("qrt.point"), run.data.tags.get("qrt.task"))


def _in_batches(
    client: MlflowClient, run_id: str, metrics: list[Metric], params: list[Param], tags: list[RunTag]
) -> None:
    """Log everything in one batch where one serves: MLflow takes 1,000 metrics and 100 params at once."""
    client.log_batch(run_id, metrics[:_METRICS_AT_ONCE], params[:_PARAMS_AT_ONCE], tags)
    for start in range(_METRICS_AT_ONCE, len(metrics), _METRICS_AT_ONCE):
        client.log_batch(run_id, metrics[start : start + _METRICS_AT_ONCE])
    for start in range(_PARAMS_AT_ONCE, len(params), _PARAMS_AT_ONCE):
        client.log_batch(run_id, params=params[start : start + _PARAMS_AT_ONCE])


def _write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
