"""Opens a batch or a dedicated session, attaches to one, and always closes what it opened; knows runtime."""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from qrt_runner.errors import AccessError
from qrt_runner.sessions.orphans import Note, noted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
def opened(request: SessionRequest, device: Device, trouble: Callable[[str], None]) -> Iterator[Opened]:
    """Open a session or batch, or attach to one, for as long as jobs are submitted to it.

    What was opened here is closed at the end, whatever happens: it takes no more jobs then, and ends when those it has
    are done. What was only attached to is left open.

    Args:
        request: Which group is asked for.
        device: Its backend.
        trouble: Told where it could not be closed; the next command tries again then.

    Raises:
        AccessError: Where the service refuses.
    """
    if request.id is not None:
        yield _attached(request.id, device.backend)
        return
    with noted(device.name, device.section) as note:
        try:
            place = _open(request, device.backend)
        except AccessError as error:
            if _is_definite(error.__cause__):
                note.nothing_opened()
            raise
        found = Opened(place, str(place.session_id), request.kind)
        note.opened(found.id)
        try:
            yield found
        finally:
            _close(found, note, trouble)


def _close(found: Opened, note: Note, trouble: Callable[[str], None]) -> None:
    """Close a group; where that fails its jobs are still there to be read, and the note stays for the next command."""
    try:
        found.place.close()
    except Exception as error:  # noqa: BLE001 - whatever the client raises, results that were paid for come first
        trouble(f"{found.kind} {found.id} could not be closed ({_words_of(error)}); the next command tries again")
    else:
        note.closed()


def close_session(group: str, device: Device) -> None:
    """Close a session or batch that another command opened; one that the service does not know any more is closed."""
    from qiskit_ibm_runtime.exceptions import IBMInputValueError

    with suppress(IBMInputValueError):
        _from_id(group, device.backend.service).close()


def _from_id(group: str, service: Any) -> Any:
    """Return an open session or batch; the client has a class for each, and refuses the other's ids."""
    from qiskit_ibm_runtime import Batch, Session
    from qiskit_ibm_runtime.exceptions import IBMInputValueError

    try:
        return Session.from_id(group, service)
    except IBMInputValueError as error:
        try:
            return Batch.from_id(group, service)
        except IBMInputValueError:
            raise error from None


def _open(request: SessionRequest, backend: Any) -> Any:
    from qiskit_ibm_runtime import Batch, Session

    kind = Batch if request.kind == "batch" else Session
    with _refusals_told(f"session: a {request.kind} group on {backend.name}", "session=batch or session=none"):
        return kind(backend=backend, max_time=request.max_time)


def _attached(wanted: str, backend: Any) -> Opened:
    with _refusals_told(f"session.id: {wanted}", "the id of an open session or batch"):
        place = _from_id(wanted, backend.service)
        details = place.details() or {}
    told = str(details.get("backend_name") or backend.name)
    if told != backend.name:
        raise AccessError(f"session.id: {wanted} is open on {told}, not on {backend.name}; remedy: backend.name={told}")
    if not details.get("accepting_jobs", True):
        raise AccessError(f"session.id: {wanted} takes no more jobs ({details.get('state')}); remedy: session.id=null")
    return Opened(place, wanted, "batch" if details.get("mode") == "batch" else "dedicated")


@contextmanager
def _refusals_told(what: str, remedy: str) -> Iterator[None]:
    from qiskit_ibm_runtime.api.exceptions import RequestsApiError
    from qiskit_ibm_runtime.exceptions import IBMError
    from requests import RequestException

    try:
        yield
    except (IBMError, RequestsApiError, RequestException, ValueError) as error:
        if not isinstance(error, IBMError) and not _is_definite(error):
            msg = f"{what}: the service gave no answer ({_words_of(error)}), so it may be open without jobs"
            raise AccessError(f"{msg}; remedy: try again") from error
        raise AccessError(f"{what} was refused: {_words_of(error)}; remedy: {remedy}") from error


def _is_definite(error: BaseException | None) -> bool:
    """Tell whether the service has said no; after anything else it may have opened a group all the same."""
    status = getattr(error, "status_code", None)
    return isinstance(status, int) and 400 <= status < 500


def _words_of(error: Exception) -> str:
    """Return what the service says, without the JSON around it."""
    text = " ".join(str(error).split())
    said = re.findall(r'"(?:message|solution)":\s*"([^"]+)"', text)
    return " ".join(said).rstrip(".") if said else f"{type(error).__name__}: {text[:300]}"
