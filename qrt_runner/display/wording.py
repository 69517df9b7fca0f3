"""Puts into a line how far a run is; knows the standard library only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

Told = Mapping[str, Any]
"""How far a run is, as its board tells it."""

_HOUR_S: Final = 3600


def line_of(told: Told, now: float) -> str:
    """Return all that is known, in a line: what takes long first, so that a narrow terminal cuts off what matters less.

    Args:
        told: How far the run is.
        now: Seconds since 1970.
    """
    return f"{clock(now - told['since'])}  {words_of(told, now)}"


def words_of(told: Told, now: float) -> str:
    """Return what is known but for how long it has been so."""
    return "; ".join(_parts(told, now))


def _parts(told: Told, now: float) -> Iterator[str]:
    states, (done, tasks) = told["states"], told["tasks"]
    if told["doing"]:
        yield told["doing"]
    elif states:
        yield _jobs(states, told["pending"])
    if told["doing"] and tasks > 1 and done:
        yield f"{done} of {tasks} tasks are done"
    if told["spent_s"] or told["to_go_s"]:
        to_go = f", about {seconds(told['to_go_s'])} to go" if told["to_go_s"] else ""
        yield f"{seconds(told['spent_s'])} spent{to_go}"
    if told["session_since"] is not None and not told["doing"]:
        yield f"{told['session']} {clock(now - told['session_since'])}"


def _jobs(states: Mapping[str, int], pending: int | None) -> str:
    """Return the jobs by state; pending ones are those of all users of the backend."""
    named = [f"{count} {state}{_queue(state, pending)}" for state, count in states.items()]
    total = sum(states.values())
    return f"{', '.join(named)} of {total} job{'s' if total != 1 else ''}"


def _queue(state: str, pending: int | None) -> str:
    return f" (queue: {pending})" if state == "queued" and pending is not None else ""


def clock(elapsed_s: float) -> str:
    """Return a time as minutes and seconds, or with hours: 0:07, 12:34, 1:02:03."""
    whole = max(int(elapsed_s), 0)
    hours, rest = divmod(whole, _HOUR_S)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def seconds(value: float) -> str:
    """Return quantum seconds: below ten with a decimal, above without."""
    return f"{value:.1f} s" if 0 < value < 10 else f"{value:,.0f} s"
