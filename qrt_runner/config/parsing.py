"""From a composed config to a frozen experiment, or to the list of everything that is wrong with it; knows pydantic."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints, ValidationError

from qrt_runner.config.backends import Backend
from qrt_runner.config.explaining import mistakes_in, shown
from qrt_runner.config.fields import Seed, without_unset
from qrt_runner.config.gates import fractional_mistakes
from qrt_runner.config.learning import with_learning
from qrt_runner.config.references import Reference, comparison_mistakes, reference_mistakes
from qrt_runner.config.secrets import leaves, secrets_in
from qrt_runner.config.sections import (
    Action,
    Budget,
    Circuit,
    Journal,
    Mitigation,
    Mode,
    Session,
    Sweep,
    Tracking,
    Transpile,
)
from qrt_runner.config.values import Section
from qrt_runner.errors import ConfigError, Mistake

TaskName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_\-]+$", max_length=100)]
ONLY_TASK: Final = "main"
"""Name of the task of an experiment that does not name its tasks."""

OptionsJudge = Callable[[str, Mapping[str, Any], str], Sequence[Mistake]]
"""Judges `mitigation.options` for a mode, at a config path; given from outside, as only the runtime's models can."""

_RAW_MITIGATION: Final = ("none", "m3")
_SAMPLER_MITIGATION: Final = ("none", "level_0", "dd", "twirl", "suppression", "m3", "custom")
_ESTIMATOR_ONLY: Final = ("level_1", "level_2", "trex", "zne", "suppression_trex", "strong", "pea", "pec")


class Task(Section):
    """One circuit with one mode, mitigation and session group."""

    circuit: Circuit
    mode: Mode
    session: Session
    mitigation: Mitigation


class PartialTask(Section):
    """A task as written: what it leaves out is taken from the top level."""

    circuit: Circuit | None = None
    mode: Mode | None = None
    session: Session | None = None
    mitigation: Mitigation | None = None


class Document(Section):
    """The composed config."""

    name: Annotated[str, Field(min_length=1, examples=["my_experiment"])]
    """Name of the MLflow experiment."""
    seed: Seed | None
    """The one seed: simulators, twirling and (by `transpile.seed`) the transpiler; null for fresh randomness."""
    run: Annotated[str, Field(min_length=1, examples=["latest"])] | None
    """Id of the run that an action is about, or `latest`, or `all`."""
    runs: Annotated[list[Annotated[str, Field(min_length=1, examples=["latest"])]], Field(examples=["[<id>,<id>]"])]
    """Runs that are compared, the first with each other one: ids, folders, or `latest`; empty for the latest two."""
    resume: Annotated[Literal["auto", "never", "required"], Field(examples=["never"])]
    """Whether a command carries on with an interrupted run of its own: where there is one, never, or nothing else."""
    reuse: bool
    """Whether results of an equal task recorded before are taken instead of running it again."""
    circuit: Circuit
    backend: Backend
    mode: Mode
    session: Session
    mitigation: Mitigation
    transpile: Transpile
    reference: Reference
    tracking: Tracking
    action: Action
    sweep: Sweep
    journal: Journal
    budget: Budget
    overview: Annotated[Literal["ladder", "side_by_side"], Field(examples=["ladder"])] | None
    """A figure and a table of all tasks of a run: error against cost, or values side by side; null for none."""
    tasks: dict[TaskName, PartialTask]
    """Several tasks by name; empty for one task made of the top level's groups."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """One composed, validated config: one point of a sweep."""

    document: Document
    tasks: dict[str, Task]
    """The tasks with nothing left out, in the order written."""


def parse(data: Mapping[str, Any], judge_options: OptionsJudge | None = None) -> Experiment:
    """Judge a composed and resolved config.

    Args:
        data: The config as plain containers.
        judge_options: Judges `mitigation.options` where there are any.

    Raises:
        ConfigError: With every mistake found, by the path the user types.
    """
    if secrets := secrets_in(data):
        raise ConfigError(secrets)
    if unwritable := unspeakable(data):
        raise ConfigError(unwritable)
    data = with_learning(data)
    mistakes = [*combination_mistakes(data, judge_options), *reference_mistakes(data)]
    try:
        document = Document.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        raise ConfigError([*_without_followers(mistakes_in(error, Document, data)), *mistakes]) from None
    if mistakes:
        raise ConfigError(mistakes)
    return Experiment(document=document, tasks=tasks_of(document))


def unspeakable(data: Mapping[str, Any]) -> list[Mistake]:
    """Return what YAML can write but no field can take, such as binary data and dates."""
    allowed = "text, a number, true, false, null, a list or a mapping"
    return [
        Mistake(path, shown(value), allowed, f"quote it: {path}='{value}'")
        for path, value in leaves(data)
        if not isinstance(value, str | int | float | None)
    ]


def _without_followers(mistakes: list[Mistake]) -> list[Mistake]:
    """Leave out what is wrong only because `seed` is: `transpile.seed` follows it by interpolation."""
    given = {mistake.path: mistake.given for mistake in mistakes}
    follows = "seed" in given and given.get("transpile.seed") == given["seed"]
    return [mistake for mistake in mistakes if not (follows and mistake.path == "transpile.seed")]


def fingerprint(experiment: Experiment, task: str) -> str:
    """Return the hash of a composed task: equal for equal requests, wherever they are logged."""
    asked = experiment.tasks[task].model_dump(mode="json")
    around = experiment.document.model_dump(
        mode="json",
        include={"seed", "backend", "transpile", "reference"},
        exclude={"transpile": {"cache", "cache_limit_mib"}},
    )
    # In a product the order of the parameters is the order of the parameter sets; sorted keys would not tell it.
    order = list(asked["circuit"]["parameter_values"])
    text = json.dumps({"task": asked, "order": order, **around}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def merged_mistakes(errors: Mapping[int, ConfigError], *, grouped: bool) -> list[Mistake]:
    """Return the mistakes of several points of a sweep, each told once with the points that make it."""
    points: dict[Mistake, list[str]] = {}
    for index, error in errors.items():
        for mistake in error.mistakes:
            points.setdefault(mistake, []).append(str(index))
    if not grouped:
        return list(points)
    return [
        mistake.below(f"{'point' if len(found) == 1 else 'points'} {', '.join(found)}: ")
        for mistake, found in points.items()
    ]


def tasks_of(document: Document) -> dict[str, Task]:
    """Return the tasks with nothing left out."""
    top = {name: getattr(document, name) for name in Task.model_fields}
    if not document.tasks:
        return {ONLY_TASK: Task(**top)}
    return {name: Task(**top | _given(partial)) for name, partial in document.tasks.items()}


def _given(partial: PartialTask) -> dict[str, Any]:
    return {name: value for name in Task.model_fields if (value := getattr(partial, name)) is not None}


COMBINED: Final = ("backend", "mode", "session", "mitigation", "reference", "overview", "tasks")
"""Sections that `combination_mistakes` reads."""


def combination_mistakes(data: Mapping[str, Any], judge_options: OptionsJudge | None) -> list[Mistake]:
    """Return what cannot go together, told by the raw data so that it is told beside all other mistakes."""
    tasks = data.get("tasks")
    if not isinstance(tasks, dict) or not tasks:
        return [*comparison_mistakes(data), *_task_mistakes(data, data, "", judge_options)]
    mistakes = [
        mistake
        for name, task in tasks.items()
        if isinstance(task, dict)
        for mistake in _task_mistakes({**data, **task}, task, f"tasks.{name}.", judge_options)
    ]
    return list(dict.fromkeys([*comparison_mistakes(data), *mistakes]))


def _task_mistakes(
    data: Mapping[str, Any], own: Mapping[str, Any], prefix: str, judge_options: OptionsJudge | None
) -> list[Mistake]:
    path = f"{prefix}session" if "session" in own else "session"
    mistakes = _session_mistakes(_section(data, "session"), path)
    return [*mistakes, *fractional_mistakes(data), *_mitigation_mistakes(data, own, prefix, judge_options)]


def _session_mistakes(session: Mapping[str, Any], path: str) -> list[Mistake]:
    if session.get("id") is None:
        return []
    mistakes = []
    if session.get("kind") == "none":
        given = "an id with session.kind none"
        mistakes.append(Mistake(f"{path}.id", given, "an id with batch, dedicated or auto", f"{path}=auto"))
    if session.get("max_time") is not None:
        given = "a time for a group that is open already"
        mistakes.append(Mistake(f"{path}.max_time", given, "null beside an id", f"{path}.max_time=null"))
    return mistakes


def _mitigation_mistakes(
    data: Mapping[str, Any], own: Mapping[str, Any], prefix: str, judge_options: OptionsJudge | None
) -> list[Mistake]:
    mode, mitigation = _section(data, "mode").get("kind"), _section(data, "mitigation")
    kind, options = mitigation.get("kind"), mitigation.get("options")
    path = f"{prefix}mitigation" if "mitigation" in own else "mitigation"
    if told := _unsuited(mode, kind, path) or _readout_mistake(mode, kind, mitigation.get("readout"), path):
        return [told]
    given = without_unset(options) if isinstance(options, dict) else {}
    if mode == "raw" and given:
        remedy = f"leave {path}.options out, or mode=sampler"
        return [Mistake(f"{path}.options", repr(sorted(given)), "nothing in mode=raw, which is unprocessed", remedy)]
    if not given or judge_options is None or mode not in ("sampler", "estimator"):
        return []
    return list(judge_options(mode, given, f"{path}.options"))


def _unsuited(mode: object, kind: object, path: str) -> Mistake | None:
    if mode == "raw" and kind not in _RAW_MITIGATION:
        remedy = f"{path}=none, or mode=sampler or mode=estimator"
        return Mistake(path, str(kind), "none or m3 in mode=raw, which is unprocessed", remedy)
    if mode == "estimator" and kind == "m3":
        allowed = "m3 for counts: mode=raw and mode=sampler"
        return Mistake(path, "m3 in mode=estimator, whose results are expectation values", allowed, f"{path}=trex")
    if mode == "sampler" and kind in _ESTIMATOR_ONLY:
        allowed = f"{', '.join(_SAMPLER_MITIGATION)} in mode=sampler, whose results are counts"
        return Mistake(path, str(kind), allowed, f"mode=estimator, or {path}=twirl")
    return None


def _readout_mistake(mode: object, kind: object, readout: object, path: str) -> Mistake | None:
    """Return what is wrong with asking for M3 by its field: a name says what is done, and it is for counts."""
    where = f"{path}.readout"
    if readout == "m3" and mode == "estimator":
        given = "m3 in mode=estimator, whose results are expectation values"
        return Mistake(where, given, "m3 for counts: mode=raw and mode=sampler", f"{path}=trex")
    if kind == "m3" and readout == "as_measured":
        return Mistake(where, f"as_measured with {path}=m3", "m3", f"{path}=none")
    if kind in ("none", "level_0") and readout == "m3":
        return Mistake(where, f"m3 with {path}={kind}, which stands for none", "as_measured", f"{path}=m3")
    return None


def _section(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = data.get(name)
    return section if isinstance(section, dict) else {}
