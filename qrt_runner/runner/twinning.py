"""Runs a plan's programs on noisy simulators of their backends before anything is submitted; knows the modules above.

What they give is a part of the plan: it is kept with it, and needs neither the backend nor a simulator again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.backends import check_fits, simulator_of
from qrt_runner.config import Twin as TwinSection
from qrt_runner.errors import ConfigError, QrtError, refuse
from qrt_runner.execution.spans import part_of, spans_of
from qrt_runner.modes import Pub, mode_named
from qrt_runner.results import NO_SESSION, JobResult, Span, Twin
from qrt_runner.runner.revising import owners
from qrt_runner.runner.scattering import scatter
from qrt_runner.transpilation import Lowered, on_active

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from qrt_runner.backends import Device
    from qrt_runner.modes import Submission
    from qrt_runner.plan import Job, Plan, PlannedTask, Program
    from qrt_runner.results import TaskResult

_OTHER_SEED: Final = 2**31
"""Added to the seed: with the same one, a simulated backend and its twin would give the same numbers."""

_MOST_SETS: Final = 100
"""Parameter sets that are simulated at once, which bounds the memory."""

_UNTOLD: Final = {"id": None, "session_id": NO_SESSION, "session_kind": NO_SESSION}


def with_twins(plan: Plan, announce: Callable[[str], None]) -> Plan:
    """Return a plan whose tasks know what the twins of their backends gave, where they are asked to be compared.

    Args:
        plan: The plan; nothing of it is submitted.
        announce: Told in a few words what is going on.

    Raises:
        ConfigError: Where a backend has no calibration, or its twin cannot be simulated.
    """
    wanted = {_key(task): task for task in plan.tasks if section_of(task) is not None}
    jobs = {place.job for task in wanted.values() for place in task.places}
    if not jobs:
        return plan
    twins = _Twins(plan)
    found: dict[tuple[int, str], Twin] = {}
    results = (result for job in sorted(jobs) for result in twins.results(plan.jobs[job], announce))
    for complete in scatter(plan, results):
        found |= {(result.point.index, result.name): _twin(result) for result in complete}
    tasks = tuple(
        replace(task, reference=replace(task.reference, twin=found[_key(task)])) if _key(task) in wanted else task
        for task in plan.tasks
    )
    return replace(plan, tasks=tasks)


def section_of(task: PlannedTask) -> TwinSection | None:
    """Return what is asked of a task's twin; None where none is asked for."""
    reference = task.point.experiment.document.reference
    return reference if isinstance(reference, TwinSection) else None


def _key(task: PlannedTask) -> tuple[int, str]:
    return task.point.index, task.name


def _twin(result: TaskResult) -> Twin:
    """Return what is kept of a twin's result: counts, which tell expectation values, or expectation values."""
    if result.counts is not None:
        return Twin(counts=result.counts)
    found = result.expectations
    assert found is not None
    return Twin(expectations=replace(found, details={}))


@dataclass
class _Twins:
    """Lives for one plan; remembers the simulators that it made."""

    plan: Plan
    made: dict[tuple[int, str], tuple[Device, Any, Lowered]] = field(default_factory=dict)

    @cached_property
    def asking(self) -> Mapping[tuple[int, int], PlannedTask]:
        """A task of each PUB, by job and PUB: of those that share it, one that asks for a twin where there is any."""
        asking = replace(self.plan, tasks=tuple(task for task in self.plan.tasks if section_of(task) is not None))
        return owners(self.plan) | owners(asking)

    def results(self, job: Job, announce: Callable[[str], None]) -> Iterator[JobResult]:
        """Run a job on the twin of its backend, some parameter sets at a time."""
        announce(f"simulating the twin of {job.submission.device.name}, job {job.index + 1} of {len(self.plan.jobs)}")
        for span in spans_of(job):
            for start in range(span.start, span.stop, _MOST_SETS):
                part = Span(span.pub, start, min(start + _MOST_SETS, span.stop))
                yield self._result(job, part, self.asking[job.index, span.pub])

    def _result(self, job: Job, span: Span, task: PlannedTask) -> JobResult:
        submission = self._submission(part_of(job, (span,)), task)
        mode = mode_named(job.mode)
        try:
            pubs = mode.read(submission, mode.fetch(submission, mode.submit(submission)))
        except QrtError:
            raise
        except Exception as error:
            told = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            given = f"twin, of {job.submission.device.name}, which cannot be simulated ({told})"
            raise refuse("reference", given, "twin of what Aer can simulate", "reference=ideal, or none") from error
        return JobResult(job.index, "done", tuple(pubs), (span,), _UNTOLD, 0.0, 0.0, 0.0)

    def _submission(self, job: Job, task: PlannedTask) -> Submission:
        sent, program = job.submission, task.program
        device, runs_on, lowered = self._twin_of(program, task)
        observables = task.logical.observables if job.mode == "estimator" else {}
        told = {name: lowered.observable(operator) for name, operator in observables.items()}
        (pub,) = sent.pubs
        _check_fits(device, lowered, pub, runs_on)
        seed = None if sent.seed is None else (sent.seed + _OTHER_SEED) % 2**32
        return replace(
            sent,
            device=device,
            runs_on=runs_on,
            pubs=(Pub(lowered.circuit, pub.values, told),),
            seed=seed,
            options=_options(sent, task, seed),
        )

    def _twin_of(self, program: Program, task: PlannedTask) -> tuple[Device, Any, Lowered]:
        section = section_of(task)
        method = section.method if section is not None else "automatic"
        key = id(program), method
        if key not in self.made:
            device = _device(program, method)
            lowered = on_active(program.lowered)
            self.made[key] = device, simulator_of(device, program.lowered.used), lowered
        return self.made[key]


def _device(program: Program, method: str) -> Device:
    from qrt_runner.backends.snapshots import twin_of

    calibration = program.calibration
    if calibration is None or not program.device.noisy:
        given = f"twin, of {program.device.name}, of whose noise nothing is known"
        allowed = "twin for backends with a calibration, such as those of IBM and the fake devices"
        raise refuse("reference", given, allowed, "reference=ideal, or another backend")
    return twin_of(program.device.name, calibration, method)


def _check_fits(device: Device, lowered: Lowered, pub: Pub, runs_on: Any) -> None:
    """Refuse a twin that is too wide, by the path of the reference."""
    try:
        check_fits(device, lowered.circuit, pub.values, runs_on)
    except ConfigError as error:
        told = [replace(one, path="reference", given=f"twin, of {one.given}") for one in error.mistakes]
        raise ConfigError(told) from None


def _options(sent: Submission, task: PlannedTask, seed: int | None) -> Any:
    """Return the options with another seed; where a vendor's own primitive takes none, those of the runtime's."""
    section: Mapping[str, Any] = vars(task.point.experiment.tasks[task.name])
    if section["mode"].kind == "raw":
        return None
    if sent.options is None:
        from qrt_runner.mitigation import options_for

        return options_for(section["mode"], section["mitigation"], seed)
    simulator = sent.options.simulator.model_copy(update={"seed_simulator": seed})
    return sent.options.model_copy(update={"simulator": simulator})
