"""Adds to jobs what measures the readout of their qubits, for tasks that ask for M3; knows the modules above it.

The calibration is one more PUB of the very job that it is for: one circuit, on all qubits that the job's tasks measure
at their end, which prepares each of them in 0 or 1 by an angle and reads it. 0 and 1 are so prepared by equal pulses,
and the backend, the session, the options and the moment are those of the counts that are corrected.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from qiskit.circuit import ClassicalRegister, ParameterVector, QuantumCircuit

from qrt_runner.circuits import measured_bits, steering_bits
from qrt_runner.errors import ConfigError, refuse
from qrt_runner.modes import Pub
from qrt_runner.plan.costs import Beside, SetCost, cost_of
from qrt_runner.transpilation import lowered_on

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qrt_runner.config import Document, Mode, Task, Transpile
    from qrt_runner.plan.records import Program
    from qrt_runner.results import Ledger

M3: Final = "m3"
"""Name of the technique in ledgers."""

NO_NOISE: Final = "the backend has no noise to act on"
MOST_FLIPS: Final = 3
"""mthree's own default: it takes outcomes that differ in more bits for not mistaken for each other."""

REGISTER: Final = "readout"
"""Name of the classical register of a calibration; bit k is read from its k-th qubit."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """A PUB that measures the readout of some qubits, and what it costs."""

    pub: Pub
    cost: SetCost

    @property
    def beside(self) -> Beside:
        """What it adds to a job."""
        sets, cost = len(self.pub.values), self.cost
        payload = cost.fixed_payload_bytes + sets * cost.payload_bytes
        return Beside(sets, sets * cost.executions, payload, sets * cost.memory_bytes)


Calibrations = Callable[[tuple[int, ...]], Calibration]
"""Returns the calibration of some physical qubits."""


@dataclass(frozen=True, eq=False)
class Calibrating:
    """Of which qubits a task wants the readout to be measured in its job, and how that is done."""

    qubits: tuple[int, ...]
    """Physical ones, ascending; none where there is nothing to be corrected."""

    of: Calibrations
    """Returns the calibration of the qubits of all tasks of a job."""

    ledger: Ledger
    """Of the task."""

    @property
    def beside(self) -> Beside:
        """What the task's own qubits add to a job."""
        return self.of(self.qubits).beside if self.qubits else Beside()


def calibrating_for(program: Program, task: Task, ledger: Ledger, of: Calibrations) -> Calibrating:
    """Return what a task wants by way of a calibration, and its ledger with that.

    Args:
        program: Its circuit, lowered.
        task: What is asked for.
        ledger: Its ledger without M3.
        of: Returns the calibrations of jobs such as its own.

    Raises:
        ConfigError: Where M3 is asked for, and no bit is the outcome of a final measurement.
    """
    if task.mitigation.readout != M3:
        return Calibrating((), of, ledger)
    qubits = tuple(sorted(set(read_bits(program).values())))
    if not qubits:
        given = "m3, for a circuit of which no bit is the outcome of a final measurement"
        raise refuse("mitigation.readout", given, "m3 for circuits that measure at their end", "mitigation=none")
    knobs = {"calibration": "balanced", "distance": min(program.lowered.isa.num_clbits, MOST_FLIPS)}
    ledger = replace(ledger, resolved={**ledger.resolved, M3: knobs})
    if not program.device.noisy:
        return Calibrating((), of, replace(ledger, ignored={**ledger.ignored, M3: NO_NOISE}))
    return Calibrating(qubits, of, replace(ledger, applied=(*ledger.applied, M3)))


def calibrations_for(program: Program, task: Task, document: Document, ledger: Ledger) -> Calibrations:
    """Return what gives the calibrations of jobs of the same kind as a task's own, each made once."""
    return cache(partial(_calibration, program, task.mode, document.transpile, ledger.resolved))


def read_bits(program: Program) -> dict[int, int]:
    """Return {classical bit: physical qubit} for what a program reads at its end, by which nothing is steered.

    A misread bit that steers the circuit has acted already: correcting it afterwards would not undo that.
    """
    isa = program.lowered.isa
    steering = steering_bits(isa)
    return {bit: qubit for qubit, bit in measured_bits(isa).items() if bit not in steering}


def prepared(pub: Pub) -> np.ndarray:
    """Return in which states a calibration prepared its qubits, shape (parameter sets, qubits)."""
    return (pub.values > np.pi / 2).astype(np.uint8)


def balanced_strings(qubits: int) -> np.ndarray:
    """Return mthree's balanced bit strings, shape (strings, qubits).

    Rows of a Hadamard matrix: each qubit is in 0 in half of them, each pair of qubits in each of its four states in a
    quarter (Bravyi, Sheldon, Kandala, McKay and Gambetta, Phys. Rev. A 103, 042605 (2021)). There are more strings than
    qubits, and at most twice as many.
    """
    from mthree.generators import HadamardGenerator

    return np.array(list(HadamardGenerator(qubits)), dtype=float)


def _calibration(
    program: Program, mode: Mode, transpile: Transpile, resolved: Mapping[str, Any], qubits: tuple[int, ...]
) -> Calibration:
    """Return the calibration of some qubits; the layout that the config asks for is that of circuits, not of this one.

    Raises:
        ConfigError: Where the backend cannot prepare a state by an angle.
    """
    chosen = {"kind": "preset", "initial_layout": [*qubits], "layout_method": None, "routing_method": None}
    section, device = transpile.model_copy(update=chosen), program.device
    try:
        circuit = lowered_on(program.lowered.used, _circuit(len(qubits)), device, section)
    except ConfigError as error:
        given = f"m3 on {device.name}, which cannot run its calibration ({error.mistakes[0].given})"
        raise refuse("mitigation.readout", given, "m3 on devices that can rotate a qubit", "mitigation=none") from error
    pub = Pub(circuit, balanced_strings(len(qubits)) * np.pi, {})
    return Calibration(pub, cost_of(mode.kind, circuit, {}, mode.shots, resolved))


def _circuit(qubits: int) -> QuantumCircuit:
    """Return the circuit that prepares and reads qubits; parameter k is the angle of qubit k, 0 or pi."""
    register = ClassicalRegister(qubits, REGISTER)
    circuit = QuantumCircuit(qubits, name="readout_calibration")
    circuit.add_register(register)
    for qubit, angle in enumerate(ParameterVector("prepared", qubits)):
        circuit.rx(angle, qubit)
    circuit.barrier()
    circuit.measure(range(qubits), register)
    return circuit
