"""Changes what is asked of a run that is over: observables, undone readout errors; knows the modules above it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

from qrt_runner.analysis import expectations_from_counts
from qrt_runner.analysis.readout import PATH, readout_errors
from qrt_runner.circuits import ask_instead
from qrt_runner.config import Aer, AerNoisy, Fake, Rehearsal, Snapshot
from qrt_runner.errors import ConfigError, Mistake, refuse
from qrt_runner.results import PubResult
from qrt_runner.runner.correcting import as_asked, as_measured, without_m3
from qrt_runner.runner.scattering import reference_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from qrt_runner.analysis.m3 import MeasuredReadout
    from qrt_runner.analysis.readout import ReadoutError
    from qrt_runner.config import Replay
    from qrt_runner.modes import Pub
    from qrt_runner.plan import Plan, PlannedTask, Program
    from qrt_runner.results import Counts, Ledger

OBSERVABLES: Final = "action.observables"
"""Config path of the observables that are asked for instead."""

_APPLIED: Final = "readout (calibration)"
_UNDONE: Final = {
    "as_measured": "counts are taken as they were measured",
    "calibration": "the readout errors of the device's calibration are undone instead",
}
"""Why M3 is not applied where a replay asks for something else."""

_SIMULATED: Final = (Aer, AerNoisy, Fake, Rehearsal)
"""Backends on which 0 and 1 are misread alike: their noise is made of a target, which has one readout error only."""


@dataclass(frozen=True)
class Revision:
    """A plan as it is asked for now."""

    plan: Plan
    readout: Literal["as_asked", "as_measured", "calibration"] = "as_asked"
    errors: Mapping[PlannedTask, Mapping[int, ReadoutError]] = field(default_factory=dict)
    """Readout errors that are undone, of each task by classical bit."""

    def tell(self, counts: Counts, task: PlannedTask, readout: MeasuredReadout | None) -> PubResult:
        """Return counts and the expectation values that they tell, corrected where that is asked for."""
        if self.readout == "as_asked":
            return as_asked(counts, task, readout)
        if task not in self.errors:
            return as_measured(counts, task)
        circuit, errors = task.logical.circuit, self.errors[task]
        return PubResult(counts, expectations_from_counts(counts, task.logical.observables, circuit, errors))


def revised(plan: Plan, asked: Replay) -> Revision:
    """Return a plan with what a replay asks for instead.

    Raises:
        ConfigError: With all that cannot be told of the tasks.
    """
    if asked.observables:
        plan = _with_observables(plan, asked)
    if asked.readout == "as_asked":
        return Revision(plan)
    tasks = tuple(replace(task, ledger=without_m3(task.ledger, _UNDONE[asked.readout])) for task in plan.tasks)
    plan = replace(plan, tasks=tasks)
    return Revision(plan, asked.readout) if asked.readout == "as_measured" else _with_readout(plan)


def owners(plan: Plan) -> dict[tuple[int, int], PlannedTask]:
    """Return a task of each PUB, by job and PUB; all of them have circuit and observables in common."""
    return {(place.job, place.pub): task for task in plan.tasks for place in task.places}


def _with_observables(plan: Plan, asked: Replay) -> Plan:
    mistakes: list[Mistake] = []
    tasks = []
    for task in plan.tasks:
        try:
            tasks.append(_asked_instead(task, asked))
        except ConfigError as error:
            mistakes += error.mistakes
    if mistakes:
        raise ConfigError(mistakes)
    whole = replace(plan, tasks=tuple(tasks))
    of_pub = owners(whole)
    jobs = []
    for job in plan.jobs:
        pubs = tuple(
            _observing(pub, of_pub[job.index, number]) if job.mode == "estimator" else pub
            for number, pub in enumerate(job.submission.pubs)
        )
        jobs.append(replace(job, submission=replace(job.submission, pubs=pubs)))
    return replace(whole, jobs=tuple(jobs))


def _asked_instead(task: PlannedTask, asked: Replay) -> PlannedTask:
    """Return a task with other observables, and what they are compared with."""
    section, document = task.point.experiment.tasks[task.name], task.point.experiment.document
    logical = ask_instead(task.logical, section.mode.kind, asked.observables, OBSERVABLES)
    reference, twin = reference_of(section, document, logical), task.reference.twin
    # Counts of a twin tell other observables too; its expectation values tell their own only.
    kept = twin if twin is not None and twin.counts is not None else None
    return replace(task, logical=logical, reference=replace(reference, twin=kept))


def _observing(pub: Pub, task: PlannedTask) -> Pub:
    lowered = task.program.lowered
    return replace(pub, observables={name: lowered.observable(one) for name, one in task.logical.observables.items()})


def _with_readout(plan: Plan) -> Revision:
    mistakes: list[Mistake] = []
    found: dict[tuple[Program, bool], dict[int, ReadoutError]] = {}
    tasks, errors = [], {}
    for task in plan.tasks:
        key = task.program, _evens(task.ledger)
        try:
            if key not in found:
                found[key] = _errors_of(task)
        except ConfigError as error:
            mistakes += error.mistakes
            continue
        tasks.append(_corrected(task, found[key]))
        errors[tasks[-1]] = found[key]
    if mistakes:
        raise ConfigError(mistakes)
    return Revision(replace(plan, tasks=tuple(tasks)), "calibration", errors)


def _errors_of(task: PlannedTask) -> dict[int, ReadoutError]:
    """Return the readout errors of a task's classical bits, as they acted on its shots."""
    experiment, program = task.point.experiment, task.program
    if experiment.tasks[task.name].mode.kind == "estimator":
        given = "calibration, for results of the estimator, which are expectation values of several bases"
        raise refuse(PATH, given, "calibration for counts: mode=raw and mode=sampler", f"{PATH}=as_measured")
    backend, told = experiment.document.backend, program.calibration
    evenly = isinstance(backend, Snapshot) and told is not None and told.get("reads_evenly")
    asymmetric = not (evenly or isinstance(backend, _SIMULATED))
    found = readout_errors(told, task.logical.circuit, program.lowered.isa, asymmetric=asymmetric)
    return {bit: error.evened() for bit, error in found.items()} if _evens(task.ledger) else found


def _evens(ledger: Ledger) -> bool:
    """Tell whether measurements were twirled, which makes 0 and 1 be misread alike."""
    return bool((ledger.resolved.get("twirling") or {}).get("enable_measure"))


def _corrected(task: PlannedTask, errors: Mapping[int, ReadoutError]) -> PlannedTask:
    """Return a task that tells of the correction."""
    logical, ledger = task.logical, task.ledger
    letters = any(operator.paulis.z.any() for operator in logical.observables.values())
    if not letters or not any(error.acts for error in errors.values()):
        why = "there is no observable to correct" if not letters else "no qubit is misread by the calibration"
        ledger = replace(ledger, ignored={**ledger.ignored, _APPLIED: why})
        return replace(task, ledger=ledger)
    ledger = replace(ledger, applied=(*ledger.applied, _APPLIED))
    notes = (*logical.notes, *_corrections(task))
    return replace(task, logical=replace(logical, notes=notes), ledger=ledger)


def _corrections(task: PlannedTask) -> Iterator[str]:
    """Tell what is corrected, and what is not."""
    calibration = task.program.calibration
    assert calibration is not None
    errors = f"readout errors of the calibration of {calibration['last_update']}"
    yield f"expectation values are corrected for the {errors}; counts and fidelities are as measured"
    if task.logical.circuit.has_control_flow_op():
        yield "measured bits that steer the circuit are not corrected"
