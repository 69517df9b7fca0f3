"""Where the time of a run went: spans are a job's own time stamps, and both ways into a store write them."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from composing import result_of

from qrt_runner.results import JobResult
from qrt_runner.tracking import proven
from qrt_runner.tracking.keeping import KeptRun
from qrt_runner.tracking.metrics import Metric
from qrt_runner.tracking.records import Record
from qrt_runner.tracking.store import Recorder
from qrt_runner.tracking.traces import Stretch, Trace, trace_of

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 1_000_000_000
NOON_S = 1_795_000_000
TABLES = ("trace_info", "trace_tags", "trace_request_metadata", "spans", "trace_metrics", "span_metrics")


def stamp(second: float) -> str:
    """Return a time so many seconds after the start, as the service tells it."""
    return datetime.fromtimestamp(NOON_S + second, UTC).isoformat()


def job(**seconds: float) -> JobResult:
    """Return a job with these time stamps."""
    record = {"id": "j1", "timestamps": {name: stamp(second) for name, second in seconds.items()}}
    return JobResult(0, "done", (), (), {**record, "session_id": "s1", "backend": "fez"}, 0.0, 0.0, 1.5)


def kept(folder: Path) -> KeptRun:
    """Return a run that began on the second."""
    return KeptRun(folder, "r1", "traced", "traced", grouped=False, folders=False, started_ms=NOON_S * 1000)


def spans_of(trace: Trace) -> dict[str, tuple[float, float]]:
    """Return beginning and end of each stretch in seconds after the start, by its name."""
    return {one.name: ((one.start_ns / SECOND) - NOON_S, (one.end_ns / SECOND) - NOON_S) for one in trace.stretches[1:]}


def traced(folder: Path, told: JobResult) -> Trace:
    """Return the trace of a run of one task with one job, which ended after 20 s."""
    result = replace(result_of("mode=raw", "mode.shots=16"), jobs=(told,), transpile_s=0.5)
    trace = trace_of(kept(folder), [result], {"j1": (NOON_S + 15) * SECOND}, (NOON_S + 20) * SECOND)
    assert trace is not None
    return trace


# What took how long


def test_stages_of_a_job_are_its_time_stamps(tmp_path):
    """Submitted at 2, taken at 3, queued until 7, run until 11, fetched at 12, logged at 15, all of it by 20."""
    stamps = {"submitted": 2, "accepted": 3, "created": 2.5, "running": 7, "finished": 11, "collected": 12}
    trace = traced(tmp_path, job(**stamps))
    found = {name: tuple(round(second, 3) for second in times) for name, times in spans_of(trace).items()}
    assert found == {
        "prepare": (0, 2),
        "transpile": (1.5, 2),
        "job j1": (2, 15),
        "submit": (2, 3),
        "queue": (2.5, 7),
        "execute": (7, 11),
        "collect": (11, 12),
        "record": (12, 15),
    }
    assert (trace.root.end_ns - trace.root.start_ns) / SECOND == pytest.approx(20)


def test_what_is_not_known_is_left_out(tmp_path):
    """A simulator has no queue: it executes from when it has taken the job on."""
    names = spans_of(traced(tmp_path, job(submitted=2, accepted=3, finished=11, collected=11)))
    assert "queue" not in names
    assert names["execute"] == pytest.approx((3, 11), abs=1e-5)


def test_clocks_that_disagree_make_no_negative_span(tmp_path):
    """A service that is ahead by 5 s has finished a job after it was fetched."""
    names = spans_of(traced(tmp_path, job(submitted=2, accepted=3, created=8, running=9, finished=17, collected=13)))
    assert names["collect"] == pytest.approx((17, 17), abs=1e-5)


def test_jobs_of_earlier_runs_are_not_in_the_trace(tmp_path):
    """A result that was taken from a run of an hour ago does not make this one an hour long."""
    own = replace(result_of("mode=raw", "mode.shots=16"), jobs=(job(submitted=2, accepted=3, finished=11),))
    earlier = job(submitted=-3600, accepted=-3599, finished=-3590)
    taken = replace(own, jobs=(replace(earlier, record={**earlier.record, "id": "j0"}),), reused_from="r0")
    trace = trace_of(kept(tmp_path), [taken, own], {}, (NOON_S + 20) * SECOND)
    assert trace is not None
    assert [one.name for one in trace.stretches if one.name.startswith("job")] == ["job j1"]
    assert trace.root.start_ns == NOON_S * SECOND
    assert trace_of(kept(tmp_path), [taken], {}, (NOON_S + 20) * SECOND) is None


def test_run_without_jobs_has_no_trace(tmp_path):
    """Where nothing was submitted there is nothing to tell."""
    result = replace(result_of("mode=raw", "mode.shots=16"), jobs=())
    assert trace_of(kept(tmp_path), [result], {}, NOON_S * SECOND) is None


# Both ways into a store


def simple() -> Trace:
    """Return a trace with a failed part, and words that JSON escapes."""
    root = Stretch("run", "π sweep", NOON_S * SECOND, (NOON_S + 9) * SECOND, None, failed=True, told={"jobs": 1})
    part = Stretch("j1", "job j1", NOON_S * SECOND + 7, (NOON_S + 3) * SECOND, "run", told={"error": 'a "b"', "n": 1.5})
    return Trace("r1", "π sweep", (root, part))


def rows_of(store: Path) -> dict[str, list[dict[str, object]]]:
    """Return what a store holds of traces; contents are read."""
    with closing(sqlite3.connect(store)) as database:
        database.row_factory = sqlite3.Row
        found = {
            table: [dict(row) for row in database.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3")]  # noqa: S608
            for table in TABLES
        }
    for row in found["spans"]:
        row["content"] = json.loads(str(row["content"]))
    return found


def log(folder: Path, store: Path, times: int = 1) -> str:
    """Log a run with its trace; return the MLflow run."""
    run = kept(folder)
    run.save()
    record = Record("0-main", "bell", "FINISHED", {}, {"qrt.run": "r1"}, (Metric("a", 1.0, 0),), {})
    record = replace(record, tags={"qrt.run": "r1", "qrt.point": "0", "qrt.task": "main"})
    run.keep([record])
    for _ in range(times):
        with Recorder(run, f"sqlite:///{store}") as recorder:
            recorder.open()
            recorder.log([record])
            recorder.trace = simple()
            recorder.end("FINISHED")
            assert recorder.troubles == []
    return run.logged["0-main"]


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> list[tuple[Path, str]]:
    """Return two stores with the same trace, directly written and by MLflow, each with its MLflow run."""
    folder = tmp_path_factory.mktemp("both")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("QRT_CACHE_DIR", str(folder / "cache"))
        written = log(folder / "direct", folder / "direct.db", times=2)
        shutil.copy(next((folder / "cache" / "stores").glob("*.db")), folder / "mlflow.db")
        patch.setattr(proven, "PROVEN", {})
        own = log(folder / "mlflow", folder / "mlflow.db")
    return [(folder / "direct.db", written), (folder / "mlflow.db", own)]


def test_both_ways_write_equal_traces(both):
    """All tables of traces hold the rows that MLflow writes, ids of runs and experiments aside; twice is once."""
    (written, run), (own, other) = both
    told = json.dumps(rows_of(written), sort_keys=True).replace(run, "a run")
    experiment = '"experiment_id": 1'
    assert experiment in told
    expected = json.dumps(rows_of(own), sort_keys=True).replace(other, "a run")
    assert told == expected


def test_mlflow_reads_a_directly_written_trace(both):
    """MLflow's own client finds the trace by its run, with its spans in place."""
    from mlflow.tracking import MlflowClient

    store, run = both[0]
    client = MlflowClient(f"sqlite:///{store}")
    (found,) = client.search_traces(locations=["1"], run_id=run)
    assert found.info.trace_id == simple().id
    assert {span.name: (span.start_time_ns, span.end_time_ns) for span in found.data.spans} == {
        one.name: (one.start_ns, one.end_ns) for one in simple().stretches
    }
    assert found.data.spans[1].attributes["error"] == 'a "b"'
