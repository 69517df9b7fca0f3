"""Shows how runs are doing: their jobs by state, places in the queue, seconds; knows the modules above it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.backends import reopened
from qrt_runner.errors import QrtError
from qrt_runner.execution import states_of
from qrt_runner.journal import is_held
from qrt_runner.runner.collecting import chosen
from qrt_runner.runner.telling import tabled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qrt_runner.journal import JobEntry, Journal, RunEntry, Submission
    from qrt_runner.runner.collecting import Looking

_MOST_JOBS: Final = 200
_TITLES: Final = ("run", "begun", "experiment", "state", "tasks", "jobs", "spent s", "expected s")
_OF_JOBS: Final = ("run", "job", "mode", "backend", "job id", "session id", "state", "queue", "spent s", "expected s")


def shown_status(journal: Journal, wanted: str, asked: Looking) -> list[str]:
    """Return a table of runs, and one of the jobs of those that are not over.

    Services are asked about the jobs that are on them; one that does not answer is told.

    Args:
        journal: Where they are written down.
        wanted: Id of a run, `latest` or `all`.
        asked: Whom to tell what is going on.
    """
    runs = chosen(journal, wanted)
    if not runs:
        return [f"there are no runs in {journal.folder} yet"]
    lines = tabled(_TITLES, [_row(journal, run) for run in runs])
    lines += [f"run {run.id}: {run.note.splitlines()[0]}" for run in runs if run.state == "failed" and run.note]
    rows, troubles = [], []
    for run in runs:
        if len(runs) > 1 and run.state in ("recorded", "cancelled"):
            continue
        told, queues, trouble = _on_service(journal, run, asked)
        troubles += trouble
        rows += _job_rows(journal, run, told, queues)
    if rows:
        lines += ["", *tabled(_OF_JOBS, rows[:_MOST_JOBS])]
    if len(rows) > _MOST_JOBS:
        lines.append(f"and {len(rows) - _MOST_JOBS} more jobs; run=<id> shows those of one run")
    return [*lines, *troubles]


def _row(journal: Journal, run: RunEntry) -> list[str]:
    tasks = Counter(task.state for task in journal.tasks(run.id))
    jobs = Counter(job.state for job in journal.jobs(run.id))
    seconds = journal.seconds(run.id)
    state = "running" if is_held(journal.folder, run.id) else run.state
    spent, expected = f"{seconds.spent_s:.1f}", f"{seconds.expected_s:.1f}"
    return [run.id, run.began[:19].replace("T", " "), run.name, state, _counted(tasks), _counted(jobs), spent, expected]


def _counted(states: Counter[Any]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "none"


def _on_service(
    journal: Journal, run: RunEntry, asked: Looking
) -> tuple[Mapping[str, str], Mapping[str, str], list[str]]:
    """Ask the services of a run's jobs: state by job id, queue by backend section, and what could not be asked."""
    waiting = [job for job in journal.jobs(run.id) if job.state in ("submitting", "submitted") and job.where == "ibm"]
    states: dict[str, str] = {}
    queues: dict[str, str] = {}
    troubles: list[str] = []
    for section in dict.fromkeys(job.section for job in waiting):
        asked.announce(f"asking {waiting[0].backend}")
        try:
            device = reopened(section)
            states |= states_of(device.backend.service, run.id)
            queues[section] = f"{device.backend.status().pending_jobs} pending"
        except QrtError as error:
            troubles.append(str(error))
        except Exception as error:  # noqa: BLE001 - whatever the client raises, the rest is shown
            troubles.append(f"the service of {waiting[0].backend} gave no answer: {type(error).__name__}: {error}")
    return states, queues, troubles


def _job_rows(
    journal: Journal, run: RunEntry, states: Mapping[str, str], queues: Mapping[str, str]
) -> list[Sequence[str]]:
    last = {submission.job: submission for submission in journal.submissions(run.id)}
    return [_job_row(run, job, last.get(job.index), states, queues) for job in journal.jobs(run.id)]


def _job_row(
    run: RunEntry, job: JobEntry, last: Submission | None, states: Mapping[str, str], queues: Mapping[str, str]
) -> Sequence[str]:
    name = _id_of(last)
    session = (last.session_id if last is not None else None) or "none"
    on_service = states.get(name, "").lower()
    state = f"{job.state} ({on_service})" if on_service else job.state
    queue = queues.get(job.section, "-") if on_service == "queued" else "-"
    spent = f"{last.quantum_s:.1f}" if last is not None else "-"
    return (
        run.id,
        str(job.index + 1),
        job.mode,
        job.backend,
        name,
        session,
        state,
        queue,
        spent,
        f"{job.expected_s:.1f}",
    )


def _id_of(last: Submission | None) -> str:
    """Return what the platform calls a job; what is simulated here has a name once it is done."""
    if last is None:
        return "-"
    return str(last.service_id or last.record.get("record", {}).get("id") or "-")
