"""The process that draws how far a run is; knows rich, and of the run what it is sent.

It is one of its own because Aer holds Python's lock while it simulates: for minutes no thread of the run could draw.
What it is sent are lines of JSON. It ends with the run, however that ends, and leaves the terminal as it was.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, Queue
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.display.wording import line_of, words_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.live import Live

_TICK_S: Final = 0.5
DELAY_S: Final = 1.0
"""What is done sooner than that is not drawn."""

_HOLD_S: Final = 10.0
"""Where there is no terminal, jobs that are done sooner say nothing, nor does a plan in three times as long."""

_PAUSE_S: Final = 5.0
"""So often changes are told there at most."""

_FIRST_BEAT_S: Final = 60.0
_RAREST_BEAT_S: Final = 600.0
"""Where nothing changes, that is told after a minute, then after twice as long each time, up to ten minutes."""


@dataclass
class Line:
    """One line on a terminal, drawn anew as time goes by; what is said stands above it."""

    began: float = field(default_factory=time.monotonic)
    told: Mapping[str, Any] | None = None
    aside: bool = False
    """Whether the run itself is printing."""

    live: Live | None = None

    def take(self, message: Mapping[str, Any]) -> None:
        """Take what the run tells."""
        self.told = message.get("board", self.told)
        if "said" in message:
            self.clear()
            sys.stderr.write(f"{message['said']}\n")
            sys.stderr.flush()
        if "aside" in message:
            self.clear()
            self.aside = message["aside"] > 0
            os.write(1, bytes([message["aside"]]))

    def draw(self) -> None:
        """Draw the line as it is now."""
        if self.told is None or self.aside or time.monotonic() - self.began < DELAY_S:
            return
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        if self.live is None:
            console = Console(stderr=True, highlight=False)
            self.live = Live(console=console, auto_refresh=False, transient=True, redirect_stderr=False)
            self.live.start()
        line = Text(line_of(self.told, time.time()), no_wrap=True, overflow="ellipsis")
        self.live.update(line, refresh=True)

    def clear(self) -> None:
        """Take the line away."""
        if self.live is not None:
            self.live.stop()
            self.live = None


@dataclass
class Lines:
    """Lines with time stamps: what is said, what changes, and now and then that nothing does."""

    began: float = field(default_factory=time.monotonic)
    held: list[str] = field(default_factory=list)
    told: Mapping[str, Any] | None = None
    shown: Mapping[str, Any] | None = None
    """What was told last."""

    moment: float = -_PAUSE_S
    """When that was."""

    beat_s: float = _FIRST_BEAT_S

    def take(self, message: Mapping[str, Any]) -> None:
        """Take what the run tells."""
        knew = self._has_jobs
        self.told = message.get("board", self.told)
        if self._has_jobs and not knew:
            self.began = max(self.began, time.monotonic() - _HOLD_S if self.shown else time.monotonic())
        if "said" in message:
            self.held.append(_stamped(message["said"]))

    def draw(self) -> None:
        """Write what there is to be told by now."""
        now = time.monotonic()
        if now - self.began < (_HOLD_S if self._has_jobs else 3 * _HOLD_S):
            return
        lines, self.held = self.held, []
        if self.told is not None and (line := self._due(self.told, now - self.moment)):
            lines.append(line)
            self.shown, self.moment = self.told, now
        if lines:
            sys.stderr.write("".join(f"{line}\n" for line in lines))
            sys.stderr.flush()

    @property
    def _has_jobs(self) -> bool:
        return self.told is not None and bool(self.told["states"])

    def _due(self, told: Mapping[str, Any], since_s: float) -> str:
        changed = self.shown is None or _news(told) != _news(self.shown)
        if changed and since_s >= _PAUSE_S:
            self.beat_s = _FIRST_BEAT_S
            return _stamped(words_of(told, time.time()))
        if not changed and since_s >= self.beat_s:
            self.beat_s = min(2 * self.beat_s, _RAREST_BEAT_S)
            return _stamped(line_of(told, time.time()))
        return ""

    def clear(self) -> None:
        """Leave what is written."""


def _news(told: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return what is worth a line when it changes: seconds that go by are not."""
    return told["doing"] or told["states"], told["tasks"]


def _stamped(words: str) -> str:
    return f"{time.strftime('%Y-%m-%d %H:%M:%S')} {words}"


def main() -> None:
    """Draw until the run ends: then nobody writes any more."""
    # The run answers signals; this process ends with it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    inbox: Queue[Mapping[str, Any] | None] = Queue()
    Thread(target=_read, args=(inbox,), daemon=True).start()
    # A terminal that is gone takes nothing any more.
    with suppress(OSError):
        _draw(Line() if sys.argv[1] == "line" else Lines(), inbox)


def _draw(drawn: Line | Lines, inbox: Queue[Mapping[str, Any] | None]) -> None:
    while True:
        try:
            message = inbox.get(timeout=_TICK_S)
        except Empty:
            message = {}
        if message is None:
            break
        drawn.take(message)
        if inbox.empty():
            drawn.draw()
    drawn.clear()


def _read(inbox: Queue[Mapping[str, Any] | None]) -> None:
    for line in sys.stdin:
        inbox.put(json.loads(line))
    inbox.put(None)
