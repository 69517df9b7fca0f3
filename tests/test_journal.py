"""The journal holds runs, points, tasks, jobs, submissions and groups, whatever happens to the processes that write."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from dataclasses import replace
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from journaling import RECORD, WHOLE, group, job, python, run_entry, started, task, write_run

from qrt_runner.errors import ConfigError
from qrt_runner.journal import HeldError, Journal, is_held
from qrt_runner.results import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qrt_runner.journal import TaskEntry

ONE_RUN = """
import sys
from pathlib import Path
from journaling import RECORD, WHOLE, job, run_entry, task
from qrt_runner.journal import Journal

name = sys.argv[1]
sys.stdout.write("ready\\n")
sys.stdout.flush()
sys.stdin.readline()
for turn in range(5):
    with Journal(Path("journal")) as journal:
        assert journal.unfinished("command") is None
        with journal.begun(run_entry(f"{name}-{turn}"), [(0, [])], [task()], [job()]) as diary:
            submission = diary.submitting(0, WHOLE, f"tag-{name}-{turn}")
            diary.submitted(submission, f"service-{name}-{turn}", None, None)
            diary.done(submission, f"raw {name} {turn}".encode(), "counts", RECORD)
            diary.tasks([task(state="recorded")])
            diary.finish("recorded")
"""
ENDLESS = """
import sys
from pathlib import Path
from journaling import RECORD, WHOLE, job, run_entry, task
from qrt_runner.journal import Journal

sys.stdout.write("ready\\n")
sys.stdout.flush()
turn = 0
while True:
    with Journal(Path("journal")) as journal:
        name = f"{sys.argv[1]}-{turn}"
        with journal.begun(run_entry(name), [(0, [])], [task()], [job()]) as diary:
            submission = diary.submitting(0, WHOLE, f"tag-{name}")
            diary.submitted(submission, f"service-{name}", None, None)
            diary.done(submission, name.encode() * 1000, "counts", RECORD)
            diary.finish("recorded")
    sys.stdout.write(f"{name}\\n")
    sys.stdout.flush()
    turn += 1
"""
RIGHTS = """
import os
from pathlib import Path
from journaling import RECORD, WHOLE, Journal, job, run_entry, task

os.umask(0o022)
with Journal(Path("outputs/journal")) as journal:
    journal.keep_plan("r1", {"plan.json": b"{}"})
    with journal.begun(run_entry(), [(0, [])], [task()], [job()]) as diary:
        diary.done(diary.submitting(0, WHOLE, "tag"), b"raw", "counts", RECORD)
        found = [*Path("outputs").rglob("*"), Path("outputs")]
        print({(path.is_dir(), oct(path.stat().st_mode & 0o777)) for path in found}, len(found))
"""
HOLDING = """
import sys
from pathlib import Path
from qrt_runner.journal import Journal

with Journal(Path("journal")) as journal, journal.held("r1"):
    sys.stdout.write("held\\n")
    sys.stdout.flush()
    sys.stdin.readline()
"""


@pytest.fixture
def journal(tmp_path):
    """A journal in the test's folder."""
    with Journal(tmp_path / "journal") as opened:
        yield opened


@pytest.fixture
def diary(journal):
    """The diary of a run of two points, two jobs and one group, held by this process."""
    entries = [task(0), task(1)], [job(0), job(1, group=0)], [group()]
    with journal.begun(run_entry(), [(0, ["n=0"]), (1, ["n=1"])], *entries) as held:
        yield held


def states(diary):
    """Return the states of the run's jobs."""
    return [found.state for found in diary.journal.jobs("r1")]


# --- what is written is read ----------------------------------------------------------------------------------------


def test_a_run_is_read_as_it_was_begun(journal):
    """Run, points, tasks, jobs and groups, each field with its own type."""
    run = run_entry(parent="p", interrupted=True, plan_sha="ab", note="told")
    tasks = [task(0), task(0, "twin", "failed", error="too warm"), task(1, mlflow_run="m")]
    groups = [group(0), group(1, 3600), group(2, None)]
    journal.begin(run, [(0, ["a=1", "b=2"]), (1, [])], tasks, [job(0), job(1, group=0)], groups)
    assert journal.run("r1") == run
    assert [(point.index, point.overrides) for point in journal.points("r1")] == [(0, ("a=1", "b=2")), (1, ())]
    assert journal.tasks("r1") == tasks
    assert journal.jobs("r1") == [job(0), job(1, group=0)]
    assert journal.groups("r1") == groups


def test_a_run_is_begun_as_a_whole_or_not_at_all(journal):
    """What cannot be written leaves nothing of its run behind."""
    with pytest.raises(sqlite3.IntegrityError):
        journal.begin(run_entry(), [(0, [])], [task(), task()], [job()], [])
    assert journal.runs() == []
    assert journal.tasks("r1") == []
    journal.begin(run_entry(), [(0, [])], [task()], [job()], [])
    assert len(journal.runs()) == 1


def test_a_run_id_that_leads_elsewhere_is_not_taken(journal):
    """Files are named by it."""
    with pytest.raises(AssertionError, match="cannot name a file"):
        journal.begin(run_entry("../r1"), [])


def test_fields_of_a_run_are_changed_by_name(journal):
    """The others stay."""
    run = write_run(journal)
    journal.update_run("r1", parent="p1", interrupted=True)
    assert journal.run("r1") == replace(run, parent="p1", interrupted=True)


def test_a_plan_is_read_as_it_was_kept(journal):
    """Its checksum stands in the run."""
    parts = {"plan.json": b"{}", "programs/0.qpy": b"QISKIT"}
    run = run_entry(plan_sha=journal.keep_plan("r1", parts))
    journal.begin(run, [])
    assert journal.plan(journal.run("r1")) == parts


def test_a_point_is_what_its_tasks_are(journal):
    """Failed before all, then cancelled, then what has come least far."""
    names = ("a", "b")
    journal.begin(run_entry(), [(0, []), (1, [])], [task(point, name) for point in (0, 1) for name in names])
    told = []
    for pair in (("done", "submitted"), ("done", "recorded"), ("failed", "planned"), ("recorded", "recorded")):
        journal.update_tasks("r1", [task(0, name, state) for name, state in zip(names, pair, strict=True)])
        told.append([point.state for point in journal.points("r1")])
    expected = [["submitted", "planned"], ["done", "planned"], ["failed", "planned"], ["recorded", "planned"]]
    assert told == expected


def test_a_task_that_is_not_known_is_not_dropped(journal):
    """Nothing is changed then."""
    write_run(journal)
    with pytest.raises(AssertionError, match="2 tasks of r1 were to be changed, 1 are known"):
        journal.update_tasks("r1", [task(state="done"), task(9)])
    assert journal.tasks("r1") == [task()]


# --- which run ------------------------------------------------------------------------------------------------------


def test_runs_come_in_the_order_in_which_they_were_begun(journal):
    """Never by the clock, which jumps back here."""
    for hour, run_id in ((12, "a"), (11, "b"), (10, "c")):
        write_run(journal, run_id, began=f"2026-11-02T{hour}:00:00+00:00")
    assert [run.id for run in journal.runs("all")] == ["a", "b", "c"]
    assert [run.id for run in journal.runs("latest")] == ["c"]
    latest = journal.unfinished("command")
    assert latest is not None
    assert latest.id == "c"
    assert [run.id for run in journal.dead()] == ["a", "b", "c"]


def test_tries_come_in_their_order_while_the_clock_jumps_back(diary, monkeypatch):
    """The time that a row tells is for people."""
    for hour in (12, 11):
        monkeypatch.setattr("qrt_runner.journal.diary._now", lambda hour=hour: f"2026-11-02T{hour}:00:00+00:00")
        diary.failed(diary.submitting(0, WHOLE, f"tag-{hour}"), "too warm", {})
    assert [(found.attempt, found.began[11:13]) for found in diary.submissions(0)] == [(1, "12"), (2, "11")]


@pytest.mark.parametrize(("wanted", "found"), [("aa", "aa"), ("aab", "aabb"), ("b", "b"), ("latest", "b")])
def test_a_run_is_named_by_its_id_or_by_how_that_begins(journal, wanted, found):
    """An id that is whole is meant, also where others begin with it."""
    for run_id in ("aa", "aabb", "b"):
        write_run(journal, run_id)
    assert [run.id for run in journal.runs(wanted)] == [found]


@pytest.mark.parametrize("wanted", ["a", "x", "", "latest"])
def test_a_run_that_is_not_there_is_refused(journal, wanted):
    """Also one of several that begin so, and the latest of none."""
    for run_id in ("aa", "ab") if wanted != "latest" else ():
        write_run(journal, run_id)
    with pytest.raises(ConfigError) as caught:
        journal.runs(wanted)
    known = "none yet" if wanted == "latest" else "aa, ab"
    assert str(caught.value) == (
        "The config has 1 mistake; nothing was run.\n"
        f"  run: given {wanted}; allowed: latest, all, or the id of one run in {journal.folder} ({known}); "
        "remedy: action=status run=all shows them"
    )


def test_a_run_asked_for_by_id_is_whole_or_refused(journal):
    """No beginning is taken for it."""
    write_run(journal, "aa")
    with pytest.raises(ConfigError, match="run: given a;"):
        journal.run("a")
    with pytest.raises(ConfigError, match="run: given a;"), journal.held("a"):
        pass


def test_what_is_unfinished_is_neither_recorded_nor_cancelled(journal):
    """A run that failed in part can be continued; another command's run is none of it."""
    for state in ("failed", "recorded", "cancelled"):
        write_run(journal, state, state=state)
    write_run(journal, "other", key="another command")
    found = journal.unfinished("command")
    assert found is not None
    assert found.id == "failed"
    assert journal.unfinished("a third command") is None


def test_the_dead_are_neither_final_nor_seen_to(journal):
    """A run that is noted as interrupted is not reconciled again."""
    for state in ("planned", "submitting", "submitted", "done", "failed", "cancelled", "recorded"):
        write_run(journal, state, state=state)
    write_run(journal, "seen-to", interrupted=True)
    assert [run.id for run in journal.dead()] == ["planned", "submitting", "submitted", "done"]


def test_the_latest_equal_task_with_a_result_is_found(journal):
    """Of hundreds of keys, whatever else has the same."""
    for run_id in ("a", "b", "c"):
        write_run(journal, run_id, points=700)
    journal.update_tasks("a", [task(point, state="recorded") for point in range(700)])
    journal.update_tasks("b", [task(3, state="done"), task(4, state="failed")])
    found = journal.equal_tasks([f"main-{point}" for point in range(700)] + ["unheard"])
    assert len(found) == 700
    assert found["main-3"] == ("b", 3, "main")
    assert found["main-4"] == ("a", 4, "main")


# --- a job's life ---------------------------------------------------------------------------------------------------


def test_a_submission_is_written_down_step_by_step(diary):
    """Each step can be read by others as soon as it is told."""
    submission = diary.submitting(0, WHOLE, "tag")
    (found,) = diary.submissions(0)
    assert (found.state, found.attempt, found.spans, found.tag) == ("submitting", 1, WHOLE, "tag")
    assert (states(diary), diary.run.state) == (["submitting", "planned"], "submitting")
    diary.submitted(submission, "s1", "g1", "batch")
    (found,) = diary.submissions()
    assert (found.state, found.service_id, found.session_id, found.session_kind) == ("submitted", "s1", "g1", "batch")
    assert (states(diary), diary.run.state) == (["submitted", "planned"], "submitted")
    diary.done(submission, b"raw", "counts", RECORD)
    (found,) = diary.submissions(0)
    assert (found.state, found.record, found.quantum_s, found.error) == ("done", RECORD, 1.5, "")
    assert found.ended is not None
    assert states(diary) == ["done", "planned"]
    assert diary.raw(found) == (b"raw", "counts")
    assert diary.journal.raw(found) == (b"raw", "counts")


def test_a_job_is_done_when_none_of_its_parts_is_missing(diary):
    """Until then it is what its parts are."""
    told = []
    whole = diary.submitting(0, WHOLE, "a")
    diary.failed(whole, "too warm", {})
    told.append(states(diary)[0])
    first = diary.submitting(0, (Span(0, 0, 2),), "b")
    second = diary.submitting(0, (Span(0, 2, 4),), "c")
    diary.done(first, b"1", "counts", {}, complete=False)
    told.append(states(diary)[0])
    diary.done(second, b"2", "counts", {})
    told.append(states(diary)[0])
    assert told == ["failed", "submitting", "done"]
    assert [(found.attempt, found.state) for found in diary.submissions(0)] == [(1, "failed"), (2, "done"), (3, "done")]


def test_what_becomes_of_a_duplicate_changes_no_job_that_is_done(diary):
    """It has its result."""
    first, second = diary.submitting(0, WHOLE, "a"), diary.submitting(0, WHOLE, "a")
    diary.done(first, b"raw", "counts", {})
    diary.cancelled(second, "a duplicate")
    assert states(diary)[0] == "done"
    assert diary.submissions(0)[1].error == "a duplicate"


def test_what_was_never_accepted_is_forgotten(diary):
    """Its job is to be submitted again, as the same try."""
    diary.failed(diary.submitting(0, WHOLE, "a"), "too warm", {})
    submission = diary.submitting(0, WHOLE, "b")
    assert diary.attempts(0) == 2
    diary.withdrawn(submission)
    assert diary.attempts(0) == 1
    assert states(diary)[0] == "planned"
    assert diary.submitting(0, WHOLE, "b") > submission


def test_a_value_that_json_does_not_know_costs_no_result(diary):
    """It is kept in words."""
    submission = diary.submitting(0, WHOLE, "a")
    diary.done(submission, b"raw", "counts", {"odd": 1 + 2j})
    assert diary.submissions(0)[0].record == {"odd": "(1+2j)"}


def test_seconds_are_added_up(diary):
    """Spent by submissions, expected of jobs."""
    diary.failed(diary.submitting(0, WHOLE, "a"), "too warm", {"usage": {"quantum_s": 0.25}})
    diary.done(diary.submitting(0, WHOLE, "b"), b"raw", "counts", RECORD)
    told = diary.journal.seconds("r1")
    assert (told.spent_s, told.expected_s, told.left_s) == (1.75, 4.0, 2.0)


def test_a_group_is_written_down_step_by_step(diary):
    """Asked for, open, closed; and asked for again."""
    told = []
    steps = [
        lambda: diary.group_asked(0),
        lambda: diary.group_opened(0, "g1"),
        lambda: diary.group_closed(0),
        lambda: diary.group_asked(0),
        lambda: diary.group_failed(0, "no batches today"),
    ]
    for step in steps:
        step()
        (found,) = diary.journal.groups("r1")
        told.append((found.state, found.service_id, found.closed is not None, found.error))
    assert told == [
        ("submitting", None, False, ""),
        ("submitted", "g1", False, ""),
        ("done", "g1", True, ""),
        ("submitting", None, False, ""),
        ("failed", None, True, "no batches today"),
    ]


def test_how_a_run_ended_is_written_down(diary):
    """With what was told."""
    diary.tasks([task(0, state="recorded", mlflow_run="m0")])
    diary.update(parent="p")
    diary.finish("failed", "1 of 2 points failed")
    assert (diary.run.state, diary.run.note, diary.run.parent) == ("failed", "1 of 2 points failed", "p")
    assert diary.journal.tasks("r1")[0].mlflow_run == "m0"


def test_a_step_of_another_run_is_not_written(journal, diary):
    """A submission's id is nobody's but its run's."""
    write_run(journal, "r2")
    submission = diary.submitting(0, WHOLE, "a")
    with journal.held("r2") as other, pytest.raises(AssertionError, match="run r2 has no submission"):
        other.failed(submission, "mine?")


# --- several processes ----------------------------------------------------------------------------------------------


def test_twenty_processes_share_a_fresh_journal(tmp_path):
    """Nothing is lost, nobody is kept out, and nobody takes another's run for an interrupted one."""
    processes = [started(ONE_RUN, f"p{number}") for number in range(20)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate(timeout=120)[1] for process in processes]
    assert told == [""] * 20
    with Journal(tmp_path / "journal") as journal:
        runs = journal.runs()
        assert {run.id for run in runs} == {f"p{number}-{turn}" for number in range(20) for turn in range(5)}
        for run in runs:
            (submission,) = journal.submissions(run.id)
            name, turn = run.id.split("-")
            assert (run.state, submission.service_id) == ("recorded", f"service-{run.id}")
            assert journal.raw(submission) == (f"raw {name} {turn}".encode(), "counts")


def test_a_run_that_is_held_is_nobody_elses(journal):
    """Neither this process's nor another's; once that is killed it is free."""
    write_run(journal)
    with journal.held("r1"):
        assert journal.unfinished("command") is None
        assert journal.dead() == []
        with pytest.raises(HeldError) as caught, journal.held("r1"):
            pass
    assert str(caught.value) == (
        "run=r1: another process is at work on it; remedy: wait for it or end it, then give the same command again"
    )
    holder = started(HOLDING)
    assert holder.stdout.readline() == "held\n"
    assert is_held(journal.folder, "r1")
    assert journal.unfinished("command") is None
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    assert not is_held(journal.folder, "r1")
    with journal.held("r1") as diary:
        assert diary.run.id == "r1"


def test_those_who_look_are_not_taken_for_holders(journal):
    """However many look at once."""
    write_run(journal)
    with journal.held("r1"):
        pass
    seen = []
    lookers = [Thread(target=lambda: seen.extend(is_held(journal.folder, "r1") for _ in range(25))) for _ in range(8)]
    for looker in lookers:
        looker.start()
    for looker in lookers:
        looker.join()
    assert seen == [False] * 200


# --- whatever happens -----------------------------------------------------------------------------------------------


def test_a_process_that_is_killed_leaves_a_whole_journal(tmp_path):
    """At any moment, also while the journal is made: what was told as done is there, and nothing is half there."""
    moment, told = random.Random(5), []  # noqa: S311 - no secret
    for number, turns in enumerate((0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6)):
        writer = started(ENDLESS, f"p{number}")
        told += [writer.stdout.readline() for _ in range(1 + turns)][1:]
        time.sleep(moment.uniform(0.0, 0.008))
        writer.send_signal(signal.SIGKILL)
        told += writer.communicate()[0].splitlines(keepends=True)
    with Journal(tmp_path / "journal") as journal:
        runs = journal.runs()
        ended = [run.id for run in runs if run.state == "recorded"]
        assert len(told) >= 21
        assert {line.strip() for line in told if line.endswith("\n")} - {"ready"} <= set(ended)
        assert [run.id for run in journal.dead()] == [run.id for run in runs if run.state != "recorded"]
        for run in runs:
            assert len(journal.tasks(run.id)) == len(journal.jobs(run.id)) == 1
            for submission in journal.submissions(run.id):
                assert (submission.result is not None) == (submission.state == "done")
                if submission.result is not None:
                    assert journal.raw(submission) == (run.id.encode() * 1000, "counts")


def test_an_interrupted_write_is_undone(journal):
    """Ctrl-C between two rows leaves neither, and the journal is written to as before."""

    def broken() -> Iterator[TaskEntry]:
        yield task()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        journal.begin(run_entry(), [(0, [])], broken())
    assert journal.runs() == []
    write_run(journal)
    assert len(journal.runs()) == 1


def test_only_the_owner_can_look_into_it(tmp_path):
    """Folders and files alike, whatever the umask, and whatever rights they were given before."""
    shown = "{(True, '0o700'), (False, '0o600')}", "{(False, '0o600'), (True, '0o700')}"
    done = python(RIGHTS)
    assert done.stdout.rpartition(" ")[0] in shown, done.stderr
    assert int(done.stdout.rpartition(" ")[2]) == 13
    folder = tmp_path / "outputs" / "journal"
    folder.chmod(0o755)
    (folder / "journal.db").chmod(0o644)
    with Journal(folder):
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "journal.db").stat().st_mode & 0o777 == 0o600


def test_no_token_is_in_it(journal, monkeypatch):
    """The environment is none of its business."""
    monkeypatch.setenv("QISKIT_IBM_TOKEN", "sesame-of-a-test")
    journal.keep_plan("r1", {"plan.json": b"{}"})
    with journal.begun(run_entry(), [(0, [])], [task()], [job()]) as diary:
        diary.done(diary.submitting(0, WHOLE, "tag"), b"raw", "counts", RECORD)
        files = [file for file in journal.folder.rglob("*") if file.is_file()]
        names = {file.name for file in files}
    assert {"journal.db", "r1.zip", "1-counts.z", "r1.lock"} <= names
    # Closed first: to close a file that SQLite has open would let go of its locks.
    journal.database.close()
    assert [file for file in files if file.exists() and b"sesame" in file.read_bytes()] == []


def test_it_costs_milliseconds(tmp_path):
    """Bounds are ten times what was measured, so that only a change of its nature breaks them."""
    start = time.perf_counter()
    with Journal(tmp_path / "journal") as journal:
        opened_s = time.perf_counter() - start
        start = time.perf_counter()
        write_run(journal, points=10_000, jobs=100)
        begun_s = time.perf_counter() - start
        start = time.perf_counter()
        journal.update_tasks("r1", [task(point, state="recorded") for point in range(10_000)])
        updated_s = time.perf_counter() - start
    assert (opened_s < 0.3, begun_s < 3.0, updated_s < 3.0) == (True, True, True)


def test_it_knows_nothing_heavy():
    """It is opened by every command."""
    heavy = {"numpy", "pydantic", "qiskit", "mlflow", "hydra", "filelock"}
    done = python(f"import sys, qrt_runner.journal\nprint(sorted({heavy} & set(sys.modules)))")
    assert done.stdout == "[]\n", done.stderr


def test_a_journal_lies_where_it_was_opened(tmp_path, monkeypatch):
    """A program that changes its folder finds it all the same."""
    (tmp_path / "elsewhere").mkdir()
    with Journal(tmp_path / "elsewhere" / ".." / "journal") as journal:
        monkeypatch.chdir(tmp_path / "elsewhere")
        write_run(journal)
        with journal.held("r1") as diary:
            diary.done(diary.submitting(0, WHOLE, "tag"), b"raw", "counts", RECORD)
            assert diary.raw(diary.submissions(0)[0]) == (b"raw", "counts")
    assert os.listdir(tmp_path / "elsewhere") == []  # noqa: PTH208 - a plain look
