"""Runs commands on a terminal of their own, and tells what stood on it at which moment."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_CODES: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass
class Screen:
    """What a command wrote on its terminal."""

    code: int = 0
    pieces: list[tuple[float, str]] = field(default_factory=list)
    """What it wrote at once, each with the seconds since its start."""

    terminal: int = -1

    def press(self, keys: bytes) -> None:
        """Press keys; Ctrl-C reaches all processes on the terminal."""
        os.write(self.terminal, keys)

    @property
    def raw(self) -> str:
        """All that was written, with its control codes."""
        return "".join(text for _, text in self.pieces)

    def drawn(self) -> list[str]:
        """Return the lines that were drawn or printed, in their order, without control codes."""
        lines = (_CODES.sub("", line).strip() for line in re.split(r"[\r\n]+", self.raw))
        return [line for line in lines if line]

    def left(self) -> list[str]:
        """Return the lines that stand on the terminal in the end, those above its upper edge included."""
        lines, row, column = [""], 0, 0
        for code, text in re.findall(r"(\x1b\[[0-9;?]*[A-Za-z]|\r|\n)|([^\x1b\r\n]+)", self.raw):
            if text:
                lines[row] = lines[row][:column].ljust(column) + text + lines[row][column + len(text) :]
                column += len(text)
            elif code == "\r":
                column = 0
            elif code == "\n":
                row += 1
                lines += [""] * (row + 1 - len(lines))
            elif code.endswith("A"):
                row -= int(code[2:-1] or 1)
            elif code == "\x1b[2K":
                lines[row] = ""
        return [line.rstrip() for line in lines]


def on_terminal(
    words: Sequence[str],
    columns: int = 80,
    *,
    controls: bool = True,
    act: Callable[[Screen, subprocess.Popen[bytes]], None] = lambda *_: None,
    **environment: str,
) -> Screen:
    """Run the command line on a terminal.

    Args:
        words: What is asked for.
        columns: Width of the terminal.
        controls: Whether keys reach the command; such a terminal is hung up when the command ends.
        act: Called again and again with what stands on it so far, and the process.
        environment: Variables that the command is to find.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    settings = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    screen, start = Screen(terminal=ours), time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "qrt_runner", *words],
        stdin=theirs,
        start_new_session=controls,
        preexec_fn=(lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)) if controls else None,  # noqa: PLW1509 - no threads here
        stdout=theirs,
        stderr=theirs,
        env={**settings, "TERM": "xterm", **environment},
    ) as running:
        os.close(theirs)
        try:
            while (piece := _read(ours)) is not None:
                if piece:
                    screen.pieces.append((time.monotonic() - start, piece))
                act(screen, running)
                assert time.monotonic() - start < 120, screen.raw
        finally:
            os.close(ours)
            if running.poll() is None and sys.exc_info()[0] is not None:
                running.kill()
    screen.code = running.returncode
    return screen


def _read(terminal: int) -> str | None:
    """Return what was written meanwhile; None once nobody can write any more."""
    ready, _, _ = select.select([terminal], [], [], 0.05)
    try:
        return os.read(terminal, 65536).decode(errors="replace") if ready else ""
    except OSError:
        return None
