"""What a run was made of, as MLflow's datasets: the circuit as written; knows the standard library only.

The run table has a column of them as it opens: two runs of equal circuits show the same digest.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from qrt_runner.tracking.records import Record

_WRITTEN: Final = "circuit/logical.qasm3"
"""QPY differs from one process to the next, so circuits that OpenQASM 3 cannot say are no datasets."""

CONTEXT: Final = "mlflow.data.context"
"""The tag in which MLflow tells what a run took a dataset for."""

SOURCE_TYPE: Final = "qrt_runner"
_LONGEST_NAME: Final = 500


@dataclass(frozen=True)
class Dataset:
    """A circuit as written, before parameters are bound."""

    name: str
    digest: str
    """Of its OpenQASM 3, 8 hexadecimal digits as MLflow's own are."""

    @property
    def source(self) -> str:
        """Where it is found, among the run's artifacts."""
        return json.dumps({"path": _WRITTEN})


def dataset_of(record: Record) -> Dataset | None:
    """Return a record's circuit; None where it has none that is the same in every process."""
    written, name = record.artifacts.get(_WRITTEN), record.params.get("circuit.name")
    if written is None or not name:
        return None
    return Dataset(name[:_LONGEST_NAME], sha256(written).hexdigest()[:8])
