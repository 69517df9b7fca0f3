"""Service time: the wall clock, and what was jumped over."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """Seconds since the epoch, never earlier than the wall clock's.

    Service time runs with the wall clock and, where it is virtual, jumps ahead over what nobody needs to sit out.
    It is thus ahead of the wall clock, never behind: what a client asks for by `created_after` is found.
    """

    def __init__(self, ahead_s: float = 0.0) -> None:
        """Start so many seconds ahead."""
        self.ahead_s = ahead_s

    def now(self) -> float:
        """Return service time."""
        return time.time() + self.ahead_s

    def jump_to(self, moment: float) -> None:
        """Go on at a moment that is still ahead."""
        self.ahead_s += max(0.0, moment - self.now())


def stamp(moment: float | None) -> str | None:
    """Return a moment as the service writes it: ISO 8601 in UTC, with Z."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, tz=UTC).isoformat().replace("+00:00", "Z")


def moment_of(text: str) -> float:
    """Return the moment that a client names in ISO 8601."""
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
