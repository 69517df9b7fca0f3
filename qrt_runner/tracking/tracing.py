"""Logs a trace through MLflow's own tracing client; knows MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow.entities import Span, TraceInfo, TraceLocation, TraceState
from mlflow.tracing.client import TracingClient

from qrt_runner.tracking.traces import metadata_of, previews_of, times_of, trace_tags

if TYPE_CHECKING:
    from qrt_runner.tracking.traces import Trace


def log_trace(where: str, experiment: str, trace: Trace, run: str) -> None:
    """Log a trace.

    Args:
        where: Address of the store.
        experiment: Id of the MLflow experiment.
        trace: What took place.
        run: The MLflow run that it is about.
    """
    client = TracingClient(where)
    start_ms, length_ms = times_of(trace)
    asked, came = previews_of(trace)
    info = TraceInfo(
        trace_id=trace.id,
        trace_location=TraceLocation.from_experiment_id(experiment),
        request_time=start_ms,
        execution_duration=length_ms,
        state=TraceState(trace.state),
        request_preview=asked,
        response_preview=came,
        trace_metadata=metadata_of(run),
        tags={**trace_tags(trace), "mlflow.traceName": trace.name},
    )
    client.start_trace(info)
    client.log_spans(experiment, [Span.from_dict(trace.content(one)) for one in trace.stretches])
