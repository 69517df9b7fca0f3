"""Sessions, batches and the queue of the rehearsal, as the real client sees them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from qiskit_ibm_runtime import Batch, Session
from qiskit_ibm_runtime.api.exceptions import RequestsApiError
from qiskit_ibm_runtime.exceptions import (
    IBMInputValueError,
    IBMRuntimeError,
    RuntimeInvalidStateError,
    RuntimeJobFailureError,
    RuntimeJobMaxTimeoutError,
)
from rehearsing import client_of, rehearsal_with, submitted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qiskit_ibm_runtime import QiskitRuntimeService

    from qrt_runner.rehearsal import Rehearsal

WAIT_S = 3600.0
TAKES_S = 2.035
"""What a job of 100 shots takes by the formula: 2 s and 100 times 350 µs."""


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """A service with an hour's queue."""
    with rehearsal_with(tmp_path_factory.mktemp("rehearsal"), queue_wait_s=WAIT_S, parallel_jobs=3) as running:
        yield running


@pytest.fixture(scope="module")
def service(rehearsal) -> QiskitRuntimeService:
    """The client, on the premium plan."""
    return client_of(rehearsal)


@pytest.fixture(scope="module")
def backend(service) -> Any:
    """The device."""
    return service.backend("fake_manila")


def waited_s(job: Any) -> float:
    """Return how long a job waited in the queue."""
    times = {name: datetime.fromisoformat(text) for name, text in job.metrics()["timestamps"].items()}
    return (times["running"] - times["created"]).total_seconds()


def started(job: Any) -> datetime:
    """Return when a job started."""
    return datetime.fromisoformat(job.metrics()["timestamps"]["running"])


def test_every_job_outside_sessions_waits(backend) -> None:
    """The queue's hour each, and no wall-clock hour."""
    for _ in range(2):
        job = submitted(backend, backend)
        job.result()
        assert waited_s(job) == pytest.approx(WAIT_S, abs=5)


def test_jobs_submitted_together_wait_together(backend) -> None:
    """And then run one after the other."""
    jobs = [submitted(backend, backend) for _ in range(3)]
    for job in jobs:
        job.result()
    starts = [(started(job) - started(jobs[0])).total_seconds() for job in jobs]
    assert starts == pytest.approx([0, TAKES_S, 2 * TAKES_S], abs=0.5)
    assert waited_s(jobs[0]) == pytest.approx(WAIT_S, abs=5)


def test_a_dedicated_session_waits_once(backend) -> None:
    """Its later jobs run at once; every job carries its id."""
    with Session(backend=backend) as session:
        jobs = []
        for _ in range(3):
            jobs.append(submitted(session, backend))
            jobs[-1].result()
        assert {job.session_id for job in jobs} == {session.session_id}
        assert session.status() == "In progress, accepting new jobs"
    waits = [waited_s(job) for job in jobs]
    assert waits[0] == pytest.approx(WAIT_S, abs=5)
    assert max(waits[1:]) < 5
    assert session.status() == "Closed"


def test_a_batch_waits_once_and_runs_in_parallel_up_to_its_limit(backend) -> None:
    """Three start together, the fourth when one of them ends."""
    with Batch(backend=backend) as batch:
        jobs = [submitted(batch, backend) for _ in range(4)]
        for job in jobs:
            job.result()
    starts = [(started(job) - started(jobs[0])).total_seconds() for job in jobs]
    assert starts[:3] == pytest.approx([0, 0, 0], abs=0.1)
    assert starts[3] >= TAKES_S
    assert waited_s(jobs[0]) == pytest.approx(WAIT_S, abs=5)
    assert batch.usage() == pytest.approx(4 * TAKES_S)


def test_closing_lets_queued_jobs_run_and_takes_no_more(backend, service) -> None:
    """The error's code is the one that client programs look for."""
    session = Session(backend=backend)
    queued = submitted(session, backend)
    session.close()
    with pytest.raises(IBMRuntimeError, match="1217"):
        submitted(Session.from_id(session.session_id, service), backend)
    assert queued.result()[0].data.meas.num_shots == 100
    assert (session.details()["state"], session.details()["accepting_jobs"]) == ("closed", False)


def test_cancelling_cancels_what_is_queued(backend) -> None:
    """And closes at once."""
    session = Session(backend=backend)
    queued = submitted(session, backend)
    session.cancel()
    with pytest.raises(RuntimeInvalidStateError):
        queued.result()
    assert session.status() == "Closed"


def test_a_session_is_found_by_its_id(backend, service) -> None:
    """In its own mode only."""
    session, batch = Session(backend=backend), Batch(backend=backend)
    again = Session.from_id(session.session_id, service)
    job = submitted(again, backend)
    assert job.session_id == session.session_id
    assert [one.job_id() for one in service.jobs(session_id=session.session_id)] == [job.job_id()]
    with pytest.raises(IBMInputValueError, match="execution mode batch"):
        Session.from_id(batch.session_id, service)
    session.cancel()
    batch.cancel()


def test_details_follow_the_states(backend) -> None:
    """Open, active, closed; usage is the time it was active."""
    session = Session(backend=backend, max_time=600)
    assert session.details() | {"id": 0} == {
        "id": 0,
        "backend_name": "fake_manila",
        "interactive_timeout": 60,
        "max_time": 600,
        "active_timeout": 600,
        "state": "open",
        "accepting_jobs": True,
        "last_job_started": None,
        "last_job_completed": None,
        "started_at": None,
        "closed_at": None,
        "activated_at": None,
        "mode": "dedicated",
        "usage_time": None,
        "timestamps": session.details()["timestamps"],
    }
    assert session.status() == "Pending"
    submitted(session, backend).result()
    session.close()
    details = session.details()
    assert [change["status"] for change in details["timestamps"]] == ["open", "active", "closed"]
    assert TAKES_S <= details["usage_time"] < TAKES_S + 5
    assert details["closed_at"] >= details["last_job_completed"] > details["started_at"]


def test_an_idle_session_is_deactivated_and_waits_again(backend, rehearsal) -> None:
    """After the interactive timeout; the idle minute is charged."""
    session = Session(backend=backend)
    submitted(session, backend).result()
    rehearsal.pass_time(61)
    assert session.details()["state"] == "inactive"
    assert session.usage() == pytest.approx(TAKES_S + 60, abs=0.1)
    late = submitted(session, backend)
    late.result()
    assert waited_s(late) == pytest.approx(WAIT_S, abs=5)
    session.close()


def test_a_session_ends_at_its_maximum_time(backend, rehearsal) -> None:
    """It takes no more jobs."""
    session = Session(backend=backend, max_time="1m")
    submitted(session, backend).result()
    rehearsal.pass_time(50)
    assert session.details()["state"] == "active"
    rehearsal.pass_time(15)
    assert session.details()["state"] == "closed"
    with pytest.raises(IBMRuntimeError, match="1217"):
        submitted(session, backend)


def test_jobs_still_queued_at_the_maximum_time_fail(backend) -> None:
    """The third of three jobs of 2 s, in a session of 3 s."""
    session = Session(backend=backend, max_time=3)
    jobs = [submitted(session, backend) for _ in range(3)]
    jobs[1].result()
    with pytest.raises(RuntimeJobFailureError, match="1217"):
        jobs[2].result()


def test_a_session_without_jobs_closes_by_itself(backend, rehearsal) -> None:
    """After half an hour, as the guide says."""
    session = Session(backend=backend)
    rehearsal.pass_time(1801)
    assert session.status() == "Closed"
    assert session.usage() is None


def test_the_open_plan_refuses_dedicated_sessions_only(rehearsal) -> None:
    """In the service's own words; batches and single jobs run."""
    backend = client_of(rehearsal, "open").backend("fake_manila")
    with pytest.raises(RequestsApiError, match="not authorized to run a session when using the open plan") as refused:
        Session(backend=backend)
    assert refused.value.status_code == 400
    assert '"code":1352' in str(refused.value)
    with Batch(backend=backend) as batch:
        assert submitted(batch, backend).session_id == batch.session_id


def test_the_open_plan_tells_its_limit(rehearsal) -> None:
    """600 s, of which jobs and batches take; the other plan's instance is charged for none of it."""
    open_plan = client_of(rehearsal, "open")
    before = open_plan.usage()
    submitted(backend := open_plan.backend("fake_manila"), backend).result()
    after = open_plan.usage()
    assert after["usage_remaining_seconds"] == pytest.approx(before["usage_remaining_seconds"] - TAKES_S, abs=3)
    assert after["usage_limit_seconds"] == 600
    assert "usage_limit_seconds" not in client_of(rehearsal).usage()


def test_a_job_that_is_queued_is_cancelled(backend, service) -> None:
    """And cannot be cancelled twice; it costs nothing."""
    session = Session(backend=backend)
    job = submitted(session, backend)
    job.cancel()
    assert job.cancelled()
    with pytest.raises(RuntimeInvalidStateError):
        service.job(job.job_id()).cancel()
    assert job.usage() == 0
    session.cancel()


def test_a_job_that_takes_too_long_is_cut_off(backend) -> None:
    """At its own maximum, by the client's own kind of error."""
    job = submitted(backend, backend, max_execution_time=1)
    with pytest.raises(RuntimeJobMaxTimeoutError):
        job.result()
    assert job.usage() == 1


def test_workloads_tell_open_groups(backend, service) -> None:
    """How a session is found whose answer was lost."""
    session = Session(backend=backend)
    client = service._get_api_client()._api  # noqa: SLF001 -- the client has no public way to list workloads
    listed = client.workloads_get(mode="session", status=["pending"])["workloads"]
    assert session.session_id in [one["id"] for one in listed]
    session.cancel()
    again = client.workloads_get(mode="session", status=["pending"])["workloads"]
    assert session.session_id not in [one["id"] for one in again]


def test_with_the_wall_clock_a_queue_takes_its_time(tmp_path) -> None:
    """A second's queue and the two seconds of the formula."""
    with rehearsal_with(tmp_path / "slow", virtual_clock=False, queue_wait_s=1, hold_s=0) as rehearsal:
        backend = client_of(rehearsal).backend("fake_manila")
        job = submitted(backend, backend, shots=1)
        assert job.status() == "QUEUED"
        rehearsal.pass_time(1)
        job.wait_for_final_state()
        now = datetime.fromtimestamp(rehearsal.ledger()["now"]).astimezone()
        assert (now - datetime.now().astimezone()).total_seconds() == pytest.approx(1, abs=0.1)
        assert job.done()
