"""What Ctrl-C does: once, jobs on a service are left to run; twice, they are cancelled; knows the modules above it.

SIGTERM, by which a scheduler or a container ends a command, is as one Ctrl-C.
"""

from __future__ import annotations

import logging
import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.errors import QrtError
from qrt_runner.execution import Orders, cancel, execute
from qrt_runner.runner.scattering import scatter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qrt_runner.runner.recording import Recording
    from qrt_runner.runner.working import Work

_SECOND_S: Final = 2.0
"""How long a second Ctrl-C is waited for where jobs are on a service."""

_HINT: Final = f"Ctrl-C again within {_SECOND_S:.0f} s cancels the jobs that are on the service"
_CUT_OFF: Final = "Interrupted: what had been submitted is written down, and the same command carries on."
_log = logging.getLogger(__name__)
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Presses:
    """How often Ctrl-C was pressed; lives as long as a run is worked at."""

    stopped: bool = False
    """Whether the first one has stopped what was done."""

    again: threading.Event = field(default_factory=threading.Event)
    """Set by the second one, while the first is dealt with."""

    heeded: bool = False
    """Whether the first one has been dealt with; the next cuts off what is still done."""

    def __call__(self, number: int, frame: Any) -> None:
        """Take a signal."""
        if not self.stopped or self.heeded or (number == signal.SIGINT and self.again.is_set()):
            self.stopped = True
            signal.default_int_handler(number, frame)
        if number == signal.SIGINT:
            self.again.set()


@contextmanager
def interruptible() -> Iterator[Presses]:
    """Let the first Ctrl-C stop what is done in what is lent, and only note a second one; a third ends everything.

    So impatience does not cut off what the first one begins: closing a session group, reading what is there. A SIGTERM
    that comes meanwhile is not heard: the command is ending.
    """
    presses = Presses()
    if threading.current_thread() is not threading.main_thread():
        yield presses
        return
    before = {number: signal.signal(number, presses) for number in _SIGNALS}
    try:
        yield presses
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(_CUT_OFF) from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stopped(work: Work, orders: Orders, recording: Recording, presses: Presses) -> None:
    """Take what is there after a Ctrl-C, and leave the rest to be collected; a second Ctrl-C cancels it.

    Whatever goes wrong here is told: what had been measured is kept already.
    """
    recording.outcome.interrupted("Interrupted: what had been measured is kept.")
    _forget_simulated(work)
    if _is_under_way(work):
        orders.announce(_HINT)
        _log.info(_HINT)
        looking = Orders(work.diary, orders.budget, orders.announce, orders.trouble, submits=False, waits=False)
        try:
            _take_there(work, looking, recording)
            if presses.again.wait(_SECOND_S if _is_under_way(work) else 0.0):
                _give_up(work, looking, recording)
            elif _is_under_way(work):
                orders.trouble("Jobs that had been submitted are left to run.")
        except QrtError as error:
            orders.trouble(str(error))
    presses.heeded = True


def _give_up(work: Work, looking: Orders, recording: Recording) -> None:
    """Cancel what has not ended; what had ended before it could be cancelled was paid for, and is taken."""
    count = cancel(work.plan, looking)
    looking.trouble(f"{count} jobs were cancelled, and their session groups closed.")
    _take_there(work, looking, recording)
    if not _is_under_way(work):
        work.diary.update(state="cancelled")


def _take_there(work: Work, looking: Orders, recording: Recording) -> None:
    for results in scatter(work.plan, execute(work.plan, looking)):
        recording.take(results)


def _is_under_way(work: Work) -> bool:
    return any(one.state in ("submitting", "submitted") for one in work.diary.submissions())


def _forget_simulated(work: Work) -> None:
    """Forget the job that was simulated here: nobody has it."""
    for one in work.diary.submissions():
        if one.state == "submitting" and work.plan.jobs[one.job].submission.device.where == "simulator":
            work.diary.withdrawn(one.id)
