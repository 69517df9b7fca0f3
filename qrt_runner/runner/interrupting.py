"""What Ctrl-C does: once, jobs on a service are left to run; twice, they are cancelled; knows the modules above it."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from dataclasses import replace
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


def stopped(work: Work, orders: Orders, recording: Recording) -> None:
    """Take what is there after a Ctrl-C, and leave the rest to be collected; a second Ctrl-C cancels it.

    Whatever goes wrong here is told: what had been measured is kept already.
    """
    outcome = recording.outcome
    outcome.interrupted("Interrupted: what had been measured is kept.")
    if not any(one.state in ("submitting", "submitted") for one in work.diary.submissions()):
        return
    with _second() as again:
        orders.announce(f"Ctrl-C again within {_SECOND_S:.0f} s cancels the jobs that are on the service")
        looking = Orders(work.diary, orders.budget, orders.announce, orders.trouble, submits=False, waits=False)
        try:
            for results in scatter(work.plan, execute(work.plan, looking)):
                recording.take(results)
            if again.wait(_SECOND_S):
                count = cancel(work.plan, replace(looking))
                outcome.troubles.append(f"{count} jobs were cancelled, and their session groups closed.")
            else:
                outcome.troubles.append("Jobs that had been submitted are left to run.")
        except QrtError as error:
            outcome.troubles.append(str(error))


@contextmanager
def _second() -> Iterator[threading.Event]:
    """Note a further Ctrl-C instead of raising it; a third one is raised."""
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return

    def note(number: int, frame: Any) -> None:
        if pressed.is_set():
            signal.default_int_handler(number, frame)
        pressed.set()

    before = signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)
