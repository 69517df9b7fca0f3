"""Results into MLflow: first kept on disk, then logged. May know MLflow, which nobody else may."""

from qrt_runner.tracking.calibrations import calibrations_of, merged_calibration
from qrt_runner.tracking.environment import environment
from qrt_runner.tracking.keeping import KeptRun, find_kept, kept_runs, unused
from qrt_runner.tracking.metrics import metrics_of
from qrt_runner.tracking.noting import commented
from qrt_runner.tracking.places import write_private
from qrt_runner.tracking.records import Record, Records, rows_of, swept_rows, task_rows, with_reports, with_table
from qrt_runner.tracking.showing import shown_names
from qrt_runner.tracking.summing import asked_of, common_params, summary_of
from qrt_runner.tracking.tables import as_json, parquet_of, tidy_rows

__all__ = [
    "KeptRun",
    "Record",
    "Records",
    "as_json",
    "asked_of",
    "calibrations_of",
    "commented",
    "common_params",
    "environment",
    "find_kept",
    "kept_runs",
    "merged_calibration",
    "metrics_of",
    "parquet_of",
    "rows_of",
    "shown_names",
    "summary_of",
    "swept_rows",
    "task_rows",
    "tidy_rows",
    "unused",
    "with_reports",
    "with_table",
    "write_private",
]
