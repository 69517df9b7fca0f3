"""What the tests of the rehearsal share: a service, the real client on it, and the circuit they run."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from qiskit import QuantumCircuit
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_ibm_runtime import QiskitRuntimeService
from qiskit_ibm_runtime.executor_sampler import Sampler

from qrt_runner.rehearsal import Plan, Rehearsal, Settings, account_of, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FAST: dict[str, Any] = {"devices": ("fake_manila",), "seed": 7, "hold_s": 2.0}
"""One small device, equal numbers each time, and no polling where it is not what is tested."""


@contextmanager
def rehearsal_with(folder: Path, **settings: Any) -> Iterator[Rehearsal]:
    """Start a service and set the environment by which the client finds it."""
    with start(Settings(**{**FAST, **settings}), folder) as rehearsal, pytest.MonkeyPatch.context() as patch:
        for name, value in account_of(rehearsal).environment.items():
            patch.setenv(name, value)
        yield rehearsal


def client_of(rehearsal: Rehearsal, plan: Plan | None = None) -> QiskitRuntimeService:
    """Return the real client, on the rehearsal."""
    return QiskitRuntimeService(**account_of(rehearsal, plan).arguments)


@cache
def bell(backend: Any) -> QuantumCircuit:
    """Return the Bell circuit as the device's own gates."""
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return generate_preset_pass_manager(optimization_level=1, backend=backend, seed_transpiler=1).run(circuit)


def submitted(mode: Any, backend: Any, tags: tuple[str, ...] = (), shots: int = 100, **options: Any) -> Any:
    """Submit the Bell circuit to the client's Sampler, and return the job."""
    given = {"environment": {"job_tags": list(tags)}, **options}
    return Sampler(mode=mode, options=given).run([bell(backend)], shots=shots)


def accepted(rehearsal: Rehearsal, tag: str) -> list[dict[str, Any]]:
    """Return the jobs with a tag that really arrived."""
    return [job for job in rehearsal.ledger()["jobs"] if tag in job["tags"]]
