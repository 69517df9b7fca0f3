"""The figures of a run and its tasks, each with what it shows in words; knows the modules above it.

What was drawn is taken as it is. Figures of a sweep's points, which are drawn on request only, are drawn now where the
journal has the run and the points are few.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from qrt_runner.errors import QrtError
from qrt_runner.reports import Picture
from qrt_runner.runner.numbering import counts_in_words, values_in_words
from qrt_runner.runner.recalling import results_again
from qrt_runner.runner.recording import key_of
from qrt_runner.tracking import rows_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qrt_runner.journal import Journal
    from qrt_runner.runner.recalling import Recorded
    from qrt_runner.tracking import Record

_FOLDER: Final = "plots/"
_SUFFIX: Final = ".png"
_ZNE: Final = "zne-"

Drawn = dict[str, dict[str, bytes]]
"""Figures by the key of their task and their name."""


def run_pictures(found: Recorded) -> list[Picture]:
    """Return the figures of all tasks together."""
    if found.kept is None:
        return []
    files = sorted((found.kept.folder / _FOLDER).glob(f"*{_SUFFIX}"))
    shown = values_in_words([row for record in found.records if record.state == "FINISHED" for row in rows_of(record)])
    alt = f"of the {len(found.records)} tasks of run {found.id}: {shown}"
    return [Picture(caption, f"{caption} {alt}", file.read_bytes()) for file in files if (caption := _named(file.stem))]


def task_pictures(record: Record, drawn: Mapping[str, bytes]) -> list[Picture]:
    """Return a task's figures: those that are kept, and those that were drawn anew."""
    kept = {name: png for name, png in record.artifacts.items() if name.startswith(_FOLDER) and name.endswith(_SUFFIX)}
    return [_picture(record, name, png) for name, png in sorted({**drawn, **kept}.items())]


def drawn_anew(journal: Journal, found: Recorded, keys: Sequence[str]) -> tuple[Drawn, list[str]]:
    """Draw the figures of tasks that have none; a figure that cannot be drawn is told, and costs nothing else.

    Returns:
        The figures, and what went wrong.
    """
    wanted = {
        record.key
        for record in found.records
        if record.key in keys and record.state == "FINISHED" and not task_pictures(record, {})
    }
    if not wanted or found.run is None:
        return {}, []
    from qrt_runner.plots import figures

    drawn: Drawn = {}
    troubles = []
    try:
        for result in results_again(journal, found.run):
            if key_of(result) in wanted and result.state == "done":
                try:
                    drawn[key_of(result)] = figures(result)
                except Exception as error:  # noqa: BLE001 - as in a run, a figure must not cost a report
                    troubles.append(f"no figures of task {result.name}: {type(error).__name__}: {error}")
    except QrtError as error:
        troubles.append(f"no figures of some tasks: {error}")
    return drawn, troubles


def _picture(record: Record, name: str, png: bytes) -> Picture:
    stem = name.removeprefix(_FOLDER).removesuffix(_SUFFIX)
    caption = f"{_named(stem)} of {record.title}"
    shown = _shown(record, stem)
    return Picture(caption, f"{caption}: {shown}" if shown else caption, png)


def _shown(record: Record, stem: str) -> str:
    """Return the numbers that a figure shows."""
    if stem == "counts":
        return counts_in_words(record)
    if stem == "noise_model":
        layers = json.loads(record.artifacts.get("noise_model.json", b"{}")).get("layers", [])
        return "; ".join(f"gamma of layer {place} is {one['gamma']:.4g}" for place, one in enumerate(layers, 1))
    rows = list(rows_of(record))
    if stem.startswith(_ZNE):
        own = stem.removeprefix(_ZNE)
        return values_in_words([row for row in rows if own in _zne_names(row)])
    return values_in_words(rows) if stem == "expectation_values" else ""


def _zne_names(row: Mapping[str, object]) -> tuple[str, str]:
    """Return what the figure of a row's value is called: alone, and among several parameter sets."""
    return f"{row.get('observable')}", f"{row.get('observable')}-{row['parameter_set']}"


def _named(stem: str) -> str:
    if stem.startswith(_ZNE):
        return f"Extrapolation to zero noise, {stem.removeprefix(_ZNE)}"
    return stem.replace("_", " ").replace("-", " ").capitalize()
