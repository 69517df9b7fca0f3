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
    from collections.abc import Callable, Collection, Iterator

    from qrt_runner.backends import Device


_PATIENCE_S: Final = 60.0
"""For how long a group is asked for again that the service has certainly not opened."""


class UntoldError(AccessError):
    """Whether a group was opened is not known; the next command asks again."""


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
    entered = _reentered(left_open, device)
    with noted(device.name, device.section, request.kind) as note:
        found = entered or _opened(request, device, note, diary)
        note.opened(found.id)
        diary.opened(found.id)
        if found.id == left_open:
            take_over(found.id)
        try:
            yield found
        finally:
            _close(found, note, trouble, diary)


def _reentered(group: str | None, device: Device) -> Opened | None:
    """Return a group that was left open, where it still takes jobs; another takes its place where it does not.

    Raises:
        AccessError: Where the service gives no answer.
    """
    if group is None:
        return None
    try:
        place = attached(group, device.backend)
    except AccessError as error:
        if error.__cause__ is not None and may_pass(error.__cause__):
            raise
        return None
    return Opened(place, group, kind_of(place))


def _opened(request: SessionRequest, device: Device, note: Note, diary: Diary) -> Opened:
    """Open a group; again where it is known that the service has not opened it."""
    from tenacity import Retrying, retry_if_exception, stop_after_delay

    from qrt_runner.backends.patience import pause
    from qrt_runner.sessions.finding import open_before

    asked = datetime.now(UTC)
    known = open_before(device, request.kind, asked)
    note.asking(known)
    diary.asked()
    patient = Retrying(
        retry=retry_if_exception(_may_go_again), stop=stop_after_delay(_PATIENCE_S), wait=pause, reraise=True
    )
    try:
        with refusals_told(f"session: a {request.kind} group on {device.name}", "session=batch or session=none"):
            place = patient(_opened_once, request, device, asked, known)
    except AccessError as error:
        if error.__cause__ is None or not may_be_open(error.__cause__):
            note.nothing_opened()
            diary.failed(str(error))
        raise
    return Opened(place, str(place.session_id), request.kind)


def _opened_once(request: SessionRequest, device: Device, asked: datetime, known: Collection[str] | None) -> Any:
    """Open a group; where the answer is lost, look for it on the service.

    Raises:
        UntoldError: Where the service does not tell which it is, or whether there is one.
        Exception: What the client raises where nothing was opened.
    """
    from qiskit_ibm_runtime import Batch, Session

    kind = Batch if request.kind == "batch" else Session
    try:
        return kind(backend=device.backend, max_time=request.max_time)
    except Exception as error:
        found = _lost(request, device, asked, known, error) if may_be_open(error) else None
        if found is None:
            raise
        return found


def _lost(
    request: SessionRequest, device: Device, asked: datetime, known: Collection[str] | None, why: Exception
) -> Any:
    """Return the group that was opened by a request whose answer was lost; None where nothing was opened."""
    from qrt_runner.sessions.finding import found_since

    what = f"session: a {request.kind} group on {device.name}: the service gave no answer ({words_of(why)})"
    try:
        groups = found_since(device, request.kind, asked, known, device.settle_s)
        if groups is not None and len(groups) < 2:
            return from_id(groups[0], device.backend.service) if groups else None
        told = "which of its groups it is cannot be told"
    except Exception as error:  # noqa: BLE001 - whatever the client raises, what is open is not known
        told = f"whether it is open is not known ({words_of(error)})"
    raise UntoldError(f"{what}, and {told}; remedy: try again") from why


def _may_go_again(error: BaseException) -> bool:
    return may_pass(error) or may_be_open(error)


def _close(found: Opened, note: Note, trouble: Callable[[str], None], diary: Diary) -> None:
    """Close a group, which may be done twice; where that fails its jobs can still be read, and the note stays."""
    from qrt_runner.backends.patience import patiently

    try:
        patiently(found.place.close)
    except Exception as error:  # noqa: BLE001 - whatever the client raises, results that were paid for come first
        trouble(f"{found.kind} {found.id} could not be closed ({words_of(error)}); the next command tries again")
    else:
        note.closed()
        diary.closed()
