"""Session groups by the ledger of the service: which job was in which, when they opened, and that all are closed."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from composing import circuit_file, plan_of
from qiskit_ibm_runtime import Batch, Session
from qiskit_ibm_runtime.api.rest.runtime import Runtime
from watching import QUIET, Watched, begun, rehearsal, wait_until, watched

from qrt_runner.rehearsal import Fault, Rehearsal, Settings, account_of, start

if TYPE_CHECKING:
    from collections.abc import Iterator
TWO_DEVICES = Settings(devices=("fake_manila", "fake_quito"), plans=("premium",), seed=42, hold_s=2.0)
OF_SUBMITTING = ("usage", "status")
"""What the client asks by itself each time that a job is submitted: whether the account or the device is at an end."""

TWO_TASKS = ("+mode@tasks.a.mode=raw", "+mode@tasks.b.mode=sampler")
THREE_POINTS = "circuit=bell,ghz,qft"


@pytest.fixture(scope="module")
def premium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """The service that `backend=rehearsal` asks for."""
    with rehearsal(tmp_path_factory.mktemp("premium")) as running:
        yield running


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """The same with the open plan."""
    with rehearsal(tmp_path_factory.mktemp("open"), "backend.plan=open") as running:
        yield running


@pytest.fixture
def service(premium) -> Iterator[Watched]:
    """The premium service, from now on; no fault outlives the test."""
    yield watched(premium)
    premium.lift_faults()


@pytest.fixture
def open_plan(free) -> Watched:
    """The service with the open plan, from now on; its commands name the plan."""
    return watched(free)


def notes() -> list[list[str]]:
    """Return the notes in the results of each task of the commands run here."""
    files = Path("outputs").glob("**/results.json")
    return [json.loads(file.read_text(encoding="utf-8"))["notes"] for file in files]


# The four examples of the migration guide (../shared/seeds), and the one that it could not give


@pytest.mark.parametrize(
    ("preset", "inside"),
    [
        ("run", {"main": False}),
        ("run_session", {"first": True, "second": True}),
        ("primitive_session", {"sampler": True, "raw": False}),
        ("backend_session", {"sampler": False, "raw": True}),
        ("shared_session", {"sampler": True, "raw": True}),
    ],
)
def test_presets_log_what_the_guide_states(command, service, store, preset, inside):
    """Those inside have the id of the one session and those outside none, each job as it stands in the ledger."""
    words = [f"experiment=migration/{preset}", f"backend.store={service.running.folder}", "tracking.plots=false"]
    assert command(*words).code == 0
    jobs, sessions = service.jobs(), service.sessions()
    assert (len(jobs), len(sessions)) == (len(inside), int(any(inside.values())))
    found = {job["id"]: (job["session_id"] or "none", "dedicated" if job["session_id"] else "none") for job in jobs}
    (experiment,) = store.search_experiments(filter_string="name = 'migration'")
    tags = [run.data.tags for run in store.search_runs([experiment.experiment_id]) if "qrt.task" in run.data.tags]
    logged = {one["qrt.job_ids"]: (one["qrt.session_id"], one["qrt.session_kind"]) for one in tags}
    assert logged == found
    ids = {one["qrt.task"]: one["qrt.session_id"] for one in tags}
    assert ids == {task: sessions[0]["id"] if is_in else "none" for task, is_in in inside.items()}


def test_presets_run_unchanged_on_the_ibm_backend(command, service, monkeypatch):
    """`backend=ibm` with an account in the environment gives the session of the preset, wherever the account leads."""
    account = account_of(service.running)
    for name, value in account.environment.items():
        monkeypatch.setenv(name, value)
    for key in ("url", "token", "instance"):
        monkeypatch.setenv(f"QISKIT_IBM_{key.upper()}", account.arguments[key])
    words = ("experiment=migration/run_session", "backend=ibm", "backend.name=fake_manila", "backend.limits.pubs=1")
    assert command(*words, *QUIET).code == 0
    assert service.jobs_in() == [2]


# Who shares a group


@pytest.mark.parametrize(
    ("words", "jobs_in"),
    [
        (["session.scope=sweep"], [2]),  # of equal tasks the points are one job: one raw, one sampler
        (["session.scope=run"], [2, 2, 2]),  # one raw and one sampler for each of three points
        (["session.scope=task"], [1, 1, 1, 1, 1, 1]),
        (["session.scope=task", "session.label=shared"], [2]),
    ],
)
def test_a_sweep_has_as_many_groups_as_its_scope_says(command, service, words, jobs_in):
    """Three points of two tasks: one group, three, six, and one again for all that have a label."""
    ended = command("-m", *service.words, "session=batch", *words, THREE_POINTS, *TWO_TASKS)
    assert (ended.code, service.jobs_in()) == (0, jobs_in), ended.err


@pytest.mark.parametrize(
    ("words", "groups"),
    [
        ([[], []], [[0, 1]]),
        ([["session=dedicated"], ["session=batch"]], [[0], [1]]),
        ([["session.max_time=60"], ["session.max_time=90"]], [[0], [1]]),
        ([["session.label=a"], ["session.label=b"]], [[0], [1]]),
        ([["session.scope=run", "session.label=a"], ["session.scope=run", "session.label=a"]], [[0], [1]]),
        ([["session=none"], []], [[1]]),
        ([["session.label=a"], []], [[0], [1]]),
    ],
)
def test_jobs_share_a_group_where_they_ask_for_the_same(service, words, groups):
    """Two points, a raw one and a sampler, are in one group unless kind, time, label or the scope's point differ."""
    plan = plan_of(
        [*service.words, "session=batch", "mode=raw", *words[0]],
        [*service.words, "session=batch", "mode=sampler", *words[1]],
    )
    assert [list(group.jobs) for group in plan.groups] == groups


def test_tasks_of_other_backends_are_other_groups(service, tmp_path):
    """Equal labels on two devices are two groups: a session belongs to one device."""
    other = ["backend=rehearsal", "backend.name=fake_quito", f"backend.store={tmp_path}/quito"]
    plan = plan_of(*([*backend, "session=batch", "session.label=a", "mode=raw"] for backend in (service.words, other)))
    assert [group.device.name for group in plan.groups] == ["fake_manila", "fake_quito"]


def test_all_modes_share_one_group(command, service):
    """A raw run, a sampler and an estimator of one experiment are three jobs of one batch."""
    modes = [f"+mode@tasks.{mode}.mode={mode}" for mode in ("raw", "sampler", "estimator")]
    assert command(*service.words, "session=batch", *modes).code == 0
    assert service.jobs_in() == [3]


def test_tasks_inside_and_outside_stand_in_one_experiment(command, service):
    """Of three tasks the one without a session is outside, the other two are in one."""
    words = [f"+mode@tasks.{mode}.mode={mode}" for mode in ("raw", "sampler", "estimator")]
    words += [f"+session@tasks.{mode}.session=dedicated" for mode in ("raw", "estimator")]
    assert command(*service.words, *words).code == 0
    assert service.jobs_in() == [2]
    assert sum(job["session_id"] is None for job in service.jobs()) == 1


# Attaching


@pytest.mark.parametrize("kind", [Session, Batch])
def test_an_open_group_is_attached_to_and_left_open(command, service, kind):
    """The job is in the group that the test had opened, which takes further jobs afterwards; none was opened."""
    place = kind(backend=service.client().backend("fake_manila"))
    ended = command(*service.words, "session=auto", f"session.id={place.session_id}")
    assert ended.code == 0, ended.err
    assert (service.jobs_in(), service.takes_jobs()) == ([1], [True])
    place.close()


def test_a_closed_group_is_not_attached_to(command, service):
    """A session that takes no more jobs is refused with 3, and nothing is submitted."""
    with Session(backend=service.client().backend("fake_manila")) as place:
        pass
    ended = command(*service.words, "session=dedicated", f"session.id={place.session_id}")
    assert (ended.code, service.jobs()) == (3, [])
    assert f"session.id: {place.session_id} takes no more jobs" in ended.err
    assert "remedy: session.id=null" in ended.err


def test_a_group_that_is_unknown_is_not_attached_to(command, service):
    """An id that the service does not know is refused with 3, and nothing is submitted."""
    ended = command(*service.words, "session=dedicated", "session.id=00000000-nobody")
    assert (ended.code, service.jobs()) == (3, [])
    assert "session.id: 00000000-nobody was refused" in ended.err


def test_a_group_on_another_backend_is_not_attached_to(command, tmp_path, monkeypatch):
    """A session that is open on fake_quito takes no job for fake_manila: refused with 3, nothing submitted."""
    with start(TWO_DEVICES, tmp_path / "two") as two:
        service = watched(two)
        account = account_of(two)
        for name, value in account.environment.items():
            monkeypatch.setenv(name, value)
        for key in ("url", "token", "instance"):
            monkeypatch.setenv(f"QISKIT_IBM_{key.upper()}", account.arguments[key])
        place = Session(backend=service.client().backend("fake_quito"))
        words = ("backend=ibm", "backend.name=fake_manila", "session=dedicated", f"session.id={place.session_id}")
        ended = command(*words, *QUIET)
        assert (ended.code, service.jobs()) == (3, [])
        assert ended.err == (
            f"session.id: {place.session_id} is open on fake_quito, not on fake_manila; "
            "remedy: backend.name=fake_quito\n"
        )


@pytest.mark.parametrize("words", [["session=none"], ["session=batch", "session.max_time=60"]])
def test_an_id_that_makes_no_sense_is_refused(command, service, words):
    """An id without a group, or with a time for a group that is open already, is refused with 2 before anything."""
    ended = command(*service.words, *words, "session.id=abc")
    assert (ended.code, service.asked()) == (2, [])
    assert "session." in ended.err


# The choice and the limits


@pytest.mark.parametrize(("given", "seconds"), [("900", 900), ("'2h 30m'", 9000)])
def test_max_time_arrives(command, service, given, seconds):
    """The service's own details of the session tell the time that was asked for: 2 h 30 m are 9,000 s."""
    assert command(*service.words, "session=dedicated", f"session.max_time={given}").code == 0
    place = Session.from_id(service.sessions()[0]["id"], service.client())
    assert place.details()["max_time"] == seconds


def test_auto_is_a_batch_for_several_jobs(command, service):
    """Two jobs share a batch; the reason is printed with both tasks and stands in the results of both."""
    ended = command(*service.words, "session=auto", *TWO_TASKS)
    assert ([session["mode"] for session in service.sessions()], service.jobs_in()) == (["batch"], [2])
    told = "session auto: a batch, for several jobs that need not wait for each other"
    assert ended.out.count(f"note: {told}") == 2
    assert [told in of_task for of_task in notes()] == [True, True]


def test_auto_is_nothing_for_a_single_job(command, service):
    """One job queues by itself; the reason is printed and stands in its results."""
    ended = command(*service.words, "session=auto")
    assert ([job["session_id"] for job in service.jobs()], service.sessions()) == ([None], [])
    told = "session auto: none, a single job needs none"
    assert (ended.out.count(f"note: {told}"), [told in of_task for of_task in notes()]) == (1, [True])


def test_auto_with_an_id_claims_no_choice(command, service):
    """Attached to the session that was named, a single job has not been given a batch for several."""
    place = Session(backend=service.client().backend("fake_manila"))
    ended = command(*service.words, "session=auto", f"session.id={place.session_id}")
    place.close()
    assert (ended.code, "several jobs" in ended.out) == (0, False)


@pytest.mark.parametrize("swept", ["session.max_time=null,1h", "session.kind=batch,none"])
def test_a_sweep_cannot_reach_what_one_point_may_not(command, swept):
    """The first point is right, the second asks for what an attached group cannot have: all are refused."""
    ended = command("-m", *QUIET, "backend=aer", "session=batch", "session.id=abc", swept)
    assert ended.code == 2
    assert "  point 1: session." in ended.err


def test_kinds_can_be_swept(command, service):
    """Of three points one is outside, one in a batch and one in a dedicated session, which comes first."""
    assert command("-m", *service.words, "session=none,batch,dedicated").code == 0
    assert [session["mode"] for session in service.sessions()] == ["dedicated", "batch"]
    ids = [session["id"] for session in service.sessions()]
    assert [job["session_id"] for job in service.jobs()] == [*ids, None]


def test_a_simulator_has_no_sessions_and_says_so(command):
    """On the ideal simulator a batch is none, which is noted."""
    ended = command(*QUIET, "session=batch")
    told = "session batch: none was opened, aer has no sessions"
    assert (ended.code, f"note: {told}" in ended.out, told in notes()[0]) == (0, True, True)


def test_the_open_plan_refuses_a_dedicated_session(command, open_plan):
    """With 3 and in the service's words, what to do instead, and nothing is submitted."""
    ended = command(*open_plan.words, "backend.plan=open", "session=dedicated")
    assert (ended.code, open_plan.jobs(), open_plan.sessions()) == (3, [], [])
    assert ended.err.startswith("session: a dedicated group on fake_manila was refused")
    assert "You are not authorized to run a session when using the open plan." in ended.err
    assert ended.err.endswith("remedy: session=batch or session=none\n")
    assert "Traceback" not in ended.err


def test_a_run_whose_session_is_refused_has_failed(command, open_plan):
    """Not planned, as if it were to come; the same command tries again, and a run that may begins in its place."""
    words = (*open_plan.words, "backend.plan=open", "session=dedicated")
    command(*words)
    told = command("action=status").out
    assert re.search(r" failed +1 planned +1 planned +0\.0 ", told), told
    assert "was refused" in told
    assert command(*words).code == 3
    assert command("action=status").out.count("failed") == 1


def test_a_refused_session_is_no_orphan(command, open_plan):
    """What the service refused was never open, so the next command has nothing to tell of it."""
    command(*open_plan.words, "backend.plan=open", "session=dedicated")
    assert command(*QUIET).err == ""


def test_a_refused_session_lets_nothing_else_be_submitted(command, open_plan):
    """The sampler beside the session, which would have been first, is not submitted either."""
    words = ["experiment=migration/backend_session", f"backend.store={open_plan.running.folder}", "backend.plan=open"]
    ended = command(*words, *QUIET)
    assert (ended.code, open_plan.jobs()) == (3, [])


@pytest.mark.parametrize("kind", ["batch", "auto"])
def test_the_open_plan_takes_a_batch(command, open_plan, kind):
    """Two jobs in one batch, whether it was asked for or chosen."""
    ended = command(*open_plan.words, "backend.plan=open", f"session={kind}", *TWO_TASKS)
    assert (ended.code, open_plan.jobs_in()) == (0, [2]), ended.err
    assert [session["mode"] for session in open_plan.sessions()] == ["batch"]


# When it opens and what happens inside


def test_all_jobs_are_submitted_before_any_is_waited_for(command, service):
    """While the session is open three jobs are submitted and nothing else is asked; then come the three results."""
    words = ("session=dedicated", THREE_POINTS, "backend.limits.pubs=1", "mode=sampler")
    assert command("-m", *service.words, *words).code == 0
    asked = service.asked()
    first, last = asked.index("open_session"), asked.index("close_session")
    assert [operation for operation in asked[first + 1 : last] if operation not in OF_SUBMITTING] == ["submit"] * 3
    assert asked[last:].count("results") == 3


def test_circuits_are_lowered_before_the_group_opens(command, service):
    """The last circuit of a sweep was in the cache before the service was asked for the session."""
    earliest, now, latest = time.time(), service.running.ledger()["now"], time.time()
    assert latest - earliest < 0.5
    words = ("session=dedicated", THREE_POINTS, "backend.limits.pubs=1", "mode=sampler")
    assert command("-m", *service.words, *words).code == 0
    lowered = [file.stat().st_mtime for file in Path(os.environ["QRT_CACHE_DIR"], "transpiled").rglob("*")]
    assert len(lowered) >= 3
    # Service time is ahead of the wall clock by what it had jumped over: by no more than `now - earliest`.
    opened = service.sessions()[0]["created"] - (now - earliest)
    assert max(lowered) < opened


def test_a_job_outside_its_group_is_an_error(command, service, monkeypatch):
    """A job that the service did not put into the group is cancelled, and its task fails with both ids."""
    submit = Runtime.program_run

    def astray(self: Runtime, *values: Any, **named: Any) -> dict[str, Any]:
        return submit(self, *values, **{**named, "session_id": None})

    monkeypatch.setattr(Runtime, "program_run", astray)
    # It waits in the queue: one that had run by then is read, and told of.
    service.running.arm(Fault(kind="maintenance"))
    ended = command(*service.words, "session=dedicated")
    service.running.lift_faults()
    (job,) = service.jobs()
    assert (job["session_id"], job["status"], ended.code) == (None, "Cancelled", 1)
    told = f"went outside dedicated {service.sessions()[0]['id']}, and was cancelled"
    assert f"failed: job {job['id']} {told}" in ended.out


# It is closed, whatever happens


def test_a_group_is_closed_after_success(command, service):
    """When the command is done the session has ended."""
    assert command(*service.words, "session=dedicated").code == 0
    assert [session["state"] for session in service.sessions()] == ["closed"]


def test_a_group_is_closed_after_a_failed_job(command, service):
    """One of two jobs fails on the service: exit 1, and the session has ended."""
    service.running.arm(Fault(kind="job_fails"))
    ended = command(*service.words, "session=dedicated", *TWO_TASKS)
    assert sorted(job["status"] for job in service.jobs()) == ["Completed", "Failed"]
    assert (ended.code, [session["state"] for session in service.sessions()]) == (1, ["closed"])


def test_a_group_is_closed_after_a_refused_job(command, service):
    """The service refuses one of two submissions: exit 1, the other is done, and the session has ended."""
    service.running.arm(Fault(kind="status", on="submit", status=400))
    ended = command(*service.words, "session=dedicated", *TWO_TASKS)
    assert [job["status"] for job in service.jobs()] == ["Completed"]
    assert (ended.code, [session["state"] for session in service.sessions()]) == (1, ["closed"])


def test_a_group_is_closed_after_a_bad_point(command, service):
    """A point whose circuit cannot be loaded fails alone; the others' session has ended."""
    circuit_file("good", "circuit = QuantumCircuit(1)\ncircuit.x(0)")
    words = ("circuit=file", "circuit.name=two", "circuit.source=good.py,absent.py", "session=dedicated")
    ended = command("-m", *service.words, *words)
    assert [job["status"] for job in service.jobs()] == ["Completed"]
    assert (ended.code, [session["state"] for session in service.sessions()]) == (1, ["closed"])


def test_results_are_kept_where_closing_fails(command, service):
    """The service refuses to close the session: the job's result is there, and the next command closes it."""
    service.running.arm(Fault(kind="status", on="close_session", status=400))
    ended = command(*service.words, "session=dedicated")
    assert "Traceback" not in ended.err
    assert [job["status"] for job in service.jobs()] == ["Completed"]
    assert "  done  " in ended.out
    assert service.takes_jobs() == [True]
    assert f"closed session {service.sessions()[0]['id']}" in command(*QUIET).err
    assert service.takes_jobs() == [False]


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_group_is_closed_where_the_command_is_ended_while_it_is_open(service, ending):
    """Ctrl-C and SIGTERM between submission and answer: the session takes no more jobs, and the exit code is 130."""
    service.running.arm(Fault(kind="slow", on="submit", delay_s=40))
    with begun(*service.words, "session=dedicated") as started:
        wait_until(service.jobs, started)
        assert service.takes_jobs() == [True]
        started.send_signal(ending)
        _, err = started.communicate(timeout=30)
    assert (started.returncode, "Traceback" in err) == (130, False), err
    assert service.takes_jobs() == [False]


def test_a_group_is_closed_where_the_command_is_ended_while_it_queues(tmp_path):
    """Ctrl-C while the job waits by the wall clock: the session takes no more jobs, and the exit code is 130."""
    words = ("backend.queue_wait_s=30", "backend.virtual_clock=false", "session=dedicated")
    with rehearsal(tmp_path / "slow", *words) as slow:
        service = watched(slow)
        with begun(*service.words, *words) as started:
            wait_until(service.jobs, started)
            wait_until(lambda: service.asked().count("job") > 1, started)
            started.send_signal(signal.SIGINT)
            _, err = started.communicate(timeout=20)
        assert (started.returncode, "Traceback" in err) == (130, False), err
        assert ([job["status"] for job in service.jobs()], service.takes_jobs()) == (["Queued"], [False])
