"""An untracked sweep with the Sampler: ours against the bare call, imports included.

4-qubit ansatz on `fake_manila`, Sampler, 1,024 shots, no store (`tracking=off`): `-m` against `by_hand/sampler.py`
without MLflow. The largest sweep has 10,000 points (POINTS), which the script submits in jobs of 1,000 parameter sets;
the smaller one has a tenth of that, in one broadcast PUB. Whole commands in processes of their own, in turn, ROUNDS
times; memory is the largest sum over the process tree. Goals: at most 1.2 times both; the smaller one at most 1 ms a
point over the bare call; the largest one at most 1.5 GiB.
"""

from __future__ import annotations

from _measuring import at_most, in_turn, medians, number, peaks, table
from _sweeps import WORKLOAD, by_hand, our_sweep, workplace

ROUNDS = number("ROUNDS", 3)
POINTS = number("POINTS", 10_000)
SMALLER = max(POINTS // 10, 1)
GOAL = 1.2
OVER_GOAL_MS = 1.0
PEAK_GOAL_GIB = 1.5


def main() -> None:
    """Run ours and the bare call for both sizes in turn and print the table."""
    lines = {}
    for points in (SMALLER, POINTS):
        lines[f"bare {points}"] = by_hand("sampler", points, SMALLER, "off")
        lines[f"ours {points}"] = our_sweep(points, "mode=sampler", "tracking=off")
    with workplace(store=False) as template:
        found = in_turn(lines, template, ROUNDS, watch=True)
    wall, peak = medians(found), peaks(found)
    print(f"Sampler, {WORKLOAD}, no store, at most {SMALLER} points in a job of the bare call, median of {ROUNDS}")
    rows = []
    for points in (SMALLER, POINTS):
        bare, own = f"bare {points}", f"ours {points}"
        times = [f"{wall[name]:.2f} s" for name in (bare, own)]
        gibs = [f"{peak[name]:.2f} GiB" for name in (bare, own)]
        rows.append([str(points), *times, *gibs, at_most(wall[own] / wall[bare], GOAL)])
    table(["points", "bare call", "qrt_runner", "peak, bare", "peak, ours", "ratio"], rows)
    over = (wall[f"ours {SMALLER}"] - wall[f"bare {SMALLER}"]) * 1000 / SMALLER
    print(f"over the bare call, {SMALLER} points: {at_most(over, OVER_GOAL_MS, ' ms')} a point")
    print(f"peak memory, {POINTS} points: {at_most(peak[f'ours {POINTS}'], PEAK_GOAL_GIB, ' GiB')}")


if __name__ == "__main__":
    main()
