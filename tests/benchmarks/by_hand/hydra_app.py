"""The sweep as it is usually written: `@hydra.main` with fluent MLflow, every point a run and a job of its own.

python hydra_app.py -m 'theta=range(0,100)'
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import hydra
import mlflow
from ansatz import build
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_ibm_runtime.executor_sampler import Sampler
from qiskit_ibm_runtime.fake_provider import FakeManilaV2

if TYPE_CHECKING:
    from omegaconf import DictConfig


@hydra.main(version_base="1.3", config_path=".", config_name="hydra_app")
def main(cfg: DictConfig) -> None:
    """Run one point and log it."""
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    mlflow.set_experiment("hydra_app")
    with mlflow.start_run():
        names = ("theta", "backend", "mode", "shots", "seed", "optimization_level", "mitigation")
        mlflow.log_params({name: cfg[name] for name in names})
        mlflow.log_params({f"circuit.{name}": value for name, value in cfg.circuit.items()})
        circuit = build()
        circuit.measure_all()
        backend = FakeManilaV2()
        passes = generate_preset_pass_manager(cfg.optimization_level, backend=backend, seed_transpiler=cfg.seed)
        isa = passes.run(circuit)
        options = {"default_shots": cfg.shots, "simulator": {"seed_simulator": cfg.seed}}
        start = time.perf_counter()
        job = Sampler(mode=backend, options=options).run([(isa, [float(cfg.theta)])])
        data = job.result()[0].data.meas
        mlflow.log_metric("run_s", time.perf_counter() - start)
        zz = float(data.expectation_values("ZZII"))
        mlflow.log_metric("zz", zz)
        mlflow.log_metric("zz_std", ((1 - zz**2) / cfg.shots) ** 0.5)
        mlflow.log_metric("isa_depth", isa.depth())
        mlflow.log_metric("two_qubit_gates", isa.num_nonlocal_gates())
        tags = {"job_id": job.job_id(), "script": "hydra_app.py", "kind": "sweep", "point": str(cfg.theta)}
        mlflow.set_tags(tags)
        mlflow.log_dict(data.get_counts(), "result.json")


if __name__ == "__main__":
    main()
