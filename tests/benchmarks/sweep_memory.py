"""Memory of a large mitigated sweep: the Estimator at resilience level 1, which takes 2.5 MiB a point in one job.

4-qubit ansatz on `fake_manila`, Estimator, observable ZZII, 1,024 shots, mitigation level_1, no store (`tracking=off`),
1,000 points (POINTS) and a tenth of them; POINTS=10000 is the size of the goal, and takes its time. One command each,
in processes of its own, ROUNDS times; memory is the largest sum over the process tree. Goal: at most 2 GiB. The same by
hand, one PUB in one job, is measured at the smaller size only: at 10,000 points it would take some 25 GiB.
"""

from __future__ import annotations

from _measuring import at_most, in_turn, medians, number, peaks, table
from _sweeps import WORKLOAD, by_hand, our_sweep, workplace

ROUNDS = number("ROUNDS", 1)
POINTS = number("POINTS", 1000)
SMALLER = max(POINTS // 10, 1)
GOAL_GIB = 2.0


def main() -> None:
    """Run ours at both sizes and the script at the smaller one, and print the table."""
    words = ("mode=estimator", "mode.shots=1024", "mitigation=level_1", "tracking=off")
    lines = {
        f"script, {SMALLER} points": by_hand("estimator", SMALLER, 1, "off"),
        f"qrt_runner, {SMALLER} points": our_sweep(SMALLER, *words),
        f"qrt_runner, {POINTS} points": our_sweep(POINTS, *words),
    }
    with workplace(store=False) as template:
        found = in_turn(lines, template, ROUNDS, watch=True)
    wall, peak = medians(found), peaks(found)
    print(f"Estimator, level_1, {WORKLOAD}, no store, largest of {ROUNDS}")
    rows = [[name, f"{wall[name]:.2f} s", f"{peak[name]:.2f} GiB", ""] for name in lines]
    table(["", "wall", "peak of the tree", ""], rows)
    print(f"peak memory, {POINTS} points: {at_most(peak[f'qrt_runner, {POINTS} points'], GOAL_GIB, ' GiB')}")
    if POINTS < 10_000:
        print("the goal is about 10,000 points: POINTS=10000")


if __name__ == "__main__":
    main()
