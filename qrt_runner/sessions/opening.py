"""Opens a batch or a dedicated session, attaches to one, and always closes what it opened; knows runtime."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from qrt_runner.errors import AccessError
from qrt_runner.sessions.attaching import attached, from_id, kind_of, may_be_open, may_pass, refusals_told, words_of
from qrt_runner.sessions.orphans import Note, noted, take_over

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qrt_runner.backends import Device


_PATIENCE_S: Final = 60.0
"""For how long a group is asked for again that the service has certainly not opened."""


@dataclass(frozen=True)
class SessionRequest:
    """Which group is asked for."""

    kind: Literal["batch", "dedicated"]
    max_time: int | str | None = None
    """How long it may stay open; None for the service's own maximum."""

    id: str | None = None
    """Of an open one to attach to."""

    def within(self, most_s: float) -> SessionRequest:
        """Return the request of a group that is open for no longer than that."""
        from qiskit_ibm_runtime.utils.converters import hms_to_seconds

        given = self.max_time
        own_s = hms_to_seconds(given) if isinstance(given, str) else given
        return replace(self, max_time=max(1, int(most_s if own_s is None else min(own_s, most_s))))


@dataclass(frozen=True)
class Opened:
    """An open session or batch."""

    place: Any
    """What primitives take as their mode."""

    id: str
    kind: Literal["batch", "dedicated"]


class Diary(Protocol):
    """Writes down what becomes of one group, each step before it is taken or its outcome is used."""

    def asked(self) -> None:
        """The service is going to be asked for it."""

    def opened(self, service_id: str) -> None:
        """It is open."""

    def closed(self) -> None:
        """It takes no more jobs."""

    def failed(self, why: str) -> None:
        """The service has refused."""


@contextmanager
def opened(
    request: SessionRequest, device: Device, trouble: Callable[[str], None], diary: Diary, left_open: str | None = None
) -> Iterator[Opened]:
    """Open a session or batch, or attach to one, for as long as jobs are submitted to it.

    What was opened here, or by an earlier command of the same run, is closed at the end, whatever happens: it takes no
    more jobs then, and ends when those it has are done. What was only attached to is left open.

    Args:
        request: Which group is asked for.
        device: Its backend.
        trouble: Told where it could not be closed; the next command tries again then.
        diary: Writes down what becomes of it.
        left_open: Id of the one that an earlier command has left open; it is used where it takes jobs.

    Raises:
        AccessError: Where the service refuses.
    """
    if request.id is not None:
        place = attached(request.id, device.backend)
        diary.opened(request.id)
        yield Opened(place, request.id, kind_of(place))
        return
    with noted(device.name, device.section, request.kind) as note:
        found = _reentered(left_open, device) or _opened(request, device, note, diary)
        note.opened(found.id)
        diary.opened(found.id)
        if found.id == left_open:
            take_over(found.id)
        try:
            yield found
        finally:
            _close(found, note, trouble, diary)


def _reentered(group: str | None, device: Device) -> Opened | None:
    """Return a group that was left open, where it still takes jobs."""
    if group is None:
        return None
    try:
        place = attached(group, device.backend)
    except AccessError:
        # It has closed meanwhile; another takes its place.
        return None
    return Opened(place, group, kind_of(place))


def _opened(request: SessionRequest, device: Device, note: Note, diary: Diary) -> Opened:
    """Open a group; where the answer is lost, it is looked for on the service."""
    asked = datetime.now(UTC)
    diary.asked()
    try:
        place = _open(request, device.backend)
    except AccessError as error:
        if error.__cause__ is None or not may_be_open(error.__cause__):
            note.nothing_opened()
            diary.failed(str(error))
            raise
        from qrt_runner.sessions.finding import found_since

        group = found_since(device, request.kind, asked, device.settle_s)
        if group is None:
            raise
        place = from_id(group, device.backend.service)
    return Opened(place, str(place.session_id), request.kind)


def _open(request: SessionRequest, backend: Any) -> Any:
    from qiskit_ibm_runtime import Batch, Session
    from tenacity import Retrying, retry_if_exception, stop_after_delay

    from qrt_runner.backends.patience import pause

    kind = Batch if request.kind == "batch" else Session
    patient = Retrying(retry=retry_if_exception(may_pass), stop=stop_after_delay(_PATIENCE_S), wait=pause, reraise=True)
    with refusals_told(f"session: a {request.kind} group on {backend.name}", "session=batch or session=none"):
        return patient(kind, backend=backend, max_time=request.max_time)


def _close(found: Opened, note: Note, trouble: Callable[[str], None], diary: Diary) -> None:
    """Close a group; where that fails its jobs are still there to be read, and the note stays for the next command."""
    try:
        found.place.close()
    except Exception as error:  # noqa: BLE001 - whatever the client raises, results that were paid for come first
        trouble(f"{found.kind} {found.id} could not be closed ({words_of(error)}); the next command tries again")
    else:
        note.closed()
        diary.closed()
