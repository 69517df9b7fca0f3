"""Ends what a command does of a run: logs the rest, and writes down how far the run is; knows the modules above it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qrt_runner.runner.outcome import INTERRUPTED

if TYPE_CHECKING:
    from qrt_runner.execution import Orders
    from qrt_runner.journal import State, TaskEntry
    from qrt_runner.runner.recording import Recording
    from qrt_runner.runner.working import Work


def finish(work: Work, orders: Orders, recording: Recording) -> None:
    """Log what tells of the run as a whole, and write down which tasks are recorded and how far the run is."""
    outcome, kept = recording.outcome, work.kept
    outcome.left = work.tasks - len(outcome.results)
    if outcome.left:
        outcome.waiting = _on_services(work)
        outcome.put_down()
    elif kept.interrupted:
        # All of it was there before it could be stopped.
        kept.interrupted = False
        kept.save()
    if orders.left or (outcome.left and orders.submits and orders.waits):
        outcome.exit_code = outcome.exit_code or 1
    try:
        recording.close()
    except KeyboardInterrupt:
        outcome.interrupted(f"Interrupted while logging to MLflow. {kept.remedy()}")
    work.diary.tasks(_recorded(work, recording))
    state = _state_of(work)
    if state == "cancelled":
        work.diary.tasks(_given_up(work))
    work.diary.update(
        state=state, parent=kept.parent, interrupted=state != "recorded", note="; ".join(outcome.troubles)
    )
    if outcome.exit_code == INTERRUPTED and work.diary.run.command:
        outcome.troubles += _what_now(state, work.diary.run.command)


def _on_services(work: Work) -> list[tuple[str, ...]]:
    """Return what is to be told of the jobs that are on a service, or may be."""
    jobs = {job.index: job for job in work.diary.journal.jobs(work.diary.run.id)}
    return [
        (
            str(one.job + 1),
            jobs[one.job].mode,
            jobs[one.job].backend,
            one.service_id or "-",
            one.session_id or "none",
            one.state,
        )
        for one in work.diary.submissions()
        if one.state in ("submitting", "submitted") and jobs[one.job].where != "simulator"
    ]


def _what_now(state: State, command: str) -> list[str]:
    """Return what can be done after an interruption."""
    if state == "cancelled":
        return []
    return ["All of it is done." if state == "recorded" else f"Carry on with: {command}"]


def _recorded(work: Work, recording: Recording) -> list[TaskEntry]:
    """Return the tasks that are in MLflow, or on disk where they are meant to be on disk only."""
    known = work.diary.journal.tasks(work.diary.run.id)
    logged = work.kept.logged
    found = []
    for task in known:
        key = f"{task.point}-{task.name}"
        is_kept = recording.tracking.kind == "off" and task.state == "done"
        if is_kept or key in logged:
            state: State = "recorded" if task.state == "done" else task.state
            found.append(replace(task, state=state, mlflow_run=logged.get(key)))
    return found


def _given_up(work: Work) -> list[TaskEntry]:
    """Return the tasks that have no result, and will have none."""
    known = work.diary.journal.tasks(work.diary.run.id)
    return [replace(task, state="cancelled") for task in known if task.state == "planned"]


def _state_of(work: Work) -> State:
    """Return how far the run is: recorded, cancelled, failed in part, done and not recorded, or still under way."""
    states = {task.state for task in work.diary.journal.tasks(work.diary.run.id)}
    if states <= {"recorded"}:
        return "recorded"
    if work.diary.run.state == "cancelled":
        return "cancelled"
    if "planned" in states:
        jobs = {job.state for job in work.diary.journal.jobs(work.diary.run.id)}
        return "submitted" if jobs & {"submitting", "submitted"} else "planned"
    return "done" if "done" in states else "failed"
