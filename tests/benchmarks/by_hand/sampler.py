"""The sweep by hand with the Sampler, as an expert writes it: transpiled once, one broadcast PUB, one job.

    python sampler.py <points> <points per job> <mlflow or off>

More points than one job should hold go into several. Without MLflow this is the bare call.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from ansatz import build
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_ibm_runtime.executor_sampler import Sampler
from qiskit_ibm_runtime.fake_provider import FakeManilaV2

SHOTS = 1024
SEED = 42


def main(points: int, chunk: int, tracking: str) -> None:
    """Sample the ansatz at theta = 0, 1, 2, ... and log each point where that is asked for."""
    circuit = build()
    circuit.measure_all()
    backend = FakeManilaV2()
    isa = generate_preset_pass_manager(optimization_level=2, backend=backend, seed_transpiler=SEED).run(circuit)
    sampler = Sampler(mode=backend, options={"default_shots": SHOTS, "simulator": {"seed_simulator": SEED}})
    thetas = np.arange(points, dtype=float)
    start = time.perf_counter()
    arrays = []
    for first in range(0, points, chunk):
        job = sampler.run([(isa, thetas[first : first + chunk, None])])
        arrays.append(job.result()[0].data.meas)
    seconds = time.perf_counter() - start
    print(f"{points} points sampled in {seconds:.2f} s", flush=True)
    if tracking == "off":
        return

    from records import log_points

    settings = {"circuit": "ansatz", "layers": "3", "qubits": "4", "backend": backend.name, "mode": "sampler"}
    settings |= {"shots": str(SHOTS), "seed": str(SEED), "optimization_level": "2", "mitigation": "none"}
    sizes = {"isa_depth": isa.depth(), "two_qubit_gates": isa.num_nonlocal_gates(), "run_s": seconds}
    counts = [array.get_counts(index) for array in arrays for index in range(array.size)]
    zz = np.concatenate([array.expectation_values("ZZII") for array in arrays])
    errors = np.sqrt((1 - zz**2) / SHOTS)
    numbers = [{"zz": value, "zz_std": error, **sizes} for value, error in zip(zz, errors, strict=True)]
    tags = {"job_id": job.job_id(), "script": "sampler.py", "kind": "sweep"}
    log_points(settings, tags, list(zip(thetas, numbers, counts, strict=True)))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
