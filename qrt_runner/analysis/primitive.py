"""Results as Qiskit's own primitives give them; knows results and qiskit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, PubResult, SamplerPubResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from qrt_runner.results import Counts, Expectations, TaskResult


def primitive_result(results: Iterable[TaskResult], metadata: Mapping[str, Any]) -> PrimitiveResult[PubResult]:
    """Return results with one PUB result for each task, in their order; failed tasks have none.

    Counts become bit arrays, one for each classical register, of shape (parameter sets,) or, for circuits without
    parameters, (). Shots stand in the order of their outcomes: in which order they came was not kept. Expectation
    values are of shape (observables, parameter sets), or (observables,), as `metadata` names them.
    """
    pubs = [_pub(result) for result in results if result.counts is not None or result.expectations is not None]
    return PrimitiveResult(pubs, metadata=dict(metadata))


def _pub(result: TaskResult) -> PubResult:
    there = [index for index in range(len(result.parameter_values)) if index not in frozenset(result.missing)]
    metadata: dict[str, Any] = {
        "point": result.point.index,
        "task": result.name,
        "parameters": list(result.parameters),
        "parameter_values": result.parameter_values[there].tolist(),
        "mitigation": list(result.ledger.applied),
    }
    is_single = not result.parameters and len(there) == 1
    if result.counts is not None:
        return SamplerPubResult(_bits(result.counts, there, is_single=is_single), metadata)
    assert result.expectations is not None
    metadata["observables"] = list(result.expectations.names)
    return PubResult(_values(result.expectations, there, is_single=is_single), metadata)


def _values(found: Expectations, there: Sequence[int], *, is_single: bool) -> DataBin:
    evs, stds = (array[there].T for array in (found.values, found.errors))
    if is_single:
        evs, stds = evs[:, 0], stds[:, 0]
    return DataBin(evs=evs, stds=stds, shape=evs.shape)


def _bits(counts: Counts, there: Sequence[int], *, is_single: bool) -> DataBin:
    """Return the outcomes of all registers, shot by shot, so that what registers have in common is kept."""
    fewest = min((sum(counts.joint[index].values()) for index in there), default=0)
    arrays, start = {}, 0
    for name, width in counts.registers:
        rows = [_register(counts.joint[index], start, width)[:fewest] for index in there]
        stacked = np.stack(rows) if rows else np.empty((0, 0, (width + 7) // 8), dtype=np.uint8)
        arrays[name] = BitArray(stacked[0] if is_single else stacked, width)
        start += width
    return DataBin(**arrays, shape=() if is_single else (len(there),))


def _register(joint: Mapping[str, int], start: int, width: int) -> np.ndarray:
    """Return the bits of a register in every shot, as bytes: shape (shots, bytes)."""
    whole = len(next(iter(joint), ""))
    cut = slice(whole - start - width, whole - start)
    size = (width + 7) // 8
    seen = [list(int(bits[cut] or "0", 2).to_bytes(size, "big")) for bits in joint]
    return np.repeat(np.array(seen, dtype=np.uint8).reshape(len(seen), size), [*joint.values()], axis=0)
