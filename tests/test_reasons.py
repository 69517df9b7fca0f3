"""What the errors of a service mean: those of the real client on the rehearsal, bound as the runner binds it."""

from __future__ import annotations

import json
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import requests
from qiskit.providers.exceptions import QiskitBackendNotFoundError
from qiskit_ibm_runtime import Batch, Executor, QuantumProgram, Session
from qiskit_ibm_runtime.api.exceptions import RequestsApiError
from qiskit_ibm_runtime.exceptions import IBMRuntimeError
from qiskit_ibm_runtime.executor_sampler import Sampler
from rehearsing import accepted, bell, client_of, rehearsal_with, submitted

from qrt_runner.backends.connection import bound
from qrt_runner.execution.reasons import CODES, Verdict, code_of, failure_of, retry_after_s, told_of, verdict_of
from qrt_runner.rehearsal import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qiskit_ibm_runtime import QiskitRuntimeService

    from qrt_runner.rehearsal import Rehearsal

TRANSIENT, AMBIGUOUS, PERMANENT = Verdict.TRANSIENT, Verdict.AMBIGUOUS, Verdict.PERMANENT


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """A service with both plans."""
    with rehearsal_with(tmp_path_factory.mktemp("rehearsal")) as rehearsal:
        yield rehearsal


@pytest.fixture
def rehearsal(running, monkeypatch) -> Iterator[Rehearsal]:
    """The same service, whose faults end with the test; what is repeated is repeated without pauses."""
    monkeypatch.setattr("urllib3.util.retry.time.sleep", lambda _: None)
    yield running
    running.lift_faults()


@pytest.fixture(scope="module")
def service(running) -> QiskitRuntimeService:
    """The client, bound."""
    found = client_of(running)
    assert bound(found)
    return found


@pytest.fixture(scope="module")
def backend(service) -> Any:
    """Its device."""
    return service.backend("fake_manila")


@pytest.fixture(scope="module")
def job(backend) -> Any:
    """A job that is done."""
    found = submitted(backend, backend)
    found.result()
    return found


@pytest.fixture
def asking(service, backend, job) -> dict[str, Callable[[], object]]:
    """For each operation: what asks for it."""
    return {
        "submit": lambda: submitted(backend, backend, tags=("asked",)),
        "open_session": lambda: Session(backend=backend),
        "job": lambda: service.job(job.job_id()),
        "jobs": lambda: service.jobs(job_tags=["asked"]),
        "results": lambda: service.job(job.job_id()).result(),
        "usage": lambda: submitted(backend, backend),  # the client asks for usage first
        "cancel": job.cancel,
        "close_session": Batch(backend=backend).close,
    }


def raised_by(act: Callable[[], object]) -> Exception:
    """Return what is raised."""
    try:
        act()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is judged
        return error
    pytest.fail("nothing was raised")


def refusal(
    status: int, body: Any = None, authorization: str = "Bearer x", method: str = "POST", **headers: str
) -> Exception:
    """Return the client's error for an answer that the rehearsal does not give."""
    response = requests.Response()
    response.status_code, response.reason = status, "Reason"
    response.headers.update(headers)
    response._content = body if isinstance(body, bytes) else json.dumps(body).encode()  # noqa: SLF001 -- no public way
    response.request = requests.Request(method, "http://x/jobs", headers={"Authorization": authorization}).prepare()
    error = RequestsApiError("refused", status)
    error.__cause__ = requests.HTTPError(response=response)
    return error


# --- verdicts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        ({"kind": "lost"}, AMBIGUOUS),
        ({"kind": "dropped"}, AMBIGUOUS),
        ({"kind": "truncated"}, AMBIGUOUS),
        ({"kind": "status", "status": 500}, AMBIGUOUS),
        ({"kind": "status", "status": 503}, AMBIGUOUS),
        ({"kind": "status", "status": 524, "accepted": True}, AMBIGUOUS),
        ({"kind": "status", "status": 408}, AMBIGUOUS),
        ({"kind": "status", "status": 429}, TRANSIENT),
        ({"kind": "status", "status": 400}, PERMANENT),
        ({"kind": "status", "status": 403}, PERMANENT),
        ({"kind": "status", "status": 413}, PERMANENT),
    ],
    ids=lambda value: f"{value['kind']} {value.get('status', '')}" if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("operation", ["submit", "open_session"])
def test_what_may_have_been_accepted_is_ambiguous(rehearsal, asking, operation, fault, verdict):
    """A lost or broken answer and a 5xx leave it open; 429 was certainly not accepted, other refusals never will be."""
    ask = asking[operation]
    rehearsal.arm(Fault(on=operation, **fault))
    assert verdict_of(raised_by(ask)) is verdict


@pytest.mark.parametrize("operation", ["cancel", "close_session"])
def test_ending_something_is_judged_alike(rehearsal, asking, operation):
    """It may be ended by then, or it is certainly not."""
    found = []
    for fault in (Fault(kind="lost", on=operation), Fault(kind="status", status=429, on=operation)):
        rehearsal.arm(fault)
        found.append(verdict_of(raised_by(asking[operation])))
    assert found == [AMBIGUOUS, TRANSIENT]


@pytest.mark.parametrize(
    "fault",
    [{"kind": "lost"}, {"kind": "truncated"}, {"kind": "status", "status": 503}, {"kind": "status", "status": 429}],
    ids=lambda fault: f"{fault['kind']} {fault.get('status', '')}",
)
@pytest.mark.parametrize("operation", ["job", "jobs", "results", "usage"])
def test_a_look_that_fails_has_changed_nothing(rehearsal, asking, operation, fault):
    """Also where the client looks at something before it submits: no job was accepted."""
    rehearsal.arm(Fault(on=operation, times=100, **fault))
    before = len(rehearsal.ledger()["jobs"])
    assert verdict_of(raised_by(asking[operation])) is TRANSIENT
    assert len(rehearsal.ledger()["jobs"]) == before


def test_a_verdict_agrees_with_what_happened(rehearsal, backend):
    """Of all ways in which a submission fails, those judged as certainly not accepted have left no job."""
    faults = [{"kind": kind} for kind in ("lost", "dropped", "truncated")]
    faults += [{"kind": "status", "status": status} for status in (400, 403, 404, 408, 409, 413, 422, 429, 500, 504)]
    for number, fault in enumerate(faults):
        rehearsal.arm(Fault(accepted=fault.get("status", 0) >= 500, **fault))
        error = raised_by(lambda tag=f"way-{number}": submitted(backend, backend, tags=(tag,)))
        there = len(accepted(rehearsal, f"way-{number}"))
        assert there == 0 or verdict_of(error) is AMBIGUOUS


def test_a_service_that_is_not_there_has_accepted_nothing():
    """The connection is refused, or there is no such host."""
    refused = raised_by(lambda: requests.post("http://127.0.0.1:9/jobs", timeout=5))
    assert verdict_of(refused) is TRANSIENT
    assert told_of(refused) == (
        "the service could not be reached (ConnectionRefusedError: [Errno 111] Connection refused); remedy: check the "
        "network, then try again"
    )


def test_a_certificate_that_is_not_trusted_will_not_be_later():
    """Nothing was sent, and trying again does not help."""
    error = requests.exceptions.SSLError(ssl.SSLCertVerificationError("self-signed certificate"))
    assert verdict_of(error) is PERMANENT


@pytest.mark.parametrize(
    "act",
    [
        lambda backend: Sampler(mode=backend).run([]),
        lambda backend: Sampler(mode=backend).run([bell(backend)], shots=-1),
        lambda backend: Sampler(mode=backend, options={"nonsense": 1}),
        lambda _: Executor(mode="nowhere"),
        lambda backend: Session.from_id("no-such-session", backend.service),
        lambda backend: backend.service.job("no-such-job"),
    ],
    ids=["no circuits", "shots", "options", "mode", "session", "job"],
)
def test_mistakes_are_permanent(backend, act):
    """What the client refuses before it submits, and what the service does not know."""
    assert verdict_of(raised_by(lambda: act(backend))) is PERMANENT


def test_a_closed_session_is_permanent_whoever_says_so(rehearsal, service, backend):
    """The client knows of those that it closed; of others the service tells, with its code."""
    group = Batch(backend=backend)
    other = Batch.from_id(group.session_id, service)
    group.close()
    by_client, by_service = (raised_by(lambda one=one: submitted(one, backend)) for one in (group, other))
    assert (verdict_of(by_client), code_of(by_client)) == (PERMANENT, None)
    assert (verdict_of(by_service), code_of(by_service)) == (PERMANENT, 1217)
    assert rehearsal.ledger()["sessions"][-1]["accepting_jobs"] is False


def test_a_token_that_is_refused_is_permanent(rehearsal, running):
    """A bound client has tried a fresh one; one that is not asks for none."""
    backend = client_of(running).backend("fake_manila")
    rehearsal.arm(Fault(kind="expired"))
    error = raised_by(lambda: Session(backend=backend))
    assert verdict_of(error) is PERMANENT
    assert told_of(error).endswith("(code 2408); remedy: check the API key and backend.instance")


def test_an_api_key_that_is_refused_may_only_lack_a_token():
    """The client sends it where the service of the tokens gave no answer."""
    assert verdict_of(refusal(401, authorization="apikey x")) is TRANSIENT


@pytest.mark.parametrize("code", [1202, 3458])
def test_too_much_at_once_passes(code):
    """Whatever status these codes come with: nothing was accepted, and there will be room."""
    error = refusal(403, {"errors": [{"code": code, "message": "Too many."}]})
    assert (verdict_of(error), code_of(error)) == (TRANSIENT, code)


@pytest.mark.parametrize("answer", [{}, {"id": "1"}, None, []])
def test_an_answer_that_the_client_cannot_read_is_ambiguous(service, backend, monkeypatch, answer):
    """The job was accepted by then."""
    client = service._get_api_client(backend._instance)  # noqa: SLF001 -- there is no public way
    monkeypatch.setattr(client, "program_run", lambda **_: answer)
    assert verdict_of(raised_by(lambda: submitted(backend, backend))) is AMBIGUOUS


def test_a_backend_lost_after_the_submission_is_ambiguous(service, backend, monkeypatch):
    """The client looks it up once more where the service names another, and the job is accepted by then."""
    client = service._get_api_client(backend._instance)  # noqa: SLF001 -- there is no public way
    monkeypatch.setattr(client, "program_run", lambda **_: {"id": "1", "backend": "fake_other"})
    error = raised_by(lambda: submitted(backend, backend))
    assert isinstance(error, QiskitBackendNotFoundError)
    assert verdict_of(error) is AMBIGUOUS


def test_an_older_error_decides_nothing():
    """A mistake made while another error was handled is a mistake."""
    error = raised_by(lambda: int("x"))
    error.__context__ = requests.ReadTimeout("too slow")
    assert verdict_of(error) is PERMANENT


# --- pauses ----------------------------------------------------------------------------------------------------------


def test_the_pause_asked_for_is_told(rehearsal, backend):
    """In seconds, from the header of a refused submission; none without one."""
    told = []
    for asked_s in (2, None):
        rehearsal.arm(Fault(kind="status", status=429, retry_after_s=asked_s))
        told.append(retry_after_s(raised_by(lambda: submitted(backend, backend))))
    assert told == [2.0, None]


def test_a_pause_may_be_a_moment_or_nonsense():
    """HTTP allows a date; what is neither is none."""
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert retry_after_s(refusal(429, **{"Retry-After": soon})) == pytest.approx(30, abs=2)
    assert retry_after_s(refusal(429, **{"Retry-After": "1.5"})) == 1.5
    assert retry_after_s(refusal(429, **{"Retry-After": "soon"})) is None
    assert retry_after_s(ValueError("2")) is None


# --- words -----------------------------------------------------------------------------------------------------------


def test_a_refusal_is_told_with_its_code_and_remedy(running):
    """The service's words and solution, then what the code means, and what to type here."""
    free = client_of(running, "open")
    assert bound(free)
    error = raised_by(lambda: Session(backend=free.backend("fake_manila")))
    assert (verdict_of(error), code_of(error)) == (PERMANENT, 1352)
    assert told_of(error) == (
        "the service answered 400: You are not authorized to run a session when using the open plan. Create an "
        "instance of a different plan type or use a different execution mode (code 1352: the account's plan has no "
        "dedicated sessions); remedy: session=batch or session=none"
    )


def test_a_lost_answer_is_told_as_one(rehearsal, backend):
    """In one line."""
    rehearsal.arm(Fault(kind="lost"))
    assert told_of(raised_by(lambda: submitted(backend, backend))) == (
        "the service gave no whole answer (RemoteDisconnected: Remote end closed connection without response); remedy: "
        "check the network, then try again"
    )


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (503, b"<html>busy</html>", "the service answered 503: Reason; remedy: try again later"),
        (418, {"errors": []}, "the service answered 418: Reason"),
        (400, {"error": {"code": "77", "message": "No."}}, "the service answered 400: No (code 77)"),
        (
            404,
            {"errors": [{"code": "not_found", "message": "unknown session"}]},
            "the service answered 404: unknown session",
        ),
        (429, ["?"], "the service answered 429: Reason; remedy: try again later, with fewer commands at a time"),
        (400, {"errorCode": "BXNIM0415E", "errorMessage": "No key."}, "the service answered 400: No key"),
    ],
)
def test_answers_of_any_form_are_told(status, body, told):
    """The service's own, an older one, that of the tokens, and none at all."""
    assert told_of(refusal(status, body)) == told


def test_what_is_no_answer_is_told_in_its_own_words():
    """A mistake, and an error without words."""
    assert told_of(IBMRuntimeError("The session\nis closed.")) == "IBMRuntimeError: The session is closed"
    assert told_of(ValueError()) == "ValueError"


def test_every_code_has_a_meaning_and_a_remedy():
    """Parts of a sentence: no capital, no full stop."""
    for meaning in CODES.values():
        assert meaning.means[0].islower()
        assert not meaning.means.endswith(".")
        assert meaning.remedy
        assert not meaning.remedy.endswith(".")


# --- failed jobs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "code", "told"),
    [
        ("Internal error.", 9999, f"Internal error (code 9999: {CODES[9999].means}); remedy: {CODES[9999].remedy}"),
        ("Ran too long.", 1305, f"Ran too long (code 1305: {CODES[1305].means}); remedy: {CODES[1305].remedy}"),
        ("Temporary Internal Error.", 9707, "Temporary Internal Error (code 9707)"),
    ],
)
def test_a_failed_job_is_told_with_its_code(rehearsal, backend, reason, code, told):
    """What it means and what helps, where that is known; and so is the client's own error, as far as it tells."""
    rehearsal.arm(Fault(kind="job_fails", tag=f"fails-{code}", reason=reason, reason_code=code))
    failed = submitted(backend, backend, tags=(f"fails-{code}",))
    error = raised_by(failed.result)
    assert (failure_of(failed), verdict_of(error), code_of(error)) == (told, PERMANENT, code)
    assert f"(code {code}" in told_of(error)


def test_a_job_whose_session_died_is_told_so(rehearsal, backend):
    """By its code, before anybody has asked for its result."""
    group = Session(backend=backend)
    rehearsal.arm(Fault(kind="session_dies", tag="last"))
    first, queued = submitted(group, backend, tags=("last",)), submitted(group, backend)
    first.result()
    queued.wait_for_final_state()
    assert "(code 1217: the session or batch has closed); remedy: " in failure_of(queued)


def test_a_program_that_fails_is_told_by_the_end_of_its_traceback(backend):
    """The kind of error and its words."""
    program = QuantumProgram(shots=10, meas_level="kerneled")
    program.append_circuit_item(bell(backend))
    failed = Executor(mode=backend).run(program)
    raised_by(failed.result)
    assert "kerneled" in failure_of(failed)


def test_a_job_that_tells_less_is_told_as_far_as_it_goes(rehearsal, service, job):
    """Without private names, without a reason, or without an answer."""
    bare = SimpleNamespace(error_message=lambda: "Job 1 has failed:\nTraceback ...\nError code 5302; too large\n")
    assert failure_of(bare) == f"too large (code 5302: {CODES[5302].means}); remedy: {CODES[5302].remedy}"
    assert failure_of(SimpleNamespace(error_message=lambda: None)) == "the service gives no reason"
    assert failure_of(job) == "the service gives no reason"
    unread = service.job(job.job_id())
    rehearsal.arm(Fault(kind="status", on="job", status=500, times=100))
    assert failure_of(unread).startswith("the service does not tell why: the service answered 500")
