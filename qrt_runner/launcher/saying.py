"""Prints what a run says; knows the standard library only."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qrt_runner.results import TaskResult


def announce(words: str) -> None:
    """Tell what is going on, where somebody watches."""
    if sys.stderr.isatty():
        sys.stderr.write(f"{words}\n")


def announcer(progress: str) -> Callable[[str], None]:
    """Return what tells what is going on where no line is drawn, or nothing where that is not wanted."""
    return announce if progress != "off" else _say_nothing


def _say_nothing(_: str) -> None:
    """Leave it untold."""


def show(result: TaskResult, tasks: int) -> None:
    """Print a task's numbers: the fewer, the more tasks the run has."""
    from qrt_runner.runner import told_in_sweep

    say("".join(f"{line}\n" for line in told_in_sweep(result, tasks)))


def is_coloured() -> bool:
    """Tell whether stdout takes colours: a terminal does, but for a dumb one; NO_COLOR and FORCE_COLOR go before that.

    Both conventions (no-color.org, force-color.org) are about variables that are there and not empty.
    """
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def room() -> int | None:
    """Return how many columns stdout has; None where it is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def tidy(spare: Sequence[str] = ()) -> None:
    """Close the sessions that killed commands left open, but for those of these ids, and say so."""
    from qrt_runner.sessions.leaving import close_left_open

    for words in close_left_open(spare):
        sys.stderr.write(f"{words}\n")


def say(words: str) -> None:
    """Print; where nobody listens any more (`| head`), the run goes on and is recorded without a word.

    Where the words go to a file whose disk is full, that is told, and the run goes on as well.
    """
    try:
        sys.stdout.write(words)
        sys.stdout.flush()
    except OSError as error:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - lives as long as the process
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"stdout cannot be written ({error.strerror}): what is not shown is kept all the same\n")
