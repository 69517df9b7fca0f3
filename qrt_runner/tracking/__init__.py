"""Results into MLflow: first kept on disk, then logged. May know MLflow, which nobody else may."""

from qrt_runner.tracking.environment import environment
from qrt_runner.tracking.keeping import KeptRun, KeptTask, add_files, find_kept, keep_task
from qrt_runner.tracking.records import Record, record_of, table_of, tidy_rows

__all__ = [
    "KeptRun",
    "KeptTask",
    "Record",
    "add_files",
    "environment",
    "find_kept",
    "keep_task",
    "record_of",
    "table_of",
    "tidy_rows",
]
