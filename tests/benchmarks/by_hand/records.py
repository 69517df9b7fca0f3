"""One MLflow run per point, as an expert logs them by hand: the client, one batch per run, one small artifact.

10 params, 5 metrics, 5 tags and one JSON file each, below one parent run.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def log_points(
    settings: Mapping[str, str], tags: Mapping[str, str], points: Sequence[tuple[float, Mapping[str, float], Any]]
) -> None:
    """Log points as child runs.

    Args:
        settings: 9 params that all points share.
        tags: 3 tags that all points share.
        points: Of each its angle in radians, its 5 metrics, and what goes into its artifact.
    """
    client = MlflowClient(tracking_uri="sqlite:///mlflow.db")
    found = client.get_experiment_by_name("by_hand")
    experiment = found.experiment_id if found else client.create_experiment("by_hand")
    parent = client.create_run(experiment, run_name="sweep").info.run_id
    shared = [Param(name, value) for name, value in settings.items()]
    for index, (theta, numbers, document) in enumerate(points):
        run = client.create_run(experiment, tags={MLFLOW_PARENT_RUN_ID: parent}, run_name=f"point {index}")
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, 0) for name, value in numbers.items()]
        own = [RunTag(name, value) for name, value in {**tags, "point": str(index)}.items()]
        client.log_batch(run.info.run_id, metrics, [*shared, Param("theta", str(theta))], own)
        client.log_dict(run.info.run_id, document, "result.json")
        client.set_terminated(run.info.run_id)
    client.set_terminated(parent)
