"""Writes through MLflow's own client, to any store that it knows."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from qrt_runner.tracking.connecting import ERRORS, connected, locked, whole
from qrt_runner.tracking.database import check_there, file_of
from qrt_runner.tracking.datasets import CONTEXT, SOURCE_TYPE, dataset_of
from qrt_runner.tracking.places import leads_out
from qrt_runner.tracking.rows import stored_value
from qrt_runner.tracking.tracing import log_trace
from qrt_runner.tracking.viewing import experiment_tags
from qrt_runner.tracking.writer import (
    OUTSIDE,
    SUPERSEDED_BY,
    TOLD_APART,
    Known,
    key_of,
    known_of,
    params_of,
    tags_of,
    told,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

    from qrt_runner.tracking.keeping import KeptRun
    from qrt_runner.tracking.records import Record
    from qrt_runner.tracking.traces import Trace
    from qrt_runner.tracking.writer import Write

_METRICS_AT_ONCE: Final = 1000
_PARAMS_AT_ONCE: Final = 100


def reconciled(run: str, experiment: str, where: str) -> int:
    """End as KILLED the MLflow runs of a run of ours that are RUNNING, and return how many these were."""
    with told(*ERRORS), locked(file_of(where)):
        client = connected(whole(where))
        found = client.get_experiment_by_name(experiment)
        wanted = f"tags.`qrt.run` = '{run}' and attributes.status = 'RUNNING'"
        open_runs = list(_search(client, str(found.experiment_id), wanted)) if found is not None else []
        for one in open_runs:
            client.set_terminated(one.info.run_id, "KILLED")
        return len(open_runs)


class Client:
    """Writes one run after the other; a run opened is a run ended, whatever happens in between."""

    at_once = 1

    def __init__(self, run: KeptRun, where: str) -> None:
        """Remember what to write, and where; nothing is asked for yet."""
        self._run = run
        self._file = file_of(where)
        self._where = whole(where)
        self._opened: os.stat_result | None = None

    def known(self) -> Mapping[str, Sequence[Known]]:
        """Return the store's runs of the kept run."""
        with told(*ERRORS), locked(self._file):
            return self._known

    def runs_of(self, run: str) -> Mapping[str, Sequence[Known]]:
        """Return the store's runs of any run of ours in the same experiment."""
        with told(*ERRORS), locked(self._file):
            return self._found(run)

    def write(self, writes: Sequence[Write]) -> dict[str, str]:
        """Write records, each with its artifacts before it is ended."""
        with told(*ERRORS):
            return {write.record.key: self._write(write) for write in writes}

    def write_trace(self, trace: Trace, run: str) -> None:
        """Write a trace: what is told of it, then its spans."""
        with told(*ERRORS, NotImplementedError), locked(self._file):
            log_trace(self._where, self._experiment, trace, run)

    def close(self) -> None:
        """Leave the connections to MLflow, which keeps them."""

    def _write(self, write: Write) -> str:
        with locked(self._file):
            if self._file is not None and self._opened is not None:
                check_there(self._file, self._opened)
            run_id = write.run.id if write.run is not None else self._create(write)
            if not write.whole:
                self._note(write.record, run_id, "RUNNING")
                with self._ending(run_id, write.record):
                    self._log(run_id, write)
            self._supersede(write, run_id)
            return run_id

    def _create(self, write: Write) -> str:
        tags = tags_of(self._run, write)
        created = self._mlflow.create_run(self._experiment, self._run.started_ms, tags, write.record.title)
        return str(created.info.run_id)

    def _log(self, run_id: str, write: Write) -> None:
        """Log what is missing of a record: all of it, but for a run that was begun before."""
        record, begun, now_ms = write.record, write.run, int(time.time() * 1000)
        there = self._values_of(run_id) if begun is not None else set()
        metrics = [
            Metric(metric.key, float(metric.value), now_ms, metric.step)
            for metric in record.metrics
            if (metric.key, metric.step, stored_value(metric.value)) not in there
        ]
        params = [Param(name, value) for name, value in params_of(record).items()]
        tags = [RunTag(name, value) for name, value in tags_of(self._run, write).items()] if begun is not None else []
        if begun is not None and begun.status != "RUNNING":
            self._mlflow.update_run(run_id, "RUNNING")
        _in_batches(self._mlflow, run_id, metrics, params, tags)
        self._log_dataset(run_id, record)
        if record.artifacts:
            with TemporaryDirectory(prefix="qrt_runner-") as folder:
                _write_files(Path(folder), record.artifacts)
                self._mlflow.log_artifacts(run_id, folder)

    def _values_of(self, run_id: str) -> set[tuple[str, int, tuple[float, bool]]]:
        keys = self._mlflow.get_run(run_id).data.metrics
        history = (value for key in keys for value in self._mlflow.get_metric_history(run_id, key))
        return {(value.key, value.step, stored_value(value.value)) for value in history}

    def _log_dataset(self, run_id: str, record: Record) -> None:
        dataset = dataset_of(record)
        if dataset is None:
            return
        made = Dataset(dataset.name, dataset.digest, SOURCE_TYPE, dataset.source)
        inputs = [DatasetInput(made, [InputTag(CONTEXT, "circuit")])]
        try:
            self._mlflow.log_inputs(run_id, inputs)
        except MlflowException:
            # Another process may have made the dataset since the server had looked for it: now it is found.
            self._mlflow.log_inputs(run_id, inputs)

    def _supersede(self, write: Write, run_id: str) -> None:
        """Delete runs as a user would, each tagged with the one that took its place."""
        for old in write.superseded:
            self._mlflow.set_tag(old.id, SUPERSEDED_BY, run_id)
            if old.status == "RUNNING":
                self._mlflow.set_terminated(old.id, "KILLED")
            self._mlflow.delete_run(old.id)

    @contextmanager
    def _ending(self, run_id: str, record: Record) -> Iterator[None]:
        """End a run in its record's state, or as KILLED where logging it was cut off."""
        try:
            yield
        except BaseException:
            with suppress(*ERRORS, *OUTSIDE):
                self._end(run_id, record, "KILLED")
            raise
        if record.state != "RUNNING":
            self._end(run_id, record, record.state)

    def _end(self, run_id: str, record: Record, state: str) -> None:
        self._mlflow.set_terminated(run_id, state)
        self._note(record, run_id, state)

    def _note(self, record: Record, run_id: str, state: str) -> None:
        self._known[record.key] = [replace(known_of(record, run_id), status=state)]

    @cached_property
    def _mlflow(self) -> MlflowClient:
        client = connected(self._where)
        self._opened = self._file.stat() if self._file is not None else None
        return client

    @cached_property
    def _experiment(self) -> str:
        """Id of the experiment, which is made where there is none, and has the columns of its table."""
        found = self._mlflow.get_experiment_by_name(self._run.experiment)
        experiment = str(found.experiment_id) if found is not None else self._made()
        for name, value in experiment_tags().items():
            if found is None or name not in found.tags:
                # Of two processes that set it at once a server refuses one; and it is an extra, which costs no result.
                with suppress(MlflowException):
                    self._mlflow.set_experiment_tag(experiment, name, value)
        self._run.experiment_id = experiment
        return experiment

    def _made(self) -> str:
        name = self._run.experiment
        try:
            return str(self._mlflow.create_experiment(name))
        except MlflowException:
            # Another process was faster.
            found = self._mlflow.get_experiment_by_name(name)
            if found is None:
                raise
            return str(found.experiment_id)

    @cached_property
    def _known(self) -> dict[str, list[Known]]:
        return self._found(self._run.id)

    def _found(self, run: str) -> dict[str, list[Known]]:
        found: dict[str, list[Known]] = {}
        for one in _search(self._mlflow, self._experiment, f"tags.`qrt.run` = '{run}'"):
            found.setdefault(_key_of(one), []).append(_known_of(one))
        return {key: sorted(known, key=lambda one: one.complete) for key, known in found.items()}


def _search(client: MlflowClient, experiment: str, wanted: str) -> Iterator[Run]:
    token = None
    while True:
        found = client.search_runs([experiment], wanted, page_token=token)
        yield from found
        token = found.token
        if not token:
            return


def _key_of(run: Run) -> str:
    return key_of(run.data.tags.get("qrt.point"), run.data.tags.get("qrt.task"))


def _known_of(run: Run) -> Known:
    return Known(run.info.run_id, run.info.status, *(run.data.tags.get(name, "") for name in TOLD_APART))


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
        assert not leads_out(name), name
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
