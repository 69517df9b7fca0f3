"""Refuses before it starts what a simulator cannot hold or its method cannot do; knows qiskit and aer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qiskit.exceptions import QiskitError
from qiskit.quantum_info import Clifford

from qrt_runner.errors import refuse

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from qiskit import QuantumCircuit
    from qiskit.circuit import CircuitInstruction
    from qiskit.providers import BackendV2

    from qrt_runner.backends.device import Device

_BYTES: Final = {"double": 16, "single": 8}
_UNBOUNDED: Final = ("stabilizer", "extended_stabilizer", "matrix_product_state")
"""Methods whose memory does not grow with 2^qubits."""

_SHARE: Final = 0.25
_NO_GATES: Final = ("measure", "reset", "barrier", "delay", "store", "break_loop", "continue_loop")
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_LARGEST_TOLD: Final = 1e4
"""More than so many of the largest unit are told as a power of ten."""


def check_fits(device: Device, circuit: QuantumCircuit, values: np.ndarray, runs_on: BackendV2) -> bool:
    """Refuse a circuit that the simulator's memory cannot hold, or that its method cannot do.

    Returns whether the answer is the same for all parameter values.

    Args:
        device: A simulator.
        circuit: The circuit on its active qubits.
        values: Its parameter values, shape (parameter sets, parameters).
        runs_on: The simulator of those qubits.

    Raises:
        ConfigError: With the memory it would need and what would do instead.
    """
    method = device.settings.get("method", "automatic")
    if method == "stabilizer":
        _check_stabilizer(device, circuit, values, runs_on)
    if method in _UNBOUNDED:
        return method != "stabilizer" or not circuit.parameters
    width = circuit.num_qubits
    exponent = 2 * width if method == "density_matrix" else width
    needed = _BYTES[device.settings.get("precision", "double")] * 2.0**exponent
    if needed <= memory_bytes():
        return True
    if method == "automatic" and not device.noisy and is_clifford(circuit, values):
        return not circuit.parameters
    given = f"a circuit with {width} active qubits, which needs {_told_bytes(needed)} of memory by method {method}"
    remedy = f"{device.method}=matrix_product_state (low entanglement)"
    clifford = f", {device.method}=stabilizer (Clifford circuits)" if not device.noisy else ""
    raise refuse(
        "backend", given, f"what fits into {_told_bytes(memory_bytes())}", f"{remedy}{clifford}, or fewer qubits"
    )


def is_clifford(circuit: QuantumCircuit, values: np.ndarray) -> bool:
    """Tell whether a circuit is Clifford, its control flow included, for all its parameter sets."""
    bound = [circuit.assign_parameters(row) for row in values] if circuit.parameters else [circuit]
    return all(_is_clifford_gate(instruction) for one in bound for instruction in one.data)


def memory_bytes() -> float:
    """Return the memory that one state may take: a quarter of the machine's, or of what a control group grants.

    Aer keeps more than one copy. Where they do not fit it ends a job with success and no data, which the primitives
    then fill up with zeros: 30 qubits on 24 GiB gave 1,024 shots of nothing but 0.
    """
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text(encoding="ascii").strip() if limit.is_file() else "max"
    return _SHARE * float(min(physical, int(text)) if text.isdigit() else physical)


def _check_stabilizer(device: Device, circuit: QuantumCircuit, values: np.ndarray, runs_on: BackendV2) -> None:
    path, remedy = "backend.method", f"{device.method}=automatic"
    if not is_clifford(circuit, values):
        given = f"stabilizer, for a circuit that is not Clifford on {device.name}"
        if device.noisy:
            # From level 2 on gates of two qubits are put together anew, of rotations that are Clifford only as a whole.
            remedy = f"transpile.optimization_level=1 where every gate of the circuit itself is, or {remedy}"
        raise refuse(path, given, "stabilizer for Clifford circuits only", remedy)
    noise = getattr(runs_on.options, "noise_model", None)
    if noise is not None and "kraus" in _channels(noise.to_dict()["errors"]):
        given = f"stabilizer, with the noise of {device.name}, which is not Clifford"
        raise refuse(path, given, "stabilizer with Pauli noise and resets only", remedy)


def _channels(errors: Iterable[dict[str, object]]) -> set[object]:
    """Return the names of the operations that a noise model's errors are made of."""
    circuits = [circuit for error in errors for circuit in error.get("instructions", ())]  # type: ignore[attr-defined]
    return {operation["name"] for circuit in circuits for operation in circuit}


def _is_clifford_gate(instruction: CircuitInstruction) -> bool:
    blocks = getattr(instruction.operation, "blocks", ())
    if blocks:
        return all(_is_clifford_gate(inner) for block in blocks for inner in block.data)
    if instruction.name in _NO_GATES:
        return True
    try:
        Clifford(instruction.operation)
    except (QiskitError, TypeError):
        return False
    return True


def _told_bytes(count: float) -> str:
    unit = _UNITS[0]
    for unit in _UNITS:
        if count < 1024:
            break
        if unit != _UNITS[-1]:
            count /= 1024
    return f"{count:.3g} {unit}" if count < _LARGEST_TOLD else f"{count:.0e} {unit}"
