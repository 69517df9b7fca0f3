"""Opens a batch or a dedicated session, attaches to one, and always closes what it opened; knows runtime."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from qrt_runner.errors import AccessError
from qrt_runner.sessions.orphans import noted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qrt_runner.backends import Device


@dataclass(frozen=True)
class SessionRequest:
    """Which group is asked for."""

    kind: Literal["batch", "dedicated"]
    max_time: int | str | None = None
    """How long it may stay open; None for the service's own maximum."""

    id: str | None = None
    """Of an open one to attach to."""


@dataclass(frozen=True)
class Opened:
    """An open session or batch."""

    place: Any
    """What primitives take as their mode."""

    id: str
    kind: Literal["batch", "dedicated"]


@contextmanager
def opened(request: SessionRequest, device: Device) -> Iterator[Opened]:
    """Open a session or batch, or attach to one, for as long as jobs are submitted to it.

    What was opened here is closed at the end, whatever happens: it takes no more jobs then, and ends when those it has
    are done. What was only attached to is left open.

    Raises:
        AccessError: Where the service refuses.
    """
    if request.id is not None:
        yield _attached(request.id, device.backend)
        return
    with noted(device.name, device.section) as note:
        place = _open(request, device.backend)
        found = Opened(place, str(place.session_id), request.kind)
        note(found.id)
        try:
            yield found
        finally:
            place.close()


def close_session(group: str, device: Device) -> None:
    """Close a session or batch that another command opened."""
    from qiskit_ibm_runtime import Session

    Session.from_id(group, device.backend.service).close()


def _open(request: SessionRequest, backend: Any) -> Any:
    from qiskit_ibm_runtime import Batch, Session

    kind = Batch if request.kind == "batch" else Session
    with _refusals_told(
        f"session: a {request.kind} group on {backend.name} was refused", "session=batch or session=none"
    ):
        return kind(backend=backend, max_time=request.max_time)


def _attached(wanted: str, backend: Any) -> Opened:
    from qiskit_ibm_runtime import Batch, Session

    with _refusals_told(f"session.id: {wanted} cannot be attached to", "the id of an open session or batch"):
        session = Session.from_id(wanted, backend.service)
        details = session.details() or {}
    told = str(details.get("backend_name") or backend.name)
    if told != backend.name:
        raise AccessError(f"session.id: {wanted} is open on {told}, not on {backend.name}; remedy: backend.name={told}")
    if not details.get("accepting_jobs", True):
        raise AccessError(f"session.id: {wanted} takes no more jobs ({details.get('state')}); remedy: session.id=null")
    is_batch = details.get("mode") == "batch"
    place = Batch.from_id(wanted, backend.service) if is_batch else session
    return Opened(place, wanted, "batch" if is_batch else "dedicated")


@contextmanager
def _refusals_told(what: str, remedy: str) -> Iterator[None]:
    from qiskit_ibm_runtime.api.exceptions import RequestsApiError
    from qiskit_ibm_runtime.exceptions import IBMError
    from requests import RequestException

    try:
        yield
    except (IBMError, RequestsApiError, RequestException, ValueError) as error:
        told = " ".join(str(error).split())[:300]
        raise AccessError(f"{what} ({type(error).__name__}: {told}); remedy: {remedy}") from error
