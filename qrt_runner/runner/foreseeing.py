"""Compiles what a command would run, and tells what that would cost; knows the modules above it.

Nothing is submitted and no run begun: the journal is only read.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING

from qrt_runner.config import Foresee
from qrt_runner.errors import AccessError
from qrt_runner.journal import Journal
from qrt_runner.plan import compile_plan, counted, task_keys
from qrt_runner.runner.dry_running import dry_run
from qrt_runner.runner.foreseen import Foreseen
from qrt_runner.runner.foreseen_cells import number_told
from qrt_runner.runner.modelling import model_of_run
from qrt_runner.runner.outcome import Outcome
from qrt_runner.runner.predicting import history_of
from qrt_runner.runner.refusing import judged_refusals
from qrt_runner.runner.scattering import reference_of
from qrt_runner.runner.working import key_of_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qrt_runner.journal import RunEntry
    from qrt_runner.runner.outcome import Request


def foresee(request: Request, announce: Callable[[str], None]) -> Foreseen:
    """Compile what is asked for, and tell what would be run; nothing is submitted and no run begun.

    Args:
        request: What is asked for.
        announce: Told in a few words what is going on.

    Raises:
        ConfigError: Where a point cannot be run, or no job can have the dry run that is asked for.
        AccessError: Where an account or a backend refuses.
        JournalError: Where the journal cannot be read.
    """
    outcome = Outcome("")
    with Journal(request.journal) as journal:
        announce("compiling the plan")
        known = journal.equal_tasks if request.reuse else None
        plan = compile_plan(request.points, reference_of, known, cache(partial(model_of_run, journal)))
        failing = judged_refusals(plan.refusals, request, outcome)
        history = history_of(journal)
        earlier = journal.unfinished(key_of_request(request)) if request.resume != "never" else None
        notes = [f"fails: point {one.point.index}: {one.error.mistakes[0]}" for one in failing]
        if plan.left_out:
            notes.append(f"{counted(len(plan.left_out), 'task')} would take results from earlier runs (reuse=true)")
        if known is None and plan.tasks and (found := len(journal.equal_tasks(task_keys(plan)))):
            notes.append(f"of {counted(found, 'task')} there are results in earlier runs: reuse=true would take them")
        if earlier is not None:
            notes += _carried_on(journal, earlier)
    action, exit_code = request.points[0].experiment.document.action, outcome.exit_code or int(bool(failing))
    if isinstance(action, Foresee) and action.dry_run:
        told, accepted = dry_run(plan, announce)
        notes, exit_code = [*notes, *told], exit_code if accepted else AccessError.exit_code
    rate = action.rate if isinstance(action, Foresee) else None
    foreseen = Foreseen(plan, history, rate, (*outcome.troubles, *notes), exit_code)
    return replace(foreseen, notes=(*foreseen.notes, *_over(request, foreseen)))


def _carried_on(journal: Journal, run: RunEntry) -> Iterator[str]:
    """Tell what is left of a run of the same command."""
    states, seconds = [job.state for job in journal.jobs(run.id)], journal.seconds(run.id)
    done, there = states.count("done"), states.count("submitted")
    told = f"{done} of {counted(len(states), 'job')} done"
    if there:
        told += f", {there} submitted"
    yield f"run {run.id} of the same command is not over: action=run would carry on with it ({told})"
    if seconds.left_s and done + there:
        to_go = sum(job.expected_s for job in journal.jobs(run.id) if job.state not in ("done", "submitted"))
        yield f"left of it: {number_told(seconds.left_s)} s expected, {number_told(to_go)} s of them to be submitted"


def _over(request: Request, foreseen: Foreseen) -> Iterator[str]:
    """Tell which budget would leave jobs out."""
    most_s, most_jobs = request.budget.max_quantum_s, request.budget.max_jobs
    charged = [job for job in foreseen.plan.jobs if job.expected_s]
    if most_s is not None and (expected_s := sum(job.expected_s for job in charged)) > most_s:
        told = f"the formula's {number_told(expected_s)} s"
        yield f"budget.max_quantum_s={most_s:g} is less than {told}: jobs would be left out"
    if most_jobs is not None and len(charged) > most_jobs:
        yield f"budget.max_jobs={most_jobs} is less than {len(charged)}: jobs would be left out"
