"""Measures whole commands in processes of their own: wall time, peak memory, tables; no benchmark itself."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

GIB = 2**30
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_LOOK_EVERY_S = 0.05


@dataclass(frozen=True)
class Measured:
    """One command, measured."""

    seconds: float
    """Wall time from before its process is made until it has ended."""

    peak_gib: float
    """Largest sum of the resident memory of the process and its descendants; 0 where nobody watched. Pages that
    processes share count once in each."""

    output: str
    """What it wrote to stdout and stderr."""


def number(name: str, default: int) -> int:
    """Return a size that the environment may set."""
    return int(os.environ.get(name, default))


def ours(*words: str) -> list[str]:
    """Return our command line with these overrides."""
    return [sys.executable, "-m", "qrt_runner", *words]


def environment(cache: Path) -> dict[str, str]:
    """Return the environment of a measured command: a cache folder of its own, the store in the working directory."""
    return {**os.environ, "QRT_CACHE_DIR": str(cache), "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"}


def measured(
    line: Sequence[str], folder: Path, *, cache: Path | None = None, watch: bool = False, exit_code: int = 0
) -> Measured:
    """Run a command in a folder and measure it; end the benchmark where it does not end as it should.

    Args:
        line: The command.
        folder: Its working directory.
        cache: Its cache folder, by default one in the working directory.
        watch: Whether its memory is watched, 20 times a second, which costs it about a hundredth of a core.
        exit_code: What it should end with.
    """
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        start = time.perf_counter()
        with subprocess.Popen(
            line, cwd=folder, env=environment(cache or folder / "cache"), stdout=output, stderr=subprocess.STDOUT
        ) as running:
            peak = _watched(running) if watch else 0.0
            running.wait()
        seconds = time.perf_counter() - start
        output.seek(0)
        text = output.read()
    if running.returncode != exit_code:
        sys.exit(f"{' '.join(line)}\nended with {running.returncode} instead of {exit_code}:\n{text[-3000:]}")
    return Measured(seconds, peak, text)


def in_turn(
    lines: Mapping[str, Sequence[str]],
    template: Path,
    rounds: int,
    *,
    watch: bool = False,
    check: Callable[[str, Path], None] | None = None,
) -> dict[str, list[Measured]]:
    """Run commands in turn, each in a fresh copy of a folder, and return what was measured.

    Args:
        lines: The commands by name.
        template: The folder.
        rounds: How often each is run.
        watch: Whether memory is watched.
        check: Given a command's name and folder when it has ended, unmeasured.
    """
    found: dict[str, list[Measured]] = {name: [] for name in lines}
    for _ in range(rounds):
        for name, line in lines.items():
            with copy_of(template) as folder:
                found[name].append(measured(line, folder, watch=watch))
                if check is not None:
                    check(name, folder)
    return found


def medians(found: Mapping[str, Sequence[Measured]]) -> dict[str, float]:
    """Return the median wall time of each command, in seconds."""
    return {name: statistics.median(one.seconds for one in rounds) for name, rounds in found.items()}


def peaks(found: Mapping[str, Sequence[Measured]]) -> dict[str, float]:
    """Return the largest peak memory of each command, in GiB."""
    return {name: max(one.peak_gib for one in rounds) for name, rounds in found.items()}


@contextmanager
def copy_of(template: Path) -> Iterator[Path]:
    """Lend a fresh copy of a folder, removed afterwards, so that no command finds what another one left."""
    with tempfile.TemporaryDirectory(dir=template.parent) as name:
        folder = Path(name) / "work"
        shutil.copytree(template, folder)
        yield folder


def at_most(value: float, goal: float, unit: str = "") -> str:
    """Return a value beside the goal that it must not exceed."""
    return f"{value:.2f}{unit} (goal: at most {goal:g}{unit}, {'met' if value <= goal else 'missed'})"


def at_least(value: float, goal: float, unit: str = "") -> str:
    """Return a value beside the goal that it must reach."""
    return f"{value:.2f}{unit} (goal: at least {goal:g}{unit}, {'met' if value >= goal else 'missed'})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, its first and last column to the left, numbers to the right."""
    widths = [max(len(line[column]) for line in (head, *rows)) for column in range(len(head))]
    for line in (head, *rows):
        inner = [f"{word:>{width}}" for word, width in zip(line[1:-1], widths[1:-1], strict=True)]
        print("  ".join([f"{line[0]:{widths[0]}}", *inner, line[-1]]), flush=True)


def _watched(running: subprocess.Popen[bytes]) -> float:
    """Wait for a process and return the peak memory of its tree, in GiB."""
    peak, ended = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(_LOOK_EVERY_S):
            peak = max(peak, _resident_bytes(running.pid))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    _, status, usage = os.wait4(running.pid, 0)
    ended.set()
    watcher.join()
    running.returncode = os.waitstatus_to_exitcode(status)
    # The kernel's own maximum of the largest single process, in KiB, misses no moment.
    return max(peak, usage.ru_maxrss * 1024) / GIB


def _resident_bytes(root: int) -> int:
    """Return the resident memory of a process and its descendants now."""
    children: dict[int, list[int]] = {}
    resident: dict[int, int] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            # After the name, which stands in brackets and may hold anything: state, parent, and resident pages 22nd.
            words = file.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        process = int(file.parent.name)
        resident[process] = int(words[21]) * _PAGE_BYTES
        children.setdefault(int(words[1]), []).append(process)
    total, waiting = 0, [root]
    while waiting:
        process = waiting.pop()
        total += resident.get(process, 0)
        waiting += children.get(process, [])
    return total
