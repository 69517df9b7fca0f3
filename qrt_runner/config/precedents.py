"""Judges a config that differs little from one already judged, at the price of the difference; knows pydantic.

What a config shares with its precedent, as the same objects, is right and has been made a section already. All that is
said of a mistake is said by `parse`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError

from qrt_runner.config.combining import COMBINED, combination_mistakes
from qrt_runner.config.learning import with_learning
from qrt_runner.config.parsing import (
    Document,
    Experiment,
    Task,
    parse,
    tasks_of,
    unspeakable,
)
from qrt_runner.config.secrets import secrets_in
from qrt_runner.config.values import Section

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qrt_runner.config.combining import OptionsJudge
    from qrt_runner.config.parsing import PartialTask

Kind = TypeVar("Kind", bound=Section)


@dataclass(frozen=True)
class Precedent:
    """A config that is right."""

    data: Mapping[str, Any]
    experiment: Experiment


def parse_beside(
    precedent: Precedent, data: Mapping[str, Any], judge_options: OptionsJudge | None = None
) -> Experiment:
    """Judge a composed and resolved config as `parse` does.

    Args:
        precedent: A config that is right, of which `data` shares whole sections.
        data: The config as plain containers.
        judge_options: Judges `mitigation.options` where there are any.

    Raises:
        ConfigError: With every mistake found, by the path the user types.
    """
    known = precedent.data
    new = _difference(data, known)
    if data.keys() != known.keys() or secrets_in(new) or unspeakable(new):
        return parse(data, judge_options)
    if _may_clash(data, known, new) and combination_mistakes(data, judge_options):
        return parse(data, judge_options)
    # Tasks take from the top level's mitigation what their own leaves out.
    names = dict.fromkeys([*new, "tasks"]) if "mitigation" in new and data["tasks"] else new
    whole = with_learning(data) if "tasks" in names else data
    try:
        sections = {name: _section(name, whole[name]) for name in names}
    except ValidationError:
        return parse(data, judge_options)
    return _beside(precedent.experiment, sections)


def _difference(data: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a mapping, at any depth, is not the known one's own."""
    return {
        key: _difference(value, known[key]) if isinstance(value, dict) and isinstance(known.get(key), dict) else value
        for key, value in data.items()
        if key not in known or value is not known[key]
    }


def _may_clash(data: Mapping[str, Any], known: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Tell whether a change may be one that does not go with the rest; of the mode, only its kind is asked about."""
    combined = [name for name in COMBINED if name in new]
    same_kind = combined == ["mode"] and _kind(data["mode"]) == _kind(known["mode"])
    return bool(combined) and not same_kind


def _kind(section: Any) -> Any:
    return section.get("kind") if isinstance(section, dict) else None


def _section(name: str, value: Any) -> Any:
    return _adapter(name).validate_json(json.dumps(value), strict=True)


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(get_type_hints(Document, include_extras=True)[name])


def _beside(experiment: Experiment, sections: Mapping[str, Any]) -> Experiment:
    """Return the experiment with other sections, sharing all that is equal."""
    known = experiment.document
    document = _with(known, {name: _sharing(section, getattr(known, name)) for name, section in sections.items()})
    if "tasks" in sections:
        return Experiment(document, tasks_of(document))
    changed = {name: getattr(document, name) for name in Task.model_fields if name in sections}
    if not changed:
        return Experiment(document, experiment.tasks)
    tasks = {name: _task(task, document.tasks.get(name), changed) for name, task in experiment.tasks.items()}
    return Experiment(document, tasks)


def _task(task: Task, partial: PartialTask | None, changed: Mapping[str, Any]) -> Task:
    """Return a task with what it takes from the changed top level."""
    taken = {name: section for name, section in changed.items() if getattr(partial, name, None) is None}
    return _with(task, taken)


def _sharing(section: Any, known: Any) -> Any:
    """Return a section whose fields are the known one's own where they are equal."""
    if not isinstance(section, Section) or type(section) is not type(known):
        return section
    return _with(known, {name: value for name, value in section if repr(value) != repr(getattr(known, name))})


def _with(section: Kind, fields: Mapping[str, Any]) -> Kind:
    """Return a section with other fields, all of them valid."""
    return section.model_construct(_fields_set=section.model_fields_set, **{**section.__dict__, **fields})
