"""Writes points as lines of JSON and makes points of them again; knows configs.

`points.jsonl` has a line for each point: its index, its overrides, its `config.yaml`, and its config as it was judged.
The first line has all sections of the config, each other one those in which it differs from the first.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.config import parse
from qrt_runner.config.precedents import Precedent, parse_beside
from qrt_runner.errors import ConfigError, JournalError
from qrt_runner.plan.parts import POINTS, content_of, reading
from qrt_runner.results import Point

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from qrt_runner.config import Document, Experiment

_NEW_SECTIONS: Final[Mapping[str, Any]] = {"runs": [], "overview": None}
"""What the config of a plan of a former version may lack, and what it means there."""

_NEW_FIELDS: Final[Mapping[tuple[str, str], Mapping[str, Any]]] = {
    ("reference", "ideal"): {"on_unknown": "refuse"},
    ("backend", "aer_noisy"): {"noise": "device"},
}
"""What a section of it may lack, by the section's name and kind."""

_LEARNING: Final = {
    "num_randomizations": None,
    "shots_per_randomization": None,
    "layer_pair_depths": None,
    "max_layers": 20,
    "max_age_s": 14400,
}
_NEW_IN_ALL: Final[Mapping[str, Mapping[str, Any]]] = {
    "mitigation": {"readout": "as_measured", "noise_model": "auto", "learning": _LEARNING}
}
"""The same for sections of every kind."""

_FORMER_FIELDS: Final[Mapping[tuple[str, str], Collection[str]]] = {("reference", "none"): ("max_qubits",)}
"""What it may have and means nothing."""


def written_points(points: Sequence[Point]) -> bytes:
    """Return points as lines of JSON."""
    return "".join(f"{_line(point, points[0])}\n" for point in points).encode()


def stored_points(parts: Mapping[str, bytes]) -> dict[int, Point]:
    """Return the points of a stored plan by their indices; those that could not be run are among them.

    Raises:
        JournalError: Where they are damaged, or their configs are not what this version knows.
    """
    with reading(POINTS):
        lines = [json.loads(line) for line in content_of(parts, POINTS).decode().splitlines()]
        try:
            return {line["index"]: point for line, point in zip(lines, _points(lines), strict=True)}
        except ConfigError as error:
            told = "; ".join(str(mistake) for mistake in error.mistakes)
            msg = f"The stored plan cannot be read: a config of it does not fit this version of qrt_runner ({told})"
            raise JournalError(f"{msg}; remedy: go on with the version that wrote it") from error


def _line(point: Point, first: Point) -> str:
    document = point.experiment.document
    own = set(type(document).model_fields) if point is first else _differing(document, first.experiment.document)
    line = {
        "index": point.index,
        "overrides": point.overrides,
        "yaml": point.config_yaml(),
        # As written: what a task takes from the top level is not a section of its own.
        "document": document.model_dump(mode="json", include=own, exclude_unset=True),
    }
    return json.dumps(line)


def _differing(document: Document, first: Document) -> set[str]:
    """Return the sections in which a config may differ: points of a sweep have all others in common."""
    others = vars(first)
    return {name for name, section in vars(document).items() if section is not others[name]}


def _points(lines: Sequence[Mapping[str, Any]]) -> list[Point]:
    if not lines:
        return []
    data = _as_of_today({**_NEW_SECTIONS, **lines[0]["document"]})
    precedent = Precedent(data, parse(data))
    return [_point(line, precedent) for line in lines]


def _as_of_today(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return sections of a config, which a former version may have written, as this one writes them."""
    return {name: _section_of_today(name, section) for name, section in document.items()}


def _section_of_today(name: str, section: Any) -> Any:
    if not isinstance(section, dict):
        return section
    if name == "tasks":
        return {task: _as_of_today(sections) for task, sections in section.items()}
    key = name, str(section.get("kind"))
    former = _FORMER_FIELDS.get(key, ())
    kept = {field: value for field, value in section.items() if field not in former}
    return {**_NEW_IN_ALL.get(name, {}), **_NEW_FIELDS.get(key, {}), **kept}


def _point(line: Mapping[str, Any], precedent: Precedent) -> Point:
    # Their options have been judged by the runtime's models already.
    experiment: Experiment = parse_beside(precedent, {**precedent.data, **_as_of_today(line["document"])})
    return Point(line["index"], experiment, partial(str, line["yaml"]), tuple(line["overrides"]))
