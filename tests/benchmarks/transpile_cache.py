"""What the transpilation cache saves: the same sweep compiled twice, first with an empty cache folder.

QFT on 20 to 100 qubits, 20 circuits (POINTS), lowered at optimization level 2 to the 156 qubits of `fake_fez`; nothing
is run, so there are no shots and no store: points are composed, judged and compiled into one plan in a process of their
own, and the seconds that its programs took to lower are summed, which is what MLflow's `time/transpile_s` tells. Two
processes in turn on one cache folder (QRT_CACHE_DIR), fresh in each of ROUNDS rounds. Goal: 0 s in the second.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path
from statistics import median

from _measuring import Measured, at_most, measured, number, table

TESTS = Path(__file__).parents[1]
ROUNDS = number("ROUNDS", 3)
POINTS = number("POINTS", 20)
QUBITS = [round(20 + 80 * index / max(POINTS - 1, 1)) for index in range(POINTS)]
DEVICE = ("backend=aer_noisy", "backend.name=fake_fez", "backend.method=matrix_product_state")
COMPILE = """
import sys

from composing import plan_of

shared, counts = sys.argv[2:], sys.argv[1].split(",")
plan = plan_of(*([f"circuit.params.num_qubits={count}", *shared] for count in counts))
for refusal in plan.refusals:
    sys.exit(str(refusal.error))
for program in plan.programs:
    print("lowered", program.circuit.num_qubits, program.lowered.seconds)
"""
"""Composes and compiles a sweep as the tests do, see `tests/composing.py`."""


def compiled(folder: Path, cache: Path) -> tuple[Measured, dict[int, float]]:
    """Compile the sweep; return the process and the seconds that each circuit took to lower, by its qubits."""
    qubits = ",".join(str(count) for count in QUBITS)
    line = [sys.executable, "-c", COMPILE, qubits, "circuit=qft", "mode=sampler", *DEVICE]
    process = measured(line, folder, cache=cache)
    seconds = {int(found[1]): float(found[2]) for found in re.finditer(r"lowered (\d+) (\S+)", process.output)}
    if sorted(seconds) != sorted(set(QUBITS)):
        sys.exit(f"only {sorted(seconds)} of {QUBITS} qubits were lowered:\n{process.output[-3000:]}")
    return process, seconds


def main() -> None:
    """Compile twice in each round and print the table."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    rounds = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            rounds.append([compiled(folder, folder / "cache") for _ in range(2)])
    print(
        f"QFT, {POINTS} circuits of {QUBITS[0]} to {QUBITS[-1]} qubits, on fake_fez, compiled only, median of {ROUNDS}"
    )
    rows = []
    for run, title in enumerate(("first run, empty cache", "second run")):
        sums = median(sum(pair[run][1].values()) for pair in rounds)
        largest = median(pair[run][1][QUBITS[-1]] for pair in rounds)
        wall = median(pair[run][0].seconds for pair in rounds)
        rows.append([title, f"{sums:.3f} s", f"{largest:.3f} s", f"{wall:.2f} s", ""])
    table(["", "transpiling", f"of {QUBITS[-1]} qubits", "wall", ""], rows)
    again = median(sum(pair[1][1].values()) for pair in rounds)
    print(f"transpiling in the second run: {at_most(again, 0, ' s')}")


if __name__ == "__main__":
    main()
