"""What noise there is for techniques to act on; knows qiskit and aer's noise models.

A simulator's noise is known to the last number. A device's is not: there everything is taken to be noisy.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qiskit.providers import BackendV2

    from qrt_runner.backends import Device

_NO_GATES: Final = ("measure", "delay")


@dataclass(frozen=True)
class Noise:
    """Of which kinds a backend's noise is."""

    gates: bool = True
    """Whether gates have errors."""

    pauli: bool = False
    """Whether those are Pauli errors already, which is what twirling makes of errors."""

    readout: bool = True
    """Whether bits are misread."""

    delays: bool = True
    """Whether idling qubits err."""


def noise_of(device: Device, runs_on: BackendV2) -> Noise:
    """Return which noise there is.

    Args:
        device: The backend.
        runs_on: The backend or simulator that circuits are submitted to.
    """
    if device.where != "simulator":
        return Noise()
    model = getattr(runs_on.options, "noise_model", None)
    if model is None:
        return Noise(gates=False, readout=False, delays=False)
    named = set(model.noise_instructions)
    # Aer has no public question for this: relaxation during delays is a pass of the noise model.
    passes = bool(model._custom_noise_passes)  # noqa: SLF001
    gates = bool(named.difference(_NO_GATES))
    return Noise(gates, device.pauli_noise, "measure" in named, passes or "delay" in named)


def misreads_evenly(device: Device, runs_on: BackendV2) -> bool:
    """Tell whether 0 and 1 are known to be misread alike, which is what twirling makes of misreading."""
    model = getattr(runs_on.options, "noise_model", None) if device.where == "simulator" else None
    if model is None:
        return False
    told = (one["probabilities"] for one in model.to_dict()["errors"] if one["type"] == "roerror")
    return all(np.allclose(matrix, np.transpose(matrix)) for matrix in told)


def noise_hash(calibration: Mapping[str, Any] | None, simulator: BackendV2) -> str:
    """Return a hash of a simulator's noise: of the calibration that it is made of, if any, and of its noise model."""
    model = getattr(simulator.options, "noise_model", None)
    errors = model.to_dict(serializable=True)["errors"] if model is not None else []
    # Aer gives each error a new id whenever one is made.
    told = [calibration, [{key: value for key, value in error.items() if key != "id"} for error in errors]]
    return sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()
