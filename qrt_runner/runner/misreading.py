"""How qubits were misread, as a report tells it; knows the modules above it."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.digits import with_error
from qrt_runner.reports import Grid, Section, Words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from qrt_runner.tracking import Record

_TITLES: Final = ("qubit", "1 read where 0 was prepared", "0 read where 1 was prepared")


def readout_section(record: Record) -> Section | None:
    """Return the confusion matrices that a task's jobs measured for M3; None where they measured none."""
    jobs: list[Mapping[str, Any]] = json.loads(record.artifacts.get("readout.json", b"[]"))
    if not jobs:
        return None
    grids = [
        Grid(f"Qubits of job {job['job']}, {job['shots_per_state']} shots of each state", _TITLES, [*_rows(job)])
        for job in jobs
    ]
    told = Words("Measured in the same job as the counts that are corrected by it; shares with their standard errors.")
    return Section("How the qubits were misread", [told, *grids])


def _rows(job: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Give a row for each qubit; in its matrix columns are the states prepared, rows those read."""
    shots = job["shots_per_state"]
    for qubit, matrix in sorted(job["confusion"].items(), key=lambda item: int(item[0])):
        yield qubit, _share(matrix[1][0], shots), _share(matrix[0][1], shots)


def _share(share: float, shots: int) -> str:
    """Return a share of the shots with its standard error, that of a binomial distribution."""
    return with_error(share, math.sqrt(share * (1 - share) / shots))
