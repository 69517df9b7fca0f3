"""Does the steps of logging one after the other, at once or beside the run; knows the standard library only.

The first error ends the work: later steps are left undone, and `wait` raises it.
"""

from __future__ import annotations

from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TYPE_CHECKING, Final, Protocol

from qrt_runner.tracking.writer import OUTSIDE

if TYPE_CHECKING:
    from collections.abc import Callable

_ROOM: Final = 1000
"""Steps that wait at most, each with the artifacts of one task; whoever brings more waits as well."""

_LOOK_S: Final = 0.2
"""Between two looks at the thread, so that Ctrl-C is heard on every platform."""


class Steps(Protocol):
    """Does steps in their order."""

    def do(self, step: Callable[[], None]) -> None:
        """Do a step, now or later; what goes wrong in the outside world is kept for `wait`."""
        ...

    def wait(self) -> None:
        """Return when all steps are done, or raise what went wrong."""
        ...

    def stop(self, timeout_s: float) -> bool:
        """Leave undone what has not begun, and tell whether what had begun has ended."""
        ...


class AtOnce:
    """Does a step when it is told to."""

    def __init__(self) -> None:
        """Start without an error."""
        self._error: Exception | None = None

    def do(self, step: Callable[[], None]) -> None:
        """Do a step now."""
        if self._error is not None:
            return
        try:
            step()
        except OUTSIDE as error:
            self._error = error

    def wait(self) -> None:
        """Raise what went wrong, if anything did."""
        if self._error is not None:
            raise self._error

    def stop(self, timeout_s: float) -> bool:  # noqa: ARG002 - nothing is ever under way
        """Tell that nothing is under way."""
        return True


class Beside:
    """Does steps in one thread, while others go on; ends with `wait` or `stop`."""

    def __init__(self) -> None:
        """Start the thread, which keeps no process alive."""
        self._steps: Queue[Callable[[], None] | None] = Queue(_ROOM)
        self._error: BaseException | None = None
        self._stopped = Event()
        self._thread = Thread(target=self._work, name="recording", daemon=True)
        self._thread.start()

    def do(self, step: Callable[[], None]) -> None:
        """Hand a step over; wait where too many wait already."""
        self._put(step)

    def wait(self) -> None:
        """Return when all steps are done, or raise what went wrong."""
        self._put(None)
        while self._thread.is_alive():
            self._thread.join(_LOOK_S)
        if self._error is not None:
            raise self._error

    def stop(self, timeout_s: float) -> bool:
        """Leave undone what has not begun, and tell whether the thread has ended."""
        self._stopped.set()
        try:
            while True:
                self._steps.get_nowait()
        except Empty:
            self._steps.put_nowait(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _put(self, step: Callable[[], None] | None) -> None:
        while self._thread.is_alive():
            try:
                self._steps.put(step, timeout=_LOOK_S)
            except Full:
                continue
            return

    def _work(self) -> None:
        while (step := self._steps.get()) is not None:
            if self._error is not None or self._stopped.is_set():
                continue
            try:
                step()
            except BaseException as error:  # noqa: BLE001 - raised again where the work is waited for
                self._error = error
