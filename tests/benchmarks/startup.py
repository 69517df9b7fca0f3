"""Start-up of the Bell experiment: `python -m qrt_runner` against the same written by hand with bare Qiskit.

Bell pair, ideal Aer, runtime Sampler, 1,024 shots, into one SQLite store that is migrated beforehand. Both run in
processes of their own, in turn; what is told are medians and ratios. Goal: counts printed at most 1.15 times the
hand-written script's wall time after the start.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = int(os.environ.get("ROUNDS", "7"))
GOAL = 1.15
BY_HAND = """
from qiskit import QuantumCircuit
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime.executor_sampler import Sampler

circuit = QuantumCircuit(2)
circuit.h(0)
circuit.cx(0, 1)
circuit.measure_all()
backend = AerSimulator()
isa = generate_preset_pass_manager(optimization_level=2, backend=backend, seed_transpiler=42).run(circuit)
options = {"default_shots": 1024, "simulator": {"seed_simulator": 42}}
job = Sampler(mode=backend, options=options).run([isa])
counts = job.result()[0].data.meas.get_counts()
print("counts", counts, flush=True)

import json, time
from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

client = MlflowClient(tracking_uri="sqlite:///mlflow.db")
found = client.get_experiment_by_name("by_hand")
experiment = found.experiment_id if found else client.create_experiment("by_hand")
run = client.create_run(experiment)
now = int(time.time() * 1000)
params = [Param("circuit", "bell"), Param("backend", "aer"), Param("mode", "sampler"), Param("shots", "1024")]
metrics = [Metric("circuit/depth", isa.depth(), now, 0), Metric("p_00", counts.get("00", 0) / 1024, now, 0)]
client.log_batch(run.info.run_id, metrics, params, [RunTag("job_id", job.job_id())])
client.log_text(run.info.run_id, json.dumps(counts), "counts.json")
client.set_terminated(run.info.run_id)
"""


def measure(line: list[str], folder: Path, mark: str) -> tuple[float, float]:
    """Return seconds until the counts are printed, and until the process ends."""
    start = time.perf_counter()
    printed = None
    with subprocess.Popen(line, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
        for text in running.stdout:
            if printed is None and mark in text:
                printed = time.perf_counter() - start
    if running.returncode or printed is None:
        sys.exit(f"{line} failed in {folder}")
    return printed, time.perf_counter() - start


def main() -> None:
    """Run both in turn and print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "by_hand.py").write_text(BY_HAND, encoding="utf-8")
        by_hand = [sys.executable, "by_hand.py"], "counts"
        ours = [sys.executable, "-m", "qrt_runner", "backend=aer", "mode=sampler"], "meas "
        for line, mark in (by_hand, ours):
            measure(line, folder, mark)
        rounds = [(measure(by_hand[0], folder, by_hand[1]), measure(ours[0], folder, ours[1])) for _ in range(ROUNDS)]
    hand_printed, hand_total, our_printed, our_total = (
        statistics.median(values)
        for values in (
            [hand[0] for hand, _ in rounds],
            [hand[1] for hand, _ in rounds],
            [our[0] for _, our in rounds],
            [our[1] for _, our in rounds],
        )
    )
    print(f"Bell, ideal Aer, Sampler, 1,024 shots, SQLite store, median of {ROUNDS}")
    print(f"{'':24}{'by hand':>10}{'qrt_runner':>12}{'ratio':>8}")
    print(f"{'counts printed':24}{hand_printed:9.2f}s{our_printed:11.2f}s{our_printed / hand_printed:8.2f}")
    print(f"{'run recorded':24}{hand_total:9.2f}s{our_total:11.2f}s{our_total / hand_total:8.2f}")
    ratio = our_printed / hand_total
    print(f"our counts printed against the script's wall time: {ratio:.2f} (goal: at most {GOAL})")


if __name__ == "__main__":
    main()
