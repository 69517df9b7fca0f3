"""Our own share of a tracked sweep: Hydra, planning, scattering and recording, without the primitive's work.

4-qubit ansatz on `fake_manila`, Sampler, 1,024 shots, each point a child run of an existing SQLite store: the wall time
of `-m` less that of the bare call (`by_hand/sampler.py` without MLflow, jobs of at most 1,000 parameter sets), for 1,
100, 1,000 and 10,000 points (a ten-thousandth, hundredth, tenth and all of POINTS). The second and the third give a
fixed and a per-point cost; goals: at most 1.5 s and 3 ms. What a point costs in all, simulation included, less what a
single one costs, which is the start, is told at each size; goal: at the largest at most 1.2 times that at the smallest.
Whole commands in processes of their own, in turn, ROUNDS times; TMPDIR says on which disk.
"""

from __future__ import annotations

import os

from _measuring import at_most, in_turn, medians, number, table
from _stored import Checked, disk
from _sweeps import STORE, WORKLOAD, by_hand, our_sweep, workplace

ROUNDS = number("ROUNDS", 3)
POINTS = number("POINTS", 10_000)
SIZES = (1, max(POINTS // 100, 2), max(POINTS // 10, 3), POINTS)
CHUNK = 1000
FIXED_GOAL_S = 1.5
EACH_GOAL_MS = 3.0
GROWTH_GOAL = 1.2


def main() -> None:
    """Run ours and the bare call for each size in turn and print the shares."""
    os.environ["OMP_NUM_THREADS"] = "1"
    lines = {}
    for points in SIZES:
        lines[f"bare {points}"] = by_hand("sampler", points, CHUNK, "off")
        lines[f"ours {points}"] = our_sweep(points, "mode=sampler")
    checked = Checked({f"ours {points}": points for points in SIZES})
    with workplace(store=True) as template:
        wall = medians(in_turn(lines, template, ROUNDS, check=checked))
    own = {points: wall[f"ours {points}"] - wall[f"bare {points}"] for points in SIZES}
    each_ms = {points: (wall[f"ours {points}"] - wall["ours 1"]) * 1000 / (points - 1) for points in SIZES[1:]}
    print(f"Our own share, Sampler, {WORKLOAD}, {STORE}, median of {ROUNDS}; {disk()}")
    rows = [
        [
            str(points),
            *(f"{seconds:.2f} s" for seconds in (wall[f"bare {points}"], wall[f"ours {points}"], own[points])),
            f"{each_ms[points]:.2f} ms" if points in each_ms else "",
            "",
        ]
        for points in SIZES
    ]
    table(["points", "bare call", "qrt_runner", "own share", "a point in all", ""], rows)
    small, middle = SIZES[1], SIZES[2]
    slope = (own[middle] - own[small]) / (middle - small)
    print(f"from {small} and {middle} points, fixed: {at_most(own[small] - small * slope, FIXED_GOAL_S, ' s')}")
    print(f"from {small} and {middle} points, per point: {at_most(slope * 1000, EACH_GOAL_MS, ' ms')}")
    growth = at_most(each_ms[SIZES[-1]] / each_ms[small], GROWTH_GOAL)
    print(f"per point at {SIZES[-1]} against {small} points: {growth}")


if __name__ == "__main__":
    main()
