"""One run while a process works at it: every step is written down before it is taken; knows the modules here."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.errors import JournalError
from qrt_runner.journal.archive import packed_bytes, write_checked
from qrt_runner.journal.places import result_name
from qrt_runner.journal.records import Submission

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from qrt_runner.journal.database import Writing
    from qrt_runner.journal.records import GroupEntry, RunEntry, State, TaskEntry
    from qrt_runner.journal.store import Journal
    from qrt_runner.results import Span

_UNDER_WAY: Final[tuple[State, ...]] = ("submitting", "submitted")


class Diary:
    """Lives as long as this process holds the run. Each call is on the disk when it returns."""

    def __init__(self, journal: Journal, run_id: str) -> None:
        """Write down what becomes of a run; its lock is held."""
        self.journal = journal
        self._id = run_id
        self._database = journal.database

    @property
    def run(self) -> RunEntry:
        """The run as it is written down now."""
        return self.journal.run(self._id)

    # --- submissions ---

    def submitting(self, job: int, spans: Sequence[Span], tag: str) -> int:
        """Write down that a job is about to be submitted, and return the submission's id.

        Args:
            job: Index of the planned job.
            spans: Which of its parameter sets are submitted.
            tag: By which the service can be asked for it.
        """
        line = (
            "INSERT INTO submissions (run, job, attempt, spans, tag, state, began, error, quantum_s, record) "
            "VALUES (?, ?, ?, ?, ?, 'submitting', ?, '', 0.0, '{}')"
        )
        places = json.dumps([[span.pub, span.start, span.stop] for span in spans])
        attempt = self.attempts(job) + 1
        with self._database.writing() as writing:
            found = writing.once(line, self._id, job, attempt, places, tag, _now()).lastrowid
            self._set_job(writing, job, "submitting")
            writing.once("UPDATE runs SET state = 'submitting' WHERE id = ? AND state <> 'submitted'", self._id)
        assert found is not None
        return found

    def expects(self, job: int, seconds: float) -> None:
        """Write down what a job is expected to take, where that has become known."""
        with self._database.writing() as writing:
            writing.change("jobs", {"run": self._id, "index": job}, {"expected_s": seconds})

    def submitted(
        self, submission: int, service_id: str, session_id: str | None = None, session_kind: str | None = None
    ) -> None:
        """Write down what the service calls a submission, and in which session or batch it is."""
        named = {"service_id": service_id, "session_id": session_id, "session_kind": session_kind}
        with self._database.writing() as writing:
            self._set_job(writing, self._change(writing, submission, "submitted", **named), "submitted")
            writing.change("runs", {"id": self._id}, {"state": "submitted"})

    def done(self, submission: int, raw: bytes, kind: str, record: Mapping[str, Any], *, complete: bool = True) -> None:
        """Keep what a submission gave: its file first, then the word that it is there.

        Args:
            submission: Its id.
            raw: What the platform gave, nothing computed from it.
            kind: Of what kind that is, in small letters.
            record: As in `jobs.json`.
            complete: Whether all parameter sets of the job have results now.

        Raises:
            JournalError: Where it cannot be written; the service still has it.
        """
        name = result_name(self._id, submission, kind)
        sha = write_checked(self.journal.folder / name, packed_bytes(raw))
        kept = {"result": name, "sha": sha, "error": "", **_of_record(record)}
        with self._database.writing() as writing:
            job = self._change(writing, submission, "done", ended=_now(), **kept)
            self._set_job(writing, job, "done" if complete else self._job_state(writing, job))

    def failed(self, submission: int, error: str, record: Mapping[str, Any] | None = None) -> None:
        """Write down that a submission failed, and why."""
        self._ended(submission, "failed", error=error, **_of_record(record or {}))

    def cancelled(self, submission: int, why: str = "") -> None:
        """Write down that a submission was cancelled."""
        self._ended(submission, "cancelled", error=why)

    def withdrawn(self, submission: int) -> None:
        """Forget a submission that is known never to have been accepted; its job is to be submitted again."""
        with self._database.writing() as writing:
            job = self._job_of(writing, submission)
            writing.once("DELETE FROM submissions WHERE id = ?", submission)
            state = self._job_state(writing, job)
            self._set_job(writing, job, state if state in _UNDER_WAY else "planned")

    def submissions(self, job: int | None = None) -> list[Submission]:
        """Return the tries of a job, or of all."""
        if job is None:
            return self.journal.submissions(self._id)
        return self._database.read(Submission, "WHERE run = ? AND job = ?", self._id, job)

    def attempts(self, job: int) -> int:
        """Return how often a job was tried; what was withdrawn last does not count."""
        line = "SELECT coalesce(max(attempt), 0) FROM submissions WHERE run = ? AND job = ?"
        return int(self._database.rows(line, self._id, job)[0][0])

    def raw(self, submission: Submission) -> tuple[bytes, str]:
        """Return what a submission gave, and of which kind that is.

        Raises:
            JournalError: Where the file is missing or damaged.
        """
        return self.journal.raw(submission)

    def lost(self) -> list[Submission]:
        """Return the submissions whose results, which they have given, are missing or damaged now."""
        return [one for one in self.submissions() if one.state == "done" and not self._is_kept(one)]

    # --- session groups ---

    def groups(self) -> list[GroupEntry]:
        """Return the session groups of the run."""
        return self.journal.groups(self._id)

    def group_asked(self, index: int) -> None:
        """Write down that the service is about to be asked for a group; an earlier one in its place is closed."""
        self._group(index, "submitting", service_id=None, began=_now(), closed=None, error="")

    def group_opened(self, index: int, service_id: str) -> None:
        """Write down what the service calls a group."""
        self._group(index, "submitted", service_id=service_id)

    def group_closed(self, index: int) -> None:
        """Write down that a group is closed."""
        self._group(index, "done", closed=_now())

    def group_failed(self, index: int, why: str) -> None:
        """Write down that the service refused a group."""
        self._group(index, "failed", closed=_now(), error=why)

    # --- the run ---

    def update(self, **changes: Any) -> None:
        """Change fields of the run, by their names."""
        self.journal.update_run(self._id, **changes)

    def tasks(self, entries: Iterable[TaskEntry]) -> None:
        """Write down what became of tasks."""
        self.journal.update_tasks(self._id, entries)

    def finish(self, state: State, note: str = "") -> None:
        """Write down how the run ended."""
        self.update(state=state, note=note)

    def _is_kept(self, submission: Submission) -> bool:
        try:
            self.raw(submission)
        except JournalError:
            return False
        return True

    def _ended(self, submission: int, state: State, **changes: object) -> None:
        with self._database.writing() as writing:
            before = writing.once("SELECT state FROM submissions WHERE id = ?", submission).fetchone()
            job = self._change(writing, submission, state, ended=_now(), **changes)
            line = 'SELECT state FROM jobs WHERE run = ? AND "index" = ?'
            # A job that has its result keeps it, whatever becomes of a duplicate; not where this was the result.
            if writing.once(line, self._id, job).fetchone()[0] != "done" or before[0] == "done":
                self._set_job(writing, job, self._job_state(writing, job))

    def _change(self, writing: Writing, submission: int, state: State, **changes: object) -> int:
        """Change a submission, and return the index of its job."""
        job = self._job_of(writing, submission)
        writing.change("submissions", {"id": submission}, {"state": state, **changes})
        return job

    def _job_of(self, writing: Writing, submission: int) -> int:
        row = writing.once("SELECT job FROM submissions WHERE run = ? AND id = ?", self._id, submission).fetchone()
        assert row is not None, f"run {self._id} has no submission {submission}"
        return int(row[0])

    def _job_state(self, writing: Writing, job: int) -> State:
        """Return the state of a job that lacks results: under way, else as its last try ended, else planned."""
        line = "SELECT state FROM submissions WHERE run = ? AND job = ? ORDER BY id"
        states: list[State] = [row[0] for row in writing.once(line, self._id, job)]
        for state in _UNDER_WAY:
            if state in states:
                return state
        ended = [state for state in states if state != "done"]
        return ended[-1] if ended else "planned"

    def _set_job(self, writing: Writing, job: int, state: State) -> None:
        writing.change("jobs", {"run": self._id, "index": job}, {"state": state})

    def _group(self, index: int, state: State, **changes: object) -> None:
        with self._database.writing() as writing:
            writing.change("groups", {"run": self._id, "index": index}, {"state": state, **changes})


def _of_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that a job's record fills."""
    usage = record.get("usage") or {}
    return {"record": dict(record), "quantum_s": float(usage.get("quantum_s") or 0.0)}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
