"""What goes wrong on demand, what the real client makes of it, and what the ledger says really happened."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, get_args

import pytest
from pydantic import ValidationError
from qiskit.providers.exceptions import QiskitBackendNotFoundError
from qiskit_ibm_runtime import Executor, QuantumProgram, Session
from qiskit_ibm_runtime.accounts.exceptions import InvalidAccountError
from qiskit_ibm_runtime.api.exceptions import RequestsApiError
from qiskit_ibm_runtime.exceptions import IBMNotAuthorizedError, IBMRuntimeError, RuntimeJobFailureError
from rehearsing import accepted, bell, client_of, rehearsal_with, submitted

from qrt_runner.rehearsal import Fault, Settings, account_routes, device_routes, job_routes, session_routes
from qrt_runner.rehearsal.settings import Operation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qiskit_ibm_runtime import QiskitRuntimeService

    from qrt_runner.rehearsal import Rehearsal


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """A service with a minute's queue."""
    with rehearsal_with(tmp_path_factory.mktemp("rehearsal"), queue_wait_s=60) as rehearsal:
        yield rehearsal


@pytest.fixture
def rehearsal(running) -> Iterator[Rehearsal]:
    """The same service, whose faults end with the test."""
    yield running
    running.lift_faults()


@pytest.fixture(scope="module")
def service(running) -> QiskitRuntimeService:
    """The client."""
    return client_of(running)


@pytest.fixture(scope="module")
def backend(service) -> Any:
    """The device."""
    return service.backend("fake_manila")


def test_a_lost_answer_leaves_one_job_that_its_tag_finds(rehearsal, service, backend) -> None:
    """The client raises at once and knows no id."""
    rehearsal.arm(Fault(kind="lost"))
    with pytest.raises(IBMRuntimeError):
        submitted(backend, backend, tags=("lost",))
    (arrived,) = accepted(rehearsal, "lost")
    (found,) = service.jobs(job_tags=["lost"])
    assert found.job_id() == arrived["id"]
    assert found.result()[0].data.meas.num_shots == 100


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 524])
@pytest.mark.parametrize("after", [True, False])
def test_a_5xx_is_repeated_by_the_client_in_silence(rehearsal, backend, status, after) -> None:
    """After acceptance that makes two jobs, of which the client knows the second; before it, one."""
    tag = f"{status}-{after}"
    rehearsal.arm(Fault(kind="status", status=status, accepted=after))
    job = submitted(backend, backend, tags=(tag,))
    arrived = [one["id"] for one in accepted(rehearsal, tag)]
    assert len(arrived) == (2 if after else 1)
    assert job.job_id() == arrived[-1]


@pytest.mark.parametrize("retry_after_s", [None, 1.0])
def test_429_on_submission_is_raised_at_once(rehearsal, backend, retry_after_s) -> None:
    """With or without Retry-After, and nothing arrived."""
    tag = f"429-{retry_after_s}"
    rehearsal.arm(Fault(kind="status", status=429, retry_after_s=retry_after_s))
    with pytest.raises(IBMRuntimeError, match="429"):
        submitted(backend, backend, tags=(tag,))
    assert accepted(rehearsal, tag) == []


def test_429_on_a_look_is_honoured_with_the_header_only(rehearsal, backend) -> None:
    """The client waits the second, and raises without one."""
    job = submitted(backend, backend)
    rehearsal.arm(Fault(kind="status", on="job", status=429, retry_after_s=1))
    since = time.monotonic()
    assert job.status() in ("QUEUED", "RUNNING", "DONE")
    assert time.monotonic() - since > 0.9
    rehearsal.arm(Fault(kind="status", on="metrics", status=429))
    with pytest.raises(IBMRuntimeError, match="429"):
        job.metrics()


def test_a_truncated_answer_to_a_submission_hides_an_accepted_job(rehearsal, backend) -> None:
    """Its kind of error is not fixed; that the job is there is."""
    rehearsal.arm(Fault(kind="truncated"))
    with pytest.raises((IBMRuntimeError, json.JSONDecodeError)):
        submitted(backend, backend, tags=("truncated",))
    assert len(accepted(rehearsal, "truncated")) == 1


def test_a_truncated_result_is_whole_when_asked_again(rehearsal, backend) -> None:
    """The numbers are still there."""
    job = submitted(backend, backend)
    rehearsal.arm(Fault(kind="truncated", on="results"))
    with pytest.raises((RequestsApiError, TypeError, json.JSONDecodeError)):
        job.result()
    assert job.result()[0].data.meas.num_shots == 100


def test_a_dropped_connection_submits_nothing(rehearsal, backend) -> None:
    """Unlike a lost answer, which looks the same to the client."""
    rehearsal.arm(Fault(kind="dropped"))
    with pytest.raises(IBMRuntimeError):
        submitted(backend, backend, tags=("dropped",))
    assert accepted(rehearsal, "dropped") == []


def test_a_slow_answer_comes(rehearsal, service) -> None:
    """Late."""
    rehearsal.arm(Fault(kind="slow", on="usage", delay_s=0.5))
    since = time.monotonic()
    assert service.usage()["usage_consumed_seconds"] >= 0
    assert time.monotonic() - since > 0.5


def test_faults_skip_and_repeat_as_told(rehearsal, service) -> None:
    """The second and the third chance of four."""
    rehearsal.arm(Fault(kind="status", on="usage", status=418, skip=1, times=2))
    outcomes = []
    for _ in range(4):
        try:
            service.usage()
            outcomes.append("answered")
        except RequestsApiError:
            outcomes.append("refused")
    assert outcomes == ["answered", "refused", "refused", "answered"]


def test_an_expired_token_is_refused_until_a_new_one(rehearsal, backend) -> None:
    """The client does not ask for one by itself; a new client does."""
    rehearsal.arm(Fault(kind="expired"))
    with pytest.raises(IBMNotAuthorizedError):
        backend.status()
    assert client_of(rehearsal).backend("fake_manila").status().operational
    # The others of this file go on with a fresh token.
    backend._api_client._session.auth.tm.token_info = {}  # noqa: SLF001 -- as if its time were over
    backend._api_client._session.auth.tm.refresh_time = 0  # noqa: SLF001 -- the same
    backend._api_client._session.auth.tm.expire_time = 0  # noqa: SLF001 -- the same
    assert backend.status().operational


def test_a_session_dies_mid_way(rehearsal, backend) -> None:
    """When its first job ends: the next one is refused, the queued one fails."""
    session = Session(backend=backend)
    rehearsal.arm(Fault(kind="session_dies", tag="last"))
    first, queued = submitted(session, backend, tags=("last",)), submitted(session, backend)
    assert first.result()[0].data.meas.num_shots == 100
    with pytest.raises(RuntimeJobFailureError, match="1217"):
        queued.result()
    with pytest.raises(IBMRuntimeError, match="1217"):
        submitted(session, backend)


def test_a_lost_answer_to_opening_leaks_a_session(rehearsal, backend) -> None:
    """The ledger knows it, the client does not."""
    before = len(rehearsal.ledger()["sessions"])
    rehearsal.arm(Fault(kind="lost", on="open_session"))
    with pytest.raises(RequestsApiError):
        Session(backend=backend)
    assert len(rehearsal.ledger()["sessions"]) == before + 1


def test_a_503_after_opening_makes_two_sessions(rehearsal, backend) -> None:
    """The client repeats it and knows the second."""
    before = len(rehearsal.ledger()["sessions"])
    rehearsal.arm(Fault(kind="status", on="open_session", status=503, accepted=True))
    session = Session(backend=backend)
    assert [one["id"] for one in rehearsal.ledger()["sessions"][before:]][1:] == [session.session_id]
    session.cancel()


def test_a_job_fails_with_a_given_reason(rehearsal, backend) -> None:
    """Reason and code as told; a system's failure costs nothing."""
    rehearsal.arm(Fault(kind="job_fails", tag="fails", reason="Temporary Internal Error.", reason_code=9707))
    job = submitted(backend, backend, tags=("fails",))
    with pytest.raises(RuntimeJobFailureError, match=r"Error code 9707; Temporary Internal Error\."):
        job.result()
    assert job.errored()
    assert "9707" in str(job.error_message())
    assert job.usage() == 0


def test_a_device_in_maintenance_keeps_its_jobs(rehearsal, service, backend) -> None:
    """They run when it is over."""
    rehearsal.arm(Fault(kind="maintenance", backend="fake_manila"))
    assert not backend.status().operational
    with pytest.raises(QiskitBackendNotFoundError):
        client_of(rehearsal).least_busy(operational=True)
    job = submitted(backend, backend)
    rehearsal.pass_time(1000)
    assert [one["status"] for one in rehearsal.ledger()["jobs"] if one["id"] == job.job_id()] == ["Queued"]
    rehearsal.lift_faults()
    assert service.job(job.job_id()).result()[0].data.meas.num_shots == 100


def test_a_program_that_cannot_run_fails_with_its_traceback(backend) -> None:
    """As the client tells it."""
    program = QuantumProgram(shots=10, meas_level="kerneled")
    program.append_circuit_item(bell(backend))
    job = Executor(mode=backend).run(program)
    with pytest.raises(RuntimeJobFailureError, match="kerneled"):
        job.result()
    assert "ValueError" in backend.service._get_api_client().job_results(job.job_id())  # noqa: SLF001 -- as the client does


def test_faults_strike_whatever_a_client_can_ask() -> None:
    """Every route of the protocol has a name of its own, and no other name is taken."""
    routes = [*account_routes.ROUTES, *job_routes.ROUTES, *session_routes.ROUTES, *device_routes.ROUTES]
    assert sorted(route.name for route in routes) == sorted(get_args(Operation))
    with pytest.raises(ValidationError, match="open_session"):
        Fault.model_validate({"kind": "lost", "on": "opensession"})


def test_faults_may_be_there_from_the_start(tmp_path) -> None:
    """By the settings."""
    faults = (Fault(kind="status", on="search", status=500, times=9),)
    assert Settings.model_validate_json(Settings(faults=faults).model_dump_json()).faults == faults
    with rehearsal_with(tmp_path / "faulty", faults=faults) as rehearsal, pytest.raises(InvalidAccountError):
        client_of(rehearsal)
