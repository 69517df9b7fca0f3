"""Adds measurements for counting modes, takes them off for the estimator, and tells what is measured where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from qiskit.circuit import ClassicalRegister, Clbit
from qiskit.circuit.classical import expr

from qrt_runner.errors import refuse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qiskit import QuantumCircuit
    from qiskit.circuit import CircuitInstruction

    from qrt_runner import config

_IDLE: Final = ("barrier", "delay")
REGISTER: Final = "meas"
"""Name of the classical register that holds added measurements, as `QuantumCircuit.measure_all` calls it."""


def for_counting(circuit: QuantumCircuit, measure: config.fields.Measure, path: str = "circuit") -> QuantumCircuit:
    """Return the circuit as a counting mode runs it: its own measurements, else those that `measure` asks for.

    Raises:
        ConfigError: Where nothing would be measured.
    """
    if isinstance(measure, list):
        return _measuring(circuit, measure, path)
    if has_measurements(circuit):
        return circuit
    if measure == "never":
        remedy = f"{path}.measure=auto, or mode=estimator"
        raise refuse(f"{path}.measure", "never, for a circuit without measurements", "auto or a list of qubits", remedy)
    return _measuring(circuit, list(range(circuit.num_qubits)), path)


def for_estimating(circuit: QuantumCircuit, path: str = "circuit") -> QuantumCircuit:
    """Return the circuit as the estimator runs it: without its final measurements.

    Raises:
        ConfigError: Where it has control flow or measures before its end, which the estimator cannot do.
    """
    remedy = "mode=sampler or mode=raw"
    if circuit.has_control_flow_op():
        given = "a circuit with control flow in mode=estimator"
        raise refuse(path, given, "circuits without control flow", remedy)
    bare: QuantumCircuit = circuit.remove_final_measurements(inplace=False)
    if has_measurements(bare):
        given = "a circuit that measures before its end in mode=estimator"
        raise refuse(path, given, "measurements at the end, where they are taken off", remedy)
    return bare


def has_measurements(circuit: QuantumCircuit) -> bool:
    """Tell whether a circuit measures anywhere, its control flow blocks included."""
    return any(
        instruction.name == "measure"
        or any(has_measurements(block) for block in getattr(instruction.operation, "blocks", ()))
        for instruction in circuit.data
    )


def measured_bits(circuit: QuantumCircuit) -> Mapping[int, int]:
    """Return {qubit: classical bit} for the qubits that end in a measurement whose bit nothing overwrites."""
    last: dict[int, int | None] = {}
    owners: dict[int, int] = {}
    for instruction in circuit.data:
        if instruction.name in _IDLE:
            continue
        for written in _written_bits(circuit, instruction):
            owner = owners.pop(written, None)
            if owner is not None and last.get(owner) == written:
                last[owner] = None
        bit = circuit.find_bit(instruction.clbits[0]).index if instruction.name == "measure" else None
        for qubit in instruction.qubits:
            last[circuit.find_bit(qubit).index] = bit
            if bit is not None:
                owners[bit] = circuit.find_bit(qubit).index
    return {qubit: bit for qubit, bit in last.items() if bit is not None}


def steering_bits(circuit: QuantumCircuit) -> set[int]:
    """Return the classical bits that steer a circuit: those that control flow and variables read."""
    found: set[int] = set()
    for instruction in circuit.data:
        if getattr(instruction.operation, "blocks", ()):
            found |= {circuit.find_bit(bit).index for bit in instruction.clbits}
        elif instruction.name == "store":
            read = [variable.var for variable in expr.iter_vars(instruction.operation.rvalue)]
            bits = [bit for one in read if isinstance(one, ClassicalRegister) for bit in one]
            bits += [one for one in read if isinstance(one, Clbit)]
            found |= {circuit.find_bit(bit).index for bit in bits}
    return found


def kind_of(circuit: QuantumCircuit) -> Literal["dynamic", "static"]:
    """Tell whether measurement outcomes, resets or control flow come before the end of the circuit."""
    if circuit.has_control_flow_op():
        return "dynamic"
    final, measured = measured_bits(circuit), 0
    for instruction in circuit.data:
        measured += instruction.name == "measure"
        if instruction.name == "reset":
            return "dynamic"
    return "static" if measured == len(final) else "dynamic"


def _written_bits(circuit: QuantumCircuit, instruction: CircuitInstruction) -> set[int]:
    """Return the classical bits that an instruction writes; control flow reads bits, and writes those of its blocks."""
    if instruction.name == "measure":
        return {circuit.find_bit(bit).index for bit in instruction.clbits}
    written: set[int] = set()
    for block in getattr(instruction.operation, "blocks", ()):
        for inner in block.data:
            inside = _written_bits(block, inner)
            written |= {circuit.find_bit(instruction.clbits[place]).index for place in inside}
    return written


def _measuring(circuit: QuantumCircuit, qubits: list[int], path: str) -> QuantumCircuit:
    beyond = [qubit for qubit in qubits if qubit >= circuit.num_qubits]
    if beyond:
        allowed = f"qubits 0 to {circuit.num_qubits - 1}"
        raise refuse(f"{path}.measure", f"qubit {beyond[0]}", allowed, f"{path}.measure=auto")
    if any(register.name == REGISTER for register in circuit.cregs):
        given = f"an added measurement beside the circuit's own register {REGISTER}"
        raise refuse(f"{path}.measure", given, "one register of that name", f"{path}.measure=auto")
    measured = circuit.copy()
    register = ClassicalRegister(len(qubits), REGISTER)
    measured.add_register(register)
    measured.barrier()
    measured.measure(qubits, list(register))
    return measured
