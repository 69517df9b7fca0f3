"""What the journal costs: a Bell pair, a sweep of 1,000 points in one job, and 50 jobs on the rehearsal in one batch.

Every run is written down, with its plan, before anything is submitted, every submission before it is made, and every
raw result before anything is computed from it; each of these is on the disk when the call returns. Told are, per
command: the seconds in the journal's own calls; those in making what it keeps (the packed plan, the keys by which equal
tasks and commands are found again); the import of its modules; all of them for each job in milliseconds; and their
share of the whole command. Measured in the command itself, each in a process of its own, in turn, ROUNDS times, on an
existing SQLite store; TMPDIR says on which disk. POINTS (1,000) and JOBS (50) set the sizes.
"""

from __future__ import annotations

import importlib
import json
import runpy
import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from _measuring import copy_of, measured, number, ours, table
from _stored import disk
from _sweeps import our_sweep, workplace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROUNDS = number("ROUNDS", 5)
POINTS = number("POINTS", 1000)
JOBS = number("JOBS", 50)
BATCH = (
    *("-m", "backend=rehearsal", "backend.store=service", "session=batch", "circuit=h2", "mode=sampler"),
    *(f"circuit.parameter_values.theta=range(0,{JOBS})", "backend.limits.parameter_sets=1"),
)
LINES = {
    "Bell on aer": (ours("mode=sampler"), 1),
    f"{POINTS} points in one job": (our_sweep(POINTS, "mode=sampler"), 1),
    f"{JOBS} jobs in a batch": (ours(*BATCH), JOBS),
}
"""Commands by name, and how many jobs each submits."""

WATCHED = "--watched"
_NOTE = "spent.json"


@dataclass(frozen=True)
class Spent:
    """What one command spent, in seconds."""

    whole_s: float
    """Of the process, from its start to its end."""

    calls_s: float
    """In the journal's own calls."""

    makes_s: float
    """In making what it keeps."""

    imports_s: float
    calls: int
    """How many calls to the journal there were."""

    @property
    def journal_s(self) -> float:
        """All that would not be spent without a journal."""
        return self.calls_s + self.makes_s + self.imports_s


def spent(line: Sequence[str], folder: Path) -> Spent:
    """Run a command in a folder, watched, and return what it has spent."""
    words = line[line.index("qrt_runner") + 1 :]
    command = measured([sys.executable, __file__, WATCHED, *words], folder)
    told = json.loads((folder / _NOTE).read_text())
    return Spent(command.seconds, told["calls"], told["makes"], told["imports"], told["count"])


def middle(found: Sequence[Spent]) -> Spent:
    """Return the medians."""
    return Spent(*(median(values) for values in zip(*(vars(one).values() for one in found), strict=True)))


# --- inside the watched command -------------------------------------------------------------------------------------


class Watch:
    """Sums up the seconds of calls, those inside another one not twice; lives as long as the command."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.seconds: Counter[str] = Counter()
        self.count = 0
        self._inside = False

    @contextmanager
    def timing(self, kind: str) -> Iterator[None]:
        """Time what is done inside."""
        if self._inside:
            yield
            return
        self._inside, start = True, time.perf_counter()
        try:
            yield
        finally:
            self._inside = False
            self.seconds[kind] += time.perf_counter() - start
            self.count += kind == "calls"

    def timed(self, kind: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function, timed."""

        @wraps(call)
        def watched(*given: Any, **named: Any) -> Any:
            with self.timing(kind):
                return call(*given, **named)

        return watched

    def timed_around(self, kind: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that gives a context manager, timed as it is entered and left."""

        @contextmanager
        def watched(*given: Any, **named: Any) -> Iterator[Any]:
            around = call(*given, **named)
            with self.timing(kind):
                inside = around.__enter__()
            try:
                yield inside
            except BaseException as error:
                if not around.__exit__(type(error), error, error.__traceback__):
                    raise
            else:
                with self.timing(kind):
                    around.__exit__(None, None, None)

        return watched


def watch_command() -> None:
    """Run the command line of this process with the journal's calls timed, and write down what they took."""
    watch = Watch()
    # What the command imports anyway is not the journal's.
    for name in ("numpy", "qrt_runner.results", "qrt_runner.errors"):
        importlib.import_module(name)
    with watch.timing("imports"):
        journal = importlib.import_module("qrt_runner.journal")
        importlib.import_module("filelock")
    for kind in (journal.Journal, journal.Diary):
        for name, call in vars(kind).items():
            if callable(call) and (not name.startswith("_") or name in ("__init__", "__exit__")):
                timed = watch.timed_around if name in ("held", "begun") else watch.timed
                setattr(kind, name, timed("calls", call))
    plan = importlib.import_module("qrt_runner.plan")
    for name in ("packed", "task_keys", "request_key"):
        setattr(plan, name, watch.timed("makes", getattr(plan, name)))
    try:
        runpy.run_module("qrt_runner", run_name="__main__", alter_sys=True)
    finally:
        Path(_NOTE).write_text(json.dumps({**watch.seconds, "count": watch.count}))


# --- the benchmark --------------------------------------------------------------------------------------------------


def main() -> None:
    """Run the commands in turn, and print the table."""
    found: dict[str, list[Spent]] = {name: [] for name in LINES}
    with workplace(store=True) as template:
        for _ in range(ROUNDS):
            for name, (line, _) in LINES.items():
                with copy_of(template) as folder:
                    found[name].append(spent(line, folder))
    print(f"The journal's share of whole commands, median of {ROUNDS}; {disk()}")
    rows = [row(name, middle(found[name]), jobs) for name, (_, jobs) in LINES.items()]
    head = ["", "whole", "calls", "their time", "plan and keys", "import", "in all", "per job", "share", ""]
    table(head, rows)


def row(name: str, one: Spent, jobs: int) -> list[str]:
    """Return a command's line of the table."""
    times = [f"{seconds * 1000:.1f} ms" for seconds in (one.calls_s, one.makes_s, one.imports_s, one.journal_s)]
    each, share = f"{one.journal_s * 1000 / jobs:.1f} ms", f"{one.journal_s / one.whole_s:.1%}"
    return [name, f"{one.whole_s:.2f} s", str(one.calls), *times, each, share, ""]


if __name__ == "__main__":
    if sys.argv[1:2] == [WATCHED]:
        del sys.argv[1]
        watch_command()
    else:
        main()
