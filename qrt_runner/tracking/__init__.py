"""Results into MLflow: first kept on disk, then logged. May know MLflow, which nobody else may."""

from qrt_runner.tracking.environment import environment
from qrt_runner.tracking.keeping import KeptRun, find_kept
from qrt_runner.tracking.metrics import metrics_of
from qrt_runner.tracking.records import Record, Records, swept_rows, with_reports, with_table
from qrt_runner.tracking.tables import parquet_of, tidy_rows

__all__ = [
    "KeptRun",
    "Record",
    "Records",
    "environment",
    "find_kept",
    "metrics_of",
    "parquet_of",
    "swept_rows",
    "tidy_rows",
    "with_reports",
    "with_table",
]
