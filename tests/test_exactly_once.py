"""Each job is on the service once, whatever is lost, repeated, refused or killed on the way: by its ledger."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from faulting import (
    QUBITS,
    Service,
    check,
    check_journal,
    check_ledger,
    check_records,
    killed_at,
    meanwhile,
    operation_of,
    until_done,
)
from requests.adapters import HTTPAdapter

from qrt_runner.backends import patience, repeating
from qrt_runner.execution import asking
from qrt_runner.journal import Journal
from qrt_runner.rehearsal import Fault

if TYPE_CHECKING:
    from requests import PreparedRequest

    from qrt_runner.journal import Submission

OWN_TAGS = "mitigation.options.environment.job_tags"


@pytest.fixture
def impatient(monkeypatch) -> None:
    """What only looks is sent twice, not for a minute; what changes something once."""
    monkeypatch.setattr(asking, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(patience, "_PATIENCE_S", 0.0)
    monkeypatch.setitem(repeating._POLICY, "total", 1)  # noqa: SLF001 - what is patient is shortened


def submissions() -> list[Submission]:
    """Return all submissions of the only run in the journal."""
    with Journal(Path("outputs/journal")) as journal:
        (run,) = journal.runs()
        return journal.submissions(run.id)


def sent_again(request: PreparedRequest) -> None:
    """Send a request as it is once more, as a proxy on the way may do."""
    assert request.method is not None
    answer = requests.request(request.method, str(request.url), data=request.body, headers=request.headers, timeout=20)
    answer.raise_for_status()


@pytest.fixture
def at_rest(service, monkeypatch) -> None:
    """No job starts before one is asked for."""
    service.running.arm(Fault(kind="maintenance"))
    meanwhile(monkeypatch, "job", lambda _: service.running.lift_faults())


# Repeated on the way


@pytest.mark.usefixtures("at_rest")
@pytest.mark.parametrize("session", ["none", "batch"])
def test_a_duplicate_is_cancelled_and_told(service, command, monkeypatch, session):
    """A proxy sends a submission twice: the first job is kept, the second, of which the client knows, is cancelled."""
    meanwhile(monkeypatch, "submit", sent_again)
    (ended,) = until_done(command, service.words(session))
    first, second = service.jobs()[:2]
    assert (first["tags"], second["status"]) == (second["tags"], "Cancelled")
    assert f"the service has job {first['id']} twice; the other one, {second['id']}, was cancelled" in ended.err
    assert first["id"] in {one.service_id for one in submissions()}
    check_journal(session)
    check_records(service, session)


@pytest.mark.usefixtures("at_rest")
@pytest.mark.parametrize("fault", [{"kind": "lost"}, {"kind": "status", "accepted": True}, {"kind": "truncated"}])
def test_a_duplicate_is_cancelled_though_the_answer_is_lost(service, command, monkeypatch, fault):
    """The job is cancelled once, and told to be: its state says so where the answer does not."""
    service.running.arm(Fault(on="cancel", **fault))
    meanwhile(monkeypatch, "submit", sent_again)
    (ended,) = until_done(command, service.words("batch"))
    second = service.jobs()[1]
    assert second["status"] == "Cancelled"
    assert f"the other one, {second['id']}, was cancelled" in ended.err


def test_a_duplicate_that_has_run_is_told(service, command, monkeypatch):
    """It cannot be cancelled any more, and is no result of ours."""

    def until_it_has_run(request: PreparedRequest) -> None:
        sent_again(request)
        for _ in range(300):
            service.running.pass_time(1.0)
            if service.jobs()[0]["status"] == "Completed":
                return
            time.sleep(0.02)

    meanwhile(monkeypatch, "submit", until_it_has_run)
    monkeypatch.setattr(HTTPAdapter, "send", _late(HTTPAdapter.send, service))
    (ended,) = until_done(command, service.words("none"))
    second = service.jobs()[1]
    assert second["status"] == "Completed"
    assert f"the other one, {second['id']}, had ended by then" in ended.err
    check_journal("none")


def _late(send: Any, service: Service) -> Any:
    """Return a way to send requests in which jobs have ended before they are listed."""

    def sent(self: HTTPAdapter, request: PreparedRequest, *how: Any, **named: Any) -> Any:
        if operation_of(request) == "jobs" and len(service.jobs()) == 2:
            for _ in range(300):
                service.running.pass_time(1.0)
                if service.jobs()[1]["status"] == "Completed":
                    break
                time.sleep(0.02)
        return send(self, request, *how, **named)

    return sent


# Killed


@pytest.mark.parametrize("session", ["batch", pytest.param("none", marks=pytest.mark.slow)])
def test_a_job_that_was_accepted_when_the_command_was_killed_is_adopted(service, command, session):
    """The service has it, the journal knows only that it was going to be submitted: the next command takes it."""
    killed_at(service, "submit", service.words(session))
    (accepted,) = service.jobs()
    assert [(one.state, one.service_id) for one in submissions()] == [("submitting", None)]
    (ended,) = until_done(command, service.words(session))
    assert ended.code == 0, ended.err
    assert f"job {accepted['id']} was found on the service; an earlier command had submitted it" in ended.err
    check(service, session, groups=1)


@pytest.mark.parametrize("session", ["none", pytest.param("batch", marks=pytest.mark.slow)])
def test_a_job_that_was_not_accepted_when_the_command_was_killed_is_submitted(service, command, session):
    """It was killed before the request was sent: the service has no such job, so the next command submits it."""
    killed_at(service, "usage", service.words(session))
    assert [one.state for one in submissions()] == ["submitting"]
    assert service.jobs() == []
    (ended,) = until_done(command, service.words(session))
    assert ended.code == 0, ended.err
    assert "was found on the service" not in ended.err
    check(service, session, groups=1)


# Not known


@pytest.mark.usefixtures("impatient")
def test_what_is_not_known_to_be_there_is_not_submitted_again(service, command):
    """The answer is lost and the service does not tell: the point fails, the next command finds the job."""
    service.running.arm(Fault(kind="lost"))
    service.running.arm(Fault(kind="status", on="jobs", times=2))
    words = service.words("none")
    ended = command(*words)
    assert (ended.code, len(service.jobs())) == (1, len(QUBITS))
    tag = service.jobs()[0]["tags"][1]
    assert f"whether the service has the job with the tag {tag} is not known" in ended.out
    assert "the next command asks again" in ended.out
    assert sorted(one.state for one in submissions()) == ["done", "done", "submitting"]
    (ended,) = until_done(command, words)
    assert ended.code == 0, ended.err
    check(service, "none")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("session", ["none", "batch"])
def test_a_result_that_could_not_be_fetched_is_fetched_by_the_next_command(service, command, session):
    """The service does not give it: the point fails, its job stays submitted, and none is submitted again."""
    service.running.arm(Fault(kind="status", on="results", times=2))
    words = service.words(session)
    ended = command(*words)
    job = service.jobs()[0]["id"]
    assert (ended.code, f"the result of job {job} could not be fetched" in ended.out) == (1, True), ended.out
    assert sorted(one.state for one in submissions()) == ["done", "done", "submitted"]
    (ended,) = until_done(command, words)
    assert ended.code == 0, ended.err
    check(service, session)


@pytest.mark.usefixtures("impatient")
def test_a_group_of_which_nothing_is_known_is_closed_by_the_next_command(service, command):
    """The answer is lost and the service does not tell of its groups: nothing is submitted, 3; then another is used."""
    service.running.arm(Fault(kind="lost", on="open_session"))
    service.running.arm(Fault(kind="status", on="workloads", skip=1, times=2))
    words = service.words("batch")
    ended = command(*words)
    assert (ended.code, service.jobs(), "whether it is open is not known" in ended.err) == (3, [], True), ended.err
    (ended,) = until_done(command, words)
    assert (ended.code, f"closed session {service.sessions()[0]['id']}" in ended.err) == (0, True), ended.err
    check(service, "batch", groups=2)


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
def test_a_group_that_was_left_open_is_not_replaced_while_nothing_is_known_of_it(service, command):
    """Its command was killed, and the service does not tell whether it takes jobs: 3; then it is used."""
    words = service.words("batch")
    killed_at(service, "usage", words)
    service.running.arm(Fault(kind="status", on="session", times=4))
    ended = command(*words)
    assert (ended.code, service.jobs(), len(service.sessions())) == (3, [], 1), ended.err
    (ended,) = until_done(command, words)
    assert ended.code == 0, ended.err
    check(service, "batch")


@pytest.mark.usefixtures("impatient")
def test_where_groups_cannot_be_listed_one_is_opened_all_the_same(service, command):
    """An account may lack the right to: that matters only where the answer to opening one is lost."""
    service.running.arm(Fault(kind="status", on="workloads", status=403, times=9))
    (ended,) = until_done(command, service.words("batch"))
    assert ended.code == 0, ended.err
    check(service, "batch")


@pytest.mark.usefixtures("impatient")
def test_a_group_that_cannot_be_closed_is_closed_by_the_next_command(service, command):
    """The results are there, and that it takes jobs is told; any command closes it."""
    service.running.arm(Fault(kind="status", on="close_session"))
    (ended,) = until_done(command, service.words("dedicated"))
    (session,) = service.sessions()
    assert session["accepting_jobs"]
    assert f"dedicated {session['id']} could not be closed" in ended.err
    assert f"closed session {session['id']}" in command("action=cache").err
    check_ledger(service, "dedicated")
    check_records(service, "dedicated")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("operation", ["token", "configuration"])
def test_where_the_service_is_away_nothing_is_begun(service, command, operation):
    """Neither a job nor a run is there: exit code 3, and later the same command is as if it were the first."""
    service.running.arm(Fault(kind="status", on=operation, times=9))
    words = service.words("none")
    ended = command(*words)
    assert (ended.code, service.jobs(), "Traceback" in ended.err) == (3, [], False), ended.err
    service.running.lift_faults()
    (ended,) = until_done(command, words)
    assert ended.code == 0, ended.err
    check(service, "none")


# Refused


@pytest.mark.parametrize("status", [400, 403])
def test_a_refusal_is_told_with_its_code_and_meaning(service, command, status):
    """One job is refused for good: it is not tried again, its point fails with the reason, the others are done."""
    service.running.arm(Fault(kind="status", status=status))
    ended = command(*service.words("none"))
    told = f"failed: the service answered {status}: API Internal error. Retry the action (code 1000: an internal error"
    assert (ended.code, told in " ".join(ended.out.split())) == (1, True), ended.out
    assert [job["status"] for job in service.jobs()] == ["Completed", "Completed"]
    assert [request["operation"] for request in service.requests()].count("submit") == len(QUBITS)


def test_a_failed_job_is_told_with_its_code_and_meaning(service, command):
    """What the service says of it, what its code means and what helps stand in the table and in the journal."""
    service.running.arm(Fault(kind="job_fails", reason="Job was too large.", reason_code=5302))
    ended = command(*service.words("none"))
    told = "Job was too large (code 5302: the result was too large to be sent); remedy: fewer shots"
    assert (ended.code, told in " ".join(ended.out.split())) == (1, True), ended.out
    assert [told in one.error for one in submissions() if one.state == "failed"] == [True]


# Asked to wait


@pytest.mark.parametrize("asked_s", [None, 0.3])
def test_a_service_that_is_busy_is_asked_again(service, command, monkeypatch, asked_s):
    """Refused four times with 429: the fifth try is taken, and each waits as long as the service asks for."""
    times: list[float] = []
    send = HTTPAdapter.send

    def sent(self: HTTPAdapter, request: PreparedRequest, *how: Any, **named: Any) -> Any:
        if operation_of(request) == "submit":
            times.append(time.monotonic())
        return send(self, request, *how, **named)

    monkeypatch.setattr(HTTPAdapter, "send", sent)
    service.running.arm(Fault(kind="status", status=429, retry_after_s=asked_s, times=4))
    (ended,) = until_done(command, service.words("none"))
    assert (ended.code, len(times)) == (0, 4 + len(QUBITS)), ended.err
    pauses = [later - earlier for earlier, later in pairwise(times[:5])]
    assert all(pause >= (asked_s or 0.0) for pause in pauses), pauses
    check(service, "none")


# Tags


@pytest.mark.parametrize(("session", "own"), [("batch", ["mine", "this is another"]), ("dedicated", list("abcdef"))])
def test_a_job_carries_two_short_tags_beside_the_users(service, command, session, own):
    """The run's and its own, of at most 24 characters; the user's are kept, as many as there may be."""
    (ended,) = until_done(command, service.words(session, f"{OWN_TAGS}={own}".replace("'", '"')))
    assert ended.code == 0, ended.err
    jobs = service.jobs()
    ours = [job["tags"][:2] for job in jobs]
    assert [job["tags"][2:] for job in jobs] == [own] * len(QUBITS)
    assert all(len(tag) <= 24 for tags in ours for tag in tags)
    with Journal(Path("outputs/journal")) as journal:
        (run,) = journal.runs()
    assert ours == [[run.id, one.tag] for one in submissions()]


def test_more_tags_than_a_job_may_have_are_refused(service, command):
    """Seven and our two are nine: refused by path with 2, and nothing is asked of the service."""
    ended = command(*service.words("batch", f"{OWN_TAGS}=[a,b,c,d,e,f,g]"))
    assert (ended.code, service.requests()) == (2, [])
    assert f"{OWN_TAGS}: given 7 tags; allowed: at most 6: a job has at most 8, and 2 are qrt_runner's own" in ended.err
