"""What becomes of a run in MLflow when it is cut off, continued, tried again or computed again, both ways into a store.

The deaths are real: a process of its own kills itself with SIGKILL at the n-th step, or meets a disk that is full.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
import traceback
import urllib.request
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import TypeAdapter, ValidationError

from qrt_runner.config.parsing import TaskName
from qrt_runner.errors import ConfigError, TrackingError
from qrt_runner.tracking import KeptRun, Record, direct, find_kept, proven
from qrt_runner.tracking.files import Files
from qrt_runner.tracking.metrics import Metric
from qrt_runner.tracking.places import leads_out
from qrt_runner.tracking.reconciling import reconcile
from qrt_runner.tracking.store import Recorder, log_replay, log_run, state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mlflow.tracking import MlflowClient

STARTED_MS = 1_795_000_000_000
NOWHERE = "http://127.0.0.1:9"
WAYS = ("direct", "client")
FIVE = range(5)


def record(point: int, run: str = "r1", state: str = "FINISHED", attempt: int = 1, **changes: Any) -> Record:
    """Return what an attempt at a point gave: each has a job of its own, and a failed one an error."""
    tags = {"qrt.run": run, "qrt.point": str(point), "qrt.task": "main", "qrt.job_ids": f"job-{point}-{attempt}"}
    artifacts = {"jobs.json": f"attempt {attempt}\n".encode(), "circuit/isa.txt": b"H", "results.parquet": b"PAR1"}
    if state == "FAILED":
        tags["qrt.error"] = "RuntimeError: the fridge is warm"
        artifacts["error.txt"] = b"RuntimeError: the fridge is warm\n"
    metrics = (Metric("time/run_s", attempt / 2, 0), *([Metric("ev/zz", point / 4, 0)] if state == "FINISHED" else []))
    return replace(Record(f"{point}-main", f"#{point}", state, {"p": str(point)}, tags, metrics, artifacts), **changes)


def tried(failing: Sequence[int] = (), attempt: int = 1, run: str = "r1") -> list[Record]:
    """Return what an attempt at five points gave."""
    return [record(point, run, "FAILED" if point in failing else "FINISHED", attempt) for point in FIVE]


def kept_run(folder: Path, run: str = "r1", *, grouped: bool = True) -> KeptRun:
    """Return a run that was never heard of in its folder."""
    kept = KeptRun(folder / run, run, "sweep", "sweep (5 points)", grouped, folders=False, started_ms=STARTED_MS)
    kept.begin()
    return kept


def log_all(run: KeptRun, uri: str, records: Sequence[Record]) -> None:
    """Keep and log records, and end the run as it deserves."""
    run.keep(records)
    with Recorder(run, uri) as recorder:
        recorder.log(records)
        recorder.end(state_of(run))


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    """Return a store that MLflow made by itself, which takes it a second."""
    file = tmp_path_factory.mktemp("template") / "mlflow.db"
    client_of(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture(params=WAYS)
def uri(request, template, tmp_path, monkeypatch) -> str:
    """Return the address of an empty store, into which one way leads and then the other."""
    shutil.copy(template, tmp_path / "mlflow.db")
    if request.param == "client":
        monkeypatch.setattr(proven, "PROVEN", {})
    return f"sqlite:///{tmp_path}/mlflow.db"


def client_of(uri: str) -> MlflowClient:
    """Return MLflow's client of a store."""
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=uri)


def rows(uri: str, query: str, *values: object) -> list[Any]:
    """Ask a SQLite store without MLflow, whose connections must not be taken over by a forked process."""
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as database, database:
        return database.execute(query, values).fetchall()


RUNS = """
SELECT point.value, runs.status, jobs.value, parent.value, runs.run_uuid FROM runs
JOIN tags AS run ON run.run_uuid = runs.run_uuid AND run.key = 'qrt.run' AND run.value = ?
LEFT JOIN tags AS point ON point.run_uuid = runs.run_uuid AND point.key = 'qrt.point'
LEFT JOIN tags AS jobs ON jobs.run_uuid = runs.run_uuid AND jobs.key = 'qrt.job_ids'
LEFT JOIN tags AS parent ON parent.run_uuid = runs.run_uuid AND parent.key = 'mlflow.parentRunId'
WHERE runs.lifecycle_stage = ? ORDER BY CAST(point.value AS INTEGER), runs.rowid
"""


def runs_of(uri: str, run: str = "r1", stage: str = "active") -> list[tuple[str | None, str, str, str | None, str]]:
    """Return point, status, jobs, parent and id of a run's MLflow runs, the parent first."""
    return rows(uri, RUNS, run, stage)


def told(uri: str, run: str = "r1", stage: str = "active") -> list[tuple[str, str]]:
    """Return status and job of each of a run's tasks in MLflow."""
    return [(status, jobs) for point, status, jobs, _, _ in runs_of(uri, run, stage) if point is not None]


def check_whole(uri: str, attempts: Sequence[int], run: str = "r1") -> None:
    """See that there is one finished run of each task, by its last attempt, below one finished parent."""
    (nobody, state, _, above, parent), *children = runs_of(uri, run)
    assert (nobody, state, above) == (None, "FINISHED", None)
    assert [child[:4] for child in children] == [
        (str(point), "FINISHED", f"job-{point}-{attempt}", parent) for point, attempt in enumerate(attempts)
    ]
    assert [row for row in rows(uri, "SELECT status, name FROM runs") if row[0] == "RUNNING"] == []


def check_superseded(uri: str) -> None:
    """See that every deleted run names another one of its task that took its place, and says when."""
    query = """
    SELECT new.run_uuid <> runs.run_uuid, mine.value = theirs.value, runs.deleted_time > 1.7e12 FROM runs
    LEFT JOIN tags AS old ON old.run_uuid = runs.run_uuid AND old.key = 'qrt.superseded_by'
    LEFT JOIN runs AS new ON new.run_uuid = old.value
    LEFT JOIN tags AS mine ON mine.run_uuid = runs.run_uuid AND mine.key = 'qrt.point'
    LEFT JOIN tags AS theirs ON theirs.run_uuid = new.run_uuid AND theirs.key = 'qrt.point'
    WHERE runs.lifecycle_stage = 'deleted'
    """
    assert set(rows(uri, query)) <= {(1, 1, 1)}


# Tried again


def test_task_tried_again_supersedes(uri, tmp_path):
    """Two failed tasks are reopened and finish: their old runs are deleted and name the new, the others are left."""
    run = kept_run(tmp_path)
    log_all(run, uri, tried(failing=(1, 3)))
    before = {point: run_id for point, _, _, _, run_id in runs_of(uri)}
    run.reopen(["1-main", "3-main"])
    log_all(run, uri, [record(1, attempt=2), record(3, attempt=2)])
    check_whole(uri, [1, 2, 1, 2, 1])
    assert told(uri, stage="deleted") == [("FAILED", "job-1-1"), ("FAILED", "job-3-1")]
    check_superseded(uri)
    after = {point: run_id for point, _, _, _, run_id in runs_of(uri)}
    assert {point for point in after if after[point] == before[point]} == {None, "0", "2", "4"}
    assert run.logged == find_kept(str(run.folder)).logged == {f"{point}-main": after[str(point)] for point in FIVE}


def test_old_run_stays_until_the_new_one_comes(uri, tmp_path):
    """Reopening by itself changes nothing in MLflow, and what is known of it is still there for the next process."""
    run = kept_run(tmp_path)
    log_all(run, uri, tried(failing=(1,)))
    before = runs_of(uri)
    run.reopen(["1-main"])
    assert runs_of(uri) == before
    again = find_kept(str(run.folder))
    assert (again.reopened, "1-main" in again.logged) == ({"1-main": before[2][4]}, False)
    log_run(again, uri)
    assert told(uri)[1] == ("FAILED", "job-1-1")
    assert told(uri, stage="deleted") == []


def test_new_run_holds_nothing_of_the_old(uri, tmp_path):
    """Neither the error nor the files of the failed attempt are in the run of the one that finished."""
    run = kept_run(tmp_path, grouped=False)
    log_all(run, uri, [record(0, state="FAILED")])
    run.reopen(["0-main"])
    log_all(run, uri, [record(0, attempt=2)])
    logged = client_of(uri).get_run(run.logged["0-main"])
    folder = Path(logged.info.artifact_uri)
    assert {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()} == {*record(0).artifacts}
    assert (folder / "jobs.json").read_bytes() == b"attempt 2\n"
    assert "qrt.error" not in logged.data.tags
    assert logged.data.metrics == {"time/run_s": 1.0, "ev/zz": 0.0}


def test_task_that_fails_anew_supersedes(uri, tmp_path):
    """A reopened task that fails in the same words, without a job, is recorded anew nevertheless."""
    run = kept_run(tmp_path, grouped=False)
    failed = record(0, state="FAILED")
    log_all(run, uri, [failed])
    first = run.logged["0-main"]
    run.reopen(["0-main"])
    log_all(run, uri, [failed])
    assert run.logged["0-main"] != first
    assert [len(runs_of(uri, stage=stage)) for stage in ("active", "deleted")] == [1, 1]
    check_superseded(uri)


def test_outcomes_may_come_back(uri, tmp_path):
    """A task that fails, fails otherwise and fails as before has its last run, whatever was deleted before."""
    run = kept_run(tmp_path, grouped=False)
    outcomes = [record(0, state="FAILED", attempt=attempt) for attempt in (1, 2, 1)]
    for outcome in outcomes:
        run.reopen(["0-main"])
        log_all(run, uri, [outcome])
    assert told(uri) == [("FAILED", "job-0-1")]
    assert len(runs_of(uri, stage="deleted")) == 2
    check_superseded(uri)


def test_equal_outcome_is_left_alone(uri, tmp_path):
    """What comes a second time with the same state, jobs and error is not written again, reopened by nobody."""
    run = kept_run(tmp_path)
    log_all(run, uri, tried(failing=(1,)))
    before = rows(uri, "SELECT * FROM runs ORDER BY 1")
    log_all(run, uri, tried(failing=(1,)))
    log_all(kept_run(tmp_path / "elsewhere"), uri, tried(failing=(1,)))
    assert [row for row in rows(uri, "SELECT * FROM runs ORDER BY 1") if row not in before] in ([], [before[0]])
    assert rows(uri, "SELECT COUNT(*) FROM runs") == [(6,)]


def test_other_outcome_supersedes_without_a_word(uri, tmp_path):
    """A task kept with another outcome than the logged one supersedes it, though nobody has reopened it."""
    run = kept_run(tmp_path)
    log_all(run, uri, tried(failing=(4,)))
    log_all(find_kept(str(run.folder)), uri, [record(4, attempt=2)])
    check_whole(uri, [1, 1, 1, 1, 2])
    check_superseded(uri)


def test_interrupted_continuation_keeps_the_old_outcome(uri, tmp_path):
    """Where all that is kept is logged before the reopened task is through, its failed run stays the one there is."""
    run = kept_run(tmp_path)
    log_all(run, uri, tried(failing=(2,)))
    run.reopen(["2-main"])
    with Recorder(run, uri) as recorder:
        recorder.log(list(run.records()))
        recorder.end("KILLED")
    assert told(uri)[2] == ("FAILED", "job-2-1")
    assert told(uri, stage="deleted") == []
    log_all(find_kept(str(run.folder)), uri, [record(2, attempt=2)])
    check_whole(uri, [1, 1, 2, 1, 1])


def test_both_ways_supersede_alike(tmp_path, template, monkeypatch):
    """The rows of runs and tags are the same whichever way is gone, ids and times aside."""
    found = []
    for way in WAYS:
        store = tmp_path / f"{way}.db"
        shutil.copy(template, store)
        if way == "client":
            monkeypatch.setattr(proven, "PROVEN", {})
        run = kept_run(tmp_path / way)
        log_all(run, f"sqlite:///{store}", tried(failing=(1,)))
        run.reopen(["1-main"])
        log_all(run, f"sqlite:///{store}", [record(1, attempt=2)])
        found.append(dumped(f"sqlite:///{store}"))
    assert found[0] == found[1]
    assert len(found[0][0]) == 7


def dumped(uri: str) -> tuple[list[Any], list[Any]]:
    """Return the rows of runs and tags with a word for each id and each time."""
    columns = "status, lifecycle_stage, end_time > 1.7e12, deleted_time > 1.7e12, name, source_name, user_id"
    tags = rows(uri, "SELECT run_uuid, key, value FROM tags")
    ids = {run: value for run, key, value in tags if key == "qrt.job_ids"}
    return sorted(rows(uri, f"SELECT {columns} FROM runs")), sorted(  # noqa: S608 - our own columns
        (ids.get(run, "parent"), key, ids.get(value, "parent") if "_by" in key or "Id" in key else value)
        for run, key, value in tags
    )


# Left open


def left_open(uri: str, folder: Path, way: str = "client") -> None:
    """Leave a parent and a child open, and another child whole, as a process that was killed."""
    patch = pytest.MonkeyPatch()
    if way == "client":
        patch.setattr(proven, "PROVEN", {})
        patch.setattr("qrt_runner.tracking.client.Client._end", lambda *_: None)
    run = kept_run(folder)
    run.keep(tried())
    recorder = Recorder(run, uri)
    recorder.log([record(0)])
    until(lambda: run.logged)
    patch.undo()
    if way == "client":
        rows(uri, "UPDATE runs SET status = 'FINISHED' WHERE name = '#1'")


def until(true: Callable[[], object]) -> None:
    """Return when something is true."""
    for _ in range(1000):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError


def test_open_runs_are_killed(uri, tmp_path):
    """The open parent and the open child of a dead process are KILLED, with an end; a second time there are none."""
    left_open(uri, tmp_path)
    assert [row[:2] for row in runs_of(uri)] == [(None, "RUNNING"), ("0", "RUNNING")]
    assert reconcile("r1", "sweep", uri) == 2
    assert [row[:2] for row in runs_of(uri)] == [(None, "KILLED"), ("0", "KILLED")]
    assert rows(uri, "SELECT COUNT(*) FROM runs WHERE end_time > 1.7e12") == [(2,)]
    assert reconcile("r1", "sweep", uri) == 0


def test_other_runs_stay_open(uri, tmp_path):
    """Neither another run of ours, nor one in another experiment, nor a foreign one is ended."""
    left_open(uri, tmp_path)
    client = client_of(uri)
    [experiment] = [one.experiment_id for one in client.search_experiments() if one.name == "sweep"]
    client.create_run(experiment, tags={"qrt.run": "r2"})
    client.create_run(client.create_experiment("other"), tags={"qrt.run": "r1"})
    client.create_run(experiment)
    assert reconcile("r1", "sweep", uri) == 2
    assert rows(uri, "SELECT COUNT(*) FROM runs WHERE status = 'RUNNING'") == [(3,)]
    assert (reconcile("nobody", "sweep", uri), reconcile("r1", "no such experiment", uri)) == (0, 0)


def test_killed_runs_are_continued(uri, tmp_path):
    """What was KILLED is completed in place by the same outcome, and the parent is FINISHED at the end."""
    left_open(uri, tmp_path)
    reconcile("r1", "sweep", uri)
    before = runs_of(uri)
    log_all(kept_run(tmp_path / "elsewhere"), uri, tried())
    check_whole(uri, [1] * 5)
    assert [row[4] for row in runs_of(uri)][:2] == [row[4] for row in before]


def test_killed_task_tried_again_is_superseded(uri, tmp_path):
    """A half-written task that was tried again does not stay beside the whole one, nor is it completed by it."""
    left_open(uri, tmp_path)
    reconcile("r1", "sweep", uri)
    log_all(kept_run(tmp_path / "elsewhere"), uri, tried(attempt=2))
    check_whole(uri, [2] * 5)
    assert told(uri, stage="deleted") == [("KILLED", "job-0-1")]
    check_superseded(uri)


def test_open_task_that_nobody_reconciled_is_ended(uri, tmp_path):
    """A run that is superseded while it is still RUNNING is ended before it is deleted."""
    left_open(uri, tmp_path)
    log_all(kept_run(tmp_path / "elsewhere"), uri, tried(attempt=2))
    check_whole(uri, [2] * 5)
    assert told(uri, stage="deleted") == [("KILLED", "job-0-1")]


def test_parent_runs_while_its_run_is_continued(uri, tmp_path):
    """Between the first record and the end of a continued run its parent, which had failed, is RUNNING again."""
    run = kept_run(tmp_path)
    log_all(run, uri, tried(failing=(4,)))
    run.reopen(["4-main"])
    run.keep([record(4, attempt=2)])
    with Recorder(run, uri) as recorder:
        recorder.log([record(4, attempt=2)])
        until(lambda: run.logged.get("4-main"))
        assert next(row[:2] for row in runs_of(uri)) == (None, "RUNNING")
        recorder.end("FINISHED")
    check_whole(uri, [1, 1, 1, 1, 2])


def test_what_is_told_of_all_tasks_is_brought_up_to_date(uri, tmp_path):
    """What the groups of a continued run spent goes on from what they had spent before."""
    run = kept_run(tmp_path)
    run.keep(tried(failing=(4,)))
    run.spent = {"usage/session_busy_s": 2.0}
    log_run(run, uri, {"results.parquet": b"PAR1 old"})
    run.reopen(["4-main"])
    run.keep([record(4, attempt=2)])
    run.spent = {"usage/session_busy_s": 3.5}
    log_run(run, uri, {"results.parquet": b"PAR1 new"})
    parent = client_of(uri).get_run(run.parent)
    assert parent.data.metrics == {"usage/session_busy_s": 3.5}
    assert (Path(parent.info.artifact_uri) / "results.parquet").read_bytes() == b"PAR1 new"


@pytest.mark.parametrize("where", ["sqlite:///{}/none.db", "sqlite:///{}/none/none.db"])
def test_no_store_is_made(tmp_path, where):
    """Where there is no store nothing is open, and none is made."""
    assert reconcile("r1", "sweep", where.format(tmp_path)) == 0
    assert list(tmp_path.iterdir()) == []


def test_empty_file_is_no_store(tmp_path):
    """A file without tables is left as it is."""
    (tmp_path / "mlflow.db").touch()
    assert reconcile("r1", "sweep", f"sqlite:///{tmp_path}/mlflow.db") == 0
    assert (tmp_path / "mlflow.db").read_bytes() == b""


def test_server_that_is_away_is_told(monkeypatch):
    """Where the store cannot be reached the message tells address, reason, what stays open, and the remedy."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError) as raised:
        reconcile("r1", "sweep", f"http://me:secret@{NOWHERE.removeprefix('http://')}")
    beginning = f"tracking.uri: given {NOWHERE}, which could not be written (MlflowException: API request to"
    ending = (
        "Of run r1, which was cut off, some MLflow runs may stay RUNNING. tracking.uri=<a store that can be reached>"
    )
    assert str(raised.value).startswith(beginning)
    assert str(raised.value).endswith(ending)
    assert "secret" not in str(raised.value)


def test_file_that_is_no_database_is_told(tmp_path):
    """A damaged store is told in SQLite's words."""
    (tmp_path / "mlflow.db").write_text("no database at all, though long enough to be one" * 20)
    with pytest.raises(TrackingError, match="DatabaseError: file is not a database"):
        reconcile("r1", "sweep", f"sqlite:///{tmp_path}/mlflow.db")


def test_reconciling_imports_no_mlflow(tmp_path, template):
    """Ending open runs of a SQLite store costs no import of MLflow."""
    store = f"sqlite:///{shutil.copy(template, tmp_path / 'mlflow.db')}"
    left_open(store, tmp_path, "direct")
    call = f"from qrt_runner.tracking.reconciling import reconcile; print(reconcile('r1', 'sweep', {store!r}))"
    heavy = "import sys; print(sorted({'mlflow', 'sqlalchemy', 'requests'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", f"{call}; {heavy}"], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("1\n[]\n", "")


# Continued by another process


def log_three(folder: Path, uri: str) -> None:
    """Log three of five tasks, and break off."""
    run = kept_run(folder)
    with Recorder(run, uri) as recorder:
        recorder.log(tried()[:3])
        until(lambda: len(run.logged) == 3)


def test_continued_elsewhere_without_what_was_noted(uri, tmp_path):
    """Of five tasks three were logged; a process that knows nothing of that logs five, and doubles none."""
    log_three(tmp_path, uri)
    before = runs_of(uri)
    assert [row[1] for row in before] == ["KILLED", *["FINISHED"] * 3]
    run = kept_run(tmp_path / "elsewhere")
    log_all(run, uri, tried())
    check_whole(uri, [1] * 5)
    assert [row[4] for row in runs_of(uri)][:4] == [row[4] for row in before]
    assert (run.parent, [*run.logged]) == (before[0][4], [f"{point}-main" for point in FIVE])


def test_continued_with_another_start(uri, tmp_path):
    """A process that thinks the run began at another time finds it all the same."""
    log_three(tmp_path, uri)
    log_all(replace(kept_run(tmp_path / "elsewhere"), started_ms=STARTED_MS + 1), uri, tried())
    check_whole(uri, [1] * 5)


def test_task_alone_is_continued_elsewhere(uri, tmp_path):
    """A run without a parent is one run, whoever logs it again."""
    log_all(kept_run(tmp_path, grouped=False), uri, [record(0)])
    log_all(kept_run(tmp_path / "elsewhere", grouped=False), uri, [record(0)])
    assert [row[:4] for row in runs_of(uri)] == [("0", "FINISHED", "job-0-1", None)]


def test_run_kept_in_two_folders_is_the_one_kept_last(tmp_path):
    """Asked for by its id, a run that went on in another folder is found there."""
    for name in ("b", "a"):
        run = kept_run(tmp_path / "outputs" / name)
        run.keep([record(0)])
    assert find_kept("r1").folder == Path("outputs/a/r1")


# Killed at any step


STEPS = {
    "direct": ("direct._write_files", "keeping.append", "keeping.KeptRun.put"),
    "client": (
        "connecting.MlflowClient.create_run",
        "connecting.MlflowClient.log_batch",
        "connecting.MlflowClient.log_artifacts",
        "connecting.MlflowClient.update_run",
        "connecting.MlflowClient.set_terminated",
        "connecting.MlflowClient.set_tag",
        "connecting.MlflowClient.delete_run",
        "keeping.append",
        "keeping.KeptRun.put",
    ),
}
"""Calls before and after which a process may die; on the direct way it may at every statement of SQL, too."""


class Deadly:
    """Counts steps, and kills its process at one of them."""

    def __init__(self, last: int | None) -> None:
        """Remember the last step; None for a process that lives."""
        self.count, self._last = 0, last

    def step(self, *_: object) -> None:
        """Take a step, which may be the last one."""
        self.count += 1
        if self.count == self._last:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function with a step before and one after it."""

        def call(*given: Any, **named: Any) -> Any:
            self.step()
            returned = function(*given, **named)
            self.step()
            return returned

        return call

    def connected(self, connect: Callable[..., sqlite3.Connection], file: Path) -> sqlite3.Connection:
        """Open a store, each statement to which is a step."""
        database = connect(file)
        database.set_trace_callback(self.step)
        return database


def in_a_process(function: Callable[[], object]) -> int:
    """Call a function in a process of its own; return its exit code, negative for a signal."""
    child = multiprocessing.get_context("fork").Process(target=_called, args=(function,))
    child.start()
    child.join(60)
    assert child.exitcode is not None
    return child.exitcode


def _called(function: Callable[[], object]) -> None:
    try:
        function()
    except BaseException:  # noqa: BLE001 - whatever it is, the test must see it and not run on in this process
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def attempt(way: str, folder: Path, uri: str, number: int, last: int | None = None) -> Deadly:
    """Log all five points: the second attempt tries those again that had failed in the first, in the same folder."""
    deadly = Deadly(last)
    with pytest.MonkeyPatch.context() as patch:
        if way == "client":
            patch.setattr(proven, "PROVEN", {})
        for name in STEPS[way]:
            place = f"qrt_runner.tracking.{name}"
            patch.setattr(place, deadly.around(_resolved(place)))
        patch.setattr(direct, "connected", partial(deadly.connected, direct.connected))
        reconcile("r1", "sweep", uri)
        run = find_kept(str(folder / "r1")) if (folder / "r1" / "run.json").exists() else kept_run(folder)
        failed = [key for key, state in run.states().items() if state == "FAILED"]
        run.reopen(failed)
        records = tried(failing=(1, 3)) if number == 1 else tried()
        if number > 1:
            records = [record(point, attempt=2 if point in (1, 3) else 1) for point in FIVE]
        log_all(run, uri, records)
    return deadly


def _resolved(place: str) -> Any:
    from pkgutil import resolve_name

    return resolve_name(place)


@pytest.fixture(scope="module")
def steps(tmp_path_factory, template) -> dict[tuple[str, int], int]:
    """Return how many steps each attempt takes that is not killed, by way and number."""
    counts = {}
    for way in WAYS:
        folder = tmp_path_factory.mktemp("steps")
        uri = f"sqlite:///{shutil.copy(template, folder / 'mlflow.db')}"
        for number in (1, 2):
            file = folder / f"count-{number}"
            code = in_a_process(
                lambda: file.write_text(str(attempt(way, folder, uri, number).count))  # noqa: B023 - called at once
            )
            assert code == 0
            counts[way, number] = int(file.read_text())
        check_whole(uri, [1, 2, 1, 2, 1])
    return counts


def chosen(steps: dict[tuple[str, int], int], way: str, seed: int) -> list[int]:
    """Return a step at which to die in each of the two attempts."""
    numbers = random.Random(seed)  # noqa: S311 - no secret is made of it
    return [numbers.randint(1, steps[way, number]) for number in (1, 2)]


SHORT = {"direct": 16, "client": 6}
LONG = {"direct": 200, "client": 60}
SEEDS = [
    pytest.param(way, seed, marks=[pytest.mark.slow] if seed >= SHORT[way] else [])
    for way in WAYS
    for seed in range(LONG[way])
]


@pytest.mark.parametrize(("way", "seed"), SEEDS)
def test_killed_at_any_step(steps, template, tmp_path, way, seed):
    """Killed while it is logged and again while it is continued, a run is whole at the end, each task there once.

    Half of them end in a folder that knows nothing of what was before.
    """
    uri = f"sqlite:///{shutil.copy(template, tmp_path / 'mlflow.db')}"
    for number, last in enumerate(chosen(steps, way, seed), 1):
        assert in_a_process(partial(attempt, way, tmp_path, uri, number, last)) == -signal.SIGKILL
        assert_no_task_twice(uri)
    last_folder = tmp_path / "elsewhere" if seed % 2 else tmp_path
    assert in_a_process(partial(attempt, way, last_folder, uri, 2)) == 0
    check_whole(uri, [1, 2, 1, 2, 1])
    check_superseded(uri)


def assert_no_task_twice(uri: str) -> None:
    """See that no two whole runs of a task tell the same outcome, however a process died."""
    whole = [row[:3] for row in runs_of(uri) if row[0] is not None and row[1] in ("FINISHED", "FAILED")]
    assert len(whole) == len(set(whole))


def test_one_way_goes_on_where_the_other_died(steps, template, tmp_path):
    """What MLflow's client began is completed directly, and the other way round."""
    uri = f"sqlite:///{shutil.copy(template, tmp_path / 'mlflow.db')}"
    assert in_a_process(partial(attempt, "client", tmp_path, uri, 1, steps["client", 1] // 2)) == -signal.SIGKILL
    assert in_a_process(partial(attempt, "direct", tmp_path, uri, 1)) == 0
    assert in_a_process(partial(attempt, "client", tmp_path, uri, 2, steps["client", 2] // 2)) == -signal.SIGKILL
    assert in_a_process(partial(attempt, "direct", tmp_path, uri, 2)) == 0
    check_whole(uri, [1, 2, 1, 2, 1])
    check_superseded(uri)


# Computed again


def replayed(folder: Path, points: Sequence[int] = FIVE, *, grouped: bool = True) -> KeptRun:
    """Return the kept replay of some points."""
    run = kept_run(folder, "replay", grouped=grouped)
    run.keep([record(point, "replay", attempt=1) for point in points])
    return run


def test_replay_lies_below_its_original(uri, tmp_path):
    """Each task of a replay becomes a child of the task that it has computed again, and names the original's run."""
    original = kept_run(tmp_path)
    log_all(original, uri, tried())
    before = runs_of(uri)
    run = replayed(tmp_path)
    assert log_replay(run, uri, of="r1") == ()
    assert runs_of(uri) == before
    found = runs_of(uri, "replay")
    assert [row[:2] for row in found] == [(str(point), "FINISHED") for point in FIVE]
    assert [row[3] for row in found] == [original.logged[f"{point}-main"] for point in FIVE]
    assert rows(uri, "SELECT DISTINCT value FROM tags WHERE key = 'qrt.replay_of'") == [("r1",)]
    assert run.logged == {f"{row[0]}-main": row[4] for row in found}


def test_replay_of_a_task_alone(uri, tmp_path):
    """A replay of a run without a parent is a child of that run."""
    original = kept_run(tmp_path, grouped=False)
    log_all(original, uri, [record(0)])
    assert log_replay(replayed(tmp_path, [0], grouped=False), uri, of="r1") == ()
    assert [row[3] for row in runs_of(uri, "replay")] == [original.logged["0-main"]]


def test_replay_without_its_original_is_told(uri, tmp_path):
    """Tasks whose originals are not in the store come below a parent of their own, and are named."""
    log_all(kept_run(tmp_path), uri, tried()[:3])
    assert log_replay(replayed(tmp_path), uri, of="r1") == ("3-main", "4-main")
    parent, *children = runs_of(uri, "replay")
    originals = {row[0]: row[4] for row in runs_of(uri)}
    assert (parent[0], parent[1], parent[3]) == (None, "FINISHED", originals[None])
    assert [row[3] for row in children] == [*(originals[str(point)] for point in range(3)), parent[4], parent[4]]


def test_replay_of_nothing_is_a_run_like_any_other(uri, tmp_path):
    """Where the original is nowhere in the store, the replay has a parent and five children."""
    assert len(log_replay(replayed(tmp_path), uri, of="gone")) == 5
    check_whole(uri, [1] * 5, "replay")


def test_replay_has_a_place_for_what_is_told_of_all_tasks(uri, tmp_path):
    """The table of a replayed sweep is in a run of its own, below the original's parent."""
    original = kept_run(tmp_path)
    log_all(original, uri, tried())
    run = replayed(tmp_path)
    assert log_replay(run, uri, of="r1", files={"results.parquet": b"PAR1"}) == ()
    parent = client_of(uri).get_run(run.parent)
    assert parent.data.tags["mlflow.parentRunId"] == original.parent
    assert (Path(parent.info.artifact_uri) / "results.parquet").read_bytes() == b"PAR1"
    assert [row[3] for row in runs_of(uri, "replay")][1:] == [original.logged[f"{point}-main"] for point in FIVE]


def test_replay_is_logged_again_as_one(uri, tmp_path):
    """Collecting a replay, by a process that has read only what is kept of it, changes nothing, and finishes it."""
    log_all(kept_run(tmp_path), uri, tried())
    run = replayed(tmp_path)
    log_replay(run, uri, of="r1")
    before = runs_of(uri, "replay")
    (run.folder / "logged.jsonl").unlink()
    again = find_kept(str(run.folder))
    log_run(again, uri)
    assert (again.replay_of, log_replay(again, uri, of="r1")) == ("r1", ())
    assert runs_of(uri, "replay") == before


def test_replay_is_of_the_last_attempt(uri, tmp_path):
    """Where the original was tried again, its replay lies below the run that is there now."""
    original = kept_run(tmp_path)
    log_all(original, uri, tried(failing=(0,)))
    original.reopen(["0-main"])
    log_all(original, uri, [record(0, attempt=2)])
    log_replay(replayed(tmp_path, [0]), uri, of="r1")
    assert [row[3] for row in runs_of(uri, "replay")] == [original.logged["0-main"]]


# Disks and stores that fail


def test_full_disk_leaves_nothing_half_noted(uri, tmp_path):
    """On a disk that is full half way some tasks are logged and noted, the rest is neither, and later all are there."""
    run = kept_run(tmp_path)
    run.keep(many())
    full = Path(uri.removeprefix("sqlite:///")).stat().st_size + 50_000
    assert in_a_process(partial(log_on_a_full_disk, run.folder, uri, full)) == 0
    again = find_kept(str(run.folder))
    whole = {f"{row[0]}-main": row[4] for row in runs_of(uri) if row[1] == "FINISHED"}
    assert again.logged.items() <= whole.items()
    assert 0 < len(whole) < len(many())
    assert in_a_process(partial(log_run, again, uri)) == 0
    assert told(uri) == [("FINISHED", f"job-{point}-1") for point in range(len(many()))]


def many() -> list[Record]:
    """Return more records than fit on the disk."""
    return [record(point) for point in range(60)]


def log_on_a_full_disk(folder: Path, uri: str, most_bytes: int) -> None:
    """Log a run where no file may grow beyond some size, and see that the remedy is told."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    run = find_kept(str(folder))
    with Recorder(run, uri) as recorder:
        for start in range(0, len(many()), 10):
            recorder.log(many()[start : start + 10])
        with pytest.raises(TrackingError) as raised:
            recorder.end("FINISHED")
    assert str(raised.value).endswith(f"{run.remedy()} tracking.uri=<a store that can be reached>")


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
def test_store_that_vanishes_is_told(uri, tmp_path, journal):
    """A store that is removed while a run is logged takes nothing more, although SQLite may not notice."""
    rows(uri, f"PRAGMA journal_mode = {journal}")
    run = kept_run(tmp_path)
    run.keep(tried())
    store = Path(uri.removeprefix("sqlite:///"))
    with Recorder(run, uri) as recorder:
        recorder.log([record(0)])
        until(lambda: run.logged)
        for file in store.parent.glob("mlflow.db*"):
            file.unlink()
        recorder.log(tried()[1:])
        with pytest.raises(TrackingError) as raised:
            recorder.end("FINISHED")
    assert run.remedy() in str(raised.value)
    assert [*run.logged] == [*find_kept(str(run.folder)).logged] == ["0-main"]


def test_notes_that_cannot_be_written_are_not_taken_for_written(uri, tmp_path):
    """Where only the kept run's own folder takes nothing more, nothing is noted, and later nothing is doubled."""
    run = kept_run(tmp_path)
    run.keep(tried())
    (run.folder / "logged.jsonl").mkdir()
    with Recorder(run, uri) as recorder:
        recorder.log(tried())
        with pytest.raises(TrackingError, match="IsADirectoryError"):
            recorder.end("FINISHED")
    assert run.logged == {}
    (run.folder / "logged.jsonl").rmdir()
    log_run(find_kept(str(run.folder)), uri)
    check_whole(uri, [1] * 5)


def test_parent_that_cannot_be_noted_costs_no_result(uri, tmp_path):
    """Where the parent cannot be noted in between, the run goes on, and the end tells if it still cannot."""
    run = kept_run(tmp_path)
    run.keep(tried())
    (run.folder / "run.json.new").mkdir()
    with Recorder(run, uri) as recorder:
        recorder.log(tried()[:2])
        recorder.log(tried()[2:])
        with pytest.raises(TrackingError, match="IsADirectoryError"):
            recorder.end("FINISHED")
    assert run.parent is None
    (run.folder / "run.json.new").rmdir()
    again = find_kept(str(run.folder))
    log_run(again, uri)
    check_whole(uri, [1] * 5)
    assert find_kept(str(run.folder)).parent == runs_of(uri)[0][4]


# Whose files, and where


@pytest.mark.parametrize("folders", [False, True], ids=["shared", "folders"])
def test_kept_files_are_for_their_owner_only(uri, tmp_path, folders):
    """Whatever the user's mask lets through, nobody else can read what is kept, nor look into its folders."""
    before = os.umask(0o000)
    try:
        run = KeptRun(tmp_path / "deep/er", "r1", "sweep", "t", grouped=True, folders=folders, started_ms=STARTED_MS)
        run.begin()
        log_all(run, uri, tried())
        run.put("results.parquet", b"PAR1")
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "deep", *(tmp_path / "deep").rglob("*"))}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    names = {path.name for path in modes}
    assert names >= {"run.json", "tasks.jsonl", "logged.jsonl", "results.parquet"}
    assert any(name.endswith("isa.txt") for name in names)


def test_folder_that_was_there_is_closed_where_runs_are_kept(tmp_path):
    """A folder below outputs/ that Hydra made for everybody is the owner's alone; one that a user chose is not."""
    for name in ("outputs/day/r1", "chosen/r1"):
        folder = tmp_path / name
        folder.mkdir(parents=True, mode=0o755)
        kept_run(folder.parent)
    assert stat.S_IMODE((tmp_path / "outputs/day/r1").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "chosen/r1").stat().st_mode) == 0o755


OUTSIDE = ["../x", "a/../../x", "/x", "a/..", "..", "", "\\x", "..\\x", "a\0b", "C:/x"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_that_lead_out_are_recognised(name):
    """A name of an artifact that leads out of its folder, on any system, is none."""
    assert leads_out(name)


@pytest.mark.parametrize("name", ["x", "a/b.c", "plots/zne.png", "..a", "a..b/c", "a b", "0-main/ä.json"])
def test_names_that_stay_inside_are_taken(name):
    """Odd names that stay in the folder are names."""
    assert not leads_out(name)


@pytest.mark.parametrize("shared", [False, True])
def test_artifact_that_leads_out_is_not_kept(tmp_path, shared):
    """An artifact or a task whose name would lead out of the folder is written nowhere."""
    files = Files(tmp_path / "run", shared=shared)
    for key, name in (("0-main", "../../x"), ("../x", "y")):
        if shared and key != "0-main":
            continue
        with suppress(AssertionError):
            files.kept(key, {name: b"x"})
    assert [path for path in tmp_path.rglob("*") if path.is_file() and "run" not in path.parts[-3:]] == []
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("way", WAYS)
def test_artifact_that_leads_out_is_not_logged(template, tmp_path, way, monkeypatch):
    """Nor is it written by either way into MLflow."""
    uri = f"sqlite:///{shutil.copy(template, tmp_path / 'mlflow.db')}"
    if way == "client":
        monkeypatch.setattr(proven, "PROVEN", {})
    run = kept_run(tmp_path, grouped=False)
    with pytest.raises(AssertionError), Recorder(run, uri) as recorder:  # noqa: PT012 - raised where it is waited for
        recorder.log([record(0, artifacts={"../../../x": b"x"})])
        recorder.end("FINISHED")
    assert list(tmp_path.rglob("x")) == []


@pytest.mark.parametrize("place", ["../../secret", "/etc/passwd", ["../secret", 0, 5, "x"]])
def test_foreign_kept_run_leads_nowhere(tmp_path, uri, place):
    """A folder that somebody else has written cannot have other files of the user logged as artifacts."""
    (tmp_path / "secret").write_text("a token")
    run = kept_run(tmp_path)
    run.keep([record(0)])
    line = json.loads((run.folder / "tasks.jsonl").read_text())
    (run.folder / "tasks.jsonl").write_text(json.dumps({**line, "files": {"config.yaml": place}}))
    with pytest.raises(ConfigError, match=r"run: given .*; allowed: a kept run whose files lie in its folder"):
        log_run(find_kept(str(run.folder)), uri)
    assert rows(uri, "SELECT * FROM runs") == []


@pytest.mark.parametrize("name", ["a/b", "..", ".", "a.b", "", "a\n", "a\\b", "ä", "a b"])
def test_name_of_a_task_is_no_path(name):
    """What a task may be called in a config can be the name of a folder, and of nothing else."""
    with pytest.raises(ValidationError):
        TypeAdapter(TaskName).validate_python(name)


# Through a server


@pytest.fixture(scope="module")
def server(tmp_path_factory, template) -> Iterator[tuple[str, str]]:
    """Start a tracking server; give its address and that of the store behind it."""
    folder = tmp_path_factory.mktemp("server")
    behind = f"sqlite:///{shutil.copy(template, folder / 'mlflow.db')}"
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
    line = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", behind]
    settings = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log.txt").open("w") as log:
        started = subprocess.Popen(
            [*line, "--host", "127.0.0.1", "--port", port, "--workers", "1"],
            cwd=folder,
            env=settings,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        until_it_answers(f"http://127.0.0.1:{port}/health", started, folder / "log.txt")
        yield f"http://127.0.0.1:{port}", behind
    finally:
        os.killpg(started.pid, signal.SIGTERM)
        started.wait(30)


def until_it_answers(address: str, started: subprocess.Popen[bytes], log: Path) -> None:
    """Return when a server answers."""
    for _ in range(300):
        assert started.poll() is None, log.read_text()
        with suppress(OSError), urllib.request.urlopen(address, timeout=5):
            return
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def test_life_cycle_through_a_server(server, tmp_path):
    """Over HTTP a run is cut off, reconciled, continued elsewhere, tried again and replayed, and is whole each time."""
    uri, behind = server
    client = client_of(uri)
    experiment = client.create_experiment("sweep")
    client.create_run(experiment, STARTED_MS, {"qrt.run": "r1"})
    client.create_run(experiment, STARTED_MS, record(0).tags)
    assert (reconcile("r1", "sweep", uri), reconcile("r1", "sweep", uri)) == (2, 0)
    run = kept_run(tmp_path)
    log_all(run, uri, tried(failing=(1,)))
    again = find_kept(str(run.folder))
    again.reopen(["1-main"])
    log_all(again, uri, [record(1, attempt=2)])
    check_whole(behind, [1, 2, 1, 1, 1])
    check_superseded(behind)
    assert log_replay(replayed(tmp_path), uri, of="r1") == ()
    assert [row[3] for row in runs_of(behind, "replay")] == [again.logged[f"{point}-main"] for point in FIVE]
