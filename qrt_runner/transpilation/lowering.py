"""Lowers a circuit to a target once, or remembers how it was lowered; knows qiskit, imported once it is needed."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from qrt_runner.errors import refuse
from qrt_runner.transpilation.cache import Cache, cache_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp

    from qrt_runner import config
    from qrt_runner.backends import Device
    from qrt_runner.transpilation.entries import Remembered


@dataclass(frozen=True)
class Lowered:
    """A circuit lowered to a device, still parametrised."""

    isa: QuantumCircuit
    """Over all qubits of the device, by their numbers there."""

    circuit: QuantumCircuit
    """What is submitted: the ISA circuit itself or, for simulators of a device, its active qubits, renumbered."""

    used: tuple[int, ...]
    """Physical qubits that do something or hold a logical qubit, ascending."""

    layout: tuple[int, ...]
    """Index in `circuit`, at its end, of each logical qubit."""

    seconds: float
    """Spent on transpiling; 0 where the ISA circuit comes from the cache."""

    cached: bool
    """Whether the ISA circuit comes from the cache."""

    def observable(self, logical: SparsePauliOp) -> SparsePauliOp:
        """Return an observable over the logical qubits as one over the qubits of `circuit`."""
        return logical.apply_layout(list(self.layout), num_qubits=self.circuit.num_qubits)


def lower(circuit: QuantumCircuit, device: Device, section: config.Transpile) -> Lowered:
    """Lower a circuit to a device.

    Raises:
        ConfigError: Where the circuit has too many qubits, or the transpile options do not fit.
    """
    # An ISA circuit has the numbers of the whole device already.
    numbers = device.numbers if section.kind != "none" else ()
    most = device.backend.target.num_qubits if device.numbers and not numbers else device.num_qubits
    if circuit.num_qubits > most:
        given = f"a circuit of {circuit.num_qubits} qubits for {device.name}"
        raise refuse("circuit", given, f"at most {most} qubits", "fewer qubits, or a larger backend")
    isa, seconds = _isa(circuit, device, _renumbered(section, numbers, device))
    cached = seconds is None
    layout = tuple(isa.layout.final_index_layout()) if isa.layout is not None else tuple(range(circuit.num_qubits))
    if numbers:
        isa = _on(isa, dict(enumerate(numbers)), device.backend.target.num_qubits)
        layout = tuple(numbers[qubit] for qubit in layout)
    active = _active(isa, layout)
    if not device.shrinks:
        return Lowered(isa, isa, active, layout, seconds or 0.0, cached)
    index = {qubit: position for position, qubit in enumerate(active)}
    positions = tuple(index[qubit] for qubit in layout)
    return Lowered(isa, _on(isa, index), active, positions, seconds or 0.0, cached)


def lowered_on(
    used: Sequence[int], circuit: QuantumCircuit, device: Device, section: config.Transpile
) -> QuantumCircuit:
    """Return a circuit as it is submitted beside others that use these physical qubits, which hold all of its own.

    Raises:
        ConfigError: As `lower` does.
    """
    isa = lower(circuit, device, section).isa
    return _on(isa, {qubit: position for position, qubit in enumerate(used)}) if device.shrinks else isa


def on_active(lowered: Lowered) -> Lowered:
    """Return a circuit that was lowered to a whole device as one on its active qubits, renumbered."""
    if lowered.circuit is not lowered.isa:
        return lowered
    index = {qubit: position for position, qubit in enumerate(lowered.used)}
    return replace(lowered, circuit=_on(lowered.isa, index), layout=tuple(index[qubit] for qubit in lowered.layout))


def two_qubit_gates(circuit: QuantumCircuit) -> int:
    """Return the number of operations on exactly two qubits, barriers and control flow aside."""
    return int(circuit.num_nonlocal_gates()) if not circuit.has_control_flow_op() else _two_qubit_gates_inside(circuit)


def _two_qubit_gates_inside(circuit: QuantumCircuit) -> int:
    count = 0
    for instruction in circuit.data:
        blocks = getattr(instruction.operation, "blocks", ())
        count += sum(_two_qubit_gates_inside(block) for block in blocks)
        count += not blocks and len(instruction.qubits) == 2 and instruction.name != "barrier"
    return count


def _renumbered(section: config.Transpile, numbers: tuple[int, ...], device: Device) -> config.Transpile:
    """Return the options for a part of a device, whose qubits a layout names by their numbers on the device."""
    layout = section.initial_layout
    if not numbers or layout is None:
        return section
    if unknown := sorted(set(layout) - set(numbers)):
        given = f"{layout}, of which {device.name} does not have {', '.join(map(str, unknown))}"
        allowed = f"qubits {', '.join(map(str, numbers))}"
        raise refuse("transpile.initial_layout", given, allowed, "transpile.initial_layout=null")
    return section.model_copy(update={"initial_layout": [numbers.index(qubit) for qubit in layout]})


def _isa(circuit: QuantumCircuit, device: Device, section: config.Transpile) -> tuple[QuantumCircuit, float | None]:
    """Return the ISA circuit and the seconds that transpiling took, None where it did not take place."""
    start = time.perf_counter()
    if section.kind == "none":
        return _checked(circuit, device), time.perf_counter() - start
    place = _place(circuit, device, section) if section.cache else None
    if place is not None and (known := place.recall(circuit)) is not None:
        return known, None
    start = time.perf_counter()
    isa = _transpiled(circuit, device, section)
    seconds = time.perf_counter() - start
    if place is not None:
        place.keep(isa)
    return isa, seconds


def _place(circuit: QuantumCircuit, device: Device, section: config.Transpile) -> Remembered | None:
    """Return where the cache holds the ISA circuit, if it may: see `identify`."""
    from qrt_runner.transpilation.entries import Remembered
    from qrt_runner.transpilation.identity import identify

    identity = identify(circuit, device.target, section)
    return None if identity is None else Remembered(Cache(cache_folder(), section.cache_limit_mib), identity)


def _transpiled(circuit: QuantumCircuit, device: Device, section: config.Transpile) -> QuantumCircuit:
    from qiskit.exceptions import QiskitError
    from qiskit.transpiler import generate_preset_pass_manager

    try:
        passes = generate_preset_pass_manager(
            optimization_level=section.optimization_level,
            target=device.target,
            initial_layout=section.initial_layout,
            layout_method=section.layout_method,
            routing_method=section.routing_method,
            seed_transpiler=section.seed,
        )
        return passes.run(circuit)
    except QiskitError as error:
        asked = section.model_dump(exclude={"kind", "seed", "cache", "cache_limit_mib"}, exclude_none=True)
        given = f"{asked}, with which {device.name} cannot be reached: {error.message}"
        raise refuse("transpile", given, "what Qiskit's preset pass manager takes", "transpile=default") from error


def _checked(circuit: QuantumCircuit, device: Device) -> QuantumCircuit:
    target = device.backend.target
    for instruction in circuit.data:
        qubits = tuple(circuit.find_bit(qubit).index for qubit in instruction.qubits)
        if instruction.name != "barrier" and not target.instruction_supported(instruction.name, qubits):
            given = f"none, for a circuit with {instruction.name} on qubits {qubits}"
            allowed = f"ISA circuits of {device.name}"
            raise refuse("transpile", given, allowed, "transpile=default")
    return circuit


def _active(circuit: QuantumCircuit, layout: tuple[int, ...]) -> tuple[int, ...]:
    """Return the qubits that do something or hold a logical qubit, in ascending order."""
    used = {
        circuit.find_bit(qubit).index
        for instruction in circuit.data
        if instruction.name not in ("barrier", "delay")
        for qubit in instruction.qubits
    }
    return tuple(sorted(used | set(layout[: circuit.num_qubits])))


def _on(circuit: QuantumCircuit, index: dict[int, int], width: int | None = None) -> QuantumCircuit:
    """Return the circuit on some of its qubits, renumbered by `index`; its classical side stays as it is.

    Args:
        circuit: The circuit.
        index: New number of each qubit that stays.
        width: How many qubits the circuit then has; None for those that stay.
    """
    from qiskit import QuantumCircuit

    small = QuantumCircuit(width or len(index), name=circuit.name, global_phase=circuit.global_phase)
    small.add_bits([bit for bit in circuit.clbits if not circuit.find_bit(bit).registers])
    for register in circuit.cregs:
        small.add_register(register)
    for variable in circuit.iter_input_vars():
        small.add_input(variable)
    for variable in circuit.iter_declared_vars():
        small.add_uninitialized_var(variable)
    for instruction in circuit.data:
        qubits = [index[place] for qubit in instruction.qubits if (place := circuit.find_bit(qubit).index) in index]
        if qubits:
            operation = instruction.operation
            if instruction.name == "barrier" and len(qubits) != len(instruction.qubits):
                small.barrier(qubits)
            else:
                small.append(operation, qubits, instruction.clbits)
    return small
