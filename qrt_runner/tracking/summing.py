"""What the parent of a sweep's tasks tells of all of them: note, table, best point; knows results, and not MLflow."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.digits import with_error
from qrt_runner.tracking.metrics import NOT_IN_NAMES
from qrt_runner.tracking.noting import NOTE, code, listing, plain, short
from qrt_runner.tracking.ranking import extremes_of
from qrt_runner.tracking.showing import shown_table, swept_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from qrt_runner.results import TaskResult
    from qrt_runner.tracking.ranking import Extreme

TABLE: Final = "results_table.json"
"""The table of all points, in the form of which MLflow's UI makes a table."""

_TABLES: Final = "mlflow.loggedArtifacts"
"""The tag by which MLflow's UI finds a run's tables."""

_SHOWN: Final = ("circuit.name", "mode", "mitigation")
"""Params that the run table has columns for."""

_MOST_TOLD: Final = 6


@dataclass(frozen=True)
class Summary:
    """What the parent's MLflow run holds besides files that were there before."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


def summary_of(
    title: str, rows: Sequence[Mapping[str, Any]], results: Sequence[TaskResult] = (), command: str = ""
) -> Summary:
    """Return what is told of all tasks of a run.

    Args:
        title: Of the parent.
        rows: The table of all tasks.
        results: Of all tasks; none where they are not at hand any more.
        command: What began the run, as typed; empty where that is not known.
    """
    if not rows:
        return Summary()
    objective = results[0].point.experiment.document.sweep.objective if results else None
    extremes = extremes_of(rows, objective)
    tags = {_TABLES: json.dumps([{"path": TABLE, "type": "table"}])}
    tags |= {f"qrt.{one.word}_point": _told(one, rows) for one in extremes}
    tags |= {"qrt.headline": f"{extremes[0].word} {_number(extremes[0])}"} if extremes else {}
    if results:
        tags["qrt.backend"] = ",".join(dict.fromkeys(result.backend for result in results))
        tags["qrt.session_id"] = ",".join(_sessions(results)) or "none"
    lines = [*_lines(rows, results), *(f"{one.word} point: {plain(_told(one, rows))}" for one in extremes)]
    lines.append(f"all numbers: {code('results.parquet')} and {code(TABLE)}; figures, if any, in {code('plots/')}")
    note = "\n".join([f"**{plain(title)}**", "", *(f"- {line}" for line in lines), *listing(command)])
    return Summary({TABLE: shown_table(rows)}, {**tags, NOTE: note}, _metrics(extremes))


def asked_of(result: TaskResult) -> dict[str, str]:
    """Return those params of a task that the run table has columns for."""
    task = result.task
    return {"circuit.name": task.circuit.name, "mode": task.mode.kind, "mitigation": task.mitigation.kind}


def common_params(params: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return the same params for all tasks together: a row of the run table tells what is folded below it."""
    found: dict[str, dict[str, None]] = {name: {} for name in _SHOWN}
    for own in params:
        for name in _SHOWN:
            found[name] |= {own[name]: None} if name in own else {}
    return {name: _listed([*values]) for name, values in found.items() if values}


def _listed(values: Sequence[str]) -> str:
    more = [f"{len(values) - _MOST_TOLD} more"] if len(values) > _MOST_TOLD else []
    return ", ".join([*values[:_MOST_TOLD], *more])


def _metrics(extremes: Sequence[Extreme]) -> dict[str, float]:
    values = {f"{one.word}/{NOT_IN_NAMES.sub('_', one.metric)}": one.value for one in extremes}
    return values | {f"{one.word}/point": float(one.row["point"]) for one in extremes}


def _lines(rows: Sequence[Mapping[str, Any]], results: Sequence[TaskResult]) -> Iterator[str]:
    failed = {(row["point"], row["task"]) for row in rows if row["state"] == "failed"}
    tasks = {(row["point"], row["task"]) for row in rows}
    yield f"tasks: {len(tasks) - len(failed)} done, {len(failed)} failed"
    if not results:
        return
    swept = dict.fromkeys(name for result in results for name, _ in _overrides(result))
    if swept:
        yield f"swept over: {', '.join(_values(name, results) for name in swept)}"
    backends = dict.fromkeys(result.backend for result in results)
    kinds = dict.fromkeys(result.task.mode.kind for result in results)
    yield f"ran: on {_some(backends)}; {', '.join(kinds)}"
    ran = [result for result in results if not result.reused_from]
    jobs = {str(job.record["id"]): job for result in ran for job in result.jobs if job.record["id"]}
    sessions = _sessions(ran)
    quantum_s = sum(job.quantum_s for job in jobs.values())
    yield f"jobs: {len(jobs)}, {quantum_s:.4g} quantum seconds; sessions: {_some(sessions) or 'none'}"
    if taken := len(results) - len(ran):
        yield f"taken from earlier runs: {taken} of the tasks, which cost nothing"
    yield from (
        f"**failed**: point {result.point.index}, {plain(result.error)}"
        for result in [result for result in results if result.state == "failed"][:_MOST_TOLD]
    )


def _sessions(results: Sequence[TaskResult]) -> dict[str, None]:
    found = dict.fromkeys(str(job.record["session_id"]) for result in results for job in result.jobs)
    found.pop("none", None)
    return found


def _values(name: str, results: Sequence[TaskResult]) -> str:
    """Return what was swept over with its values, of many how many they are."""
    values = dict.fromkeys(value for result in results for own, value in _overrides(result) if own == name)
    return f"{code(name)} ({_some(values) if len(values) <= _MOST_TOLD else f'{len(values)} values'})"


def _overrides(result: TaskResult) -> list[tuple[str, str]]:
    pairs = (override.lstrip("+~").partition("=") for override in result.point.overrides)
    return [(name, value) for name, _, value in pairs]


def _told(one: Extreme, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a point that stands out: its number, and what it was swept to."""
    swept = [f"{name} = {value}" for name, value in swept_in(one.row, rows).items()]
    where = f" ({', '.join(swept)})" if swept else ""
    return f"{one.row['point']}{where}: {_number(one)}"


def _number(one: Extreme) -> str:
    value = f"{one.value:.6g}" if math.isnan(one.error) else with_error(one.value, one.error)
    return f"{one.metric} = {value}"


def _some(words: Mapping[str, Any]) -> str:
    """Return the first of some words."""
    shown = [code(short(word)) for word in [*words][:_MOST_TOLD]]
    return ", ".join(shown) + (f" and {len(words) - len(shown)} more" if len(words) > len(shown) else "")
