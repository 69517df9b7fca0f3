"""The client's connection, bound: nothing that changes something is sent twice, nothing waits for ever.

Each test counts what really arrived at the rehearsal service.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from composing import point_of
from qiskit_ibm_runtime import Batch, QiskitRuntimeService, Session
from qiskit_ibm_runtime.api.exceptions import RequestsApiError
from qiskit_ibm_runtime.exceptions import IBMError
from rehearsing import accepted, client_of, rehearsal_with, submitted
from urllib3.connection import HTTPConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
)

from qrt_runner.backends import open_device, patience, repeating
from qrt_runner.backends.connection import bound, workloads
from qrt_runner.backends.repeating import CarefulAdapter, bounded
from qrt_runner.errors import AccessError
from qrt_runner.rehearsal import Fault, account_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qrt_runner.config import Ibm
    from qrt_runner.rehearsal import Rehearsal

SHORT = {"kind": "slow", "delay_s": 0.2}
FAULTS = {
    "lost": ({"kind": "lost"}, 1),
    "dropped": ({"kind": "dropped"}, 0),
    "503 after acceptance": ({"kind": "status", "status": 503, "accepted": True}, 1),
    "503 before": ({"kind": "status", "status": 503}, 0),
    "500 after acceptance": ({"kind": "status", "status": 500, "accepted": True}, 1),
    "429": ({"kind": "status", "status": 429, "retry_after_s": 1}, 0),
    "slow": (SHORT, 1),
    "truncated": ({"kind": "truncated"}, 1),
}
"""What goes wrong with a request, and how many of the jobs or sessions that it asks for there are then."""

HELD = NewConnectionError(HTTPConnection("127.0.0.1"), "refused")
NEVER_SENT = [HELD, NameResolutionError("x", HTTPConnection("x"), socket.gaierror()), ProxyError("proxy", HELD)]
NEVER_SENT += [ConnectTimeoutError("too slow")]
SENT = [ProtocolError("gone"), ReadTimeoutError(None, "/", "too slow"), ProxyError("proxy", OSError("reset"))]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """A service with both plans."""
    with rehearsal_with(tmp_path_factory.mktemp("rehearsal")) as rehearsal:
        yield rehearsal


@pytest.fixture
def rehearsal(running) -> Iterator[Rehearsal]:
    """The same service, whose faults end with the test."""
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
def loose(running) -> Any:
    """The device of a client as it is."""
    return client_of(running).backend("fake_manila")


def submits(backend: Any) -> None:
    """Submit a job."""
    submitted(backend, backend)


def opens(backend: Any) -> None:
    """Open a session."""
    Session(backend=backend)


ASKING = {"submit": (submits, "jobs"), "open_session": (opens, "sessions")}
"""For each operation: what asks for it, and what there is in the ledger then."""


def counted(rehearsal: Rehearsal, act: Callable[[], object], operation: str, what: str = "jobs") -> tuple[int, int]:
    """Return how many requests arrived while something was done, whether it failed or not, and what came of them."""
    before = rehearsal.ledger()
    with suppress(IBMError, ValueError):
        act()
    after = rehearsal.ledger()
    requests = after["requests"][len(before["requests"]) :]
    return sum(one["operation"] == operation for one in requests), len(after[what]) - len(before[what])


# --- what changes something ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ASKING)
@pytest.mark.parametrize("name", FAULTS)
def test_what_changes_something_is_sent_once(rehearsal, backend, operation, name):
    """Whatever goes wrong, one request arrives; and of what it asks for there is one where it was accepted."""
    fault, accepted_then = FAULTS[name]
    ask, what = ASKING[operation]
    rehearsal.arm(Fault.model_validate({**fault, "on": operation}))
    assert counted(rehearsal, lambda: ask(backend), operation, what) == (1, accepted_then)


@pytest.mark.parametrize("operation", ASKING)
def test_the_client_by_itself_sends_it_twice(rehearsal, loose, operation):
    """Two jobs, or two sessions, without a word: where this fails the client has changed."""
    ask, what = ASKING[operation]
    rehearsal.arm(Fault(kind="status", on=operation, accepted=True))
    assert counted(rehearsal, lambda: ask(loose), operation, what) == (2, 2)


def test_a_lost_answer_through_a_proxy_is_not_asked_for_again(running, monkeypatch):
    """urllib3 takes any error through a proxy for one of the proxy, and would send the request again."""
    with proxy_that_hangs_up() as (url, heard):
        for is_bound, times in ((True, 1), (False, 6)):
            service = client_of(running)
            backend = service.backend("fake_manila")
            assert not is_bound or bound(service)
            session = backend._api_client._session  # noqa: SLF001 -- there is no public way past the first requests
            session.proxies = {"http": url}
            monkeypatch.setattr("urllib3.util.retry.time.sleep", lambda _: None)
            with pytest.raises(RequestsApiError):
                Session(backend=backend)
            assert len(heard) == times
            heard.clear()


@contextmanager
def proxy_that_hangs_up() -> Iterator[tuple[str, list[bytes]]]:
    """Accept connections, read what is sent, and close them without an answer; what was heard is given back."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    heard.append(connection.recv(65536))
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", heard
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("error", SENT, ids=lambda error: type(error).__name__)
def test_no_error_after_sending_repeats_what_changes_something(method, error):
    """The error itself is raised at once."""
    with pytest.raises(type(error)):
        CarefulAdapter().max_retries.increment(method, "/jobs", error=error)


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("error", NEVER_SENT, ids=lambda error: type(error).__name__)
def test_where_no_connection_came_about_anything_is_tried_again(method, error):
    """Nothing was sent, so that nothing is sent twice: one of five tries is used up."""
    assert CarefulAdapter().max_retries.increment(method, "/jobs", error=error).total == 4


def test_clients_that_are_made_later_are_bound_too(rehearsal, service):
    """Such as that of another instance, which is made when it is first asked for."""
    free = service.backend("fake_manila", instance=account_of(rehearsal, "open").arguments["instance"])
    rehearsal.arm(Fault(kind="status", accepted=True))
    assert counted(rehearsal, lambda: submits(free), "submit") == (1, 1)


def test_binding_twice_changes_nothing(service, backend):
    """The connection stays the one it was."""
    before = backend._api_client._session.get_adapter("http://")  # noqa: SLF001 -- there is no public way
    made = service._create_new_cloud_api_client  # noqa: SLF001 -- the same
    assert bound(service)
    assert backend._api_client._session.get_adapter("http://") is before  # noqa: SLF001 -- the same
    assert service._create_new_cloud_api_client is made  # noqa: SLF001 -- the same


def test_a_client_that_is_built_otherwise_is_told_of(caplog):
    """It is not bound, the log says so, and it cannot list sessions."""
    unknown = SimpleNamespace(_api_clients={"crn": SimpleNamespace()})
    assert not bound(unknown)  # type: ignore[arg-type]
    assert "it may submit a job twice" in caplog.text
    assert workloads(unknown, "fake_manila", "batch", datetime.now(UTC)) is None  # type: ignore[arg-type]


# --- what only looks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "lost"},
        {"kind": "dropped"},
        {"kind": "truncated"},
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 429},
        {"kind": "status", "status": 521},
    ],
    ids=lambda fault: f"{fault['kind']} {fault.get('status', '')}",
)
def test_what_only_looks_is_asked_again(rehearsal, service, fault):
    """Once is enough where the second answer is good."""
    rehearsal.arm(Fault(on="usage", **fault))
    assert counted(rehearsal, service.usage, "usage") == (2, 0)
    assert service.usage()["usage_consumed_seconds"] >= 0


@pytest.mark.parametrize(("asked_s", "least_s"), [(1.0, 0.9), (None, 0.0)])
def test_the_pause_is_what_the_service_asks_for(rehearsal, service, asked_s, least_s):
    """By its Retry-After; the first of our own is none."""
    rehearsal.arm(Fault(kind="status", on="usage", status=429, retry_after_s=asked_s))
    since = time.monotonic()
    service.usage()
    assert least_s <= time.monotonic() - since < least_s + 8


def test_what_only_looks_is_not_asked_for_ever(rehearsal, service, monkeypatch):
    """Six times with at most 17.5 s of pauses, and then the service's own words are told."""
    pauses: list[float] = []
    monkeypatch.setattr("urllib3.util.retry.time.sleep", pauses.append)
    rehearsal.arm(Fault(kind="status", on="usage", status=500, times=100))
    with pytest.raises(RequestsApiError, match="API Internal error") as raised:
        service.usage()
    assert raised.value.status_code == 500
    assert len(pauses) == 4  # the first of five tries more has none
    assert 15 <= sum(pauses) <= 17.5


def test_a_long_pause_is_cut(rehearsal, service, monkeypatch):
    """An hour is none that a command sits out: half a minute, and then the refusal counts."""
    pauses: list[float] = []
    monkeypatch.setattr("urllib3.util.retry.time.sleep", pauses.append)
    rehearsal.arm(Fault(kind="status", on="usage", status=429, retry_after_s=3600))
    service.usage()
    assert pauses == [30]


# --- tokens ----------------------------------------------------------------------------------------------------------


def test_a_submission_with_an_expired_token_goes_on_with_a_fresh_one(rehearsal, backend):
    """The refused request has submitted nothing, so it is sent again: one job."""
    rehearsal.arm(Fault(kind="expired"))
    assert counted(rehearsal, lambda: opens(backend), "open_session", "sessions") == (2, 1)


def test_a_token_that_cannot_be_had_blocks_nothing(rehearsal, backend):
    """The client goes on with the API key; by itself it would block the next request for a minute."""
    manager = backend._api_client._session.auth.tm  # noqa: SLF001 -- there is no public way
    manager.expire_time = 0
    rehearsal.arm(Fault(kind="status", on="token", status=503, times=2))
    since = time.monotonic()
    for _ in range(2):
        with pytest.warns(UserWarning, match="Unable to retrieve IBM Cloud access token"):
            assert backend.service.usage()["usage_consumed_seconds"] >= 0
    assert backend.service.usage()["usage_consumed_seconds"] >= 0
    assert time.monotonic() - since < 5


def test_a_token_that_cannot_be_renewed_leaves_the_refusal(rehearsal, backend):
    """It is told as it is; the next request asks for a token again."""
    rehearsal.arm(Fault(kind="expired"))
    rehearsal.arm(Fault(kind="status", on="token", status=503))
    with pytest.raises(IBMError, match="401"):
        backend.status()
    assert backend.status().operational


# --- limits of time --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "method", "limits"),
    [
        ((5.0, None), "GET", (5.0, 60.0)),
        (None, "GET", (10.0, 60.0)),
        (900, "POST", (10.0, 300.0)),
        ((5.0, None), "POST", (5.0, 300.0)),
        (2.5, "DELETE", (2.5, 2.5)),
        (None, "PATCH", (10.0, 60.0)),
    ],
)
def test_every_request_has_limits_of_time(given, method, limits):
    """Ten seconds to connect, a minute for an answer, five for one to a POST; shorter ones of the client stay."""
    assert bounded(given, method) == limits


@pytest.mark.parametrize(("operation", "limit"), [("submit", "_READ_OF_POST_S"), ("usage", "_READ_S")])
def test_an_answer_that_does_not_come_is_not_waited_for(rehearsal, backend, monkeypatch, operation, limit):
    """A submission is then sent once all the same; a look is tried four times."""
    monkeypatch.setattr(repeating, limit, 0.1)
    monkeypatch.setattr("urllib3.util.retry.time.sleep", lambda _: None)
    rehearsal.arm(Fault(kind="slow", on=operation, delay_s=0.4, times=4))
    since = time.monotonic()
    assert counted(rehearsal, lambda: submits(backend), operation)[0] == (1 if operation == "submit" else 4)
    assert time.monotonic() - since < 10


# --- sessions and batches --------------------------------------------------------------------------------------------


def test_groups_are_listed_newest_first(service, backend):
    """Of one kind on one backend, with how many jobs they have had; closed ones too."""
    since = datetime.now(UTC)
    with Batch(backend=backend) as first:
        submits_into(first, backend)
    second = Batch(backend=backend)
    found = [one for one in workloads(service, "fake_manila", "batch", since) if one.created >= since]
    assert [one.id for one in found] == [second.session_id, first.session_id]
    assert [(one.mode, one.backend, one.is_open, one.jobs) for one in found] == [
        ("batch", "fake_manila", True, 0),
        ("batch", "fake_manila", False, None),
    ]
    second.close()


def submits_into(group: Any, backend: Any) -> None:
    """Run a job in a session or batch, to its end."""
    submitted(group, backend).result()


@pytest.mark.parametrize(("kind", "mode"), [(Session, "session"), (Batch, "batch")])
def test_a_group_whose_answer_was_lost_is_found(rehearsal, backend, kind, mode):
    """By its kind, its backend and the moment: it has no jobs, and its id closes it."""
    service, other = backend.service, "batch" if mode == "session" else "dedicated"
    since = datetime.now(UTC)
    known = {one.id for one in workloads(service, "fake_manila", mode, since)}
    rehearsal.arm(Fault(kind="lost", on="open_session"))
    with pytest.raises(RequestsApiError):
        kind(backend=backend)
    (found,) = (one for one in workloads(service, "fake_manila", mode, since) if one.id not in known)
    assert (found.id, found.is_open, found.jobs) == (rehearsal.ledger()["sessions"][-1]["id"], True, 0)
    assert found.id not in {one.id for one in workloads(service, "fake_manila", other, since)}
    kind.from_id(found.id, service).close()
    assert not rehearsal.ledger()["sessions"][-1]["accepting_jobs"]


@pytest.mark.parametrize("hours", [0, 5])
def test_clocks_may_differ_by_a_minute(service, backend, hours):
    """Ours may be ahead of the service's, in any time zone; a day is no difference of clocks."""
    with Batch(backend=backend) as group:
        soon = datetime.now(timezone(timedelta(hours=hours))) + timedelta(minutes=1)
        assert group.session_id in {one.id for one in workloads(service, "fake_manila", "batch", soon)}
        assert workloads(service, "fake_manila", "batch", soon + timedelta(days=1)) == []


# --- opening ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def section(running, monkeypatch) -> Ibm:
    """The section that opens the service's device as one of IBM Quantum, by the environment alone."""
    for name, key in {"TOKEN": "token", "URL": "url", "INSTANCE": "instance"}.items():
        monkeypatch.setenv(f"QISKIT_IBM_{name}", account_of(running).arguments[key])
    return point_of(["backend=ibm", "backend.name=fake_manila"]).experiment.document.backend


@pytest.mark.parametrize("kind", ["lost", "dropped", "truncated", "status", "expired"])
@pytest.mark.parametrize("operation", ["token", "search", "catalog", "backends", "configuration"])
def test_a_backend_opens_in_spite_of_a_fault(rehearsal, section, operation, kind):
    """Whatever the client asks for when a backend is opened, and whichever way it fails once."""
    rehearsal.arm(Fault(kind=kind, on=operation, status=429))
    assert open_device(section).name == "fake_manila"


def test_an_opened_backend_submits_once(rehearsal, section):
    """Its client is bound."""
    backend = open_device(section).backend
    rehearsal.arm(Fault(kind="status", accepted=True))
    assert counted(rehearsal, lambda: submitted(backend, backend, tags=("opened",)), "submit") == (1, 1)
    assert len(accepted(rehearsal, "opened")) == 1


def test_a_listed_backend_that_is_said_not_to_be_there_is_asked_for_again(rehearsal, section):
    """The client says so whatever keeps it from reading the backend's configuration."""
    rehearsal.arm(Fault(kind="status", on="configuration", status=403))
    assert open_device(section).name == "fake_manila"


def test_what_is_not_there_is_told_at_once(section):
    """The list without it is an answer."""
    missing = section.model_copy(update={"name": "ibm_nowhere"})
    since = time.monotonic()
    with pytest.raises(AccessError, match=r"^backend\.name: given ibm_nowhere; the account has no such backend"):
        open_device(missing)
    assert time.monotonic() - since < 10


def test_a_refusal_is_told_at_once(rehearsal, section):
    """With the service's own status and words; nothing is asked again."""
    rehearsal.arm(Fault(kind="status", on="search", status=403))
    words = r"InvalidAccountError: .*; 403: API Internal error\. Retry the action\.\); remedy: check the network"
    with pytest.raises(AccessError, match=words):
        open_device(section)


@pytest.mark.parametrize("asked_s", [None, 60.0])
def test_patience_ends(rehearsal, section, monkeypatch, asked_s):
    """Also at once, where the service asks for a longer pause than there is patience."""
    monkeypatch.setattr(patience, "_PATIENCE_S", 1.0)
    rehearsal.arm(Fault(kind="status", on="search", status=429, retry_after_s=asked_s, times=100))
    since = time.monotonic()
    with pytest.raises(AccessError, match="429: API Internal error"):
        open_device(section)
    assert time.monotonic() - since < 20
