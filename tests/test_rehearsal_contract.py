"""What the package relies on, of whatever service it talks to: ours by default, IBM's on explicit request.

    QRT_TEST_ON_IBM=ibm_fez python -m pytest tests/test_rehearsal_contract.py

runs the same tests there, with the saved account and for real money: two jobs of 100 shots.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from qiskit_ibm_runtime import Batch, QiskitRuntimeService, Session
from qiskit_ibm_runtime.exceptions import IBMInputValueError, RuntimeInvalidStateError, RuntimeJobNotFound
from rehearsing import client_of, rehearsal_with, submitted

if TYPE_CHECKING:
    from collections.abc import Iterator

ON_IBM = "QRT_TEST_ON_IBM"
"""Names the backend of IBM's to run on."""


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A device of ours, or the one of IBM's that the environment names."""
    if name := os.environ.get(ON_IBM):
        yield QiskitRuntimeService().backend(name)
        return
    with rehearsal_with(tmp_path_factory.mktemp("rehearsal")) as rehearsal:
        yield client_of(rehearsal).backend("fake_manila")


@pytest.fixture(scope="module")
def done(backend) -> Any:
    """A job outside any session that has ended."""
    job = submitted(backend, backend, tags=("contract",))
    job.result()
    return job


class TestContract:
    """What the package relies on, of whatever service it talks to: ours, or IBM's on request."""

    def test_a_job_outside_sessions_has_no_session_id(self, done) -> None:
        """Neither the job's own nor anything else."""
        assert done.session_id is None

    def test_a_sampler_gives_the_shots_asked_for(self, done) -> None:
        """The Bell state, with noise: mostly equal bits."""
        counts = done.result()[0].data.meas.get_counts()
        assert sum(counts.values()) == 100
        assert counts.get("00", 0) + counts.get("11", 0) > 70

    def test_times_are_in_order_and_usage_is_charged(self, done) -> None:
        """Created, running, finished; and more than nothing."""
        times = done.metrics()["timestamps"]
        assert times["created"] <= times["running"] <= times["finished"]
        assert done.usage() > 0

    def test_a_job_is_found_by_its_tag(self, backend, done) -> None:
        """How a lost answer is looked after."""
        assert done.job_id() in [job.job_id() for job in backend.service.jobs(job_tags=["contract"], limit=5)]

    def test_a_job_that_ended_cannot_be_cancelled(self, done) -> None:
        """The client raises a kind of its own for that."""
        again = done._service.job(done.job_id())  # noqa: SLF001 -- the public way would be a second client
        with pytest.raises(RuntimeInvalidStateError):
            again.cancel()

    def test_an_unknown_job_is_not_found(self, backend) -> None:
        """By a kind of its own."""
        with pytest.raises(RuntimeJobNotFound):
            backend.service.job("no-such-job")

    def test_an_unknown_session_is_not_found(self, backend) -> None:
        """By a kind of its own."""
        with pytest.raises(IBMInputValueError):
            Session.from_id("no-such-session", backend.service)

    def test_jobs_of_a_batch_carry_its_id_and_it_closes(self, backend) -> None:
        """And it is found again by that id."""
        with Batch(backend=backend) as batch:
            job = submitted(batch, backend)
            assert job.session_id == batch.session_id
        assert backend.service.job(job.job_id()).session_id == batch.session_id
        assert Batch.from_id(batch.session_id, backend.service).details()["accepting_jobs"] is False

    def test_usage_of_the_instance_is_told(self, backend) -> None:
        """In seconds."""
        assert backend.service.usage()["usage_consumed_seconds"] >= 0
