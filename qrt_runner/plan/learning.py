"""Puts jobs that learn noise before those that need it, or hands on what was learned; knows the modules above it.

Jobs of one session group on the same qubits share one learner job, which learns all their layers together.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.config import RUN
from qrt_runner.errors import refuse
from qrt_runner.modes import LEARNER_MODE, Pub, Submission
from qrt_runner.plan.costs import Load, expected_s
from qrt_runner.plan.records import Job

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from qrt_runner import config
    from qrt_runner.config import Limits
    from qrt_runner.mitigation import LearnerOptions
    from qrt_runner.noise import Layer, NoiseModel
    from qrt_runner.plan.records import Program
    from qrt_runner.results import Ledger

Loaded = Callable[[str], "NoiseModel"]
"""Returns the noise model that a run learned or used, by the run's id; refuses where there is none."""

_SHOWN: Final = 3


@dataclass(frozen=True, eq=False)
class Learning:
    """How a task comes to its noise model."""

    key: str
    """Equal for tasks that can share a model: same qubits, same learning."""

    options: LearnerOptions
    max_age_s: float
    """For how long what was learned before is used; 0 for never."""

    limits: Limits
    given: NoiseModel | None = None
    """The model of a run that was named."""


def sent_and_told(options: Any, requested: str, program: Program) -> tuple[Any, Ledger]:
    """Return what a task's primitive is sent, and its ledger: PEC and PEA are left out where nothing can be learned.

    Args:
        options: What was asked for.
        requested: Kind of mitigation.
        program: The circuit as submitted, and where to.

    Raises:
        ConfigError: Where a technique cannot work with this circuit or backend.
    """
    from qrt_runner.mitigation import ledger, technique_of, without_noise_model

    around = (program.lowered.circuit, program.device, program.runs_on)
    told = ledger(requested, options, *around)
    if technique_of(options) not in told.ignored:
        return options, told
    sent = without_noise_model(options)
    return sent, replace(told, resolved=ledger(requested, sent, *around).resolved)


def learning_of(
    mitigation: config.Mitigation, options: Any, program: Program, backend: config.Backend, loaded: Loaded | None
) -> Learning | None:
    """Return how a task comes to the noise model that its options need; None where they need none.

    Args:
        mitigation: What the config says.
        options: What the task's primitive is sent.
        program: Its circuit.
        backend: The backend's section.
        loaded: Returns the model of an earlier run.

    Raises:
        ConfigError: Where the model of a run is meant that is not there or lacks a layer.
    """
    if options is None:
        # Raw: the runtime is not even imported.
        return None
    from qrt_runner.mitigation import learner_options, noise_hash, technique_of

    if not technique_of(options):
        return None
    device, qubits = program.device, program.qubits
    calibration = str((program.calibration or {}).get("last_update", ""))
    asked = learner_options(options, mitigation.learning, device, backend.kind, calibration)
    if device.where == "simulator":
        asked = asked.model_copy(update={"noise": noise_hash(program.calibration, program.runs_on)})
    given = None
    if mitigation.noise_model.startswith(RUN):
        from qrt_runner.modes.layers import layers_of

        assert loaded is not None, "whoever compiles plans that name runs can look them up"
        given = loaded(mitigation.noise_model.removeprefix(RUN))
        layers = layers_of([program.lowered.circuit], qubits, asked.strategy, asked.group)
        check_given(given, layers, device.name, "mitigation.noise_model", mitigation.noise_model)
    source = [mitigation.noise_model, mitigation.learning.max_age_s]
    key = json.dumps([backend.model_dump(mode="json"), qubits, asked.model_dump(mode="json"), source], sort_keys=True)
    max_age_s = mitigation.learning.max_age_s if mitigation.noise_model == "auto" else 0.0
    return Learning(key, asked, max_age_s, backend.limits, given)


def with_learners(jobs: Sequence[Job], wanted: Sequence[tuple[str, Learning | None]]) -> tuple[list[Job], list[int]]:
    """Return the jobs with those before them that learn what they need, and for which of them each of those is.

    Args:
        jobs: The jobs, numbered from 0.
        wanted: Of each job, the key of its session group, and where its noise model is from.
    """
    sharing: dict[tuple[str, str], list[int]] = {}
    for job, (group, learning) in zip(jobs, wanted, strict=True):
        if learning is not None:
            sharing.setdefault((group, learning.key), []).append(job.index)
    models: dict[int, NoiseModel] = {}
    learners: dict[int, int] = {}
    planned: list[Job] = []
    first: list[int] = []
    for users in sharing.values():
        learning = wanted[users[0]][1]
        assert learning is not None
        found = _model_or_job([jobs[user] for user in users], learning, len(planned))
        if isinstance(found, Job):
            learners |= dict.fromkeys(users, found.index)
            planned.append(found)
            first.append(users[0])
        else:
            models |= dict.fromkeys(users, found)
    return [*planned, *(_moved(job, len(planned), learners, models) for job in jobs)], first


def _moved(job: Job, by: int, learners: Mapping[int, int], models: Mapping[int, NoiseModel]) -> Job:
    """Return a job behind those that learn, with what it needs of them."""
    moved = replace(job, index=job.index + by, needs=learners.get(job.index))
    if job.index not in models:
        return moved
    return with_model(moved, models[job.index])


def with_model(job: Job, model: NoiseModel) -> Job:
    """Return a job with the noise model that it will be submitted with, and what it is expected to take by that."""
    submission = replace(job.submission, noise=model)
    if all(load.overhead is not None for load in job.loads):
        return replace(job, submission=submission)
    from qrt_runner.modes.layers import overheads_of

    overheads = overheads_of(submission, model)
    known = replace(job, loads=tuple(load.times(one) for load, one in zip(job.loads, overheads, strict=True)))
    seconds = expected_s(known.executions) if job.expected_s else 0.0
    return replace(known, submission=submission, expected_s=seconds)


def _model_or_job(users: Sequence[Job], learning: Learning, index: int) -> NoiseModel | Job:
    """Return the model for some jobs where it is there already, else the job that learns it."""
    from qrt_runner.mitigation.remembering import remembered
    from qrt_runner.modes.layers import layers_of

    if learning.given is not None:
        return learning.given
    like, options = users[0].submission, learning.options
    circuits = {id(pub.circuit): pub for job in users for pub in job.submission.pubs}
    found = layers_of((pub.circuit for pub in circuits.values()), like.qubits, options.strategy, options.group)
    if known := remembered(options, [*found], learning.max_age_s):
        return known
    _check(learning, [*found])
    pubs = tuple(Pub(pub.circuit, pub.values[:1], {}) for pub in circuits.values())
    shots = options.learner.shots_per_randomization
    load = Load(options.circuits(len(found)), shots)
    seconds = 0.0 if like.device.where == "simulator" else expected_s(load.executions)
    submission = Submission(like.device, like.runs_on, pubs, shots, like.seed, options, qubits=like.qubits)
    return Job(index, LEARNER_MODE, submission, expected_s=seconds, loads=(load,))


def check_given(model: NoiseModel, layers: Collection[Layer], backend: str, path: str, run: str) -> None:
    """Refuse the model of a run that was learned on another backend, or lacks a layer.

    Raises:
        ConfigError: With the layers that it lacks.
    """
    remedy = f"{path}=auto, which learns what is not known"
    if model.backend != backend:
        raise refuse(path, f"{run}, whose model is of {model.backend}", f"models of {backend}", remedy)
    known = model.by_layer
    if lacking := [layer for layer in layers if layer.key not in known]:
        given = f"{run}, whose model lacks {_listed(lacking)}"
        raise refuse(path, given, f"all layers; it has {_listed([one.layer for one in model.layers])}", remedy)


def _check(learning: Learning, layers: Sequence[Layer]) -> None:
    """Refuse to learn more than is meant to be learned, or than a job can hold.

    Raises:
        ConfigError: With how many layers there are.
    """
    options, limit = learning.options, learning.limits.executions
    if len(layers) > options.max_layers:
        given = f"{options.max_layers}, for circuits with {len(layers)} distinct layers: {_listed(layers)}"
        path = "mitigation.learning.max_layers"
        raise refuse(path, given, f"at least {len(layers)}", f"{path}={len(layers)}, or fewer circuits")
    executions = options.executions(len(layers))
    if limit is not None and executions > limit:
        given = f"{executions} to learn {len(layers)} layers"
        remedy = "fewer mitigation.learning.num_randomizations, or another limit"
        raise refuse("backend.limits.executions", given, f"at most {limit:g} a job", remedy)


def _listed(layers: Sequence[Layer]) -> str:
    more = f" and {len(layers) - _SHOWN} more" if len(layers) > _SHOWN else ""
    return "; ".join(str(layer) for layer in layers[:_SHOWN]) + more
