"""The durable state of runs and jobs: written before what costs money is done, whole whatever happens; knows sqlite3.

It knows neither plans nor services nor MLflow: it writes down what it is told.
"""

from qrt_runner.journal.archive import (
    make_private,
    packed_bytes,
    read_checked,
    read_parts,
    unpacked_bytes,
    write_checked,
    write_parts,
)
from qrt_runner.journal.diary import Diary
from qrt_runner.journal.locking import HeldError, is_held
from qrt_runner.journal.records import (
    GroupEntry,
    JobEntry,
    PointEntry,
    RunEntry,
    Seconds,
    SpentJob,
    State,
    Submission,
    TaskEntry,
)
from qrt_runner.journal.store import Journal

__all__ = [
    "Diary",
    "GroupEntry",
    "HeldError",
    "JobEntry",
    "Journal",
    "PointEntry",
    "RunEntry",
    "Seconds",
    "SpentJob",
    "State",
    "Submission",
    "TaskEntry",
    "is_held",
    "make_private",
    "packed_bytes",
    "read_checked",
    "read_parts",
    "unpacked_bytes",
    "write_checked",
    "write_parts",
]
