"""Begins a run, or carries on with one that was cut short; knows the modules above it.

A run is in the journal, with all that is needed to submit and to read it, before any of it is done.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qrt_runner.errors import AccessError, ConfigError, JournalError, QrtError, refuse
from qrt_runner.journal import GroupEntry, HeldError, JobEntry, RunEntry, TaskEntry
from qrt_runner.plan import away, compile_plan, counted, packed, reopened_device, request_key, task_keys, unpacked
from qrt_runner.runner.modelling import model_of_run
from qrt_runner.runner.predicting import history_of, with_predictions
from qrt_runner.runner.refusing import judged_refusals
from qrt_runner.runner.reusing import REUSED, by_place
from qrt_runner.runner.scattering import reference_of
from qrt_runner.runner.twinning import with_twins
from qrt_runner.tracking import KeptRun, find_kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from qrt_runner.journal import Diary, Journal
    from qrt_runner.plan import Plan, Refusal
    from qrt_runner.results import Point
    from qrt_runner.runner.outcome import Outcome, Request
    from qrt_runner.runner.reusing import Reused

_log = logging.getLogger(__name__)

PART: Final = "part "
"""Begins the key of a run that is one point of a sweep which other launchers run point by point."""


@dataclass
class Work:
    """A run that this process works at."""

    diary: Diary
    plan: Plan
    kept: KeptRun
    failing: Sequence[Refusal] = ()
    """Points that cannot be loaded or bound."""

    reused: Sequence[Reused] = ()
    """Tasks that take their results from other runs."""

    keys: Mapping[tuple[int, str], str] = field(default_factory=dict)
    """Of each task, by point and name, what tells its content."""

    @property
    def tasks(self) -> int:
        """Number of tasks, those that cannot be run included."""
        refused = sum(len(refusal.point.experiment.tasks) for refusal in self.failing)
        return len(self.plan.tasks) + len(self.reused) + refused


@contextmanager
def at_work(journal: Journal, request: Request, outcome: Outcome, announce: Callable[[str], None]) -> Iterator[Work]:
    """Begin the run that is asked for, or carry on with the one of the same command that was cut short.

    Raises:
        ConfigError: Where a point cannot be run, or there is no run to carry on with; nothing has been submitted then.
        AccessError: Where an account or a backend refuses; nothing has been submitted then.
        JournalError: Where the journal cannot be read or written; nothing has been submitted then.
    """
    key = key_of_request(request)
    earlier = journal.unfinished(key) if request.resume != "never" else None
    with ExitStack() as open_ones:
        diary = _taken_up(journal, earlier, open_ones) if earlier is not None else None
        if diary is None and request.resume == "required":
            allowed = "a run of this very command that was cut short, or of which points failed"
            raise refuse("resume", "required, and there is none", allowed, "resume=auto to begin one")
        request.tidy([one.service_id for one in diary.groups() if one.service_id] if diary is not None else [])
        if diary is not None:
            work = _carried_on(diary, request, outcome)
        else:
            work = open_ones.enter_context(_begun(journal, key, request, outcome, announce))
        try:
            yield work
        except QrtError as error:
            # Where the journal itself is what failed, there is nowhere to write that down.
            with suppress(JournalError):
                # Of a run of which nothing was submitted nothing is under way; the same command tries again.
                refused = isinstance(error, AccessError) and not work.diary.submissions()
                state = "failed" if refused else work.diary.run.state
                work.diary.update(state=state, interrupted=True, note=str(error))
            raise


def key_of_request(request: Request) -> str:
    """Return what is equal for equal commands."""
    kind = PART if request.part else "sweep " if request.grouped else ""
    return kind + request_key(request.points, request.points[0].experiment.document.name)


def _taken_up(journal: Journal, run: RunEntry, open_ones: ExitStack) -> Diary | None:
    """Hold a run; None where another process has taken it up, and may have ended it, in the meantime."""
    try:
        diary = open_ones.enter_context(journal.held(run.id))
    except HeldError:
        return None
    return None if diary.run.state in ("recorded", "cancelled") else diary


@contextmanager
def _begun(
    journal: Journal, key: str, request: Request, outcome: Outcome, announce: Callable[[str], None]
) -> Iterator[Work]:
    started_ms = int(time.time() * 1000)
    known = journal.equal_tasks if request.reuse else None
    plan = compile_plan(request.points, reference_of, known, cache(partial(model_of_run, journal)))
    failing = judged_refusals(plan.refusals, request, outcome)
    parts = {"task": plan.tasks, "program": plan.programs, "job": plan.jobs, "session group": plan.groups}
    _log.info("compiled %s", ", ".join(counted(len(found), name) for name, found in parts.items()))
    plan = with_twins(with_predictions(plan, history_of(journal)), announce)
    kept = _kept(request, plan, outcome.run, started_ms)
    kept.begin()
    outcome.kept = kept
    keys = {(task.point.index, task.name): told for task, told in zip(plan.tasks, task_keys(plan), strict=True)}
    keys |= {(task.point.index, task.name): f"{REUSED}{task.key}" for task in plan.left_out}
    entry = _entry(key, request, kept)
    entry = replace(entry, plan_sha=journal.keep_plan(entry.id, packed(replace(plan, refusals=tuple(failing)))))
    points = [(point.index, point.overrides) for point in request.points]
    with journal.begun(entry, points, _tasks(keys, failing), _jobs(plan), _groups(plan)) as diary:
        yield work_at(diary, plan, kept, failing, {point.index: point for point in request.points})


def _carried_on(diary: Diary, request: Request, outcome: Outcome) -> Work:
    """Take up a run from what is kept of it."""
    run, journal = diary.run, diary.journal
    outcome.run, outcome.continued = run.id, True
    states = [job.state for job in journal.jobs(run.id)]
    outcome.there = f"{states.count('done')} of {len(states)} jobs were done"
    points = {point.index: point for point in request.points}
    plan = restored(diary, points)
    kept = kept_again(run, request.folder, part=request.part)
    outcome.kept = kept
    tasks = journal.tasks(run.id)
    kept.reopen(f"{task.point}-{task.name}" for task in tasks if task.state == "failed")
    # Where points had failed they are tried again; whoever finds this process dead must not take that for an end.
    state = "planned" if run.state == "failed" else run.state
    diary.update(state=state, pid=os.getpid(), host=socket.gethostname(), folder=near(kept.folder), interrupted=False)
    return work_at(diary, plan, kept, plan.refusals, points)


def work_at(diary: Diary, plan: Plan, kept: KeptRun, failing: Sequence[Refusal], points: Mapping[int, Point]) -> Work:
    """Return a run with all its tasks: those of its plan, and those that take their results from other runs."""
    tasks = diary.journal.tasks(diary.run.id)
    keys = {(task.point, task.name): task.key for task in tasks}
    return Work(diary, plan, kept, failing, by_place(points, [(*place, key) for place, key in keys.items()]), keys)


def restored(diary: Diary, points: Mapping[int, Point]) -> Plan:
    """Return the plan of a run as it is kept; backends are opened only where there is something left to do on them."""
    run, journal = diary.run, diary.journal
    is_open = any(group.state == "submitted" and not group.attached for group in journal.groups(run.id))
    is_done = all(job.state == "done" for job in journal.jobs(run.id)) and not is_open and not diary.lost()
    return unpacked(journal.plan(run), points, away if is_done else reopened_device)


def _kept(request: Request, plan: Plan, run_id: str, started_ms: int) -> KeptRun:
    name = request.points[0].experiment.document.name
    grouped = request.grouped or any(len(point.experiment.tasks) > 1 for point in request.points)
    count, word = (len(request.points), "point") if request.grouped else (len(plan.tasks), "task")
    what = f"{count} {word}{'s' if count > 1 else ''}"
    folders = request.folders or not request.grouped
    return KeptRun(request.folder, run_id, name, f"{name} ({what})", grouped, folders, started_ms)


def kept_again(run: RunEntry, folder: Path, *, part: bool = False) -> KeptRun:
    """Return the results of a run where they are kept.

    Args:
        run: The run.
        folder: Where they are kept anew, where their own folder is not here.
        part: Whether they must be kept there, as a part of a sweep.
    """
    before = None if part else _kept_in(Path(run.folder), run.id)
    if before is not None:
        before.interrupted = False
        before.save()
        return before
    started_ms = int(datetime.fromisoformat(run.began).timestamp() * 1000)
    kept = KeptRun(folder, run.id, run.name, run.title, run.grouped, run.folders, started_ms, run.parent)
    kept.begin()
    return kept


def _kept_in(folder: Path, run_id: str) -> KeptRun | None:
    """Return what is kept of a run in a folder; None where that is not here, or holds another."""
    try:
        found = find_kept(str(folder))
    except (ConfigError, OSError, ValueError):
        return None
    return found if found.id == run_id else None


def _entry(key: str, request: Request, kept: KeptRun) -> RunEntry:
    return RunEntry(
        id=kept.id,
        key=key,
        name=kept.experiment,
        title=kept.title,
        state="planned",
        folder=near(kept.folder),
        command=request.command,
        began=datetime.now(UTC).isoformat(timespec="milliseconds"),
        grouped=kept.grouped,
        folders=kept.folders,
        tracking=request.tracking.model_dump_json(),
        host=socket.gethostname(),
        pid=os.getpid(),
    )


def near(folder: Path) -> str:
    """Return a folder or a file as seen from the working directory, so that what is kept can be carried elsewhere."""
    here = folder.absolute()
    return str(here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here)


def _tasks(keys: Mapping[tuple[int, str], str], failing: Sequence[Refusal]) -> list[TaskEntry]:
    refused = [
        TaskEntry(refusal.point.index, name, "", "planned")
        for refusal in failing
        for name in refusal.point.experiment.tasks
    ]
    return [*(TaskEntry(point, name, key, "planned") for (point, name), key in keys.items()), *refused]


def _jobs(plan: Plan) -> list[JobEntry]:
    return [
        JobEntry(
            index=job.index,
            mode=job.mode,
            backend=job.submission.device.name,
            section=job.submission.device.section,
            where=job.submission.device.where,
            group=job.group,
            sets=sum(len(pub.values) for pub in job.asked),
            expected_s=job.expected_s,
            state="planned",
        )
        for job in plan.jobs
    ]


def _groups(plan: Plan) -> list[GroupEntry]:
    return [
        GroupEntry(
            index=group.index,
            kind=group.asked.kind,
            backend=group.device.name,
            section=group.device.section,
            max_time=group.asked.max_time,
            attached=group.asked.id is not None,
            state="planned",
            service_id=None,
            began=None,
            closed=None,
        )
        for group in plan.groups
    ]
