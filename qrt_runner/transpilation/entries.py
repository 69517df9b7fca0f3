"""Keeps ISA circuits in a cache and gives them back as they were; knows qiskit."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import UUID

import numpy as np
from qiskit import QuantumCircuit, qpy
from qiskit.circuit import Barrier, BreakLoopOp, ContinueLoopOp, Delay, Measure, Reset, Store

from qrt_runner.transpilation.cache import Entry
from qrt_runner.transpilation.identity import versions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qrt_runner.transpilation.cache import Cache
    from qrt_runner.transpilation.identity import Identity

_COME_BACK: Final = (Barrier, BreakLoopOp, ContinueLoopOp, Delay, Measure, Reset, Store)
"""Operations that QPY gives back as they were, beside standard gates and control flow."""


@dataclass(frozen=True)
class Remembered:
    """The place of one lowered circuit in a cache."""

    cache: Cache
    identity: Identity

    def recall(self, circuit: QuantumCircuit) -> QuantumCircuit | None:
        """Return the ISA circuit that was kept for a circuit, with the circuit's own parameters, name and metadata.

        Returns:
            None where there is none, or where what is there is not what was kept.
        """
        entry = self.cache.read(self.identity.key)
        if entry is None:
            return None
        isa = _opened(entry, self.identity.names)
        if (
            isa is None
            or _summary(isa) != entry.header["summary"]
            or not set(isa.parameters) <= set(circuit.parameters)
        ):
            self.cache.drop(self.identity.key)
            return None
        isa.name, isa.metadata = circuit.name, circuit.metadata
        return isa

    def keep(self, isa: QuantumCircuit) -> None:
        """Keep an ISA circuit, unless QPY would not give it back as it is."""
        body = _written(isa) if _comes_back(isa) else None
        if body is not None:
            names = [name.hex for name in self.identity.names]
            header = {"versions": versions(), "names": names, "summary": _summary(isa)}
            self.cache.write(self.identity.key, Entry(header, body))


def _written(isa: QuantumCircuit) -> bytes | None:
    plain = isa.copy(name="isa")
    plain.metadata = {}
    body = io.BytesIO()
    try:
        qpy.dump(plain, body)
    except Exception:  # noqa: BLE001 - what QPY cannot say ends in its own errors, TypeError and others alike
        return None
    # To a twentieth of its size, in as many milliseconds as it has MiB.
    return zlib.compress(body.getvalue(), 1)


def _opened(entry: Entry, names: Sequence[UUID]) -> QuantumCircuit | None:
    try:
        kept = [UUID(name).bytes for name in entry.header["names"]]
        body = renamed(zlib.decompress(entry.body), dict(zip(kept, [name.bytes for name in names], strict=True)))
        (isa,) = qpy.load(io.BytesIO(body))
    except Exception:  # noqa: BLE001 - a reader may stumble with any error over what it cannot read
        return None
    return isa if isinstance(isa, QuantumCircuit) else None


def _summary(isa: QuantumCircuit) -> dict[str, object]:
    """Return what a kept circuit is checked by, in forms that JSON gives back as they are."""
    return {
        "layout": None if isa.layout is None else isa.layout.final_index_layout(),
        "parameters": [parameter.name for parameter in isa.parameters],
        "registers": [[register.name, register.size] for register in (*isa.qregs, *isa.cregs)],
        "operations": dict(isa.count_ops()),
    }


def _comes_back(circuit: QuantumCircuit) -> bool:
    """Tell whether QPY gives back every operation as it is; a vendor's own gates would come back as plain ones."""
    return all(
        instruction.is_standard_gate()
        or (instruction.is_control_flow() and all(_comes_back(block) for block in instruction.operation.blocks))
        or instruction.operation.base_class in _COME_BACK
        for instruction in circuit.data
    )


def renamed(body: bytes, names: Mapping[bytes, bytes]) -> bytes:
    """Return bytes in which identities, of 16 bytes each, are replaced; in one pass, as there may be thousands."""
    if all(old == new for old, new in names.items()):
        return body
    heads = np.zeros(2**16, dtype=bool)
    heads[[int.from_bytes(old[:2]) for old in names]] = True
    numbers = np.frombuffer(body, dtype=np.uint8).astype(np.uint16)
    result = bytearray(body)
    for place in np.flatnonzero(heads[numbers[:-1] * 256 + numbers[1:]]):
        if new := names.get(body[place : place + 16]):
            result[place : place + 16] = new
    return bytes(result)
