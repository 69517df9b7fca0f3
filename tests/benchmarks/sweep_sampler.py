"""A tracked sweep with the Sampler: ours against an expert's script, and against the usual Hydra and MLflow app.

4-qubit ansatz on `fake_manila`, Sampler, 1,024 shots, 1,000 points (POINTS), each a child run of an existing SQLite
store: `-m` against `by_hand/sampler.py`, which transpiles once, submits one broadcast PUB as one job and logs 10
params, 5 metrics, 5 tags and one small artifact per run through MLflow's client; goal: at most 0.6 times. And against
`by_hand/hydra_app.py` under `-m` with 100 points (HYDRA_POINTS), where every point is a job and a fluent run of its
own; goal: at least 40 times faster per point. Whole commands in processes of their own, in turn, ROUNDS times.
"""

from __future__ import annotations

from _measuring import at_least, at_most, in_turn, medians, number, table
from _stored import HEAD, Checked, disk
from _sweeps import STORE, WORKLOAD, by_hand, our_sweep, workplace

ROUNDS = number("ROUNDS", 3)
POINTS = number("POINTS", 1000)
HYDRA_POINTS = number("HYDRA_POINTS", 100)
GOAL = 0.6
HYDRA_GOAL = 40


def main() -> None:
    """Run the three in turn and print the table."""
    lines = {
        "script": by_hand("sampler", POINTS, POINTS, "mlflow"),
        "usual app": by_hand("hydra_app", "-m", f"theta=range(0,{HYDRA_POINTS})"),
        "qrt_runner": our_sweep(POINTS, "mode=sampler"),
    }
    points = {"script": POINTS, "usual app": HYDRA_POINTS, "qrt_runner": POINTS}
    checked = Checked(points)
    with workplace(store=True) as template:
        wall = medians(in_turn(lines, template, ROUNDS, check=checked))
    each = {name: wall[name] / points[name] for name in lines}
    print(f"Sampler, {WORKLOAD}, {STORE}, median of {ROUNDS}; {disk()}")
    rows = [
        [name, str(points[name]), f"{wall[name]:.2f} s", f"{each[name] * 1000:.1f} ms", *checked.row(name), ""]
        for name in lines
    ]
    table(["", "points", "wall", "per point", *HEAD, ""], rows)
    print(f"against the expert's script: {at_most(wall['qrt_runner'] / wall['script'], GOAL)}")
    print(f"against the usual app, per point: {at_least(each['usual app'] / each['qrt_runner'], HYDRA_GOAL)}")


if __name__ == "__main__":
    main()
