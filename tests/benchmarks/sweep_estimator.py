"""A tracked sweep with the Estimator: ours against an expert's script, at resilience levels 0 and 1.

4-qubit ansatz on `fake_manila`, Estimator, observable ZZII, 1,024 shots (`default_shots` in both), 1,000 points
(POINTS), each a child run of an existing SQLite store: `-m` against `by_hand/estimator.py`, which transpiles once,
submits one broadcast PUB as one job and logs 10 params, 5 metrics, 5 tags and one small artifact per run through
MLflow's client. Whole commands in processes of their own, in turn, ROUNDS times. Goal: at most 0.8 times.
"""

from __future__ import annotations

from _measuring import at_most, in_turn, medians, number, table
from _stored import HEAD, Checked, disk
from _sweeps import STORE, WORKLOAD, by_hand, our_sweep, workplace

ROUNDS = number("ROUNDS", 3)
POINTS = number("POINTS", 1000)
LEVELS = (0, 1)
"""The Estimator's resilience levels."""
GOAL = 0.8


def main() -> None:
    """Run ours and the script at each level in turn and print the table."""
    lines = {}
    for level in LEVELS:
        lines[f"script {level}"] = by_hand("estimator", POINTS, level, "mlflow")
        lines[f"ours {level}"] = our_sweep(POINTS, "mode=estimator", "mode.shots=1024", f"mitigation=level_{level}")
    checked = Checked(dict.fromkeys(lines, POINTS))
    with workplace(store=True) as template:
        wall = medians(in_turn(lines, template, ROUNDS, check=checked))
    print(f"Estimator, {WORKLOAD}, {POINTS} points, {STORE}, median of {ROUNDS}; {disk()}")
    each = {name: f"{seconds / POINTS * 1000:.1f} ms" for name, seconds in wall.items()}
    rows = [[name, f"{wall[name]:.2f} s", each[name], *checked.row(name), ""] for name in lines]
    table(["level", "wall", "per point", *HEAD, ""], rows)
    for level in LEVELS:
        print(f"level_{level}: {at_most(wall[f'ours {level}'] / wall[f'script {level}'], GOAL)}")


if __name__ == "__main__":
    main()
