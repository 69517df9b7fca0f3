"""The sweep by hand with the Estimator, as an expert writes it: transpiled once, one broadcast PUB, one job.

python estimator.py <points> <resilience level> <mlflow or off>
"""

from __future__ import annotations

import sys
import time

import numpy as np
from ansatz import build, observables
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_ibm_runtime.executor_estimator import Estimator
from qiskit_ibm_runtime.fake_provider import FakeManilaV2

SHOTS = 1024
SEED = 42


def main(points: int, level: int, tracking: str) -> None:
    """Estimate ZZ of the ansatz at theta = 0, 1, 2, ... and log each point where that is asked for."""
    circuit = build()
    backend = FakeManilaV2()
    isa = generate_preset_pass_manager(optimization_level=2, backend=backend, seed_transpiler=SEED).run(circuit)
    observable = SparsePauliOp(observables()["zz"]).apply_layout(isa.layout)
    options = {"default_shots": SHOTS, "resilience_level": level, "simulator": {"seed_simulator": SEED}}
    thetas = np.arange(points, dtype=float)
    start = time.perf_counter()
    job = Estimator(mode=backend, options=options).run([(isa, observable, thetas[:, None])])
    data = job.result()[0].data
    seconds = time.perf_counter() - start
    print(f"{points} points estimated in {seconds:.2f} s", flush=True)
    if tracking == "off":
        return

    from records import log_points

    settings = {"circuit": "ansatz", "layers": "3", "qubits": "4", "backend": backend.name, "mode": "estimator"}
    settings |= {"shots": str(SHOTS), "seed": str(SEED), "optimization_level": "2", "mitigation": f"level_{level}"}
    sizes = {"isa_depth": isa.depth(), "two_qubit_gates": isa.num_nonlocal_gates(), "run_s": seconds}
    pairs = list(zip(data.evs.tolist(), data.stds.tolist(), strict=True))
    numbers = [{"zz": value, "zz_std": error, **sizes} for value, error in pairs]
    documents = [{"zz": value, "zz_std": error} for value, error in pairs]
    tags = {"job_id": job.job_id(), "script": "estimator.py", "kind": "sweep"}
    log_points(settings, tags, list(zip(thetas, numbers, documents, strict=True)))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
