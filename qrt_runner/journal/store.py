"""The journal: every run with its points, tasks, jobs and groups, durable at every step; knows the modules here.

It knows neither plans nor services nor MLflow: it writes down what it is told.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from qrt_runner.errors import refuse
from qrt_runner.journal.archive import read_checked, read_parts, unpacked_bytes, write_parts
from qrt_runner.journal.database import Database
from qrt_runner.journal.diary import Diary
from qrt_runner.journal.finding import chosen, equal_tasks, seconds_of, spent_jobs
from qrt_runner.journal.locking import held_among, run_held
from qrt_runner.journal.places import DATABASE, check_run_id, kind_of, plan_file
from qrt_runner.journal.records import (
    GroupEntry,
    JobEntry,
    PointEntry,
    RunEntry,
    Submission,
    TaskEntry,
)
from qrt_runner.journal.troubles import damaged

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from qrt_runner.journal.records import Seconds, SpentJob

_POINT_STATES: Final = """
UPDATE points SET state = coalesce((
    SELECT state FROM tasks WHERE tasks.run = points.run AND tasks.point = points."index"
    ORDER BY instr('failed cancelled planned submitting submitted done recorded', state) LIMIT 1
), state) WHERE run = ? AND "index" BETWEEN ? AND ?
"""


class Journal:
    """Everything that was ever begun in a folder; lives as long as a command, in one thread.

    Any number of processes may have it open. Every write is one transaction, on the disk when the call returns.
    """

    def __init__(self, folder: Path) -> None:
        """Open the journal in a folder, or begin one.

        Raises:
            JournalError: Where it is damaged, of a later version, or cannot be read and written.
        """
        self.folder = folder.absolute()
        self.database = Database(self.folder / DATABASE)

    def __enter__(self) -> Self:
        """Use it for as long as it is open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.database.close()

    # --- writing down ---

    def begin(
        self,
        run: RunEntry,
        points: Sequence[tuple[int, Sequence[str]]],
        tasks: Iterable[TaskEntry] = (),
        jobs: Iterable[JobEntry] = (),
        groups: Iterable[GroupEntry] = (),
    ) -> None:
        """Write down a new run with all that is planned, before any of it is done.

        Args:
            run: The run.
            points: Index and swept overrides of each of its points.
            tasks: Their tasks.
            jobs: The planned jobs.
            groups: Their session groups.

        Raises:
            JournalError: Where it cannot be written.
        """
        check_run_id(run.id)
        with self.database.writing() as writing:
            writing.insert(RunEntry, run.id, [run])
            begun = [PointEntry(index, tuple(overrides), "planned") for index, overrides in points]
            writing.insert(PointEntry, run.id, begun)
            writing.insert(TaskEntry, run.id, tasks)
            writing.insert(JobEntry, run.id, jobs)
            writing.insert(GroupEntry, run.id, groups)
            writing.each(_POINT_STATES, _ranges(run.id, [point.index for point in begun]))

    @contextmanager
    def begun(
        self,
        run: RunEntry,
        points: Sequence[tuple[int, Sequence[str]]],
        tasks: Iterable[TaskEntry] = (),
        jobs: Iterable[JobEntry] = (),
        groups: Iterable[GroupEntry] = (),
    ) -> Iterator[Diary]:
        """Write down a new run and hold it, with no moment between at which another process could take it up.

        Raises:
            JournalError: Where it cannot be written.
        """
        with run_held(self.folder, run.id):
            self.begin(run, points, tasks, jobs, groups)
            yield Diary(self, run.id)

    @contextmanager
    def held(self, run_id: str) -> Iterator[Diary]:
        """Hold a run, so that no other process works at it; another may have ended it since it was looked for.

        Raises:
            ConfigError: Where there is no such run.
            HeldError: Where another process works at it.
        """
        self.run(run_id)
        with run_held(self.folder, run_id):
            yield Diary(self, run_id)

    def update_run(self, run_id: str, **changes: Any) -> None:
        """Change fields of a run, by their names."""
        with self.database.writing() as writing:
            writing.change("runs", {"id": run_id}, changes)

    def update_tasks(self, run_id: str, entries: Iterable[TaskEntry]) -> None:
        """Change tasks of a run, and the states of their points with them."""
        changed = list(entries)
        line = "UPDATE tasks SET key = ?, state = ?, mlflow_run = ?, error = ? WHERE run = ? AND point = ? AND name = ?"
        values = [(one.key, one.state, one.mlflow_run, one.error, run_id, one.point, one.name) for one in changed]
        with self.database.writing() as writing:
            found = writing.each(line, values) if values else 0
            assert found == len(changed), f"{len(changed)} tasks of {run_id} were to be changed, {found} are known"
            writing.each(_POINT_STATES, _ranges(run_id, [one.point for one in changed]))

    def keep_plan(self, run_id: str, parts: Mapping[str, bytes]) -> str:
        """Keep what is needed to submit the rest of a run and to read all of it, and return its checksum.

        Raises:
            JournalError: Where it cannot be written.
        """
        return write_parts(plan_file(self.folder, run_id), parts)

    # --- reading ---

    def run(self, run_id: str) -> RunEntry:
        """Return a run.

        Raises:
            ConfigError: Where there is none of that id.
        """
        found = self.database.read(RunEntry, "WHERE id = ?", run_id)
        if not found:
            raise self._unknown(run_id)
        return found[0]

    def runs(self, wanted: str = "all") -> list[RunEntry]:
        """Return runs in the order in which they were begun.

        Args:
            wanted: `all`, `latest`, the id of a run, or the beginning of one that no other has.

        Raises:
            ConfigError: Where there is no such run, or several.
        """
        known = self.database.read(RunEntry)
        if wanted == "all":
            return known
        found = chosen(known, wanted)
        if found is None:
            raise self._unknown(wanted)
        return [found]

    def unfinished(self, key: str) -> RunEntry | None:
        """Return the latest run of a key that is neither recorded nor cancelled, and at which no process works."""
        line = "WHERE key = ? AND state NOT IN ('recorded', 'cancelled')"
        found = self._unheld(line, key)
        return found[-1] if found else None

    def dead(self) -> list[RunEntry]:
        """Return runs whose processes ended before they were through, and that are not noted as interrupted."""
        line = "WHERE state IN ('planned', 'submitting', 'submitted', 'done') AND NOT interrupted"
        return self._unheld(line)

    def points(self, run_id: str) -> list[PointEntry]:
        """Return the points of a run."""
        return self.database.read(PointEntry, "WHERE run = ?", run_id)

    def tasks(self, run_id: str) -> list[TaskEntry]:
        """Return the tasks of a run."""
        return self.database.read(TaskEntry, "WHERE run = ?", run_id)

    def jobs(self, run_id: str) -> list[JobEntry]:
        """Return the planned jobs of a run."""
        return self.database.read(JobEntry, "WHERE run = ?", run_id)

    def groups(self, run_id: str) -> list[GroupEntry]:
        """Return the session groups of a run."""
        return self.database.read(GroupEntry, "WHERE run = ?", run_id)

    def submissions(self, run_id: str) -> list[Submission]:
        """Return all tries of all jobs of a run."""
        return self.database.read(Submission, "WHERE run = ?", run_id)

    def equal_tasks(self, keys: Collection[str]) -> dict[str, tuple[str, int, str]]:
        """Return run, point and name of the latest task of each key that has a result."""
        return equal_tasks(self.database, keys)

    def seconds(self, run_id: str) -> Seconds:
        """Return what a run has cost so far, and what it is expected to."""
        return seconds_of(self.database, run_id)

    def spent_jobs(self) -> list[SpentJob]:
        """Return what jobs were expected to take and took, the latest first."""
        return spent_jobs(self.database)

    def plan(self, run: RunEntry) -> dict[str, bytes]:
        """Return the parts of a run's plan as they were kept.

        Raises:
            JournalError: Where the file is missing or damaged.
        """
        return read_parts(plan_file(self.folder, run.id), run.plan_sha)

    def raw(self, submission: Submission) -> tuple[bytes, str]:
        """Return what a submission gave, and of which kind that is.

        Raises:
            JournalError: Where the file is missing or damaged.
        """
        assert submission.result is not None, f"submission {submission.id} has no result"
        file = self.folder / submission.result
        kind = kind_of(submission.result)
        if kind is None:
            raise damaged(file, "no result is kept under such a name")
        return unpacked_bytes(read_checked(file, submission.sha or ""), file), kind

    def _unheld(self, line: str, *values: object) -> list[RunEntry]:
        """Return the runs of a query at which no process works."""
        ids = {run.id for run in self.database.read(RunEntry, line, *values)}
        free = ids - held_among(self.folder, ids)
        # Read again: a process that let go of its run meanwhile has written down before how it ended.
        return [run for run in self.database.read(RunEntry, line, *values) if run.id in free] if free else []

    def _unknown(self, wanted: str) -> Exception:
        known = ", ".join(str(row["id"]) for row in self.database.rows("SELECT id FROM runs ORDER BY number")[-5:])
        allowed = f"latest, all, or the id of one run in {self.folder} ({known or 'none yet'})"
        return refuse("run", wanted, allowed, "action=status run=all shows them")


def _ranges(run_id: str, points: Sequence[int]) -> list[tuple[str, int, int]]:
    """Return ranges of points that hold some of them: a single one where they lie close together, which is faster."""
    if points and max(points) - min(points) < 2 * len(points):
        return [(run_id, min(points), max(points))]
    return [(run_id, point, point) for point in dict.fromkeys(points)]
