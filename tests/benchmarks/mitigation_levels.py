"""What our bookkeeping of mitigation costs: ours against the runtime's Estimator by hand, at resilience levels 0 to 2.

4-qubit ansatz on `fake_manila`, Estimator, observable ZZII, 1,024 shots, no tracking: `-m` over 1,000, 300 and 60
values of an angle (times SCALE), so that the work outweighs the start of both, against `by_hand/estimator.py`, which
transpiles once and submits one broadcast PUB as one job. Ours tells besides, of every point, what was asked for, what
each knob became, what was applied and why the rest was not, and what it costs. Whole commands in processes of their
own, in turn, ROUNDS times. Goal: at most 1.1 times at each level.
"""

from __future__ import annotations

from _measuring import at_most, in_turn, medians, number, table
from _sweeps import WORKLOAD, by_hand, our_sweep, workplace

ROUNDS = number("ROUNDS", 3)
SCALE = number("SCALE", 1)
POINTS = {0: 1000 * SCALE, 1: 300 * SCALE, 2: 60 * SCALE}
"""By resilience level of the Estimator: none, TREX, and gate twirling and zero-noise extrapolation besides."""
GOAL = 1.1


def main() -> None:
    """Run ours and the script at each level in turn and print the table."""
    lines = {}
    for level, points in POINTS.items():
        asked = ("mode=estimator", "mode.shots=1024", f"mitigation=level_{level}", "tracking=off")
        lines[f"script {level}"] = by_hand("estimator", points, level, "off")
        lines[f"ours {level}"] = our_sweep(points, *asked)
    with workplace(store=False) as template:
        wall = medians(in_turn(lines, template, ROUNDS))
    print(f"Estimator, {WORKLOAD}, no tracking, median of {ROUNDS}")
    points = {name: POINTS[int(name.rsplit(" ", 1)[1])] for name in wall}
    rows = [
        [name, str(points[name]), f"{wall[name]:.2f} s", f"{wall[name] / points[name] * 1000:.1f} ms"] for name in wall
    ]
    table(["level", "points", "wall", "per point"], rows)
    for level in POINTS:
        print(f"level_{level}: {at_most(wall[f'ours {level}'] / wall[f'script {level}'], GOAL)}")


if __name__ == "__main__":
    main()
