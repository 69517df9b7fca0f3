"""A Bell pair by hand, as lean as it goes, with as much as is asked for.

python bell.py <raw or sampler> <mlflow or off>
"""

from __future__ import annotations

import json
import sys
import time

from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator

SHOTS = 1024
SEED = 42


def counts_of(circuit: QuantumCircuit, mode: str) -> dict[str, int]:
    """Return the counts of a circuit on ideal Aer, which takes it as it is written; the Sampler wants it lowered."""
    backend = AerSimulator(seed_simulator=SEED)
    if mode == "raw":
        return backend.run(circuit, shots=SHOTS).result().get_counts()

    from qiskit.transpiler import generate_preset_pass_manager
    from qiskit_ibm_runtime.executor_sampler import Sampler

    isa = generate_preset_pass_manager(optimization_level=2, backend=backend, seed_transpiler=SEED).run(circuit)
    options = {"default_shots": SHOTS, "simulator": {"seed_simulator": SEED}}
    return Sampler(mode=backend, options=options).run([isa]).result()[0].data.meas.get_counts()


def log(circuit: QuantumCircuit, mode: str, counts: dict[str, int]) -> None:
    """Log one run with MLflow's client: 4 params, 2 metrics, 1 tag, 1 small artifact."""
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri="sqlite:///mlflow.db")
    found = client.get_experiment_by_name("by_hand")
    run = client.create_run(found.experiment_id if found else client.create_experiment("by_hand"))
    now = int(time.time() * 1000)
    params = [Param("circuit", "bell"), Param("backend", "aer"), Param("mode", mode), Param("shots", str(SHOTS))]
    metrics = [Metric("depth", circuit.depth(), now, 0), Metric("p_00", counts.get("00", 0) / SHOTS, now, 0)]
    client.log_batch(run.info.run_id, metrics, params, [RunTag("script", "bell.py")])
    client.log_text(run.info.run_id, json.dumps(counts), "counts.json")
    client.set_terminated(run.info.run_id)


def main(mode: str, tracking: str) -> None:
    """Run the Bell pair, print its counts, and log them where that is asked for."""
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    counts = counts_of(circuit, mode)
    print("counts", counts, flush=True)
    if tracking != "off":
        log(circuit, mode, counts)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
