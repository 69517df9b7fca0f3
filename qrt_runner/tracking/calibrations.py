"""What records tell of the calibration of their backends, put together; knows the standard library only."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from qrt_runner.tracking.records import Record

Calibration = dict[str, Any]
"""As `Device.calibration` returns it, read back from JSON."""

CALIBRATION: Final = "calibration.json"
"""Artifact with the properties of a task's qubits at run time."""


def calibrations_of(records: Iterable[Record]) -> list[Calibration]:
    """Return the calibrations that records hold, equal ones once."""
    texts = dict.fromkeys(record.artifacts[CALIBRATION] for record in records if CALIBRATION in record.artifacts)
    return [json.loads(text) for text in texts]


def merged_calibration(calibrations: Sequence[Mapping[str, Any]]) -> Calibration:
    """Return one calibration of all qubits and gates that some of one backend tell of; the latest word counts."""
    merged: Calibration = {}
    gates: dict[tuple[str, tuple[int, ...]], Any] = {}
    for one in sorted(calibrations, key=lambda one: str(one.get("last_update"))):
        gates |= {(gate["gate"], tuple(gate["qubits"])): gate for gate in one["gates"]}
        target = _merged_target(merged.get("target"), one.get("target"))
        qubits = {**merged.get("qubits", {}), **one["qubits"]}
        merged |= {**one, "qubits": dict(sorted(qubits.items(), key=lambda item: int(item[0]))), **target}
    return {**merged, "gates": list(gates.values())}


def _merged_target(known: Mapping[str, Any] | None, one: Mapping[str, Any] | None) -> dict[str, Any]:
    if known is None or one is None:
        return {} if known is None else {"target": known}
    operations = dict(known["operations"])
    for name, places in one["operations"].items():
        before = operations.get(name, [])
        operations[name] = (
            None if places is None else sorted([*before, *(place for place in places if place not in before)])
        )
    return {"target": {**known, **one, "operations": operations}}
