"""What a large device costs: the estimator on a 5-qubit GHZ state, on 127 qubits against 5.

Circuit ghz with 5 qubits, estimator, 4,096 shots, mitigation none and level_1, no tracking: `fake_sherbrooke` (127
qubits) against `fake_manila` (5 qubits). Whole commands in processes of their own, in turn; what is told are medians
and ratios. Goal: at most 1.5 times.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = int(os.environ.get("ROUNDS", "5"))
GOAL = 1.5


def seconds(backend: str, mitigation: str, folder: str) -> float:
    """Return the wall time of one command."""
    words = ["circuit=ghz", "circuit.params.num_qubits=5", "mode=estimator", "tracking=off"]
    line = [sys.executable, "-m", "qrt_runner", *words, f"backend={backend}", f"mitigation={mitigation}"]
    start = time.perf_counter()
    subprocess.run(line, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    """Run both in turn and print the table."""
    print(f"GHZ-5, estimator, 4,096 shots, tracking off, median of {ROUNDS}")
    print(f"{'mitigation':12}{'fake_manila':>14}{'fake_sherbrooke':>18}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for mitigation in ("none", "level_1"):
            rounds = [
                (seconds("fake_manila", mitigation, folder), seconds("fake_sherbrooke", mitigation, folder))
                for _ in range(ROUNDS)
            ]
            small, large = (statistics.median(values) for values in zip(*rounds, strict=True))
            print(f"{mitigation:12}{small:13.2f}s{large:17.2f}s{large / small:8.2f}  (goal: at most {GOAL})")


if __name__ == "__main__":
    main()
