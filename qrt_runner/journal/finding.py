"""Answers about many runs and tasks at once; knows the modules here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qrt_runner.journal.records import Seconds, SpentJob

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from qrt_runner.journal.database import Database
    from qrt_runner.journal.records import RunEntry

_AT_ONCE: Final = 500
"""Question marks in one query: older SQLites take no more than 999."""

_MOST_SPENT: Final = 1000
"""So many jobs tell how good estimates are; older ones tell of other times."""


def chosen(known: Sequence[RunEntry], wanted: str) -> RunEntry | None:
    """Return the run that is meant: the latest, that of an id, or the only one whose id begins so; else None."""
    if wanted == "latest":
        return known[-1] if known else None
    exact = [run for run in known if run.id == wanted]
    found = exact or [run for run in known if wanted and run.id.startswith(wanted)]
    return found[0] if len(found) == 1 else None


def equal_tasks(database: Database, keys: Collection[str]) -> dict[str, tuple[str, int, str]]:
    """Return run, point and name of the latest task of each key that has a result."""
    wanted = list(keys)
    found: dict[str, tuple[str, int, str]] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        part = wanted[start : start + _AT_ONCE]
        marks = ", ".join("?" * len(part))
        line = (
            "SELECT tasks.key, tasks.run, tasks.point, tasks.name FROM tasks JOIN runs ON runs.id = tasks.run "  # noqa: S608 - question marks
            f"WHERE tasks.state IN ('done', 'recorded') AND tasks.key IN ({marks}) ORDER BY runs.number, tasks.rowid"
        )
        found |= {row[0]: (str(row[1]), int(row[2]), str(row[3])) for row in database.rows(line, *part)}
    return found


def seconds_of(database: Database, run_id: str) -> Seconds:
    """Return what a run has cost so far, and what it is expected to."""
    spent = "SELECT total(quantum_s) FROM submissions WHERE run = ?"
    expected = "SELECT total(expected_s) FROM jobs WHERE run = ?"
    left = f"{expected} AND state NOT IN ('done', 'recorded')"
    return Seconds(*(float(database.rows(line, run_id)[0][0]) for line in (spent, expected, left)))


def spent_jobs(database: Database) -> list[SpentJob]:
    """Return what the jobs took of which the platform says so, the latest first: those that one submission ran whole.

    A job that was tried in parts, or more than once, was not what the estimate is about.
    """
    line = (
        "SELECT jobs.backend, jobs.mode, jobs.expected_s, total(submissions.quantum_s) FROM jobs JOIN submissions "
        'ON submissions.run = jobs.run AND submissions.job = jobs."index" '
        "WHERE jobs.state IN ('done', 'recorded') AND jobs.expected_s > 0 "
        'GROUP BY jobs.run, jobs."index" HAVING count(*) = 1 AND total(submissions.quantum_s) > 0 '
        "ORDER BY max(submissions.id) DESC LIMIT ?"
    )
    rows = database.rows(line, _MOST_SPENT)
    return [SpentJob(str(row[0]), str(row[1]), float(row[2]), float(row[3])) for row in rows]
