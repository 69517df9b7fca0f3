"""From a composed config to a frozen experiment, or to the list of everything that is wrong with it; knows pydantic."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, StringConstraints, ValidationError

from qrt_runner.config.backends import Backend
from qrt_runner.config.combining import OptionsJudge, combination_mistakes
from qrt_runner.config.explaining import mistakes_in, shown
from qrt_runner.config.fields import Seed, switched_off
from qrt_runner.config.learning import with_learning
from qrt_runner.config.references import Reference, reference_mistakes
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

if TYPE_CHECKING:
    from collections.abc import Mapping

TaskName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_\-]+$", max_length=100)]
ONLY_TASK: Final = "main"
"""Name of the task of an experiment that does not name its tasks."""


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
    progress: Annotated[Literal["auto", "lines", "off"], BeforeValidator(switched_off), Field(examples=["off"])] = (
        "auto"
    )
    """How far a run is, while it runs: a line drawn anew on a terminal, lines elsewhere; lines anywhere; or nothing.

    The configs of earlier runs, by which they are carried on with, have none.
    """
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
