"""Waits for jobs on a service, and tells how they stand; knows the modules above it.

The client waits without a word. Here its job is asked for its state at the client's own pace, and where somebody
watches, now and then, what costs a request more: how long the queue is, and how the other jobs of the run stand.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.execution.asking import FINAL, again
from qrt_runner.results import NO_SESSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from qrt_runner.execution.attempts import Attempt
    from qrt_runner.execution.orders import Orders

_PACE_S: Final = 0.5
_PACE_IN_SESSION_S: Final = 0.1
"""How often the client itself asks for a job's state, outside of session groups and in them."""

_FIRST_LOOK_S: Final = 3.0
_NEXT_LOOK_S: Final = 15.0
"""When more is asked of a service where a job is waited for, and how often then."""

_MOST_OTHERS: Final = 5
"""Of how many other jobs the state is asked at a time: each costs a request."""

_UNDER_WAY: Final = ("submitted", "queued", "running")
_log = logging.getLogger(__name__)


def wait_for(attempt: Attempt, orders: Orders) -> None:
    """Return when a job on a service has ended.

    Raises:
        Exception: What the client raises where the service refuses to tell its state, or gives no answer for long.
    """
    grouped = attempt.session_id != NO_SESSION
    board, looks, last = orders.board, _Looks(attempt, orders), ""
    board.waits(attempt.session_kind if grouped else "")
    while True:
        state = str(again(attempt.handle.status))
        _log.log(logging.DEBUG if state == last else logging.INFO, "job %s is %s", attempt.service_id, state.lower())
        board.stands(attempt.job.index, state)
        if state in FINAL:
            return
        if grouped and state == "RUNNING":
            board.runs_in_session()
        if board.watch is not None:
            looks.look(queued=state == "QUEUED", changed=last not in ("", state))
        last = state
        time.sleep(_PACE_IN_SESSION_S if grouped else _PACE_S)


@dataclass
class _Looks:
    """Asks a service for more, while a job is waited for; where there is no answer, nothing is told."""

    attempt: Attempt
    orders: Orders
    due: float = field(default_factory=lambda: time.monotonic() + _FIRST_LOOK_S)

    def look(self, *, queued: bool, changed: bool) -> None:
        """Look where it is time to, or where the job that is waited for has gone on."""
        if time.monotonic() < self.due and not changed:
            return
        backend, board = self.attempt.job.submission.device.backend, self.orders.board
        board.queue(_answer(lambda: int(backend.status().pending_jobs)) if queued else None)
        others = [index for index in self.orders.handles if board.states.get(index) in _UNDER_WAY]
        for index in [index for index in others if index != self.attempt.job.index][:_MOST_OTHERS]:
            if (state := _answer(self.orders.handles[index].status)) is not None:
                board.stands(index, str(state))
        self.due = time.monotonic() + _NEXT_LOOK_S


def _answer(ask: Callable[[], Any]) -> Any:
    """Return what a service answers; None where it gives none: it is told nowhere, and asked again later."""
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - whatever the client raises, it is only for those who watch
        _log.info("no answer: %s", error)
        return None
