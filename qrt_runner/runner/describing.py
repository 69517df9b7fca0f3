"""Describes one task from its record: asked, where it ran, numbers, mitigation, price; knows the modules above it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.config import shown
from qrt_runner.reports import Facts, Grid, Items, Listing, Section, Words
from qrt_runner.runner.drifting import properties_of
from qrt_runner.runner.misreading import readout_section
from qrt_runner.runner.numbering import counts_grid, number, values_grid
from qrt_runner.tracking import rows_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qrt_runner.reports import Block, Picture
    from qrt_runner.tracking import Record

_LONGEST: Final = 20_000
"""Characters of a config or a drawing that a page shows."""

_PRICE: Final = {
    "circuits": "circuits",
    "shots_per_circuit": "shots of each circuit",
    "shots": "shots",
    "randomizations": "randomizations",
    "noise_factors": "noise factors",
    "bases": "measurement bases",
    "sampling_overhead": "sampling overhead",
    "estimated_s": "estimated (quantum s)",
    "spent_s": "spent (quantum s)",
}
_LISTINGS: Final = {
    "circuit/logical.txt": "Circuit as written",
    "circuit/isa.txt": "Circuit as it ran (ISA)",
    "config.yaml": "Config as composed",
}
_CALLED: Final = {
    "time/transpile_s": "transpiling (s)",
    "time/queue_s": "in queues (s)",
    "time/run_s": "running (s)",
    "usage/quantum_s": "spent (quantum s)",
    "usage/predicted_s": "predicted (quantum s)",
    "usage/prediction_error_s": "spent less predicted (quantum s)",
    "usage/session_busy_s": "session busy (s)",
    "usage/session_idle_s": "session idle (s)",
    "usage/session_wait_s": "session waited (s)",
    "effect/cost_s": "cost (s)",
    "effect/mse_cost": "error^2 x cost (s)",
    "circuit/depth": "depth as written",
    "circuit/two_qubit_gates": "two-qubit gates as written",
    "isa/depth": "depth as it ran",
    "isa/two_qubit_gates": "two-qubit gates as it ran",
}
"""Metrics in words."""

_SIZES: Final = ("circuit/", "isa/")
_TIMES: Final = ("time/", "usage/")


def task_section(record: Record, pictures: Sequence[Picture]) -> Section:
    """Return all that is told of a task."""
    results = _json(record, "results.json", {})
    parts = [
        _asked(record, results),
        _where(record),
        _numbers(record, results, pictures),
        _mitigation(results),
        readout_section(record),
        _price(record, results),
        _calibration(record),
        _sizes(record),
        *(_listing(record, name) for name in _LISTINGS),
    ]
    state = "done" if record.state == "FINISHED" else "failed"
    failed = [Words(f"Failed: {results['error']}")] if results.get("error") else []
    notes = [Items([f"Note: {note}" for note in results["notes"]])] if results.get("notes") else []
    heading = f"{record.title} (task {record.key}, {state})"
    return Section(heading, [*failed, *notes], [part for part in parts if part is not None])


def job_rows(record: Record) -> list[list[str]]:
    """Return a row for each job of a task."""
    return [
        [
            str(job.get("id") or "-"),
            str(job.get("session_id") or "none"),
            str(job.get("session_kind") or "none"),
            str(job.get("backend") or "-"),
            str(job.get("state") or "-"),
            *(_moment((job.get("timestamps") or {}).get(name)) for name in ("submitted", "finished")),
            number((job.get("usage") or {}).get("quantum_s")),
        ]
        for job in _json(record, "jobs.json", [])
    ]


JOB_TITLES: Final = ("job id", "session id", "session", "backend", "state", "submitted", "finished", "quantum s")


def _moment(stamp: Any) -> str:
    """Return a time stamp to the second; `jobs.json` has all of it."""
    return f"{str(stamp)[:19].replace('T', ' ')}{'Z' if str(stamp).endswith(('Z', '+00:00')) else ''}" if stamp else "-"


def _asked(record: Record, results: Mapping[str, Any]) -> Section:
    pairs = [(name, value) for name, value in record.params.items()]
    parameters = [("parameters", ", ".join(results["parameters"]))] if results.get("parameters") else []
    return Section("What was asked", [Facts([*pairs, *parameters])])


def _where(record: Record) -> Section:
    tags = record.tags
    pairs = [
        ("backend", tags.get("qrt.backend", "-")),
        ("session", tags.get("qrt.session_kind", "none")),
        ("session id", tags.get("qrt.session_id", "none")),
        *((_CALLED.get(name, name), f"{value:.4g}") for name, value in _metrics(record, _TIMES)),
    ]
    reused = [("taken from run", tags["qrt.reused_from"])] if "qrt.reused_from" in tags else []
    rows = job_rows(record)
    return Section("Where it ran", [Facts([*pairs, *reused]), *([Grid("Jobs", JOB_TITLES, rows)] if rows else [])])


def _numbers(record: Record, results: Mapping[str, Any], pictures: Sequence[Picture]) -> Section | None:
    blocks: list[Block] = []
    rows = [{name: value for name, value in row.items() if name not in ("point", "task")} for row in rows_of(record)]
    if any(row.keys() - {"parameter_set", "shots"} for row in rows):
        swept = results.get("parameters") or []
        ordered = [_in_order(row, ["observable", *swept]) for row in rows]
        blocks.append(values_grid("Numbers, each with its standard error in brackets", ordered))
    counts = counts_grid(record)
    blocks += [counts] if counts is not None else []
    return Section("Numbers", [*blocks, *pictures]) if blocks or pictures else None


def _in_order(row: Mapping[str, Any], first: Sequence[str]) -> dict[str, Any]:
    """Return a row with what it is about first."""
    start = {name: row[name] for name in ("parameter_set", *first) if name in row}
    return start if len(start) == len(row) else {**start, **row}


def _mitigation(results: Mapping[str, Any]) -> Section:
    ledger = results.get("mitigation", {})
    applied, ignored = ledger.get("applied") or [], ledger.get("ignored") or {}
    pairs = [("asked for", str(ledger.get("requested", "-"))), ("applied", ", ".join(applied) or "nothing")]
    pairs += [("noise", str(results["noise_model"]))] if results.get("noise_model") else []
    blocks: list[Block] = [Facts(pairs)]
    if ignored:
        blocks.append(Grid("Ignored, as it did nothing", ("technique", "reason"), [*map(list, ignored.items())]))
    resolved = [[name, shown(value)] for name, value in _leaves(ledger.get("resolved") or {})]
    parts = (
        [Section("Every knob as it was sent", [Grid("Knobs", ("knob", "value"), resolved)], folded=True)]
        if resolved
        else []
    )
    return Section("Mitigation", blocks, parts)


def _price(record: Record, results: Mapping[str, Any]) -> Section | None:
    price = results.get("price")
    if not price:
        return None
    pairs = [(words, _known(price.get(name))) for name, words in _PRICE.items()]
    for name in ("readout_calibration", "noise_learning"):
        pairs += [(f"{name} {key}".replace("_", " "), _known(value)) for key, value in (price.get(name) or {}).items()]
    several = any(one.step for one in record.metrics if one.key == "effect/cost_s")
    of = ", first parameter set" if several else ""
    known = _metrics(record, ("effect/",))
    effects = [(f"{_CALLED[name]}{of}", number(value)) for name, value in known if name in _CALLED]
    return Section("Price", [Facts([*pairs, *effects])])


def _calibration(record: Record) -> Section | None:
    found = _json(record, "calibration.json", None)
    if not found:
        return None
    rows = [[name, f"{value:.4g} {unit}".strip()] for name, (value, unit) in properties_of(found).items()]
    words = f"{found.get('backend')}, calibrated {found.get('last_update') or 'at a time not told'}: the qubits used."
    grid = [Grid("T1, T2, readout and two-qubit errors", ("property", "value"), rows)] if rows else []
    return Section("Calibration", [Words(words), *grid], folded=True)


def _sizes(record: Record) -> Section | None:
    found = [(_CALLED.get(name, name), number(value)) for name, value in _metrics(record, _SIZES)]
    return Section("Sizes of the circuit", [Facts(found)]) if found else None


def _listing(record: Record, name: str) -> Section | None:
    content = record.artifacts.get(name)
    if content is None:
        return None
    text, heading = content.decode(errors="replace"), _LISTINGS[name]
    cut = [Words(f"Its first {_LONGEST} characters; all of it is in {name}.")] if len(text) > _LONGEST else []
    return Section(heading, [*cut, Listing(f"{heading}, {record.title}", text[:_LONGEST])], folded=True)


def _metrics(record: Record, prefixes: tuple[str, ...]) -> list[tuple[str, float]]:
    """Return the metrics of these groups, of series their first values."""
    return [(one.key, one.value) for one in record.metrics if one.key.startswith(prefixes) and one.step == 0]


def _known(value: Any) -> str:
    return "not known" if value is None else number(value)


def _leaves(tree: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in tree.items():
        found += _leaves(value, f"{above}{name}.") if isinstance(value, dict) else [(f"{above}{name}", value)]
    return found


def _json(record: Record, name: str, otherwise: Any) -> Any:
    return json.loads(record.artifacts[name]) if name in record.artifacts else otherwise
