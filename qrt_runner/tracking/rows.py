"""A record as the rows that MLflow would write for it; knows the standard library only.

Source: `mlflow/store/tracking/sqlalchemy_store.py` of the versions in `proven`; the tests compare its rows with these.
"""

from __future__ import annotations

import json
import math
import posixpath
import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from qrt_runner.tracking.datasets import CONTEXT, SOURCE_TYPE, Dataset, dataset_of
from qrt_runner.tracking.traces import KIND, metadata_of, previews_of, times_of, trace_tags
from qrt_runner.tracking.writer import SUPERSEDED_BY, StoreError, params_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from qrt_runner.tracking.metrics import Metric
    from qrt_runner.tracking.records import Record
    from qrt_runner.tracking.traces import Stretch, Trace

Row = tuple[str | int | float | None, ...]

_LONGEST_NAME: Final = 250
_NAME: Final = re.compile(r"[/\w.\- :]*$")

# A run that an earlier attempt began, or that was deleted in the UI before it was whole, is written over.
RUN: Final = """
INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, end_time,
source_version, lifecycle_stage, artifact_uri, experiment_id) VALUES (?, ?, 'UNKNOWN', '', '', ?, ?, ?, ?, '', 'active',
?, ?) ON CONFLICT (run_uuid) DO UPDATE SET status = excluded.status, end_time = excluded.end_time,
lifecycle_stage = 'active', deleted_time = NULL
"""
PARAM: Final = "INSERT OR REPLACE INTO params (run_uuid, key, value) VALUES (?, ?, ?)"
TAG: Final = "INSERT OR REPLACE INTO tags (run_uuid, key, value) VALUES (?, ?, ?)"
METRIC: Final = (
    "INSERT OR IGNORE INTO metrics (run_uuid, key, step, value, is_nan, timestamp) VALUES (?, ?, ?, ?, ?, ?)"
)
LATEST: Final = """
INSERT OR REPLACE INTO latest_metrics (run_uuid, key, step, value, is_nan, timestamp) VALUES (?, ?, ?, ?, ?, ?)
"""
SUPERSEDED: Final = f"""
INSERT OR REPLACE INTO tags (run_uuid, key, value) SELECT run_uuid, '{SUPERSEDED_BY}', ? FROM runs WHERE run_uuid = ?
"""  # noqa: S608 - a name of ours
DELETED: Final = """
UPDATE runs SET lifecycle_stage = 'deleted', deleted_time = ?,
status = CASE status WHEN 'RUNNING' THEN 'KILLED' ELSE status END WHERE run_uuid = ? AND lifecycle_stage = 'active'
"""
VALID: Final = f"DELETE FROM tags WHERE run_uuid = ? AND key = '{SUPERSEDED_BY}'"  # noqa: S608 - a name of ours
STALE: Final = "DELETE FROM metrics WHERE run_uuid = ? AND key = ?"

VIEWED: Final = "INSERT OR IGNORE INTO experiment_tags (experiment_id, key, value) VALUES (?, ?, ?)"
DATASET: Final = """
INSERT OR IGNORE INTO datasets (dataset_uuid, experiment_id, name, digest, dataset_source_type, dataset_source)
VALUES (?, ?, ?, ?, ?, ?)
"""
INPUT: Final = """
INSERT OR IGNORE INTO inputs (input_uuid, source_type, source_id, destination_type, destination_id)
SELECT ?, 'DATASET', dataset_uuid, 'RUN', ? FROM datasets WHERE experiment_id = ? AND name = ? AND digest = ?
"""
INPUT_TAG: Final = """
INSERT OR REPLACE INTO input_tags (input_uuid, name, value) SELECT input_uuid, ?, ?
FROM datasets JOIN inputs ON source_type = 'DATASET' AND source_id = dataset_uuid AND destination_type = 'RUN'
AND destination_id = ? WHERE datasets.experiment_id = ? AND datasets.name = ? AND digest = ?
"""
TRACE: Final = """
INSERT OR REPLACE INTO trace_info (request_id, experiment_id, timestamp_ms, execution_time_ms, status, request_preview,
response_preview, db_payload_generation, trace_name) VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?)
"""
TRACE_TAG: Final = "INSERT OR REPLACE INTO trace_tags (request_id, key, value) VALUES (?, ?, ?)"
TRACE_METADATA: Final = "INSERT OR REPLACE INTO trace_request_metadata (request_id, key, value) VALUES (?, ?, ?)"
SPAN: Final = """
INSERT OR REPLACE INTO spans (trace_id, experiment_id, span_id, parent_span_id, name, type, status,
start_time_unix_nano, end_time_unix_nano, content) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


@dataclass(frozen=True)
class Entry:
    """A record with what it gets in the store."""

    record: Record
    run: str
    artifact_uri: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Surroundings:
    """What all runs that are written together have in common."""

    experiment: int
    user: str
    started_ms: int
    now_ms: int


def rows_of(entries: Sequence[Entry], around: Surroundings) -> dict[str, list[Row]]:
    """Return the rows of some runs by the statement that inserts them, in the order of insertion.

    Raises:
        StoreError: Where MLflow would refuse a name.
    """
    tables: dict[str, list[Row]] = {RUN: [_run(entry, around) for entry in entries], PARAM: [], TAG: []}
    tables |= {METRIC: [], LATEST: []}
    for entry in entries:
        tables[PARAM] += _texts(entry.run, params_of(entry.record))
        tables[TAG] += _texts(entry.run, entry.tags)
        metrics = [_metric(entry.run, metric, around.now_ms) for metric in entry.record.metrics]
        tables[METRIC] += metrics
        tables[LATEST] += _latest(metrics)
    # The indexes begin with the key: sorted like them, neighbours land on the same page.
    return {table: sorted(rows, key=_place) if table != RUN else rows for table, rows in tables.items()}


def trace_rows(trace: Trace, experiment: int, location: str, run: str) -> dict[str, list[Row]]:
    """Return the rows of a trace by the statement that inserts them, in the order of insertion.

    Args:
        trace: What took place.
        experiment: Id of the MLflow experiment.
        location: The folder with its artifacts.
        run: The MLflow run that it is about.
    """
    metadata = {**metadata_of(run), "mlflow.trace.infoFinalized": "true"}
    folder = f"{location}/traces/{trace.id}/artifacts"
    tags = {**trace_tags(trace), "mlflow.artifactLocation": folder, "mlflow.trace.spansLocation": "TRACKING_STORE"}
    start_ms, length_ms = times_of(trace)
    info = (trace.id, experiment, start_ms, length_ms, trace.state, *previews_of(trace), trace.name)
    return {
        TRACE: [info],
        TRACE_TAG: [(trace.id, key, value) for key, value in tags.items()],
        TRACE_METADATA: [(trace.id, key, value) for key, value in metadata.items()],
        SPAN: [_span(trace, one, experiment) for one in trace.stretches],
    }


def _span(trace: Trace, one: Stretch, experiment: int) -> Row:
    begin: Row = (trace.id, experiment, trace.span_id(one), trace.parent_id(one), one.name, KIND)
    content = json.dumps(trace.content(one), ensure_ascii=False)
    return (*begin, "ERROR" if one.failed else "OK", one.start_ns, one.end_ns, content)


def dataset_rows(entries: Iterable[Entry], experiment: int) -> dict[str, list[Row]]:
    """Return the rows of what runs were made of, by the statement that inserts them, in the order of insertion.

    A dataset and a run's use of it may be there already, under ids of MLflow's own: these are kept.
    """
    tables: dict[str, list[Row]] = {DATASET: [], INPUT: [], INPUT_TAG: []}
    made: dict[Dataset, None] = {}
    for entry in entries:
        dataset = dataset_of(entry.record)
        if dataset is None:
            continue
        made[dataset] = None
        taken = _hash(f"{entry.run} {dataset.digest}")
        tables[INPUT].append((taken, entry.run, experiment, dataset.name, dataset.digest))
        tables[INPUT_TAG].append((CONTEXT, "circuit", entry.run, experiment, dataset.name, dataset.digest))
    tables[DATASET] = [
        (_hash(f"{experiment} {one.name} {one.digest}"), experiment, one.name, one.digest, SOURCE_TYPE, one.source)
        for one in made
    ]
    return tables


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:32]


def stale_of(entries: Iterable[Entry]) -> list[Row]:
    """Return run and key of every metric of some runs."""
    return [(entry.run, key) for entry in entries for key in {metric.key for metric in entry.record.metrics}]


def _run(entry: Entry, around: Surroundings) -> Row:
    record = entry.record
    end_ms = None if record.state == "RUNNING" else around.now_ms
    begin: Row = (entry.run, record.title, around.user, record.state, around.started_ms, end_ms)
    return (*begin, entry.artifact_uri, around.experiment)


def _texts(run: str, values: Mapping[str, str]) -> Iterator[Row]:
    return ((run, checked(key), value) for key, value in values.items())


def _metric(run: str, metric: Metric, now_ms: int) -> Row:
    value, is_nan = stored_value(metric.value)
    return run, checked(metric.key), int(metric.step), value, int(is_nan), now_ms


def stored_value(value: float) -> tuple[float, bool]:
    """Return the number that is stored for a value, and whether it stands for NaN.

    SQL has no number for what is not finite, for which MLflow writes these.
    """
    number = float(value)
    if math.isnan(number):
        return 0.0, True
    return (math.copysign(sys.float_info.max, number) if math.isinf(number) else number), False


def _latest(metrics: Sequence[Row]) -> Iterable[Row]:
    """Return the last row of each metric: that of the largest step, and of the largest value where it has several."""
    latest: dict[object, Row] = {}
    for row in metrics:
        _, key, *order = row[:4]
        known = latest.get(key)
        if known is None or order > list(known[2:4]):
            latest[key] = row
    return latest.values()


def _place(row: Row) -> tuple[str, str]:
    return str(row[1]), str(row[0])


@lru_cache(maxsize=4096)
def checked(name: str) -> str:
    """Return a name that MLflow takes for params, tags and metrics.

    Raises:
        StoreError: Where it takes it not; it treats names as paths of files.
    """
    normal = posixpath.normpath(name)
    is_path = normal == name and normal != "." and not normal.startswith(("..", "/"))
    if not _NAME.match(name) or not is_path or len(name) > _LONGEST_NAME:
        msg = f"MLflow takes no param, tag or metric of the name {name!r}"
        raise StoreError(msg)
    return name
