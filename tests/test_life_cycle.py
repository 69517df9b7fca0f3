"""From submission to record over several commands: each job once, each result kept, and the same command carries on."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from composing import circuit_file
from watching import Watched, rehearsal, watched

from qrt_runner.journal import Journal
from qrt_runner.rehearsal import Fault, Rehearsal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow.tracking import MlflowClient

NO_PLOTS = "tracking.plots=false"
THREE_JOBS = ("circuit=bell,ghz,qft", "backend.limits.pubs=1", NO_PLOTS)
"""Three circuits, of which each is a job of its own."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """The service that all commands of this module join."""
    with rehearsal(tmp_path_factory.mktemp("service")) as started:
        yield started


@pytest.fixture
def service(running: Rehearsal) -> Iterator[Watched]:
    """The service from now on, without faults."""
    yield watched(running)
    running.lift_faults()


def on(service: Watched) -> list[str]:
    """Return the overrides of a command that uses the service and logs to MLflow."""
    return ["backend=rehearsal", f"backend.store={service.running.folder}"]


def states(what: str = "runs") -> list[str]:
    """Return the states in the journal, in the order of the rows."""
    with sqlite3.connect("outputs/journal/journal.db") as journal:
        return [row[0] for row in journal.execute(f"SELECT state FROM {what} ORDER BY rowid")]  # noqa: S608 - a table's name


def runs_of(store: MlflowClient) -> list[Any]:
    """Return the active runs of the experiment, parents among them."""
    experiment = store.get_experiment_by_name("qrt_runner")
    return list(store.search_runs([experiment.experiment_id])) if experiment is not None else []


def test_a_complete_run_is_recorded_and_the_same_command_begins_another(command):
    """Two commands, two runs, both recorded."""
    assert command(NO_PLOTS).code == 0
    assert command(NO_PLOTS).code == 0
    assert states() == ["recorded", "recorded"]
    assert states("tasks") == ["recorded", "recorded"]


def test_what_is_submitted_is_collected_by_another_command(command, service):
    """`action=submit` returns with the job in the queue; `action=collect` fetches and records it, again and again."""
    ended = command(*on(service), "action=submit", NO_PLOTS)
    assert (ended.code, states(), states("jobs")) == (0, ["submitted"], ["submitted"]), ended.err
    assert "results" not in service.asked()
    (job,) = service.jobs()
    run = Journal(Path("outputs/journal")).runs()[0].id
    assert re.search(rf"^1 +sampler +fake_manila +{job['id']} +none +submitted$", ended.out, re.MULTILINE), ended.out
    assert f"their results: python -m qrt_runner action=collect run={run}\n" in ended.out
    assert "headline number" not in ended.out
    for _ in range(2):
        ended = command("action=collect", f"run={run}")
        assert (ended.code, "1 tasks are in MLflow" in ended.out) == (0, True), ended.err
    assert (states(), states("jobs"), len(service.jobs())) == (["recorded"], ["done"], 1)
    kept = next(Path().glob("outputs/2*/*/0-main/jobs.json"))
    assert json.loads(kept.read_text())[0]["id"] == job["id"]


def test_the_same_command_takes_up_what_was_submitted(command, service, store):
    """Submitted by one command, waited for by the same one with action=run: no second submission, one MLflow run."""
    command("-m", *on(service), *THREE_JOBS, "session=batch", "action=submit")
    assert len(service.jobs()) == 3
    ended = command("-m", *on(service), *THREE_JOBS, "session=batch")
    assert (ended.code, len(service.jobs()), states()) == (0, 3, ["recorded"]), ended.err
    assert sorted(run.info.status for run in runs_of(store)) == ["FINISHED"] * 4


def test_a_job_that_failed_is_run_again_and_only_that(command, service, store):
    """One of three jobs fails: its point is FAILED, exit 1; the same command runs it again, exit 0, one run a task."""
    service.running.arm(Fault(kind="job_fails", skip=1, reason="the cable", reason_code=9999))
    ended = command("-m", *on(service), *THREE_JOBS)
    assert (ended.code, ended.out.count("the cable")) == (1, 1), ended.out
    assert sorted(run.info.status for run in runs_of(store)) == ["FAILED", "FAILED", "FINISHED", "FINISHED"]
    assert states() == ["failed"]
    ended = command("-m", *on(service), *THREE_JOBS)
    assert (ended.code, len(service.jobs()), states()) == (0, 4, ["recorded"]), ended.err
    assert sorted(run.info.status for run in runs_of(store)) == ["FINISHED"] * 4
    assert states("submissions").count("failed") == 1


def test_never_resuming_begins_anew(command, service):
    """`resume=never` leaves the failed run as it is and measures all of it anew."""
    service.running.arm(Fault(kind="job_fails"))
    assert command(*on(service), NO_PLOTS).code == 1
    assert command(*on(service), NO_PLOTS, "resume=never").code == 0
    assert (states(), len(service.jobs())) == (["failed", "recorded"], 2)


def test_required_resuming_refuses_to_begin(command):
    """`resume=required` without a run to carry on with is refused before anything is done."""
    ended = command("resume=required")
    assert ended.code == 2
    assert "resume: given required, and there is none; allowed: a run of this very command" in ended.err
    assert states() == []


def test_an_edited_circuit_is_another_command(command):
    """A run whose circuit failed is not carried on with once the file is mended: it asks for another thing."""
    words = circuit_file("own", "circuit = QuantumCircuit(1)\nraise ValueError('not yet')")
    sweep = ("-m", *words, "circuit.source=own.py,circuits/bell.py", "tracking=off")
    assert command(*sweep).code == 1
    circuit_file("own", "circuit = QuantumCircuit(1)\ncircuit.h(0)")
    assert command(*sweep).code == 0
    assert states() == ["failed", "recorded"]


def test_where_mlflow_was_gone_the_same_command_records(command, store, tmp_path):
    """Results stay in the journal with exit 1; the next command records them without measuring again."""
    blocked = tmp_path / "store"
    blocked.write_text("not a folder")
    words = ("seed=7", NO_PLOTS, "backend=fake_manila")
    ended = command(*words, f"tracking.uri=sqlite:///{blocked}/mlflow.db")
    assert (ended.code, states(), states("tasks")) == (1, ["done"], ["done"]), ended.err
    ended = command(*words)
    assert (ended.code, states(), len(states("submissions"))) == (0, ["recorded"], 1), ended.err
    assert [run.info.status for run in runs_of(store)] == ["FINISHED"]


def test_where_mlflow_was_gone_any_next_command_records(command, tmp_path):
    """The store is broken, then mended: another command logs its own run and the one that was kept, and says so."""
    file = tmp_path / "mlflow.db"
    file.write_text("not a database")
    assert command("seed=7", NO_PLOTS).code == 1
    file.unlink()
    ended = command("seed=8", NO_PLOTS)
    assert (ended.code, states()) == (0, ["recorded", "recorded"]), ended.err
    assert "whose results had been kept, is in MLflow now" in ended.err
    with sqlite3.connect(file) as mended:
        assert mended.execute("SELECT status FROM runs").fetchall() == [("FINISHED",), ("FINISHED",)]


def test_another_working_copy_carries_on_with_the_journal(command, service, tmp_path, monkeypatch):
    """Submitted here; the journal is copied to another folder, where the results are collected and kept."""
    command("-m", *on(service), *THREE_JOBS, "action=submit")
    other = tmp_path / "other"
    shutil.copytree("outputs/journal", other / "outputs/journal")
    monkeypatch.chdir(other)
    ended = command("action=collect", "tracking=off")
    assert (ended.code, len(service.jobs()), states()) == (0, 3, ["recorded"]), ended.err
    assert list(other.glob("outputs/2*/*/results.parquet"))


def test_a_budget_of_jobs_is_kept_and_a_larger_one_carries_on(command, service):
    """Of three jobs one is submitted; with a larger budget the same command submits the other two."""
    ended = command("-m", *on(service), *THREE_JOBS, "budget.max_jobs=1")
    assert (ended.code, len(service.jobs())) == (1, 1), ended.err
    assert "2 jobs were not submitted: budget.max_jobs=1 is used up" in ended.err
    ended = command("-m", *on(service), *THREE_JOBS, "budget.max_jobs=3")
    assert (ended.code, len(service.jobs()), states()) == (0, 3, ["recorded"]), ended.err


@pytest.mark.parametrize("session", ["none", "batch"])
def test_a_budget_of_seconds_stops_before_the_job_that_exceeds_it(command, service, session):
    """Each job takes 2.36 s (2 s and 350 µs for each of 1,024 shots): five seconds are enough for two."""
    ended = command("-m", *on(service), *THREE_JOBS, f"session={session}", "budget.max_quantum_s=5")
    assert (ended.code, len(service.jobs())) == (1, 2), ended.err
    assert "1 job was not submitted: budget.max_quantum_s=5" in ended.err
    assert not any(service.takes_jobs())


def test_a_budget_for_sessions_bounds_their_life(command, service):
    """The session is opened for no longer than the budget says, nor than it was asked for."""
    command(*on(service), "session=dedicated", "budget.max_session_s=120", "tracking=off")
    command(*on(service), "session=dedicated", "session.max_time=1m", "budget.max_session_s=120", "tracking=off")
    assert [session["max_ttl_s"] for session in service.sessions()] == [120, 60]


def test_cancelled_jobs_are_not_run_and_their_groups_are_closed(command, service):
    """Three jobs are submitted and cancelled: the ledger says so, the run is over, and nothing is collected."""
    service.running.arm(Fault(kind="maintenance"))
    command("-m", *on(service), *THREE_JOBS, "session=batch", "action=submit")
    ended = command("action=cancel")
    assert (ended.code, "3 jobs were cancelled" in ended.out) == (0, True), ended.out + ended.err
    assert [job["status"] for job in service.jobs()] == ["Cancelled"] * 3
    assert (states(), any(service.takes_jobs())) == (["cancelled"], False)


def test_what_ended_before_it_was_cancelled_is_recorded(command, service, store):
    """A job that had run is fetched and recorded: it was paid for."""
    command(*on(service), NO_PLOTS, "action=submit")
    service.running.pass_time(3600)
    ended = command("action=cancel")
    assert (ended.code, "0 jobs were cancelled" in ended.out, states()) == (0, True, ["recorded"]), ended.err
    assert [run.info.status for run in runs_of(store)] == ["FINISHED"]


def test_status_shows_runs_and_asks_the_service(command, service):
    """A run that waits: its jobs by state, as the service has them, with the seconds expected."""
    service.running.arm(Fault(kind="maintenance"))
    command("-m", *on(service), *THREE_JOBS, "action=submit")
    ended = command("action=status")
    assert ended.code == 0, ended.err
    assert re.search(r"submitted +3 planned +3 submitted +0\.0 +7\.1", ended.out), ended.out
    assert ended.out.count("submitted (queued)") == 3
    assert all(job["id"] in ended.out for job in service.jobs())


def test_status_without_runs_says_so(command):
    """An empty journal is no error."""
    ended = command("action=status")
    assert (ended.code, "there are no runs in" in ended.out) == (0, True)


@pytest.mark.parametrize("action", ["collect", "cancel", "status"])
def test_an_unknown_run_is_refused_by_its_id(command, action):
    """The path, what was given, and which runs there are."""
    command("tracking=off")
    ended = command(f"action={action}", "run=nope")
    assert (ended.code, "run: given nope; allowed: " in ended.err) == (2, True), ended.err


def test_reusing_takes_what_equal_tasks_gave(command, service):
    """Two of three points were measured before: one job is run, and the record says where the others are from."""
    words = (*on(service), "backend.limits.pubs=1", NO_PLOTS)
    command("-m", "circuit=bell,ghz", *words)
    first = Journal(Path("outputs/journal")).runs()[0].id
    ended = command("-m", "circuit=bell,ghz,qft", *words, "reuse=true")
    assert (ended.code, len(service.jobs())) == (0, 3), ended.err
    assert ended.out.count(f"taken from run {first}, job") == 2
    tags = [json.loads(line)["tags"] for line in _last_kept().read_text().splitlines() if line]
    assert [one.get("qrt.reused_from") for one in tags] == [first, first, None]


def test_reused_results_are_equal_and_are_not_reused_from_a_copy(command):
    """Three times the same task: the second and the third name the first run, and have its counts."""
    words = ("backend=fake_manila", "seed=5", NO_PLOTS)
    command(*words)
    first = Journal(Path("outputs/journal")).runs()[0].id
    for _ in range(2):
        assert f"taken from run {first}" in command(*words, "reuse=true").out
    counts = {file.read_text() for file in Path().glob("outputs/2*/*/0-main/counts.json")}
    assert (len(counts), len(states("submissions"))) == (1, 1)


def test_an_interrupted_run_that_reuses_knows_what_it_reuses(command, tmp_path):
    """Recording fails first; carried on with, the run still takes the task from where it has it."""
    command("seed=5", NO_PLOTS)
    blocked = tmp_path / "store"
    blocked.write_text("not a folder")
    words = ("seed=5", NO_PLOTS, "reuse=true")
    assert command(*words, f"tracking.uri=sqlite:///{blocked}/mlflow.db").code == 1
    ended = command(*words)
    assert (ended.code, "taken from run" in ended.out, states()) == (0, True, ["recorded", "recorded"]), ended.err


def _last_kept() -> Path:
    return max(Path().glob("multirun/*/*/tasks.jsonl"), key=lambda file: file.stat().st_mtime)
