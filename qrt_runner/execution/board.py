"""How far the jobs of a run are, for whoever watches it; knows the standard library only.

It holds what is known: what the services told, and what was done here. Nothing on it is guessed but what is called
predicted.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_STATES: Final = {
    "INITIALIZING": "queued",
    "QUEUED": "queued",
    "RUNNING": "running",
    "DONE": "done",
    "ERROR": "failed",
    "CANCELLED": "cancelled",
}
"""What the service's states are called here."""

ORDER: Final = ("done", "failed", "cancelled", "running", "queued", "submitted", "planned", "left")


@dataclass
class Board:
    """Lives for one execution; whoever watches is told of each change."""

    watch: Callable[[Board], None] | None = None
    states: dict[int, str] = field(default_factory=dict)
    """Of each job, by its index: planned, submitted, queued, running, done, failed, cancelled, or left for later."""

    to_go_s: dict[int, float] = field(default_factory=dict)
    """Quantum seconds predicted of each job that has not ended."""

    doing: str = ""
    """What this process is doing, in a few words; empty while it waits for a service."""

    since: float = field(default_factory=time.time)
    """When that began, in seconds since 1970."""

    pending: int | None = None
    """Jobs in the queue of the backend that is waited for, of all its users; None where that is not known."""

    spent_s: float = 0.0
    """Quantum seconds of the jobs that have ended."""

    session: str = ""
    """Kind of the session group that is waited for."""

    session_since: float | None = None
    """When a job of it was first seen to run; None before that."""

    tasks: tuple[int, int] = (0, 0)
    """How many have a result, and how many there are."""

    def does(self, words: str) -> None:
        """Note what is done from now on."""
        if words != self.doing:
            self.doing, self.since = words, time.time()
            self.tell()

    def stands(self, index: int, state: str) -> None:
        """Note the state of a job, in the service's words or ours."""
        state = _STATES.get(state, state)
        if self.states.get(index) != state:
            self.states[index] = state
            if state in ("done", "failed", "cancelled", "left"):
                self.to_go_s.pop(index, None)
            self.tell()

    def waits(self, kind: str) -> None:
        """Note that a service is waited for, for a job of this kind of session group, or of none."""
        if kind != self.session:
            self.session, self.session_since = kind, None
        self.does("")

    def runs_in_session(self) -> None:
        """Note that a job of the session group was seen to run."""
        self.session_since = self.session_since or time.time()

    def queue(self, pending: int | None) -> None:
        """Note how many jobs are in the backend's queue."""
        if pending != self.pending:
            self.pending = pending
            self.tell()

    def tell(self) -> None:
        """Tell whoever watches."""
        if self.watch is not None:
            self.watch(self)

    def told(self) -> dict[str, Any]:
        """Return it as plain data."""
        counted = Counter(self.states.values())
        return {
            "doing": self.doing,
            "since": self.since,
            "states": {state: counted[state] for state in ORDER if counted[state]},
            "pending": self.pending if counted["queued"] else None,
            "spent_s": self.spent_s,
            "to_go_s": sum(self.to_go_s.values()),
            "session": self.session,
            "session_since": self.session_since,
            "tasks": list(self.tasks),
        }
