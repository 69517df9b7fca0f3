"""Starts the process that draws, and tells it how far the run is; knows the standard library only.

It must never hold up the run: what cannot be sent at once is left out, and a process that gives no answer is ended.
"""

from __future__ import annotations

import json
import logging
import os
import select
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import ParamSpec

    from qrt_runner.execution import Board

    P = ParamSpec("P")

_ANSWER_S: Final = 2.0
_UNDRAWN_S: Final = 0.5
"""So long nothing is drawn: half of what the process waits for."""

_MOST_BYTES: Final = 4000
"""Of a message: less than what a pipe takes as a whole or not at all."""

_TIDY: Final = "\r\x1b[2K\x1b[?25h"
"""Takes the line away and shows the cursor, as the process does that draws, unless it is killed."""

_PACKAGE: Final = Path(__file__).resolve().parents[1]
_BEGINS: Final = "import sys; sys.path.append(sys.argv[2]); from qrt_runner.display.drawing import main; main()"
"""No file of the working directory is taken for a module of Python's, whatever its name."""

_STARTING: Final[dict[str, Any]] = {
    "doing": "getting ready",
    "states": {},
    "pending": None,
    "spent_s": 0.0,
    "to_go_s": 0.0,
    "session": "",
    "session_since": None,
    "tasks": (0, 0),
}
"""How far a run is before there is one: Qiskit is being imported."""


class Display:
    """Lives as long as a run."""

    def __init__(self, form: str | None) -> None:
        """Begin to draw, in a form that the process knows; None draws nothing."""
        self._drawing: subprocess.Popen[bytes] | None = None
        self._line = form == "line"
        self._asides = 0
        self._began = time.monotonic()
        if form is None:
            return
        command = [sys.executable, "-P", "-c", _BEGINS, form, str(_PACKAGE.parent)]
        with suppress(OSError):
            self._drawing = subprocess.Popen(  # noqa: S603 - our own module
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
            )
            assert self._drawing.stdin is not None
            os.set_blocking(self._drawing.stdin.fileno(), False)
            self._send({"board": {**_STARTING, "since": time.time()}})

    @property
    def draws(self) -> bool:
        """Whether anything is drawn."""
        return self._drawing is not None

    def announce(self, words: str) -> None:
        """Say what is going on."""
        self._send({"said": words})

    def watch(self, board: Board) -> None:
        """Tell how far the jobs are."""
        self._send({"board": board.told()})

    def beside(self, tell: Callable[P, None]) -> Callable[P, None]:
        """Return a function that prints while nothing is drawn."""

        def told(*arguments: P.args, **named: P.kwargs) -> None:
            with self._aside():
                tell(*arguments, **named)

        return told

    @contextmanager
    def _aside(self) -> Iterator[None]:
        if not self._line or time.monotonic() - self._began < _UNDRAWN_S:
            yield
            return
        self._asides = self._asides % 255 + 1
        try:
            self._send({"aside": self._asides})
            self._await(self._asides)
            yield
        finally:
            self._send({"aside": 0})

    def _await(self, number: int) -> None:
        """Wait for an answer, and do without the process where there is none."""
        until = time.monotonic() + _ANSWER_S
        while self._drawing is not None and self._drawing.stdout is not None:
            ready, _, _ = select.select([self._drawing.stdout], [], [], max(until - time.monotonic(), 0.0))
            answer = self._drawing.stdout.read(1) if ready else b""
            if answer == bytes([number]):
                return
            if not answer:
                self._give_up()

    def _send(self, message: Mapping[str, Any]) -> None:
        if self._drawing is None or self._drawing.stdin is None:
            return
        content = json.dumps(message).encode() + b"\n"
        if len(content) > _MOST_BYTES:
            return
        try:
            self._drawing.stdin.write(content)
        except BlockingIOError:
            return
        except OSError:
            self._give_up()

    def close(self) -> None:
        """Take away what is drawn."""
        if self._drawing is None or self._drawing.stdin is None:
            return
        if time.monotonic() - self._began < _UNDRAWN_S:
            self._give_up()
            return
        with suppress(OSError):
            self._drawing.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._drawing.wait(_ANSWER_S)
        self._give_up()

    def _give_up(self) -> None:
        """Do without the process, from now on."""
        drawing, self._drawing = self._drawing, None
        if drawing is None:
            return
        drawing.kill()
        if drawing.wait() and self._line and time.monotonic() - self._began >= _UNDRAWN_S:
            with suppress(OSError, ValueError):
                sys.stderr.write(_TIDY)
                sys.stderr.flush()
        for pipe in (drawing.stdin, drawing.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


@contextmanager
def displayed(progress: Literal["auto", "lines", "off"]) -> Iterator[Display]:
    """Draw how far a run is, as long as it lasts.

    Args:
        progress: `auto` draws a line on a terminal and writes lines elsewhere; `lines` writes them on a terminal too.
    """
    display = Display(form_of(progress))
    try:
        yield display
    finally:
        display.close()


def form_of(progress: str) -> str | None:
    """Return how it is told: on a line, in lines, or not at all, as where each step is logged anyway."""
    if progress == "off" or os.name != "posix" or logging.getLogger("qrt_runner").isEnabledFor(logging.INFO):
        return None
    try:
        is_terminal = os.isatty(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        # Such as in a notebook, where stderr is no file.
        return None
    return "line" if progress == "auto" and is_terminal and os.environ.get("TERM", "dumb") != "dumb" else "lines"
