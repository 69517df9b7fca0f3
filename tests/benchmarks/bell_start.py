"""Start-up of a single Bell experiment, as one sees it on a terminal: first words, counts, record, run in MLflow.

Bell pair, ideal Aer, 1,024 shots, SQLite store: whole commands on a terminal of their own, in turn, ROUNDS times. Told
are medians of the time to the first output; to the counts; to the record on disk; and to the end of the process, when
the run is in MLflow. Goals: first output at most 0.3 s; counts shown and kept at most 2 times the counts of Aer alone
(qiskit and qiskit_aer, no more), for `mode=raw`, which submits just that; the end at most 0.7 times that of a lean
script with Aer and MLflow's client, with a store that is there and with a fresh one. `mode=sampler` is told beside a
bare Sampler script.

A cache (QRT_CACHE_DIR) is `warm` where an earlier run has filled it, and `cold` where it is the first on the machine.
"""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from math import inf
from statistics import median
from typing import TYPE_CHECKING, Final

from _measuring import at_most, copy_of, environment, number, ours, table
from _sweeps import by_hand, workplace

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = number("ROUNDS", 7)
FIRST_GOAL_S = 0.3
COUNTS_GOAL = 2.0
END_GOAL = 0.7
COUNTS: Final = re.compile(rb"\b(00|11)'?: \d+")
LINES: Final = {
    "ours": (ours("mode=raw"), "existing", "warm"),
    "ours, fresh": (ours("mode=raw"), "fresh", "warm"),
    "ours, new": (ours("mode=raw"), "fresh", "cold"),
    "ours, sampler": (ours("mode=sampler"), "existing", "warm"),
    "Aer alone": (by_hand("bell", "raw", "off"), "existing", ""),
    "Sampler alone": (by_hand("bell", "sampler", "off"), "existing", ""),
    "lean": (by_hand("bell", "raw", "mlflow"), "existing", ""),
    "lean, fresh": (by_hand("bell", "raw", "mlflow"), "fresh", ""),
}
"""Commands by name, each with its store and cache."""


@dataclass
class Moments:
    """When something was seen of one command, in seconds after its start."""

    first: float = inf
    counts: float = inf
    record: float = inf
    """When a task's line was in `tasks.jsonl`; by hand nothing is kept."""

    end: float = inf


def on_terminal(line: list[str], folder: Path, cache: Path) -> Moments:
    """Run a command on a terminal of its own and note the moments."""
    seen, text = Moments(), b""
    ours_end, theirs = pty.openpty()
    start = time.perf_counter()
    with subprocess.Popen(
        line, cwd=folder, env=environment(cache), stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    ) as running:
        os.close(theirs)
        while (piece := _read(ours_end, 0.005)) is not None:
            now = time.perf_counter() - start
            text += piece
            if seen.record == inf and _is_kept(folder):
                seen.record = now
            if seen.first == inf and text.strip():
                seen.first = now
            if piece and seen.counts == inf and COUNTS.search(text):
                seen.counts = now
    seen.end = time.perf_counter() - start
    if seen.record == inf and _is_kept(folder):
        seen.record = seen.end
    os.close(ours_end)
    if running.returncode or seen.counts == inf:
        sys.exit(f"{' '.join(line)}\nended with {running.returncode}:\n{text.decode(errors='replace')[-3000:]}")
    return seen


def _read(terminal: int, wait_s: float) -> bytes | None:
    """Return what was written meanwhile, and None once nobody can write any more."""
    ready, _, _ = select.select([terminal], [], [], wait_s)
    try:
        return os.read(terminal, 65536) if ready else b""
    except OSError:
        return None


def _is_kept(folder: Path) -> bool:
    return any(file.stat().st_size for file in folder.glob("outputs/*/*/tasks.jsonl"))


def measured_in_turn() -> dict[str, Moments]:
    """Run all commands in turn, the first time unmeasured, and return the medians."""
    found: dict[str, list[Moments]] = {name: [] for name in LINES}
    with workplace(store=True) as existing, workplace(store=False) as fresh:
        warm = existing.parent / "cache"
        for turn in range(ROUNDS + 1):
            for name, (line, store, cache) in LINES.items():
                with ExitStack() as stack:
                    folder = stack.enter_context(copy_of(existing if store == "existing" else fresh))
                    seen = on_terminal(line, folder, folder / "cache" if cache == "cold" else warm)
                if turn:
                    found[name].append(seen)
    return {
        name: Moments(*(median(values) for values in zip(*(vars(seen).values() for seen in rounds), strict=True)))
        for name, rounds in found.items()
    }


def main() -> None:
    """Measure, and print the table and the goals."""
    seen = measured_in_turn()
    print(f"Bell, ideal Aer, 1,024 shots, SQLite store, on a terminal, median of {ROUNDS}")
    rows = []
    for name, (_, store, cache) in LINES.items():
        times = ["-" if value == inf else f"{value:.2f} s" for value in vars(seen[name]).values()]
        rows.append([name, "-" if "alone" in name else store, cache or "-", *times, ""])
    table(["", "store", "cache", "first output", "counts", "record", "end", ""], rows)
    kept = {name: max(seen[name].counts, seen[name].record) for name in LINES}
    for name in ("ours", "ours, new"):
        print(f"{name}: first output {at_most(seen[name].first, FIRST_GOAL_S, ' s')}")
        ratio = kept[name] / seen["Aer alone"].counts
        print(f"{name}: counts shown and kept against those of Aer alone: {at_most(ratio, COUNTS_GOAL)}")
    ratio = kept["ours, sampler"] / seen["Sampler alone"].counts
    print(f"ours, sampler: counts shown and kept against those of the Sampler alone: {ratio:.2f}")
    for name, lean in (("ours", "lean"), ("ours, fresh", "lean, fresh"), ("ours, new", "lean, fresh")):
        print(f"{name}: in MLflow against {lean}: {at_most(seen[name].end / seen[lean].end, END_GOAL)}")


if __name__ == "__main__":
    main()
