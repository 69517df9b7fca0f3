"""Where rows may be written into a SQLite store without MLflow; knows the standard library only.

Only where they were compared with MLflow's own: an installed version, a schema and a place for artifacts that the tests
prove equal. Everything else goes through MLflow.
"""

from __future__ import annotations

import os
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sqlite3 import Connection

PROVEN: Final = {"3.17.2": "dc11669786a5"}
"""Revision of the schema by version of MLflow. Add one when tests/test_recording.py passes with it, and not before."""

COLUMNS: Final = {
    "alembic_version": "version_num",
    "datasets": "dataset_profile dataset_schema dataset_source dataset_source_type dataset_uuid digest experiment_id "
    "name",
    "experiment_tags": "experiment_id key value",
    "experiments": "artifact_location creation_time experiment_id last_update_time lifecycle_stage name workspace",
    "input_tags": "input_uuid name value",
    "inputs": "destination_id destination_type input_uuid source_id source_type step",
    "latest_metrics": "is_nan key run_uuid step timestamp value",
    "metrics": "is_nan key run_uuid step timestamp value",
    "params": "key run_uuid value",
    "runs": "artifact_uri deleted_time end_time entry_point_name experiment_id lifecycle_stage name run_uuid "
    "source_name source_type source_version start_time status user_id",
    "spans": "content end_time_unix_nano experiment_id input_cost model_name model_provider name output_cost "
    "parent_span_id span_id start_time_unix_nano status total_cost trace_id type",
    "tags": "key run_uuid value",
    "trace_info": "cache_creation_input_tokens cache_creation_input_tokens_above_1hr cache_read_input_tokens "
    "client_request_id db_payload_generation execution_time_ms experiment_id input_cost input_tokens output_cost "
    "output_tokens request_id request_preview response_preview session_id status timestamp_ms total_cost total_tokens "
    "trace_name",
    "trace_request_metadata": "key request_id value",
    "trace_tags": "key request_id value",
}
"""The columns of each table that is read or written, by name."""

_SWITCHES: Final = ("MLFLOW_ENABLE_WORKSPACES", "MLFLOW_SQL_TRACE_ROLLUPS_ENABLED")
"""What makes MLflow write more than the tests compare."""

_LONGEST_NAME: Final = 500
_PLAIN_FOLDER: Final = re.compile(r"/(?!/)[^%?#\t\r\n]*")
"""A path that means the same as an address and as a folder: MLflow parses it as the former."""


def revision() -> str | None:
    """Return the schema's revision of the installed MLflow, or None where nothing is proven."""
    if any(os.environ.get(name, "false").lower() not in ("false", "0") for name in _SWITCHES):
        return None
    try:
        return PROVEN.get(version("mlflow"))
    except PackageNotFoundError:
        return None


def has_schema(database: Connection, wanted: str) -> bool:
    """Tell whether a database has the tables of a revision, by its own word and by its columns."""
    for table, columns in COLUMNS.items():
        found = sorted(row[1] for row in database.execute(f"PRAGMA table_info({table})"))
        if found != columns.split():
            return False
    return database.execute("SELECT version_num FROM alembic_version").fetchall() == [(wanted,)]


def takes(database: Connection, experiment: str) -> bool:
    """Tell whether runs of an experiment can be written: it is active, or can be made, and has a plain folder."""
    if not 0 < len(experiment) <= _LONGEST_NAME:
        return False
    if database.execute("SELECT 1 FROM experiments WHERE workspace <> 'default' LIMIT 1").fetchone():
        return False
    query = "SELECT lifecycle_stage, artifact_location FROM experiments WHERE name = ?"
    found = database.execute(query, (experiment,)).fetchone()
    stage, location = found or ("active", artifact_root())
    return stage == "active" and location is not None and is_plain(location)


def artifact_root() -> str | None:
    """Return where MLflow would put the artifacts of new experiments; None where a server says so.

    It takes the working directory, wherever the store is.
    """
    # A server's jobs inherit its artifact root by this variable.
    return None if "_MLFLOW_SERVER_ARTIFACT_ROOT" in os.environ else str(Path.cwd() / "mlruns")


def is_plain(location: str) -> bool:
    """Tell whether an artifact location is a local folder that needs no interpretation."""
    return _PLAIN_FOLDER.fullmatch(location) is not None and ".." not in location.split("/")
