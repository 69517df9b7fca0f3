"""Every fault at every step: right results, one job on the service for each, no session open, no run RUNNING.

Each test is a command on a real service, given again until it is done where the fault has ended a job. What the service
gives for a job is what must be recorded for it.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from faulting import Service, check, killed_at, meanwhile, service_of, until_done
from qiskit_ibm_runtime import Batch, Session

from qrt_runner.backends import repeating
from qrt_runner.journal import Journal
from qrt_runner.rehearsal import Fault

if TYPE_CHECKING:
    from collections.abc import Callable


FAULTS: Final[dict[str, dict[str, Any]]] = {
    "lost": {"kind": "lost"},
    "dropped": {"kind": "dropped"},
    "truncated": {"kind": "truncated"},
    "503 accepted": {"kind": "status", "status": 503, "accepted": True},
    "503": {"kind": "status", "status": 503},
    "500 accepted": {"kind": "status", "status": 500, "accepted": True},
    "500": {"kind": "status", "status": 500},
    "429": {"kind": "status", "status": 429},
    "429 with Retry-After": {"kind": "status", "status": 429, "retry_after_s": 0.3},
    "slow": {"kind": "slow", "delay_s": 0.3},
    "too slow": {"kind": "slow", "delay_s": 1.8},
}
"""What goes wrong on the wire; `too slow` is longer than the client is given to wait."""

STEPS: Final = {
    "connect": ("token", "search", "catalog", "backends", "configuration", "properties"),
    "open": ("workloads", "open_session"),
    "submit": ("usage", "status", "submit"),
    "list": ("jobs",),
    "poll": ("job",),
    "result": ("results", "metrics"),
    "close": ("close_session",),
}
"""What a command asks the service for, step by step."""

IN_GROUPS: Final = ("workloads", "open_session", "close_session")


@pytest.fixture
def survives(service, command, monkeypatch) -> Callable[..., None]:
    """Return a function that gives the command with a fault, once, and sees that it ended well."""

    def call(operation: str, name: str, session: str, times: int = 1, skip: int = 0) -> None:
        if name == "too slow":
            monkeypatch.setattr(repeating, "_READ_S", 1.3)
            monkeypatch.setattr(repeating, "_READ_OF_POST_S", 1.3)
        fault = Fault(on=operation, times=times, skip=skip, **FAULTS[name])
        service.running.arm(fault)
        (ended,) = until_done(command, service.words(session))
        assert ended.code == 0, ended.err
        assert service.struck()[fault.kind, operation] >= 1
        check(service, session)

    return call


def slowly(*names: str) -> list[Any]:
    """Return parameters of tests that only the slow suite runs."""
    return [pytest.param(name, marks=pytest.mark.slow) for name in names]


def cells() -> list[Any]:
    """Return all combinations of an operation, a fault and a kind of session group."""
    found = []
    for operations in STEPS.values():
        for operation in operations:
            for session in ("batch", "dedicated") if operation in IN_GROUPS else ("none", "batch", "dedicated"):
                found += [pytest.param(operation, name, session, id=f"{operation}-{name}-{session}") for name in FAULTS]
    return found


# On the wire

DANGEROUS: Final = [
    pytest.param(operation, name, session, id=f"{operation}-{name}-{session}")
    for operation, session in (
        ("submit", "none"),
        ("submit", "batch"),
        ("open_session", "dedicated"),
        ("close_session", "batch"),
        ("results", "dedicated"),
    )
    for name in ("lost", "503 accepted", "truncated")
]
"""Where a job could be submitted twice, a session be left open, or a result that was paid for be lost."""

OTHERS: Final = [
    ("token", "503", "none"),
    ("search", "dropped", "none"),
    ("catalog", "429 with Retry-After", "none"),
    ("backends", "truncated", "none"),
    ("configuration", "500", "batch"),
    ("properties", "lost", "batch"),
    ("workloads", "503", "batch"),
    ("open_session", "dropped", "batch"),
    ("open_session", "429", "dedicated"),
    ("open_session", "too slow", "batch"),
    ("usage", "lost", "none"),
    ("status", "truncated", "batch"),
    ("submit", "dropped", "dedicated"),
    ("submit", "503", "none"),
    ("submit", "500 accepted", "dedicated"),
    ("submit", "429 with Retry-After", "batch"),
    ("submit", "too slow", "none"),
    ("jobs", "truncated", "batch"),
    ("jobs", "503", "none"),
    ("job", "lost", "dedicated"),
    ("job", "500", "none"),
    ("results", "429", "batch"),
    ("results", "slow", "none"),
    ("metrics", "truncated", "none"),
    ("close_session", "503", "dedicated"),
    ("close_session", "dropped", "batch"),
]


@pytest.mark.parametrize(("operation", "name", "session"), [*DANGEROUS, *OTHERS])
def test_a_fault_at_a_step(survives, operation, name, session):
    """Each fault and each step at least once: one command is enough."""
    survives(operation, name, session)


@pytest.mark.parametrize(
    ("operation", "name", "session"),
    [("submit", "lost", "batch"), ("submit", "503 accepted", "none"), ("results", "truncated", "batch")],
)
def test_a_fault_that_lasts(survives, operation, name, session):
    """Three times, which is for every job of the sweep: one command is enough."""
    survives(operation, name, session, times=3)


@pytest.mark.slow
@pytest.mark.parametrize("skip", [1, 2])
@pytest.mark.parametrize("session", ["none", "batch", "dedicated"])
@pytest.mark.parametrize("name", ["lost", "dropped", "503 accepted", "truncated", "429"])
@pytest.mark.parametrize("operation", ["submit", "job", "results", "metrics"])
def test_a_fault_at_a_later_job(survives, operation, name, session, skip):
    """The first job, or two, went well: one command is enough."""
    survives(operation, name, session, skip=skip)


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize(("operation", "name", "session"), cells())
def test_every_fault_at_every_step(survives, operation, name, session, times):
    """Whatever the service answers once, or three times, one command is enough."""
    survives(operation, name, session, times)


# In the queue


@pytest.mark.parametrize(("session", "times"), [("none", 1), ("batch", 1), ("dedicated", 3)])
def test_jobs_that_fail_are_run_again_by_the_same_command(service, command, session, times):
    """One or all of three jobs fail: exit code 1, and the same command runs just these again."""
    service.running.arm(Fault(kind="job_fails", times=times))
    ended = until_done(command, service.words(session))
    assert [one.code for one in ended] == [1, 0], ended
    check(service, session, failed=times, groups=2)


@pytest.mark.parametrize(("session", "failed"), [("batch", 0), ("dedicated", 2)])
def test_what_a_dead_session_has_lost_is_run_again(service, command, session, failed):
    """It dies with the first job: in a batch all three run by then, in a dedicated session two are in the queue."""
    service.running.arm(Fault(kind="session_dies"))
    ended = until_done(command, service.words(session))
    assert [one.code for one in ended] == ([1, 0] if failed else [0])
    check(service, session, failed=failed, groups=2 if failed else 1)


def all_run(service: Service) -> None:
    """Let time pass until every job has ended, as if the client had been slow."""
    for _ in range(200):
        service.running.pass_time(1.0)
        if all(job["status"] == "Completed" for job in service.jobs()):
            return
        time.sleep(0.02)
    raise AssertionError(service.jobs())


@pytest.mark.parametrize("session", ["batch", *slowly("dedicated")])
def test_a_session_that_dies_while_jobs_are_submitted_is_replaced(service, command, monkeypatch, session):
    """Its first job has ended, and with it the session, when the second is submitted: the rest goes into another."""
    service.running.arm(Fault(kind="session_dies"))
    meanwhile(monkeypatch, "submit", lambda _: all_run(service), skip=1)
    (ended,) = until_done(command, service.words(session))
    assert ended.code == 0, ended.err
    check(service, session, groups=2)


@pytest.mark.parametrize("session", ["dedicated", *slowly("batch")])
def test_a_session_that_somebody_cancels_is_replaced(service, command, client, monkeypatch, session):
    """Cancelled from elsewhere while jobs are submitted: what it had queued is run again by the same command."""

    def cancel(_: object) -> None:
        kind = Batch if session == "batch" else Session
        kind.from_id(service.sessions()[0]["id"], client).cancel()

    meanwhile(monkeypatch, "submit", cancel, skip=1)
    ended = until_done(command, service.words(session))
    assert [one.code for one in ended] == [1, 0], ended
    check(service, session, failed=1, groups=3)


@pytest.mark.parametrize("session", ["batch", *slowly("none", "dedicated")])
def test_maintenance_is_waited_for(service, command, monkeypatch, session):
    """The device is down when jobs are submitted, and up again while they are waited for."""
    service.running.arm(Fault(kind="maintenance"))
    lifting = threading.Timer(0.5, service.running.lift_faults)
    meanwhile(monkeypatch, "job", lambda _: lifting.start())
    (ended,) = until_done(command, service.words(session))
    assert ended.code == 0, ended.err
    check(service, session)


# The token


@pytest.mark.parametrize(
    "operation", ["submit", "results", "close_session", *slowly("backends", "open_session", "jobs", "job")]
)
def test_an_expired_token_is_renewed_at_any_step(service, command, monkeypatch, operation):
    """Every token is called in just before a request: it is sent again with a fresh one."""
    meanwhile(monkeypatch, operation, lambda _: service.running.arm(Fault(kind="expired")))
    (ended,) = until_done(command, service.words("batch"))
    assert ended.code == 0, ended.err
    check(service, "batch")


# Where only a fault leads


@pytest.mark.parametrize("name", ["503", *slowly("lost", "truncated", "429")])
def test_a_group_whose_answer_was_lost_is_looked_for_in_spite_of_faults(service, command, name):
    """Opening it is answered by nothing, and the list of groups not at once: the one that is open is used."""
    service.running.arm(Fault(kind="lost", on="open_session"))
    service.running.arm(Fault(on="workloads", skip=1, **FAULTS[name]))
    (ended,) = until_done(command, service.words("batch"))
    struck = service.struck()
    assert (ended.code, struck["lost", "open_session"], struck[FAULTS[name]["kind"], "workloads"]) == (0, 1, 1)
    check(service, "batch")


@pytest.mark.parametrize(("name", "session"), [("dropped", "dedicated"), ("lost", "batch")])
def test_what_others_have_opened_is_left_alone(running, client, command, name, session):
    """Whether ours was opened or not: a group that was open before, and has no job yet, is not taken for it."""
    kind = Batch if session == "batch" else Session
    others = kind(backend=client.backend("fake_manila"))
    service = service_of(running, client)
    service.running.arm(Fault(on="open_session", **FAULTS[name]))
    (ended,) = until_done(command, service.words(session))
    assert ended.code == 0, ended.err
    assert others.details()["accepting_jobs"]
    others.close()
    check(service, session)


@pytest.mark.parametrize("name", ["truncated", *slowly("lost", "503", "429")])
def test_a_group_that_was_left_open_is_entered_in_spite_of_faults(service, command, name):
    """Its command was killed; the next one uses it, though the service does not tell of it at once."""
    killed_at(service, "usage", service.words("batch"))
    service.running.arm(Fault(on="session", **FAULTS[name]))
    (ended,) = until_done(command, service.words("batch"))
    assert (ended.code, service.struck()[FAULTS[name]["kind"], "session"]) == (0, 1), ended.err
    check(service, "batch")


@pytest.mark.parametrize("name", ["lost", *slowly("503 accepted", "503", "truncated", "429")])
def test_jobs_are_cancelled_in_spite_of_faults(service, command, name):
    """Each once: `action=cancel` leaves no job that runs, and says how many it has cancelled."""
    service.running.arm(Fault(kind="maintenance"))
    words = service.words("batch")
    assert command(*words, "action=submit").code == 0
    service.running.arm(Fault(on="cancel", **FAULTS[name]))
    ended = command("action=cancel")
    assert ": 3 jobs were cancelled" in ended.out, ended
    assert {job["status"] for job in service.jobs()} == {"Cancelled"}
    assert [one["accepting_jobs"] for one in service.sessions()] == [False]
    with Journal(Path("outputs/journal")) as journal:
        (run,) = journal.runs()
        assert {job.state for job in journal.jobs(run.id)} == {"cancelled"}
    assert run.state == "cancelled"
