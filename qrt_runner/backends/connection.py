"""The runtime client's connection to its service, bound to send nothing twice; alone knows the client's private parts.

The client repeats requests that submit a job or open a session, silently, where a 5xx is answered: two jobs, two
sessions. It has no place for another policy, and none that lists sessions. Each private name is looked for, not taken
for granted: a future client that lacks one is told of, never worked with as if it were bound.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from qiskit.providers import BackendV2
    from qiskit_ibm_runtime import QiskitRuntimeService

_RUN: Final = "_run"
"""The service's way to submit, which all its primitives take."""

_MAKE: Final = "_create_new_cloud_api_client"
_SKEW: Final = timedelta(minutes=2)
"""By how much the service's clock may be behind ours."""

_MOST: Final = 50
"""Of workloads, as the service allows for one answer."""

_OPEN: Final = ("pending", "in_progress")
_LOOSE: Final = (
    "%s is built otherwise than the client that is known here: it may submit a job twice where an answer is lost; "
    "duplicates are still looked for by their tags"
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Workload:
    """A session or batch, as the service lists it."""

    id: str
    mode: Literal["session", "batch"]
    backend: str
    status: str
    """`pending`, `in_progress`, `completed`, `canceled` or `failed`."""

    created: datetime | None
    """In UTC; None where it is not told."""

    is_open: bool
    """Whether it takes jobs, as far as is told."""

    jobs: int | None = None
    """How many it has had; None where it is not open, or where it is not told."""


def bound(service: QiskitRuntimeService) -> bool:
    """Bind a service's clients, those it will make later too, to send nothing twice and to wait for nothing for ever.

    Returns:
        Whether that was possible: False for a client that is built otherwise, which the log then tells too.
    """
    if not (is_bound := _bind_all(service)):
        _log.warning(_LOOSE, type(service).__module__)
    return is_bound


def workloads(service: QiskitRuntimeService, backend: str, mode: str, since: datetime) -> list[Workload] | None:
    """Return the sessions or batches that an account opened on a backend since a moment, the newest first.

    Clocks differ, so some that are a little older are among them. This is how one is found that was opened by a request
    whose answer was lost.

    Args:
        service: The client's service.
        backend: Name of the backend.
        mode: `session` (or `dedicated`), or `batch`.
        since: With its time zone.

    Returns:
        At most 50; None where the client cannot tell.
    """
    wanted = "batch" if mode == "batch" else "session"
    after = since.astimezone(UTC) - _SKEW  # the client takes any other zone for the machine's own
    found: dict[str, Workload] = {}
    for client in _clients(service):
        ask = getattr(getattr(client, "_api", None), "workloads_get", None)
        if not callable(ask):
            return None
        told = ask(sort="-createdAt", limit=_MOST, backend=backend, mode=wanted, created_after=after)
        for one in map(_workload, told["workloads"]):
            if (one.backend, one.mode) == (backend, wanted) and (one.created is None or one.created >= after):
                found[one.id] = _with_jobs(one, client) if one.is_open else one
    return sorted(found.values(), key=lambda one: one.created or after, reverse=True)


def devices_of(service: QiskitRuntimeService) -> set[str]:
    """Return the names of the devices that a service lists when it is asked anew.

    Raises:
        Exception: What the client hides where it looks for a backend and gets no answer.
    """
    asked = (getattr(client, "list_backends", None) for client in _clients(service))
    return {str(entry["name"]) for ask in asked if callable(ask) for entry in ask()}


class _KeptBackError(Exception):
    """Leads out of a primitive that was about to submit."""


@contextmanager
def kept_back(backend: BackendV2) -> Iterator[dict[str, Any] | None]:
    """Keep back what primitives would submit to a backend of IBM Quantum, outside sessions.

    Yields:
        What takes the arguments of the submission; None where the client is built otherwise than is known here.
    """
    service = getattr(backend, "service", None)
    if not callable(getattr(service, _RUN, None)):
        yield None
        return
    taken: dict[str, Any] = {}

    def take(*_: Any, **arguments: Any) -> None:
        taken.update(arguments)
        raise _KeptBackError

    setattr(service, _RUN, take)
    try:
        with suppress(_KeptBackError):
            yield taken
    finally:
        delattr(service, _RUN)


def _clients(service: Any) -> list[Any]:
    """Return the clients of a service: one for each instance in use."""
    known: Mapping[str, Any] = getattr(service, "_api_clients", None) or {}
    return list(known.values()) or [getattr(service, "_active_api_client", None)]


def _bind_all(service: Any) -> bool:
    clients = [*_clients(service), getattr(service, "_active_api_client", None)]
    are_bound = [_bind(client) for client in clients]
    make = getattr(service, _MAKE, None)
    if not callable(make):
        return False
    if not hasattr(make, "binds"):
        setattr(service, _MAKE, _binding(make))
    return all(are_bound)


def _bind(client: Any) -> bool:
    from requests import Session

    from qrt_runner.backends.repeating import CarefulAdapter, release

    session = getattr(client, "_session", None)
    if not isinstance(session, Session):
        return False
    if any(isinstance(adapter, CarefulAdapter) for adapter in session.adapters.values()):
        return True
    manager = getattr(getattr(session, "auth", None), "tm", None)
    if getattr(manager, "access_token", "") is None:
        release(manager)
    adapter = CarefulAdapter(manager if callable(getattr(manager, "get_token", None)) else None)
    for prefix in ("http://", "https://"):
        replaced = session.adapters.get(prefix)
        session.mount(prefix, adapter)
        if replaced is not None:
            replaced.close()
    return True


def _binding(make: Callable[..., Any]) -> Callable[..., Any]:
    """Return what makes a client, and binds it."""

    def made(*arguments: Any, **options: Any) -> Any:
        client = make(*arguments, **options)
        _bind(client)
        return client

    made.binds = True  # type: ignore[attr-defined]  # a mark, for who binds a second time
    return made


def _workload(entry: Mapping[str, Any]) -> Workload:
    status = str(entry.get("status") or entry.get("state") or "")
    takes = entry.get("accepting_jobs")
    created = entry.get("created") or entry.get("created_at")
    return Workload(
        id=str(entry["id"]),
        mode="batch" if entry.get("mode") == "batch" else "session",
        backend=str(entry.get("backend")),
        status=status,
        created=datetime.fromisoformat(created).astimezone(UTC) if created else None,
        is_open=takes if isinstance(takes, bool) else status in _OPEN,
    )


def _with_jobs(one: Workload, client: Any) -> Workload:
    ask = getattr(client, "jobs_get", None)
    told = ask(limit=1, session_id=one.id).get("count") if callable(ask) else None
    return replace(one, jobs=told) if isinstance(told, int) else one
