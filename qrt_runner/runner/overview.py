"""Puts the tasks of a run beside each other: a table, a figure, lines for a terminal; knows the modules above it."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from qrt_runner.analysis.overviewing import labels_of, overview_of, rows_of
from qrt_runner.digits import with_error
from qrt_runner.runner.telling import tabled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qrt_runner.analysis.overviewing import Measured
    from qrt_runner.results import TaskResult

PLACES: Final = ("ladder.csv", "plots/ladder.png", "side_by_side.csv", "plots/side_by_side.png")
"""Where the files of overviews lie in a run's folder."""

_MOST_COLUMNS: Final = 4
_MOST_ROWS: Final = 60


@dataclass(frozen=True)
class Overview:
    """What is told of all tasks of a run together."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    lines: Sequence[str] = ()
    troubles: Sequence[str] = ()


def overview_files(results: Sequence[TaskResult], *, draws: bool) -> Overview:
    """Return the overview that the config of some results asks for; empty where it asks for none.

    Args:
        results: Of all tasks of a run.
        draws: Whether there is to be a figure.
    """
    kind = results[0].point.experiment.document.overview if results else None
    measured = overview_of(results) if kind is not None else []
    if kind is None or not measured:
        return Overview()
    files = {f"{kind}.csv": _table(measured)}
    troubles = []
    if draws:
        from qrt_runner.plots import overview

        try:
            files[f"plots/{kind}.png"] = overview(kind, measured, _title(results))
        except Exception as error:  # noqa: BLE001 - as of a task, a figure must not cost a result
            troubles.append(f"no figure of the overview: {type(error).__name__}: {error}")
    lines = _ranked(measured) if kind == "ladder" else _beside(measured)
    failed = [result for result in results if result.state == "failed"]
    if failed:
        lines.append(f"left out, as they failed: {', '.join(labels_of(failed))}")
    return Overview(files, lines, troubles)


def _title(results: Sequence[TaskResult]) -> str:
    """Return the circuits and the backends, of several the first ones."""
    names = list(dict.fromkeys(f"{result.task.circuit.name} on {result.backend}" for result in results))
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def _table(measured: Sequence[Measured]) -> bytes:
    rows = rows_of(measured)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue().encode()


def _ranked(measured: Sequence[Measured]) -> list[str]:
    """Return the tasks with their errors and costs, the one that is worth its price the most first."""
    tasks = _by_task(measured)
    ranked = sorted(tasks.values(), key=lambda own: _rank(own[0].mean_mse_cost))
    names = list(dict.fromkeys(one.observable for one in measured))[:_MOST_COLUMNS]
    source = {one.cost_source for one in measured if one.cost_source}
    cost = f"{source.pop()} s" if len(source) == 1 else "s"
    titles = ["rung", "error^2 x cost", cost, *(word for name in names for word in (f"<{name}>", "bias")), "applied"]
    lines = tabled(titles, [_rung(own, names) for own in ranked[:_MOST_ROWS]])
    if len({one.parameter_set for one in measured}) > 1:
        lines.append("of the first parameter set; ladder.csv has all")
    return lines


def _rung(own: Sequence[Measured], names: Sequence[str]) -> list[str]:
    first, by_name = own[0], {one.observable: one for one in own}
    cells = [first.label, _number(first.mean_mse_cost), f"{first.cost_s:.4g}"]
    for name in names:
        one = by_name.get(name)
        cells += ["-", "-"] if one is None else [with_error(one.value, one.error), f"{one.bias:+.4f}"]
    return [*cells, first.applied or "nothing"]


def _beside(measured: Sequence[Measured]) -> list[str]:
    """Return the values of each observable, task by task, with what they should be."""
    tasks = _by_task(measured)
    names = list(dict.fromkeys(one.observable for one in measured))
    rows = []
    for name in names[:_MOST_ROWS]:
        own = {label: next((one for one in found if one.observable == name), None) for label, found in tasks.items()}
        ideal = next((one.ideal for one in own.values() if one is not None), math.nan)
        told = [with_error(one.value, one.error) if one is not None else "-" for one in own.values()]
        rows.append([f"<{name}>", "-" if math.isnan(ideal) else f"{ideal:.6g}", *told])
    return tabled(["observable", "ideal", *tasks], rows)


def _by_task(measured: Sequence[Measured]) -> dict[str, list[Measured]]:
    """Return what was measured of the first parameter set, by the label of the task."""
    tasks: dict[str, list[Measured]] = {}
    for one in measured:
        if one.parameter_set == 0:
            tasks.setdefault(one.label, []).append(one)
    return tasks


def _rank(value: float) -> float:
    return value if math.isfinite(value) else math.inf


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "unknown"
