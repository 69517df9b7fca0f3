"""Many commands at once: one rehearsal service, one journal and one MLflow store that nobody has made before."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qrt_runner.journal import Journal, RunEntry, is_held

if TYPE_CHECKING:
    from collections.abc import Sequence

SERVICE = ("backend=rehearsal", "backend.store=store", "circuit=bell")


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    words: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def run(self) -> str:
        """The id of its run."""
        return next(line for line in self.out.splitlines() if line.startswith("run ")).split()[1].rstrip(",")


def five_commands(number: int) -> list[tuple[str, ...]]:
    """Return five commands, of which the first and the last are given twice: six jobs, four of them in batches."""
    single = (*SERVICE, "mode=sampler", f"mode.shots={64 + number}")
    sweep = ("-m", *SERVICE, "session=batch", "mode=sampler,raw", f"mode.shots={32 + number}")
    later = ("action=submit", *SERVICE, "session=batch", "mode=raw", f"mode.shots={16 + number}")
    return [single, single, sweep, later, later]


def ended_at_once(commands: Sequence[tuple[str, ...]]) -> list[Done]:
    """Start all commands at the same time, and return how they ended."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    lines = [[sys.executable, "-m", "qrt_runner", *words, "progress=off"] for words in commands]
    started = [subprocess.Popen(line, env=environment, **pipes) for line in lines]
    told = [process.communicate(timeout=600) for process in started]
    return [
        Done(words, process.returncode, out, err)
        for words, process, (out, err) in zip(commands, started, told, strict=True)
    ]


def ledger(of: str) -> list[dict[str, Any]]:
    """Return the jobs or sessions that really arrived at the service, which has ended."""
    with closing(sqlite3.connect("store/rehearsal.sqlite")) as store:
        return [json.loads(text) for (text,) in store.execute(f"SELECT record FROM {of}")]  # noqa: S608 - our own words


def in_mlflow(query: str) -> list[Any]:
    """Return the first column of a query to the MLflow store."""
    with closing(sqlite3.connect("mlflow.db")) as store:
        return [row[0] for row in store.execute(query)]


def runs_of_journal() -> list[RunEntry]:
    """Return all runs; nobody works at one any more."""
    with Journal(Path("outputs/journal")) as journal:
        runs = journal.runs()
        assert not [run.id for run in runs if is_held(journal.folder, run.id)]
        return runs


def assert_each_once(done: Sequence[Done], jobs: int) -> None:
    """Assert that every command ended well with a run of its own, and every job is on the service once.

    Args:
        done: The commands.
        jobs: How many jobs they have together.
    """
    assert [(one.words, one.code, one.err) for one in done] == [(one.words, 0, "") for one in done]
    assert len({one.run for one in done}) == len(done)
    assert {run.id for run in runs_of_journal()} == {one.run for one in done}
    tags = Counter(tag for job in ledger("jobs") for tag in job["tags"])
    of_jobs = {tag: count for tag, count in tags.items() if tag.startswith("qrt-")}
    assert (len(ledger("jobs")), len(of_jobs), set(of_jobs.values())) == (jobs, jobs, {1})
    assert set(tags) - set(of_jobs) == {one.run for one in done}


def check_commands_at_once(fives: int) -> None:
    """Run so many times five commands, all at once and on nothing, and see that none disturbs another."""
    commands = [command for number in range(fives) for command in five_commands(number)]
    done = ended_at_once(commands)
    assert_each_once(done, jobs=6 * fives)
    assert Counter(run.state for run in runs_of_journal()) == {"recorded": 3 * fives, "submitted": 2 * fives}
    assert Counter(in_mlflow("SELECT status FROM runs")) == {"FINISHED": 5 * fives}

    [collected] = ended_at_once([("action=collect", "run=all")])
    assert (collected.code, collected.err) == (0, "")
    assert_each_once(done, jobs=6 * fives)
    assert {run.state for run in runs_of_journal()} == {"recorded"}
    assert Counter(in_mlflow("SELECT status FROM runs")) == {"FINISHED": 7 * fives}
    told = in_mlflow("SELECT value FROM tags WHERE key = 'qrt.run'")
    assert set(told) == {one.run for one in done}
    recorded = in_mlflow("SELECT value FROM tags WHERE key = 'qrt.job_ids'")
    assert sorted(recorded) == sorted(job["id"] for job in ledger("jobs"))
    assert {one["state"] for one in ledger("sessions")} == {"closed"}


def test_commands_at_once():
    """Five commands, among them the very same one twice: each has a run of its own, and every job is there once."""
    check_commands_at_once(1)


@pytest.mark.slow
def test_twenty_commands_at_once():
    """Twenty processes on one service, one journal and one store, none of which was there before."""
    check_commands_at_once(4)


def test_a_run_that_was_left_is_taken_up_by_one():
    """The same command given twice at once carries on with it once, and begins a run of its own once."""
    words = (*SERVICE, "mode=sampler", "mode.shots=8")
    [left] = ended_at_once([("action=submit", *words)])
    done = ended_at_once([words, words])
    assert_each_once(done, jobs=2)
    assert left.run in {one.run for one in done}
    assert Counter(in_mlflow("SELECT status FROM runs")) == {"FINISHED": 2}
