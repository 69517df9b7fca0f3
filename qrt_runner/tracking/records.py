"""What a task's MLflow run will hold, as plain data; knows numpy, and not MLflow."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from qrt_runner.config import fingerprint
from qrt_runner.digits import headline_of, with_error
from qrt_runner.noise import plain
from qrt_runner.tracking.metrics import NOT_IN_NAMES, Metric, metrics_of, metrics_of_task
from qrt_runner.tracking.noting import NOTE, note_of
from qrt_runner.tracking.tables import Row, as_json, numbers_in, parquet_of, tidy_rows, typed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qrt_runner.price import Price
    from qrt_runner.results import GroupReport, JobResult, Ledger, TaskResult

_TABLE: Final = "results.parquet"


@dataclass(frozen=True)
class Record:
    """Everything that one task's MLflow run holds."""

    key: str
    """Tells it apart within its run: index of the point and name of the task."""

    title: str
    """Name of the MLflow run."""

    state: str
    """FINISHED or FAILED."""

    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: tuple[Metric, ...]
    artifacts: Mapping[str, bytes]
    """Content by artifact path."""

    swept: Mapping[str, str] = field(default_factory=dict)
    """The overrides that make its point of a sweep, by name."""

    rows: Sequence[Row] = ()
    """Its tidy table; empty where it was read from disk."""


@dataclass
class Records:
    """Makes the records of one run; remembers what its tasks have in common."""

    run: str
    """Id of the run."""

    environment: Mapping[str, Any]
    """Versions and git state."""

    command: str = ""
    """What began the run, as typed; empty where that is not known."""

    _environments: dict[int | None, bytes] = field(default_factory=dict)
    _jobs: dict[int, tuple[JobResult, str]] = field(default_factory=dict)
    _ledgers: dict[int, tuple[Ledger, str]] = field(default_factory=dict)
    _calibrations: dict[int, tuple[Any, bytes]] = field(default_factory=dict)

    def of(self, result: TaskResult) -> Record:
        """Return the record of a task's result."""
        rows = tidy_rows(result)
        artifacts = {"config.yaml": result.point.config_yaml().encode(), "environment.json": self._around(result)}
        return Record(
            key=f"{result.point.index}-{result.name}",
            title=_title(result),
            state="FINISHED" if result.state == "done" else "FAILED",
            params=_params(result),
            tags=_tags(result, self.run) | {NOTE: note_of(result, self.command)},
            metrics=tuple(metrics_of_task(result)),
            artifacts={**artifacts, **self._result_files(result, rows), **result.files},
            swept=_swept(result),
            rows=rows,
        )

    def _around(self, result: TaskResult) -> bytes:
        seed = result.point.experiment.document.seed
        if seed not in self._environments:
            self._environments[seed] = as_json({**self.environment, "seed": seed})
        return self._environments[seed]

    def _result_files(self, result: TaskResult, rows: Sequence[Row]) -> dict[str, bytes]:
        jobs = ",\n".join(
            _once(self._jobs, job, lambda job: as_json(job.record).decode().strip()) for job in result.jobs
        )
        files = {"results.json": self._results(result, rows), "jobs.json": f"[\n{jobs}\n]\n".encode()}
        if result.counts is not None:
            files["counts.json"] = as_json(result.counts.by_register())
            if len(result.counts.registers) > 1:
                files["counts_joint.json"] = as_json(result.counts.joint)
        if result.corrected is not None:
            files["quasi.json"] = as_json(result.corrected.quasi)
        if result.readouts:
            files["readout.json"] = as_json(result.readouts)
        twin = result.comparison.twin
        if twin is not None and twin.counts is not None:
            files["twin_counts.json"] = as_json(twin.counts.by_register())
        if result.calibration is not None:
            files["calibration.json"] = _once(self._calibrations, result.calibration, as_json)
        if result.noise is not None:
            files["noise_model.json"] = as_json(plain(result.noise))
        if result.error:
            files["error.txt"] = (result.error + "\n").encode()
        return files

    def _results(self, result: TaskResult, rows: Sequence[Row]) -> bytes:
        details = result.expectations.details if result.expectations is not None else {}
        told = {
            "state": result.state,
            "error": result.error or None,
            "backend": result.backend,
            "parameters": list(result.parameters),
            "rows": rows,
            "details": {name: np.asarray(value).tolist() for name, value in details.items()},
            "notes": list(result.notes),
        }
        if result.comparison.effect is not None:
            told["effect"] = {"cost_source": result.comparison.effect.cost_source}
        if result.price is not None:
            told["price"] = _price(result.price)
        if result.noise is not None:
            told["noise_model"] = result.noise.told()
        ledger = _once(self._ledgers, result.ledger, _ledger_as_json)
        return as_json(told).rstrip().removesuffix(b"\n}") + f',\n "mitigation": {ledger}\n}}\n'.encode()


def with_table(record: Record) -> Record:
    """Return a record with its tidy rows as Parquet; they are read from `results.json` where it was read from disk."""
    if _TABLE in record.artifacts:
        return record
    return replace(record, artifacts={**record.artifacts, _TABLE: parquet_of(rows_of(record))})


def swept_rows(record: Record) -> list[Row]:
    """Return a record's rows for the table of a sweep: with its state, and what was swept over."""
    start: Row = {"state": "done" if record.state == "FINISHED" else "failed"}
    start |= {name: typed(word) for name, word in record.swept.items()}
    bare: Row = {"point": int(record.tags["qrt.point"]), "task": record.tags["qrt.task"]}
    return [{**start, **row} for row in rows_of(record) or [bare]]


def task_rows(result: TaskResult) -> list[Row]:
    """Return a result's rows as `swept_rows` does, without a record of it."""
    start: Row = {"state": result.state} | {name: typed(word) for name, word in _swept(result).items()}
    bare: Row = {"point": result.point.index, "task": result.name}
    return [{**start, **row} for row in tidy_rows(result) or [bare]]


def _swept(result: TaskResult) -> dict[str, str]:
    return dict(override.lstrip("+~").partition("=")[::2] for override in result.point.overrides)


def with_reports(record: Record, reports: Sequence[GroupReport]) -> Record:
    """Return a record with what its session groups spent."""
    return replace(record, metrics=(*record.metrics, *metrics_of(reports)))


def rows_of(record: Record) -> Sequence[Row]:
    """Return a record's tidy rows."""
    return record.rows or [numbers_in(row) for row in json.loads(record.artifacts["results.json"])["rows"]]


def _once(known: dict[int, tuple[Any, Any]], thing: Any, make: Any) -> Any:
    """Return what is made of a thing that tasks share; it is held beside, so that no other one gets its id."""
    if id(thing) not in known:
        known[id(thing)] = thing, make(thing)
    return known[id(thing)][1]


def _price(price: Price) -> dict[str, Any]:
    """Return a price by the names of `results.json`; what serves several tasks stands beside."""
    told: dict[str, Any] = {
        "circuits": price.circuits,
        "shots_per_circuit": price.shots_per_circuit,
        "shots": price.shots,
        "randomizations": price.randomizations,
        "noise_factors": price.noise_factors,
        "bases": price.bases,
        "sampling_overhead": price.overhead,
        "estimated_s": price.estimated_s,
        "spent_s": price.spent_s,
    }
    if price.predicted_s is not None:
        told["predicted_s"] = price.predicted_s
    if price.calibration_shots:
        told["readout_calibration"] = {"shots": price.calibration_shots}
    if price.learning_shots:
        seconds = {"estimated_s": price.learning_s, "spent_s": price.learning_spent_s}
        told["noise_learning"] = {"shots": price.learning_shots, **seconds}
    return told


def _ledger_as_json(ledger: Ledger) -> str:
    told = {
        "requested": ledger.requested,
        "applied": list(ledger.applied),
        "ignored": dict(ledger.ignored),
        "resolved": dict(ledger.resolved),
    }
    return as_json(told).decode().strip()


def _title(result: TaskResult) -> str:
    task = result.task
    words = [task.circuit.name, *(["clifford"] if task.circuit.clifford else []), task.mode.kind, result.backend]
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
        **({"circuit.clifford": "True"} if task.circuit.clifford else {}),
        **({"shots": task.mode.shots} if precision is None else {"precision": precision}),
        "seed": document.seed,
    }
    swept = dict(_split(override) for override in result.point.overrides)
    told = {name: value if isinstance(value, str) else json.dumps(value) for name, value in params.items()}
    return {**swept, **told}


def _split(override: str) -> tuple[str, str]:
    name, _, value = override.lstrip("+~").partition("=")
    return NOT_IN_NAMES.sub("_", name), value


def _tags(result: TaskResult, run: str) -> dict[str, str]:
    sessions = {str(job.record["session_id"]) for job in result.jobs} or {"none"}
    tags = {
        "qrt.run": run,
        "qrt.point": str(result.point.index),
        "qrt.task": result.name,
        "qrt.backend": result.backend,
        "qrt.job_ids": ",".join(str(job.record["id"]) for job in result.jobs if job.record["id"]),
        "qrt.session_id": ",".join(sorted(sessions)),
        "qrt.session_kind": ",".join(sorted({str(job.record["session_kind"]) for job in result.jobs} or {"none"})),
        "qrt.fingerprint": fingerprint(result.point.experiment, result.name),
        "qrt.mitigation_applied": ",".join(result.ledger.applied),
        "qrt.mitigation_ignored": ",".join(result.ledger.ignored),
    }
    if (headline := headline_of(result)) is not None:
        tags["qrt.headline"] = f"{headline.name[:100]} = {with_error(headline.value, headline.error)}"
    if result.comparison.effect is not None:
        tags["qrt.cost_source"] = result.comparison.effect.cost_source
    if result.reused_from:
        tags["qrt.reused_from"] = result.reused_from
    if result.error:
        tags["qrt.error"] = result.error[:500]
    if result.notes:
        tags["qrt.notes"] = "; ".join(result.notes)[:500]
    return tags
