"""Tidy tables of results, as Parquet and as JSON; knows pyarrow, and not MLflow."""

from __future__ import annotations

import io
import json
import math
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from qrt_runner.results import Comparison, TaskResult

Row = dict[str, Any]
_AS_TEXT: Final = ("inf", "-inf", "nan")


def tidy_rows(result: TaskResult) -> list[Row]:
    """Return one row per parameter set and observable; one per parameter set where there is no observable.

    Parameter sets of which there is no result have no row.
    """
    rows = []
    found, missing = result.expectations, frozenset(result.missing)
    for index, start in enumerate(_starts(result)):
        if index in missing:
            continue
        if found is None or not found.names:
            rows.append(start)
            continue
        for column, name in enumerate(found.names):
            row = {**start, "observable": name, "ev": float(found.values[index, column])}
            row["std"] = float(found.errors[index, column])
            if result.corrected is not None:
                row["ev_as_measured"] = float(result.corrected.uncorrected.values[index, column])
                row["std_as_measured"] = float(result.corrected.uncorrected.errors[index, column])
            rows.append(row | _compared(result.comparison, row["ev"], index, column) | _twin(result, index, column))
    return rows


def _compared(comparison: Comparison, value: float, index: int, column: int) -> Row:
    """Return how an expectation value compares with its reference; nothing where that is not known."""
    ideal, effect = comparison.ideal, comparison.effect
    if ideal is None or math.isnan(ideal[index, column]):
        return {}
    row: Row = {"ideal": float(ideal[index, column])}
    row["error"] = value - row["ideal"]
    if effect is not None:
        row["cost_s"] = float(effect.cost_s[index])
        row["mse_cost"] = float(effect.mse_cost[index, column])
    return row


def _twin(result: TaskResult, index: int, column: int) -> Row:
    """Return how an expectation value compares with that of the twin."""
    twin = result.comparison.twin
    if twin is None:
        return {}
    found = twin.expectations
    told = {
        "twin_ev": found.values if found is not None else None,
        "twin_std": found.errors if found is not None else None,
        "twin_error_sigmas": twin.sigmas,
        "error_sigmas": twin.ideal_sigmas,
    }
    return {name: float(values[index, column]) for name, values in told.items() if values is not None}


def _starts(result: TaskResult) -> Iterable[Row]:
    """Return what all rows of a parameter set begin with."""
    comparison = result.comparison
    shots = result.counts.shots() if result.counts is not None else repeat(None)
    told = comparison.hellinger, comparison.total_variation, comparison.p_success
    distances = zip(*told, strict=True) if comparison.hellinger else repeat((None, None, None))
    columns = zip(result.parameter_values.tolist(), shots, distances, strict=False)
    for index, (values, count, (fidelity, distance, share)) in enumerate(columns):
        start: Row = {"point": result.point.index, "task": result.name, "parameter_set": index}
        start |= zip(result.parameters, values, strict=True)
        known = {"shots": count, "hellinger": fidelity, "total_variation": distance, "p_success": share}
        if comparison.twin is not None:
            further = comparison.twin.distances.items()
            known |= {key.replace("/", "_"): values[index] for key, values in further}
        yield start | {name: value for name, value in known.items() if value is not None}


def typed(word: str) -> str | float:
    """Return the number that an override gives, or its word."""
    try:
        found = json.loads(word)
    except ValueError:
        return word
    return found if isinstance(found, int | float) and not isinstance(found, bool) else word


def parquet_of(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return rows as Parquet; a column of words and numbers becomes one of words."""
    from pyarrow import parquet

    stream = io.BytesIO()
    parquet.write_table(_table(rows), stream)
    return stream.getvalue()


def _table(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Return rows as an Arrow table.

    By way of JSON, which Arrow reads by itself: given Python's lists it imports pandas, which takes 0.1 s.
    """
    import pyarrow as pa
    from pyarrow import json as arrow_json

    if not rows:
        return pa.table({})
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: _typed_column([row.get(name) for row in rows]) for name in names}
    try:
        lines = [
            json.dumps(dict(zip(names, row, strict=True)), allow_nan=False)
            for row in zip(*(values for values, _ in columns.values()), strict=True)
        ]
    except ValueError:
        # Infinite errors and the like have no number in JSON.
        return pa.table({name: pa.array(values) for name, (values, _) in columns.items()})
    kinds = pa.schema([(name, getattr(pa, kind)()) for name, (_, kind) in columns.items()])
    text = io.BytesIO("\n".join(lines).encode())
    wanted = arrow_json.ParseOptions(explicit_schema=kinds)
    return arrow_json.read_json(text, arrow_json.ReadOptions(use_threads=False), wanted)


def _typed_column(values: list[Any]) -> tuple[list[Any], str]:
    """Return a column's values, all of one type, and what Arrow calls that type."""
    types = {type(value) for value in values if value is not None}
    if types <= {int}:
        return values, "int64" if types else "null"
    if types <= {int, float}:
        return values, "float64"
    if types == {bool}:
        return values, "bool_"
    return [None if value is None else str(value) for value in values], "string"


def as_json(value: Any) -> bytes:
    """Return JSON with a line for each item of the outermost list or mapping, and for each row of a table in it."""
    if isinstance(value, dict):
        lines = (f" {json.dumps(str(name))}: {_line(item)}" for name, item in value.items())
        return ("{\n" + ",\n".join(lines) + "\n}\n").encode()
    return ("[\n" + ",\n".join(f" {_line(item)}" for item in value) + "\n]\n").encode()


def numbers_in(row: Row) -> Row:
    """Read back as numbers what JSON holds as text."""
    return {
        name: float(value) if name not in ("task", "observable") and value in _AS_TEXT else value
        for name, value in row.items()
    }


def _line(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(f"  {_line(item)}" for item in value) + "\n ]"
    try:
        return json.dumps(value, default=str, allow_nan=False)
    except ValueError:
        return json.dumps(_plain(value), default=str, allow_nan=False)


def _plain(value: Any) -> Any:
    """Write what JSON has no number for as text: `inf`, `-inf`, `nan`."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
