"""Compiles experiments into a plan; knows the modules above it.

Each distinct circuit is loaded and lowered once for all points, and everything that can be refused is refused here.
What many points have in common is worked out once: of a sweep over a parameter's values only the values are read anew.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from qrt_runner.circuits import LogicalCircuit, ask, values_of
from qrt_runner.config import fingerprint
from qrt_runner.errors import ConfigError, Mistake, refuse
from qrt_runner.modes import Pub, Submission
from qrt_runner.plan.calibrating import Calibrating, calibrating_for, calibrations_for
from qrt_runner.plan.costs import SetCost, cost_of, sets_at_once
from qrt_runner.plan.grouping import group_key, notes_of
from qrt_runner.plan.identity import Asked, keys_of
from qrt_runner.plan.learning import learning_of, sent_and_told
from qrt_runner.plan.merging import Wanted, merged
from qrt_runner.plan.prices import Prices
from qrt_runner.plan.programs import Programs, once
from qrt_runner.plan.records import LeftOut, Plan, PlannedTask, Program, Refusal
from qrt_runner.results import Comparison, Ledger, Point

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from qiskit.quantum_info import SparsePauliOp

    from qrt_runner import config
    from qrt_runner.config import Document, Experiment, Task
    from qrt_runner.plan.calibrating import Calibrations
    from qrt_runner.plan.learning import Learning, Loaded
    from qrt_runner.plan.records import Place


Refer = Callable[["Task", "Document", LogicalCircuit], Comparison]
"""Computes what a task's results will be compared with, before anything is submitted."""


Known = Callable[["Sequence[str]"], "Collection[str]"]
"""Returns those of some tasks' keys of which there are results already."""


def compile_plan(
    points: Iterable[Point], refer: Refer, known: Known | None = None, loaded: Loaded | None = None
) -> Plan:
    """Compile points into one plan.

    Points that cannot be run become refusals of the plan; nothing has been submitted when this returns.

    Args:
        points: What is asked for.
        refer: Computes the reference of a task.
        known: Tells what need not be run.
        loaded: Returns the noise models of earlier runs.

    Raises:
        ConfigError: Where more noise would have to be learned than may be.
        AccessError: Where an account or a service refuses.
    """
    compiler = _Compiler(refer, known, loaded)
    for point in points:
        compiler.add(point)
    return compiler.plan()


@dataclass(frozen=True, eq=False)
class _Terms:
    """What tasks of equal program, observables, mode and mitigation have in common."""

    program: Program
    sent: Mapping[str, SparsePauliOp]
    """Observables over the qubits of the submitted circuit; none in counting modes."""

    options: Any
    ledger: Ledger
    cost: SetCost
    sets_at_once: float
    job_key: str
    pub_key: str
    calibrating: Calibrating
    learning: Learning | None
    """Where its noise model is from, where it needs one."""


@dataclass(frozen=True, eq=False)
class _Prepared:
    """One task, ready to be merged with others."""

    name: str
    logical: LogicalCircuit
    terms: _Terms
    reference: Comparison


@dataclass
class _Compiler:
    """Lives for one plan; remembers what was worked out, by the content of its sections."""

    refer: Refer
    known: Known | None = None
    loaded: Loaded | None = None
    programs: Programs = field(default_factory=Programs)
    logical: dict[Any, LogicalCircuit] = field(default_factory=dict)
    terms: dict[Any, _Terms] = field(default_factory=dict)
    calibrations: dict[Any, Calibrations] = field(default_factory=dict)
    wanted: list[Wanted] = field(default_factory=list)
    tasks: list[tuple[Point, _Prepared]] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    def plan(self) -> Plan:
        """Return what has been compiled."""
        left_out = self._leave_out() if self.known is not None else ()
        jobs, groups, places = merged(self.wanted)
        prices, found = Prices(jobs), zip(self.tasks, places, strict=True)
        tasks = tuple(_planned(point, one, tuple(there), prices) for (point, one), there in found)
        return Plan(self.programs.all(), tuple(jobs), tasks, tuple(self.refusals), tuple(groups), left_out)

    def _leave_out(self) -> tuple[LeftOut, ...]:
        """Take out the tasks of which there are results already, and return them."""
        assert self.known is not None
        keys = keys_of(Asked(point, one.name, one.logical) for point, one in self.tasks)
        known = self.known(keys)
        left_out = tuple(
            LeftOut(point, one.name, key) for (point, one), key in zip(self.tasks, keys, strict=True) if key in known
        )
        rest = [index for index, key in enumerate(keys) if key not in known]
        self.wanted = [replace(self.wanted[index], number=number) for number, index in enumerate(rest)]
        self.tasks = [self.tasks[index] for index in rest]
        return left_out

    def add(self, point: Point) -> None:
        """Compile one point, all of it or nothing."""
        prepared: list[_Prepared] = []
        mistakes: list[Mistake] = []
        kind: type[ConfigError] | None = None
        for name in point.experiment.tasks:
            try:
                prepared.append(self._prepare(point.experiment, name))
            except ConfigError as error:
                mistakes += error.mistakes
                # A mistake that refuses the sweep outweighs one that fails its point alone.
                kind = type(error) if kind in (None, type(error)) else ConfigError
        if kind is not None:
            self.refusals.append(Refusal(point, kind(mistakes)))
            return
        for ready in prepared:
            self.wanted.append(self._wanted(point, ready))
            self.tasks.append((point, ready))

    def _wanted(self, point: Point, ready: _Prepared) -> Wanted:
        experiment = point.experiment
        task, document, terms = experiment.tasks[ready.name], experiment.document, ready.terms
        program = terms.program
        pub = Pub(program.lowered.circuit, program.values_of(ready.logical.sets), terms.sent)
        given = (_shots(task.mode), document.seed, terms.options)
        return Wanted(
            number=len(self.wanted),
            mode=task.mode.kind,
            template=Submission(program.device, program.runs_on, (pub,), *given, qubits=program.qubits),
            job_key=terms.job_key,
            pub_key=terms.pub_key,
            tie_key=partial(fingerprint, experiment, ready.name),
            cost=terms.cost,
            sets_at_once=terms.sets_at_once,
            limits=document.backend.limits,
            session=task.session,
            group_key=group_key(task.session, program.device, point.index, ready.name),
            calibrating=terms.calibrating,
            learning=terms.learning,
        )

    def _prepare(self, experiment: Experiment, name: str) -> _Prepared:
        task, document = experiment.tasks[name], experiment.document
        path = _path_of(experiment, name)
        opened, circuit_key = self.programs.opened(task, path)
        asked = json.dumps(task.circuit.observables, sort_keys=True)
        like = once(self.logical, (circuit_key, asked), lambda: ask(opened, task.circuit, task.mode.kind, path))
        logical = replace(like, sets=values_of(opened, task.circuit, path))
        program, program_key = self.programs.program(opened, circuit_key, document)
        self.programs.check_fits(program, logical)
        key = (program_key, asked, self.programs.text(task.mode), self.programs.text(task.mitigation), document.seed)
        terms = once(self.terms, key, lambda: self._terms(task, document, program, logical, f"{program_key} {asked}"))
        return _Prepared(name, logical, terms, self.refer(task, document, logical))

    def _terms(self, task: Task, document: Document, program: Program, logical: LogicalCircuit, pub_key: str) -> _Terms:
        options, ledger = _options(task, document.seed, program)
        mode, backend = task.mode.kind, document.backend
        sent = {key: program.lowered.observable(operator) for key, operator in logical.observables.items()}
        sent = sent if mode == "estimator" else {}
        cost = cost_of(mode, program.lowered.circuit, sent, _shots(task.mode), ledger.resolved)
        most = program.device.backend.max_circuits if mode == "raw" and program.device.where == "vendor" else None
        given = [task.mode.model_dump(mode="json"), options.model_dump(mode="json") if options is not None else None]
        given.append(task.mitigation.readout)
        learning = learning_of(task.mitigation, options, program, backend, self.loaded)
        learned = [learning.key] if learning is not None else []
        job_key = json.dumps(
            [backend.model_dump(mode="json"), program.qubits, given, document.seed, *learned], sort_keys=True
        )
        # All jobs of a kind have their calibrations in common, whatever programs they run.
        of = once(
            self.calibrations,
            (job_key, self.programs.text(document.transpile)),
            lambda: calibrations_for(program, task, document, ledger),
        )
        calibrating = calibrating_for(program, task, ledger, of)
        return _Terms(
            program=program,
            sent=sent,
            options=options,
            ledger=calibrating.ledger,
            cost=cost,
            sets_at_once=sets_at_once(cost, backend.limits, most, calibrating.beside),
            job_key=job_key,
            pub_key=pub_key,
            calibrating=calibrating,
            learning=learning,
        )


def _planned(point: Point, one: _Prepared, places: tuple[Place, ...], prices: Prices) -> PlannedTask:
    program, session = one.terms.program, point.experiment.tasks[one.name].session
    notes = notes_of(session, program.device, prices.jobs[places[0].job])
    logical = replace(one.logical, notes=(*one.logical.notes, *notes)) if notes else one.logical
    price = prices.of(one.terms.cost, places)
    return PlannedTask(point, one.name, program, logical, one.terms.ledger, one.reference, places, price)


def _options(task: Task, seed: int | None, program: Program) -> tuple[Any, Ledger]:
    if task.mode.kind == "raw":
        return None, Ledger(task.mitigation.kind, {}, (), {})
    from qrt_runner.mitigation import options_for

    options, told = sent_and_told(options_for(task.mode, task.mitigation, seed), task.mitigation.kind, program)
    if program.device.where != "vendor":
        return options, told
    if task.mitigation.options:
        given = f"{', '.join(sorted(task.mitigation.options))} on {program.device.name}"
        allowed = "no options: the runtime's are for IBM's backends and simulators"
        raise refuse("mitigation.options", given, allowed, "leave them out")
    return None, Ledger(task.mitigation.kind, {}, (), {})


def _shots(mode: config.Mode) -> int:
    """Return the shots; for a precision as many as the runtime takes: 1/precision^2, rounded up."""
    precision = getattr(mode, "precision", None)
    return mode.shots if precision is None else math.ceil(1.0 / precision**2)


def _path_of(experiment: Experiment, name: str) -> str:
    partial = experiment.document.tasks.get(name)
    return f"tasks.{name}.circuit" if partial is not None and partial.circuit is not None else "circuit"
