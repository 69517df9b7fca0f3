"""What a task's MLflow run will hold, as plain data; knows numpy and pyarrow, and not MLflow."""

from __future__ import annotations

import io
import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from qrt_runner.config import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from qrt_runner.results import TaskResult

_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_\-. :/]")
"""What MLflow takes in no name of a param or metric."""


@dataclass(frozen=True)
class Metric:
    """One value of a metric."""

    key: str
    value: float
    step: int


@dataclass(frozen=True)
class Record:
    """Everything that one task's MLflow run holds."""

    title: str
    """Name of the MLflow run."""

    state: str
    """FINISHED or FAILED."""

    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: tuple[Metric, ...]
    artifacts: Mapping[str, bytes]
    """Content by artifact path."""


def record_of(result: TaskResult, run: str, environment: Mapping[str, Any]) -> Record:
    """Return the record of a task's result.

    Args:
        result: What happened.
        run: Id of the run that the task belongs to.
        environment: Versions and git state.
    """
    state = "FINISHED" if result.state == "done" else "FAILED"
    artifacts = {"config.yaml": result.point.config_yaml.encode(), "environment.json": _json(environment)}
    artifacts |= {**_result_files(result), **result.files}
    return Record(_title(result), state, _params(result), _tags(result, run), tuple(_metrics(result)), artifacts)


def tidy_rows(result: TaskResult) -> list[dict[str, Any]]:
    """Return one row per parameter set and observable; one per parameter set where there is no observable."""
    rows = []
    found, comparison = result.expectations, result.comparison
    for index, values in enumerate(result.parameter_values):
        start: dict[str, Any] = {"point": result.point.index, "task": result.name, "parameter_set": index}
        start |= {name: float(value) for name, value in zip(result.parameters, values, strict=True)}
        start |= {"shots": result.counts.shots()[index]} if result.counts is not None else {}
        for kind, series in (("hellinger", comparison.hellinger), ("p_success", comparison.p_success)):
            start |= {kind: series[index]} if series else {}
        if found is None or not found.names:
            rows.append(start)
            continue
        for column, name in enumerate(found.names):
            row = {**start, "observable": name, "ev": float(found.values[index, column])}
            row["std"] = float(found.errors[index, column])
            if comparison.ideal is not None:
                row["ideal"] = float(comparison.ideal[index, column])
                row["error"] = row["ev"] - row["ideal"]
            rows.append(row)
    return rows


def _title(result: TaskResult) -> str:
    task = result.task
    words = [task.circuit.name, task.mode.kind, result.backend]
    words += [task.mitigation.kind] if task.mitigation.kind != "none" else []
    return " ".join(words) + (f" #{result.point.index}" if result.point.overrides else "")


def _params(result: TaskResult) -> dict[str, str]:
    task, document = result.task, result.point.experiment.document
    precision = getattr(task.mode, "precision", None)
    params: dict[str, Any] = {
        "circuit.name": task.circuit.name,
        **{f"circuit.params.{name}": value for name, value in task.circuit.params.items()},
        "backend.kind": document.backend.kind,
        "backend.name": document.backend.name,
        "mode": task.mode.kind,
        "session.kind": task.session.kind,
        "mitigation": task.mitigation.kind,
        **({"shots": task.mode.shots} if precision is None else {"precision": precision}),
        "seed": document.seed,
    }
    swept = dict(_split(override) for override in result.point.overrides)
    told = {name: value if isinstance(value, str) else json.dumps(value) for name, value in params.items()}
    return {**swept, **told}


def _split(override: str) -> tuple[str, str]:
    name, _, value = override.lstrip("+~").partition("=")
    return _NOT_IN_NAMES.sub("_", name), value


def _tags(result: TaskResult, run: str) -> dict[str, str]:
    sessions = {str(job.record["session_id"]) for job in result.jobs} or {"none"}
    tags = {
        "qrt.run": run,
        "qrt.point": str(result.point.index),
        "qrt.task": result.name,
        "qrt.backend": result.backend,
        "qrt.job_ids": ",".join(str(job.record["id"]) for job in result.jobs if job.record["id"]),
        "qrt.session_id": ",".join(sorted(sessions)),
        "qrt.session_kind": "none",
        "qrt.fingerprint": fingerprint(result.point.experiment, result.name),
        "qrt.mitigation_applied": ",".join(result.ledger.applied),
        "qrt.mitigation_ignored": ",".join(result.ledger.ignored),
    }
    if result.error:
        tags["qrt.error"] = result.error[:500]
    if result.notes:
        tags["qrt.notes"] = "; ".join(result.notes)[:500]
    return tags


def _metrics(result: TaskResult) -> Iterator[Metric]:
    for name, value in result.sizes.items():
        yield Metric(name, value, 0)
    yield Metric("time/transpile_s", result.transpile_s, 0)
    yield Metric("time/queue_s", sum(job.queue_s for job in result.jobs), 0)
    yield Metric("time/run_s", sum(job.run_s for job in result.jobs), 0)
    yield Metric("usage/quantum_s", sum(job.quantum_s for job in result.jobs), 0)
    comparison = result.comparison
    if result.counts is not None:
        yield from _series("fidelity/hellinger", comparison.hellinger)
        yield from _series("p_success", comparison.p_success)
    if result.expectations is not None:
        found = result.expectations
        for column, name in enumerate(found.names):
            key = _NOT_IN_NAMES.sub("_", name)
            yield from _series(f"ev/{key}", found.values[:, column])
            yield from _series(f"std/{key}", found.errors[:, column])
            if comparison.ideal is not None:
                yield from _series(f"ideal/{key}", comparison.ideal[:, column])
                yield from _series(f"error/{key}", found.values[:, column] - comparison.ideal[:, column])


def _series(key: str, values: Any) -> Iterator[Metric]:
    for step, value in enumerate(values):
        yield Metric(key, float(value), step)


def _result_files(result: TaskResult) -> dict[str, bytes]:
    files = {
        "results.json": _json(_results(result)),
        "jobs.json": _json([job.record for job in result.jobs]),
    }
    if result.counts is not None:
        files["counts.json"] = _json(result.counts.by_register())
        if len(result.counts.registers) > 1:
            files["counts_joint.json"] = _json(result.counts.joint)
    if result.calibration is not None:
        files["calibration.json"] = _json(result.calibration)
    if result.error:
        files["error.txt"] = (result.error + "\n").encode()
    return files


def _results(result: TaskResult) -> dict[str, Any]:
    ledger = result.ledger
    details = result.expectations.details if result.expectations is not None else {}
    return {
        "state": result.state,
        "error": result.error or None,
        "backend": result.backend,
        "parameters": list(result.parameters),
        "rows": tidy_rows(result),
        "details": {name: np.asarray(value).tolist() for name, value in details.items()},
        "mitigation": {
            "requested": ledger.requested,
            "applied": list(ledger.applied),
            "ignored": dict(ledger.ignored),
            "resolved": dict(ledger.resolved),
        },
        "notes": list(result.notes),
    }


def table_of(result: TaskResult) -> bytes:
    """Return the tidy rows as Parquet."""
    return _parquet(tidy_rows(result))


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    stream = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), stream)
    return stream.getvalue()


def _json(value: Any) -> bytes:
    return (json.dumps(_plain(value), indent=1, default=str, allow_nan=False) + "\n").encode()


def _plain(value: Any) -> Any:
    """Write what JSON has no number for as text: `inf`, `-inf`, `nan`."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
