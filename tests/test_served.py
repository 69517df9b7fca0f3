"""A tracking server gets over HTTP all that a store on disk has: view, notes, traces, reports, comparisons."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from qrt_runner.tracking.viewing import experiment_tags

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Ended

pytestmark = pytest.mark.slow
SUBMITTED = ("circuit=ghz", "backend=rehearsal", "session=batch", "backend.queue_wait_s=20", "mode.shots=256")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Start a tracking server on loopback, and stop it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", "sqlite:///served.db", "--workers", "1"]
    line += ["--host", "127.0.0.1", "--port", str(port)]
    settings = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (tmp_path / "server.log").open("wb") as log:
        started = subprocess.Popen(line, env=settings, stdout=log, stderr=log, start_new_session=True)
    try:
        for _ in range(1200):
            try:
                urlopen(f"http://127.0.0.1:{port}/health").close()
                break
            except (URLError, ConnectionError):
                assert started.poll() is None, (tmp_path / "server.log").read_text()
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(started.pid, signal.SIGTERM)
        started.wait(30)


def test_a_server_gets_all_that_is_told_of_runs(command: Callable[..., Ended], server: str) -> None:
    """A sweep, a run that is collected later, a report and a comparison, each as it would be on disk."""
    from mlflow.tracking import MlflowClient

    sweep = ("-m", "circuit=bell,ghz", *SUBMITTED[1:], "mode=sampler")
    for words in (sweep, ("action=report",), ("action=submit", *SUBMITTED), ("action=collect",), ("action=compare",)):
        ended = command(*words, f"tracking.uri={server}")
        assert ended.code == 0, ended.err
    client = MlflowClient(tracking_uri=server)
    experiment = client.get_experiment_by_name("qrt_runner")
    assert experiment_tags().items() <= experiment.tags.items()
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    parent, compared = runs["qrt_runner (2 points)"], runs["comparison of 2 runs"]
    tasks = [run for run in runs.values() if "qrt.task" in run.data.tags]
    assert len(tasks) == 3
    assert all(run.data.tags["mlflow.note.content"].startswith("**") for run in runs.values())
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert parent.data.params["circuit.name"] == "bell, ghz"
    for run, names in ((parent, {"report.html", "results_table.json"}), (compared, {"comparison.html"})):
        assert names <= {file.path for file in client.list_artifacts(run.info.run_id)}
    report = Path(client.download_artifacts(parent.info.run_id, "report.html"))
    assert report.read_bytes() == next(Path("outputs").rglob("report-*.html")).read_bytes()


def test_a_trace_shows_waiting_apart_from_running(command: Callable[..., Ended], server: str) -> None:
    """To the microsecond by the time stamps in jobs.json, of a run that another command collects: 20 s in the queue."""
    from mlflow.tracking import MlflowClient

    for words in (("action=submit", *SUBMITTED), ("action=collect",)):
        ended = command(*words, f"tracking.uri={server}")
        assert ended.code == 0, ended.err
    client = MlflowClient(tracking_uri=server)
    experiment = client.get_experiment_by_name("qrt_runner").experiment_id
    (trace,) = client.search_traces(locations=[experiment])
    spans = {span.name: span for span in trace.data.spans}
    (job,) = json.loads(next(Path("outputs").rglob("0-main/jobs.json")).read_text(encoding="utf-8"))
    stamps = job["timestamps"]
    assert spans["queue"].end_time_ns == spans["execute"].start_time_ns
    waited_s, ran_s = ((spans[name].end_time_ns - spans[name].start_time_ns) / 1e9 for name in ("queue", "execute"))
    created, running, finished = (
        datetime.fromisoformat(stamps[name]).timestamp() for name in ("created", "running", "finished")
    )
    assert waited_s == pytest.approx(running - created, abs=1e-5)
    assert ran_s == pytest.approx(finished - running, abs=1e-5)
    assert waited_s >= 20
    assert spans["record"].start_time_ns >= spans["execute"].end_time_ns
