"""What mitigation is worth where the noise is known: expected numbers are worked out by hand, seeds are fixed.

The device misreads both values with 5 % and has CX gates whose error of 0.75 % is depolarizing and nothing else, with
perfect gates on one qubit. Depolarizing with parameter q, of which the average gate error is 3 q / 4 on two qubits,
multiplies every Pauli expectation value by 1 - q: q = 0.01.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from composing import circuit_file, result_of

if TYPE_CHECKING:
    from qrt_runner.results import Expectations

MISREAD, CX_ERROR, GATES = 0.05, 0.0075, 20
READ = (1 - 2 * MISREAD) ** 2
"""What misreading leaves of <ZZ>: 1 - 2 r on each qubit, 0.81."""

KEPT = 0.99**GATES
"""What twenty CX leave of it: 0.8179."""

ZNE = "mitigation.options.resilience.zne"
FOLDED = (f"{ZNE}.noise_factors=[1,3,5]", f"{ZNE}.extrapolator=exponential")


def told(**properties: float) -> list[dict[str, object]]:
    """Return properties as a calibration has them, without units."""
    return [{"name": name, "value": value, "unit": ""} for name, value in properties.items()]


def device() -> list[str]:
    """Write the calibration of the device, and return the overrides that open it."""
    single = [
        {"qubits": [qubit], "gate": gate, "parameters": told(gate_error=0.0, gate_length=0.0)}
        for qubit in (0, 1)
        for gate in ("sx", "x", "rz")
    ]
    pair = {"qubits": [0, 1], "gate": "cx", "parameters": told(gate_error=CX_ERROR, gate_length=0.0)}
    qubits = {str(qubit): told(readout_error=MISREAD) for qubit in (0, 1)}
    calibration = {"backend": "acme", "last_update": "2026-11-02", "qubits": qubits, "gates": [*single, pair]}
    Path("acme.json").write_text(json.dumps({**calibration, "reads_evenly": True}), encoding="utf-8")
    return ["backend=snapshot", "backend.run=acme.json", "transpile.initial_layout=[0,1]"]


def measured(gates: int, *words: str) -> Expectations:
    """Return <ZZ> of |11>, after so many CX between barriers, from 16,384 shots of each circuit."""
    lines = f"circuit = QuantumCircuit(2)\ncircuit.x([0, 1])\nfor _ in range({gates}):\n    circuit.cx(0, 1)\n"
    circuit = circuit_file("ladder", f"{lines}    circuit.barrier()", "'zz': 'ZZ'")
    return result_of(*circuit, *device(), "mode=estimator", "mode.shots=16384", "seed=7", *words).expectations


def bias(found: Expectations) -> float:
    """Return how far <ZZ> is from 1."""
    return abs(1.0 - float(found.values[0, 0]))


@pytest.mark.parametrize(("gates", "expected"), [(0, READ), (GATES, READ * KEPT)], ids=["readout", "readout and gates"])
def test_the_noise_is_the_known_one(gates, expected):
    """Without mitigation <ZZ> is 0.81, after twenty CX 0.6625, within 4 standard errors (a chance of 1 in 16,000)."""
    found = measured(gates)
    assert abs(found.values[0, 0] - expected) < 4 * found.errors[0, 0]


def test_trex_undoes_misreading():
    """A bias of 0.19 becomes less than a tenth of that: it is 0 up to a standard error of 0.006."""
    before, after = measured(0), measured(0, "mitigation=trex")
    assert after.errors[0, 0] < 0.007
    assert bias(after) < bias(before) / 10
    assert bias(after) < 4 * after.errors[0, 0]


def test_trex_leaves_the_gates_errors():
    """After twenty CX it gives what the gates leave, 0.8179, and not 1."""
    found = measured(GATES, "mitigation=trex")
    assert abs(found.values[0, 0] - KEPT) < 4 * found.errors[0, 0]


def test_zne_undoes_the_gates_errors():
    """Folded k times, <ZZ> is READ KEPT^k: at factor 0 an exponential gives READ, so a bias of 0.1475 is a fifth."""
    before, after = measured(GATES), measured(GATES, "mitigation=zne", *FOLDED)
    at_factors = after.details["evs_noise_factors"][0, 0]
    errors = after.details["ensemble_stds_noise_factors"][0, 0]
    for factor, value, error in zip((1, 3, 5), at_factors, errors, strict=True):
        assert abs(value - READ * KEPT**factor) < 4 * error
    assert abs(before.values[0, 0] - READ) > 0.13
    assert abs(after.values[0, 0] - READ) < 0.1475 / 5


def test_both_together_undo_both():
    """A bias of 0.3375 becomes less than a fifth of that with TREX and ZNE."""
    before, after = measured(GATES), measured(GATES, "mitigation=strong", *FOLDED, DD_OFF)
    assert bias(before) > 0.31
    assert bias(after) < 0.3375 / 5


DD_OFF = "mitigation.options.dynamical_decoupling.enable=false"
"""The device does not tell how long its gates take."""
