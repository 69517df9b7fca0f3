"""What it costs to be refused or helped: `--help` and a wrong config against the import of Hydra alone.

The default experiment, a Bell pair on ideal Aer; nothing is run, so there is no store, and the only shots are those
that are refused (`mode.shots=0`). Whole commands in processes of their own, in turn, ROUNDS times. Goals: both at most
2 times `import hydra`; `import qrt_runner` at most 50 ms over an empty Python.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import median

from _measuring import at_most, measured, number, ours, table

ROUNDS = number("ROUNDS", 15)
GOAL = 2.0
IMPORT_GOAL_MS = 50
LINES = {
    "python -c pass": ([sys.executable, "-c", "pass"], 0),
    "import qrt_runner": ([sys.executable, "-c", "import qrt_runner"], 0),
    "import hydra": ([sys.executable, "-c", "import hydra"], 0),
    "--help": (ours("--help"), 0),
    "mode.shots=0": (ours("mode.shots=0"), 2),
}
"""Commands by name, each with the exit code that it should end with."""


def main() -> None:
    """Run all in turn, the first time unmeasured, and print the table."""
    seconds: dict[str, list[float]] = {name: [] for name in LINES}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for turn in range(ROUNDS + 1):
            for title, (line, exit_code) in LINES.items():
                process = measured(line, folder, exit_code=exit_code)
                if turn:
                    seconds[title].append(process.seconds)
    wall = {title: median(values) for title, values in seconds.items()}
    print(f"Bell, ideal Aer, nothing run, no store, median of {ROUNDS}")
    rows = []
    for title in LINES:
        judged = (
            at_most(wall[title] / wall["import hydra"], GOAL) if "import" not in title and "-c" not in title else ""
        )
        rows.append([title, f"{wall[title]:.3f} s", judged])
    table(["", "wall", "against import hydra"], rows)
    over = (wall["import qrt_runner"] - wall["python -c pass"]) * 1000
    print(f"import qrt_runner over an empty Python: {at_most(over, IMPORT_GOAL_MS, ' ms')}")


if __name__ == "__main__":
    main()
