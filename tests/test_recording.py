"""Logging at the speed of a sweep: rows written straight into a store are those that MLflow itself would write.

Every claim is held to a real store, most of them to both ways into it, and some to a real `mlflow server`.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import closing, contextmanager
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

import pytest

from qrt_runner.errors import TrackingError
from qrt_runner.tracking import direct, fresh, proven
from qrt_runner.tracking.keeping import KeptRun, find_kept
from qrt_runner.tracking.metrics import Metric
from qrt_runner.tracking.records import Record
from qrt_runner.tracking.rows import checked
from qrt_runner.tracking.steps import Beside
from qrt_runner.tracking.store import Recorder, log_run, state_of
from qrt_runner.tracking.writer import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

ROOT = Path(__file__).parents[1]
STARTED_MS = 1_795_000_000_000
NOWHERE = "http://127.0.0.1:9"
DIRECT_ID = re.compile(f"{STARTED_MS:012x}[0-9a-f]{{20}}")
"""What the ids of directly written runs look like; MLflow's own are random."""

TIMES = {"creation_time", "last_update_time", "end_time", "timestamp"}


def record(point: int, run: str = "r1", state: str = "FINISHED", **content: Any) -> Record:
    """Return a record as a sweep has many of: each point with numbers of its own."""
    tags = {"qrt.run": run, "qrt.point": str(point), "qrt.task": "main", "qrt.backend": "aer", "qrt.notes": ""}
    fields: dict[str, Any] = {
        "params": {"mode": "sampler", "circuit.params.depth": str(point)},
        "metrics": (Metric("ev/zz", point / 4, 0), Metric("time/run_s", 0.5, 0)),
        "artifacts": {"config.yaml": f"depth: {point}\n".encode(), "circuit/isa.txt": b"H"},
    }
    fields |= content
    fields["artifacts"] = {**fields["artifacts"], "results.parquet": b"PAR1"}
    tags["qrt.job_ids"] = ",".join(["0123456789"] * (1000 if point == 3 else 1))
    return Record(f"{point}-main", f"bell #{point}", state, tags=tags, **fields)


def odd_records() -> list[Record]:
    """Return records with everything that a store might treat in its own way."""
    history = [Metric("ev/zz", value, step) for step, value in enumerate([0.5, -0.25, 1.0, 0.75])]
    special = [
        Metric("std/zz", float(text), step) for step, text in enumerate(["nan", "inf", "-inf", "-0.0", "1e-320"])
    ]
    twice = [Metric("ideal/zz", 0.5, 3), Metric("ideal/zz", 0.75, 3), Metric("ideal/zz", 0.75, 3)]
    last_nan = [Metric("error/zz", 1.0, 0), Metric("error/zz", float("nan"), 1)]
    many_params = {f"circuit.params.p{number}": str(number) for number in range(150)}
    many_metrics = tuple(Metric(f"ev/o{number % 3}", number / 7, number // 3) for number in range(2500))
    return [
        record(0, metrics=(*history, *special, *twice, *last_nan)),
        record(1, state="FAILED", metrics=(), artifacts={"error.txt": b"RuntimeError: the fridge is warm\n"}),
        record(2, params={"label": "ab" * 3500, "empty": "", "words": "π = '%?#'; \"1\"", "a b/c.d-e:f": "x"}),
        record(3, artifacts={"plots/zne.png": bytes(range(256)), "a/b/c.json": b"{}", "empty.txt": b""}),
        record(4, params=many_params, metrics=many_metrics),
        record(5, params={}, metrics=(), artifacts={}),
    ]


def kept_run(folder: Path, name: str = "sweep", run: str = "r1", *, grouped: bool = True) -> KeptRun:
    """Return a kept run, empty yet."""
    kept = KeptRun(
        folder / "kept" / run, run, name, f"{name} (6 points)", grouped, folders=False, started_ms=STARTED_MS
    )
    kept.save()
    return kept


def log_all(run: KeptRun, uri: str, records: Sequence[Record], **summary: Any) -> None:
    """Keep and log records, and end the run as it deserves."""
    run.keep(records)
    with Recorder(run, uri) as recorder:
        recorder.log(records)
        recorder.end(state_of(run), **summary)


@contextmanager
def through_mlflow() -> Iterator[None]:
    """Let no version of MLflow be proven, so that everything is logged by its own client."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proven, "PROVEN", {})
        yield


@contextmanager
def directly() -> Iterator[None]:
    """Leave everything as it is."""
    yield


WAYS = {"direct": directly, "mlflow": through_mlflow}


@pytest.fixture(params=WAYS)
def way(request, store, migrated) -> Iterator[str]:
    """Go one way into a fresh store, then the other, for which MLflow has made it before."""
    with WAYS[request.param]():
        if request.param == "mlflow":
            shutil.copy(migrated, store)
        yield request.param


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    """Return a cache folder with a template store, which takes MLflow seconds to make."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("QRT_CACHE_DIR", str(folder))
        fresh._template()  # noqa: SLF001 - made once for all tests
        return folder


@pytest.fixture(autouse=True)
def _one_template(cache, monkeypatch) -> None:
    monkeypatch.setenv("QRT_CACHE_DIR", str(cache))


@pytest.fixture
def store(tmp_path) -> Path:
    """Return where a test's store will be."""
    return tmp_path / "mlflow.db"


@pytest.fixture(scope="module")
def migrated(tmp_path_factory) -> Path:
    """Return a store that MLflow made by itself, in a working directory of its own."""
    folder = tmp_path_factory.mktemp("migrated")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        client_of(folder / "mlflow.db").search_experiments()
    return folder / "mlflow.db"


def client_of(where: Path | str) -> MlflowClient:
    """Return MLflow's client of a store or a server."""
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=f"sqlite:///{where}" if isinstance(where, Path) else where)


def runs_of(where: Path | str, name: str = "sweep", wanted: str = "") -> list[Run]:
    """Return an experiment's runs, the parent first, then by point."""
    client = client_of(where)
    found = client.get_experiment_by_name(name)
    assert found is not None
    runs = client.search_runs([found.experiment_id], wanted)
    return sorted(runs, key=lambda run: (int(run.data.tags.get("qrt.point", "-1")), run.info.run_id))


def statuses(where: Path | str, name: str = "sweep") -> list[str]:
    """Return how an experiment's runs ended, the parent's first."""
    return [run.info.status for run in runs_of(where, name)]


def rows(store: Path, query: str, *values: object) -> list[tuple[Any, ...]]:
    """Ask a SQLite store."""
    with closing(sqlite3.connect(store)) as database, database:
        return database.execute(query, values).fetchall()


def dumped(store: Path) -> dict[str, list[str]]:
    """Return all rows of all tables, with names for the runs' ids and without times, which no two runs share."""
    tags = rows(store, "SELECT run_uuid, key, value FROM tags WHERE key IN ('qrt.run', 'qrt.point')")
    names = {run: "parent" for run, key, _ in tags if key == "qrt.run"}
    names |= {run: f"point {value}" for run, key, value in tags if key == "qrt.point"}
    ids = re.compile("|".join(names)) if names else re.compile("(?!)")
    tables = [name for (name,) in rows(store, "SELECT name FROM sqlite_master WHERE type = 'table'")]
    with closing(sqlite3.connect(store)) as database:
        database.row_factory = sqlite3.Row
        found = {table: database.execute(f"SELECT * FROM {table}").fetchall() for table in tables}  # noqa: S608
    return {
        table: sorted(ids.sub(lambda match: names[match[0]], repr(_timeless(row))) for row in content)
        for table, content in found.items()
    }


def _timeless(row: sqlite3.Row) -> dict[str, object]:
    return {name: ("a time" if row[name] else None) if name in TIMES else row[name] for name in sorted(row.keys())}


def ordered(run: Run) -> list[tuple[str, str]]:
    """Return a run's latest metrics, in a form in which NaN equals itself."""
    return sorted((key, repr(value)) for key, value in run.data.metrics.items())


def files_of(runs: Sequence[Run]) -> list[dict[str, bytes]]:
    """Return the artifacts of runs as they lie on disk."""
    folders = [Path(run.info.artifact_uri) for run in runs]
    return [
        {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
        for folder in folders
    ]


def change(store: Path, statement: str) -> None:
    """Change a store behind MLflow's back."""
    rows(store, statement)


def until(true: Callable[[], object]) -> None:
    """Return when something is true: what is logged beside a run is there some time later."""
    for _ in range(1000):
        if true():
            return
        time.sleep(0.02)
    raise AssertionError


# Equal stores


@pytest.fixture(scope="module")
def both(tmp_path_factory, cache, migrated) -> list[Path]:
    """Return two stores with the same sweep and its summary: directly written, and made and written by MLflow."""
    folder = tmp_path_factory.mktemp("both")
    shutil.copy(migrated, folder / "mlflow.db")
    metrics = [Metric("best", 0.5, 0), Metric("best", float("inf"), 1)]
    summary = {"files": {"sweep.parquet": b"PAR1"}, "params": {"points": "6"}, "tags": {"qrt.a": "9" * 8001}}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(migrated.parent)
        patch.setenv("QRT_CACHE_DIR", str(cache))
        for name, entered in WAYS.items():
            run = kept_run(folder / name)
            with entered():
                log_all(run, f"sqlite:///{folder}/{name}.db", odd_records(), metrics=metrics, **summary)
    return [folder / f"{name}.db" for name in WAYS]


def test_both_ways_write_equal_rows(both):
    """All tables of a directly written store hold the rows that MLflow writes, ids and times aside."""
    written, own = map(dumped, both)
    assert written.keys() == own.keys()
    assert {table: written[table] for table in own if written[table] != own[table]} == {
        table: own[table] for table in own if written[table] != own[table]
    }
    assert len(own["runs"]) == 7
    assert len(own["metrics"]) == 4 + 5 + 2 + 2 + 2500 + 2 * 2 + 2


def test_both_ways_write_equal_files(both):
    """The runs' folders hold the same files."""
    written, own = (files_of(runs_of(store)) for store in both)
    assert written == own
    assert written[4]["plots/zne.png"] == bytes(range(256))


def test_both_ways_were_gone(both):
    """The two stores were written in different ways: by ids of ours, and by MLflow's random ones."""
    written, own = ([run.info.run_id for run in runs_of(store)] for store in both)
    assert all(DIRECT_ID.fullmatch(run_id) for run_id in written)
    assert not any(DIRECT_ID.fullmatch(run_id) for run_id in own)


@pytest.mark.usefixtures("way")
def test_run_without_a_parent(store):
    """A task alone is one run, and what would be its parent's is not logged."""
    run = kept_run(store.parent, grouped=False)
    log_all(run, f"sqlite:///{store}", [record(0)], files={"summary.json": b"{}"})
    [logged] = runs_of(store)
    assert "mlflow.parentRunId" not in logged.data.tags
    assert (run.parent, run.logged) == (None, {"0-main": logged.info.run_id})


@pytest.mark.usefixtures("way")
def test_run_is_noted_with_its_parent(store):
    """Whoever reads the kept run again finds each task's MLflow run and the parent's."""
    run = kept_run(store.parent)
    log_all(run, f"sqlite:///{store}", [record(0), record(1)])
    parent, *children = runs_of(store)
    again = find_kept(str(run.folder))
    assert again.parent == parent.info.run_id
    assert again.logged == {f"{point}-main": child.info.run_id for point, child in enumerate(children)}


def test_parent_is_open_while_records_come(store):
    """Between the first record and the end the parent is RUNNING, and the children are finished already."""
    run = kept_run(store.parent)
    with Recorder(run, f"sqlite:///{store}") as recorder:
        recorder.log([record(0)])
        assert statuses(store) == ["RUNNING", "FINISHED"]
        assert find_kept(str(run.folder)).parent == run.parent is not None
        recorder.log([record(0), record(1)])
        recorder.end("FINISHED")
    assert statuses(store) == ["FINISHED"] * 3


def test_points_are_in_order(store):
    """In MLflow's own order, which goes by start and then by id, the points come as they were counted."""
    points = [9, 10, 2, 300, 11]
    log_all(kept_run(store.parent, grouped=False), f"sqlite:///{store}", [record(point) for point in points])
    client = client_of(store)
    experiment = client.get_experiment_by_name("sweep").experiment_id
    found = client.search_runs([experiment], order_by=["attributes.start_time DESC"])
    assert [int(run.data.tags["qrt.point"]) for run in found] == sorted(points)


@pytest.mark.usefixtures("way")
def test_name_that_mlflow_refuses_is_refused(store):
    """A name that MLflow does not take is told, whichever way is gone, and leaves no run open."""
    run = kept_run(store.parent)
    with pytest.raises(TrackingError, match=r"tracking.uri: given sqlite.*a//b"):
        log_all(run, f"sqlite:///{store}", [record(0, params={"a//b": "1"})])
    assert "RUNNING" not in statuses(store)
    assert not run.logged


NAMES = [
    "a//b",
    "./a",
    "a/.",
    "..",
    "../a",
    "..a",
    "/a",
    ".",
    "",
    "a?b",
    "a\nb",
    "a\n",
    "x" * 250,
    "x" * 251,
    "ä_:-. /b c",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_judged_as_by_mlflow(name):
    """What MLflow refuses as the name of a param is refused, and nothing else."""
    from mlflow.exceptions import MlflowException
    from mlflow.utils.validation import _validate_param

    try:
        _validate_param(name, "1")
    except MlflowException:
        with pytest.raises(StoreError, match="MLflow takes no"):
            checked(name)
    else:
        assert checked(name) == name


def test_tags_are_those_that_mlflow_reads(store):
    """Name, user, source and parent stand where MLflow's own constants say."""
    from mlflow.utils import mlflow_tags

    log_all(kept_run(store.parent), f"sqlite:///{store}", [record(0)])
    parent, child = runs_of(store)
    assert child.data.tags[mlflow_tags.MLFLOW_PARENT_RUN_ID] == parent.info.run_id
    assert child.data.tags[mlflow_tags.MLFLOW_RUN_NAME] == child.info.run_name == "bell #0"
    assert child.data.tags[mlflow_tags.MLFLOW_USER] == child.info.user_id
    assert child.data.tags[mlflow_tags.MLFLOW_SOURCE_NAME] == "qrt_runner"


# Through a server


def free_port() -> int:
    """Return a port that nobody listens on."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture(scope="module")
def served(tmp_path_factory, cache) -> Iterator[tuple[str, Path]]:
    """Give the address of a server and its store, which holds one sweep twice: directly written, and by MLflow."""
    folder = tmp_path_factory.mktemp("served")
    store = folder / "mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("QRT_CACHE_DIR", str(cache))
        for name, entered in WAYS.items():
            with entered():
                log_all(kept_run(folder, name, f"run-{name}"), f"sqlite:///{store}", odd_records())
    port = free_port()
    line = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{store}"]
    line += ["--no-serve-artifacts", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    settings = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log.txt").open("w") as log:
        server = subprocess.Popen(
            line, cwd=folder, env=settings, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        wait_for(f"http://127.0.0.1:{port}", server, folder / "log.txt")
        yield f"http://127.0.0.1:{port}", store
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Return when a server answers."""
    for _ in range(300):
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())


def both_told(served: tuple[str, Path], ask: Callable[[MlflowClient, str], Any]) -> tuple[Any, Any]:
    """Return what the server tells of the two sweeps."""
    client = client_of(served[0])
    experiments = [client.get_experiment_by_name(name).experiment_id for name in WAYS]
    written, own = (ask(client, experiment) for experiment in experiments)
    return written, own


FILTERS = {
    "metrics.`ev/zz` > 0.5": [1],
    "metrics.`ev/zz` = 0.5 and params.mode = 'sampler'": [2],
    "metrics.`std/zz` < 1": [0],
    "params.`circuit.params.p149` = '149'": [4],
    "params.label LIKE 'abab%'": [2],
    "tags.`qrt.point` = '3'": [3],
    "tags.`qrt.backend` = 'aer' and attributes.status = 'FAILED'": [1],
    "attributes.run_name = 'bell #5'": [5],
}


@pytest.mark.parametrize("wanted", FILTERS)
def test_runs_are_searched_alike(served, wanted):
    """Filters on params, metrics, tags and attributes find the same points over HTTP."""

    def points(client: MlflowClient, experiment: str) -> list[int]:
        return sorted(int(run.data.tags["qrt.point"]) for run in client.search_runs([experiment], wanted))

    written, own = both_told(served, points)
    assert written == own
    if "ev/zz" not in wanted:
        assert written == FILTERS[wanted]


@pytest.mark.parametrize("order", ["metrics.`ev/zz` DESC", "metrics.`std/zz`", "params.mode", "attributes.status"])
def test_runs_are_sorted_alike(served, order):
    """Orders by metrics, params and tags are the same over HTTP, with ties by the point's tag."""

    def points(client: MlflowClient, experiment: str) -> list[str]:
        found = client.search_runs([experiment], order_by=[order, "tags.`qrt.point`"])
        return [run.data.tags.get("qrt.point", "parent") for run in found]

    written, own = both_told(served, points)
    assert written == own


def test_runs_are_told_alike(served):
    """Params, latest metrics, tags, names and states are the same over HTTP."""

    def told(client: MlflowClient, experiment: str) -> list[object]:
        found = sorted(client.search_runs([experiment]), key=lambda run: run.data.tags.get("qrt.point", ""))
        assert {run.data.tags.get("mlflow.parentRunId") for run in found[1:]} == {found[0].info.run_id}
        drop = {"mlflow.parentRunId", "mlflow.runName"}
        tags = [{key: value for key, value in run.data.tags.items() if key not in drop} for run in found]
        info = [(run.info.status, run.info.start_time, run.info.user_id, run.info.lifecycle_stage) for run in found]
        return [info, tags[1:], [run.data.params for run in found], [ordered(run) for run in found]]

    written, own = both_told(served, told)
    assert written == own


def test_history_is_told_alike(served):
    """Histories have their steps, with infinities as the largest numbers and NaN as NaN."""

    def history(client: MlflowClient, experiment: str) -> list[object]:
        [first] = client.search_runs([experiment], "tags.`qrt.point` = '0'")
        keys = ("ev/zz", "std/zz", "ideal/zz", "error/zz")
        found = [client.get_metric_history(first.info.run_id, key) for key in keys]
        return [sorted((metric.step, repr(metric.value)) for metric in metrics) for metrics in found]

    written, own = both_told(served, history)
    assert written == own
    assert written[0] == [(0, "0.5"), (1, "-0.25"), (2, "1.0"), (3, "0.75")]
    # SQLite has no negative zero.
    assert [value for _, value in written[1]] == [
        "nan",
        str(sys.float_info.max),
        str(-sys.float_info.max),
        "0.0",
        "1e-320",
    ]


def test_artifacts_are_listed_and_downloaded_alike(served, tmp_path):
    """Artifacts are listed with their sizes, and downloaded as they were given."""

    def artifacts(client: MlflowClient, experiment: str) -> list[object]:
        [run] = client.search_runs([experiment], "tags.`qrt.point` = '3'")
        listed = [(item.path, item.is_dir, item.file_size) for item in client.list_artifacts(run.info.run_id)]
        below = [item.path for item in client.list_artifacts(run.info.run_id, "a/b")]
        folder = tmp_path / experiment
        folder.mkdir()
        return [listed, below, Path(client.download_artifacts(run.info.run_id, "plots/zne.png", folder)).read_bytes()]

    written, own = both_told(served, artifacts)
    assert written == own
    assert written[1:] == [["a/b/c.json"], bytes(range(256))]


def test_server_can_write_to_what_was_written(served):
    """Over HTTP a directly written run takes more, and its experiment another run; deleting and restoring work."""
    address, store = served
    client = client_of(address)
    log_all(kept_run(store.parent, "more", "run-more"), f"sqlite:///{store}", [record(0)])
    parent, child = runs_of(address, "more")
    client.log_metric(child.info.run_id, "ev/zz", 2.0, step=1)
    client.set_tag(child.info.run_id, "note", "seen")
    client.log_text(child.info.run_id, "text", "config.yaml")
    client.create_run(child.info.experiment_id, run_name="by hand")
    client.delete_run(child.info.run_id)
    assert len(runs_of(address, "more")) == 2
    client.restore_run(child.info.run_id)
    again = client.get_run(child.info.run_id)
    assert (again.data.metrics["ev/zz"], again.data.tags["note"]) == (2.0, "seen")
    client.delete_experiment(parent.info.experiment_id)
    client.restore_experiment(parent.info.experiment_id)
    assert len(runs_of(address, "more")) == 3


def test_run_is_logged_to_a_server(served, tmp_path):
    """What goes through a server, beside the run, is in its store as what was directly written."""
    address, _ = served
    log_all(kept_run(tmp_path, "remote"), address, odd_records(), metrics=[Metric("best", 1.0, 0)])
    remote, written = runs_of(address, "remote"), runs_of(address, "direct")
    assert [run.info.status for run in remote] == [run.info.status for run in written]
    assert [run.data.params for run in remote] == [run.data.params for run in written]
    assert [ordered(run) for run in remote[1:]] == [ordered(run) for run in written[1:]]
    assert remote[0].data.metrics == {"best": 1.0}
    assert files_of(remote)[1:] == files_of(written)[1:]


def test_many_processes_write_while_a_server_does(served):
    """Four processes write 50 runs each into one store at once, while a server reads them and writes as well."""
    address, store = served
    client = client_of(address)
    note = client.create_run(client.create_experiment("fifty"), run_name="by hand").info
    started = [started_here("log_fifty", str(store), str(number), cwd=store.parent) for number in range(4)]
    read = []
    while any(process.poll() is None for process in started):
        read.append(len(client.search_runs([note.experiment_id])))
        client.log_metric(note.run_id, "read", read[-1], step=len(read))
    assert [process.communicate() for process in started] == [("", "")] * 4
    runs = runs_of(address, "fifty")
    assert read == sorted(read)
    assert len(runs) == 4 * 51 + 1
    assert {run.info.status for run in runs if run.info.run_id != note.run_id} == {"FINISHED"}
    assert [metric.value for metric in client.get_metric_history(note.run_id, "read")] == read


def started_here(function: str, *words: str, cwd: Path, **settings: str) -> subprocess.Popen[str]:
    """Call a function of this file in a process of its own."""
    path = f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r})"
    call = f"{path}; import test_recording as here; here.{function}(*sys.argv[1:])"
    line = [sys.executable, "-c", call, *words]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(line, cwd=cwd, env={**os.environ, **settings}, **pipes)


def log_fifty(store: str, number: str) -> None:
    """Log 50 records in batches of 5."""
    run = kept_run(Path(store).parent, "fifty", f"fifty-{number}")
    with Recorder(run, f"sqlite:///{store}") as recorder:
        for start in range(0, 50, 5):
            recorder.log([record(point, run.id) for point in range(start, start + 5)])
        recorder.end("FINISHED")
    assert "mlflow" not in sys.modules


# When MLflow does it itself


def test_pinned_mlflow_is_proven():
    """The pinned version of MLflow is one whose rows were compared: move the pin together with `PROVEN`."""
    constraints = (ROOT / ".ci/constraints.txt").read_text(encoding="utf-8")
    [pinned] = re.findall(r"^mlflow==(.*)$", constraints, re.MULTILINE)
    assert pinned in proven.PROVEN


def test_proven_revision_is_that_of_mlflow(migrated):
    """The revision that is taken for the installed version's is the one that it migrates to."""
    assert rows(migrated, "SELECT version_num FROM alembic_version") == [(proven.revision(),)]


UNPROVEN = {
    "a column more": "ALTER TABLE runs ADD COLUMN colour TEXT",
    "a server's artifacts": "INSERT INTO experiments VALUES (1, 'sweep', 'file:///tmp/x', 'active', 1, 1, 'default')",
    "an address in the path": "INSERT INTO experiments VALUES (1, 'sweep', '/tmp/a%20b', 'active', 1, 1, 'default')",
    "a deleted experiment": "INSERT INTO experiments VALUES (1, 'sweep', '/tmp/x', 'deleted', 1, 1, 'default')",
    "a workspace": "INSERT INTO experiments VALUES (1, 'other', '/tmp/x', 'active', 1, 1, 'team')",
    "another revision": "UPDATE alembic_version SET version_num = 'fedcba987654'",
    "no revision": "DROP TABLE alembic_version",
}


@pytest.mark.parametrize("what", UNPROVEN)
def test_store_that_was_not_proven_is_left_to_mlflow(store, migrated, what):
    """A store that differs in any way from what was compared is not written to directly."""
    shutil.copy(migrated, store)
    run = kept_run(store.parent)
    opened = direct.opened(run, f"sqlite:///{store}")
    assert opened is not None
    opened.close()
    rows(store, "DELETE FROM experiments WHERE experiment_id > 0")
    change(store, UNPROVEN[what])
    assert direct.opened(run, f"sqlite:///{store}") is None


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:9", "sqlite:///:memory:", "sqlite:///", "sqlite:///a.db?mode=ro", "x"]
)
def test_other_stores_are_left_to_mlflow(tmp_path, uri):
    """Only files of SQLite stores are written directly."""
    assert direct.opened(kept_run(tmp_path), uri) is None
    assert not list(tmp_path.glob("*.db*"))


@pytest.mark.parametrize("name", ["MLFLOW_ENABLE_WORKSPACES", "_MLFLOW_SERVER_ARTIFACT_ROOT"])
def test_settings_that_move_experiments_are_left_to_mlflow(store, monkeypatch, name):
    """Workspaces, and a server's own artifact root, change where MLflow puts an experiment."""
    monkeypatch.setenv(name, "true")
    assert direct.opened(kept_run(store.parent), f"sqlite:///{store}") is None


def test_working_directory_that_is_no_address_is_left_to_mlflow(tmp_path, monkeypatch):
    """MLflow reads a working directory with a percent sign as an address, so new experiments there are its own."""
    folder = tmp_path / "50%25"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert direct.opened(kept_run(folder), f"sqlite:///{folder}/mlflow.db") is None


def test_other_version_is_logged_by_mlflow(store, migrated, monkeypatch):
    """Where the installed version was not compared, MLflow logs, and everything is there as well."""
    shutil.copy(migrated, store)
    monkeypatch.setattr(proven, "version", lambda _: "3.18.0")
    log_all(kept_run(store.parent), f"sqlite:///{store}", [record(0)])
    _, child = runs_of(store)
    assert not DIRECT_ID.fullmatch(child.info.run_id)
    assert child.data.metrics["ev/zz"] == 0.0


def test_column_more_is_logged_by_mlflow(store, migrated):
    """Where a table has a column that nobody knows of, MLflow logs, and everything is there as well."""
    shutil.copy(migrated, store)
    change(store, UNPROVEN["a column more"])
    log_all(kept_run(store.parent), f"sqlite:///{store}", [record(0)])
    assert statuses(store) == ["FINISHED"] * 2
    assert not DIRECT_ID.fullmatch(runs_of(store)[1].info.run_id)


def test_other_revision_is_told_by_mlflow(store, migrated):
    """A store of another revision is refused in MLflow's words, and is left as it was."""
    shutil.copy(migrated, store)
    change(store, UNPROVEN["another revision"])
    before = dumped(store)
    with pytest.raises(TrackingError, match="Detected out-of-date database schema"):
        log_all(kept_run(store.parent), f"sqlite:///{store}", [record(0)])
    assert dumped(store) == before


@pytest.mark.usefixtures("way")
def test_deleted_experiment_is_refused(store):
    """An experiment that was deleted takes no runs, at the start as well as half way, in MLflow's words."""
    run, uri = kept_run(store.parent), f"sqlite:///{store}"
    with Recorder(run, uri) as recorder:
        recorder.log([record(0)])
        until(lambda: run.logged)
        client_of(store).delete_experiment(client_of(store).get_experiment_by_name("sweep").experiment_id)
        recorder.log([record(1)])
        with pytest.raises(TrackingError, match=r"must be in the 'active' state\. Current state is deleted"):
            recorder.end("FINISHED")
    with pytest.raises(TrackingError, match=r"must be in the 'active' state\. Current state is deleted"):
        log_run(run_with(run, record(2)), uri)


def run_with(run: KeptRun, *records: Record) -> KeptRun:
    """Keep records in a run."""
    run.keep(records)
    return run


def test_direct_way_imports_no_mlflow(store):
    """A process that writes directly into a fresh store imports neither MLflow nor SQLAlchemy."""
    process = started_here("log_and_tell", str(store), cwd=store.parent)
    out, err = process.communicate()
    assert (out, err) == ("[]\n", "")
    assert statuses(store) == ["FINISHED"] * 2


def log_and_tell(store: str) -> None:
    """Log a record and tell what was imported."""
    log_all(kept_run(Path(store).parent), f"sqlite:///{store}", [record(0)])
    print(sorted({"mlflow", "sqlalchemy", "alembic", "requests"} & set(sys.modules)))  # noqa: T201 - read by the test


# Fresh stores


def test_copied_store_is_one_that_mlflow_makes(tmp_path, migrated, monkeypatch):
    """A fresh store has the tables, indexes, triggers, revision and default experiment that MLflow would make there."""
    monkeypatch.chdir(migrated.parent)
    store = tmp_path / "deep/er/fresh.db"
    opened = direct.opened(kept_run(tmp_path), f"sqlite:///{store}")
    opened.close()
    rows(store, "DELETE FROM experiment_tags")
    rows(store, "DELETE FROM experiments WHERE name = 'sweep'")
    assert schema_of(store) == schema_of(migrated)
    assert dumped(store) == dumped(migrated)


def schema_of(store: Path) -> list[tuple[str, ...]]:
    """Return every table, index and trigger; the constraints of a table in one order, as MLflow's differs each time."""
    found = rows(store, "SELECT type, name, tbl_name, COALESCE(sql, '') FROM sqlite_master ORDER BY 1, 2, 3")
    return [(*names, *sorted(line.strip(" \t,") for line in sql.split("\n"))) for *names, sql in found]


def test_processes_at_once_on_a_fresh_store_and_no_template(tmp_path):
    """Four processes that meet neither a store nor a template are all in the one store."""
    started = [
        started_here("log_few", str(number), cwd=tmp_path, QRT_CACHE_DIR=str(tmp_path / "cache")) for number in range(4)
    ]
    assert [process.communicate()[1] for process in started] == [""] * 4
    assert statuses(tmp_path / "mlflow.db", "few") == ["FINISHED"] * 16
    assert [file.name for file in (tmp_path / "cache/stores").iterdir() if not file.name.endswith(".lock")] == [
        f"mlflow-{proven.version('mlflow')}.db"
    ]


def log_few(number: str) -> None:
    """Log three records into the store of the working directory."""
    run = kept_run(Path.cwd(), "few", f"few-{number}")
    log_all(run, "sqlite:///mlflow.db", [record(point, run.id) for point in range(3)])


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + bytes(200)])
def test_damaged_template_costs_time_only(tmp_path, monkeypatch, content):
    """A template that is none is left alone by the store, which MLflow makes, and goes away."""
    monkeypatch.setenv("QRT_CACHE_DIR", str(tmp_path / "cache"))
    template = fresh.template_file()
    template.parent.mkdir(parents=True)
    template.write_bytes(content)
    assert direct.opened(kept_run(tmp_path), f"sqlite:///{tmp_path}/mlflow.db") is None
    assert not template.exists()
    assert [file.name for file in tmp_path.glob("mlflow.db*") if not file.name.endswith(".lock")] == []


def test_cache_that_cannot_be_written_costs_time_only(store, tmp_path, monkeypatch):
    """Without a cache folder a fresh store is left to MLflow, which makes it."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("QRT_CACHE_DIR", str(tmp_path / "file"))
    assert direct.opened(kept_run(tmp_path), f"sqlite:///{store}") is None
    assert not store.exists()


@pytest.mark.parametrize("ending", ["-journal", "-wal"])
def test_journal_of_a_removed_store_is_left_to_mlflow(store, ending):
    """A copy must not be put beside a removed store's journal: SQLite would play it into the copy."""
    store.with_name(store.name + ending).write_bytes(b"left")
    assert direct.opened(kept_run(store.parent), f"sqlite:///{store}") is None
    assert not store.exists()


def test_store_that_a_server_made_meanwhile_stays(store, migrated, monkeypatch):
    """A store that appears while a fresh one is made, by somebody who knows no lock of ours, is not replaced."""
    copied = shutil.copyfile

    def slow(source: Path, target: Path) -> None:
        copied(source, target)
        copied(migrated, store)
        change(store, "INSERT INTO experiments VALUES (1, 'theirs', '/tmp/x', 'active', 1, 1, 'default')")

    monkeypatch.setattr(fresh.shutil, "copyfile", slow)
    log_all(kept_run(store.parent), f"sqlite:///{store}", [record(0)])
    assert client_of(store).get_experiment_by_name("theirs") is not None
    assert statuses(store) == ["FINISHED"] * 2


# Cut off half way


@pytest.mark.usefixtures("way")
def test_exception_ends_the_parent(store):
    """Where the run breaks off, what was handed over is logged or kept, and the parent is KILLED."""
    run = kept_run(store.parent)
    run.keep([record(0)])

    def broken() -> None:
        with Recorder(run, f"sqlite:///{store}") as recorder:
            recorder.log([record(0)])
            until(lambda: run.logged)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    assert statuses(store) == ["KILLED", "FINISHED"]
    log_run(find_kept(str(run.folder)), f"sqlite:///{store}")
    assert statuses(store) == ["FINISHED"] * 2


DEATHS = {
    "files are written": ("qrt_runner.tracking.direct.Direct._insert", "before", 2),
    "rows are written": ("qrt_runner.tracking.direct.Direct._insert", "after", 2),
    "rows are there": ("qrt_runner.tracking.keeping.KeptRun.note_logged", "before", 1),
    "a run is open": ("qrt_runner.tracking.client._in_batches", "before", 3),
    "a run has its metrics": ("mlflow.tracking.MlflowClient.log_artifacts", "before", 2),
    "a run is ended": ("qrt_runner.tracking.keeping.KeptRun.note_logged", "before", 2),
}
"""Moments by the call that they come before or after: the first three of the direct way, the others of MLflow's."""

BY_MLFLOW = tuple(DEATHS)[3:]


def die_half_way(folder: str, when: str) -> None:
    """Log six records, and die at some moment as from kill -9."""
    place, order, calls = DEATHS[when]
    run = kept_run(Path(folder))
    run.keep(odd_records())
    with pytest.MonkeyPatch.context() as patch:
        if when in BY_MLFLOW:
            patch.setattr(proven, "PROVEN", {})
        patch.setattr(place, dying(resolve_name(place), order, calls))
        log_run(run, f"sqlite:///{folder}/mlflow.db")


def dying(function: Callable[..., Any], order: str, calls: int) -> Callable[..., Any]:
    """Return a function that kills the process, before or after it is called for the last time."""
    left = [calls]

    def call(*given: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] == 0 and order == "before":
            os._exit(9)
        returned = function(*given, **named)
        if left[0] == 0:
            os._exit(9)
        return returned

    return call


@pytest.fixture(scope="module")
def dead(tmp_path_factory, cache, migrated) -> dict[str, Path]:
    """Return the folders that processes left when they died, by the moment."""
    folders = {when: tmp_path_factory.mktemp("dead") for when in DEATHS}
    for folder in folders.values():
        shutil.copy(migrated, folder / "mlflow.db")
    started = {
        when: started_here("die_half_way", str(folder), when, cwd=folder, QRT_CACHE_DIR=str(cache))
        for when, folder in folders.items()
    }
    for process in started.values():
        _, err = process.communicate()
        assert process.returncode == 9, err
    return folders


@pytest.mark.parametrize("when", DEATHS)
@pytest.mark.usefixtures("way")
def test_killed_run_is_completed(dead, when, tmp_path):
    """After kill -9 at any moment, collecting leaves one whole run for each task, whichever way is gone then."""
    folder = shutil.copytree(dead[when], tmp_path / "left")
    store, run = folder / "mlflow.db", find_kept(str(folder / "kept/r1"))
    log_run(run, f"sqlite:///{store}")
    parent, *children = runs_of(store)
    assert [child.data.tags["qrt.point"] for child in children] == list("012345")
    assert [child.info.status for child in children] == ["FINISHED", "FAILED", *["FINISHED"] * 4]
    assert {child.data.tags["mlflow.parentRunId"] for child in children} == {parent.info.run_id} == {run.parent}
    assert list(run.logged.values()) == [child.info.run_id for child in children]
    assert (parent.info.status, parent.data.tags["qrt.run"]) == ("FAILED", "r1")


@pytest.mark.parametrize("when", DEATHS)
def test_killed_run_is_completed_with_equal_rows(dead, when, tmp_path, both):
    """What was cut off and completed has the rows of what was logged in one go."""
    store = shutil.copytree(dead[when], tmp_path / "left") / "mlflow.db"
    log_run(find_kept(str(store.parent / "kept/r1")), f"sqlite:///{store}")
    whole, completed = dumped(both[0]), dumped(store)
    for table in ("params", "tags", "metrics", "latest_metrics"):
        children = ([row for row in found[table] if "parent'" not in row] for found in (completed, whole))
        assert next(children) == next(children)


def test_interrupted_waiting_ends_what_is_open(store):
    """Ctrl-C while the end waits for the thread leaves no run open, and collecting logs the rest, once each."""
    run = kept_run(store.parent)
    run.keep([record(point) for point in range(100)])

    def interrupted() -> None:
        with through_mlflow(), Recorder(run, f"sqlite:///{store}") as recorder:
            recorder.log(list(run.records()))
            until(lambda: run.logged)
            threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT]).start()
            recorder.end("FINISHED")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    parent, *children = statuses(store)
    assert parent == "KILLED"
    assert set(children) == {"FINISHED"}
    assert len(children) == len(run.logged) < 100
    log_run(find_kept(str(run.folder)), f"sqlite:///{store}")
    assert statuses(store) == ["FINISHED"] * 101


@pytest.mark.usefixtures("way")
def test_logging_again_changes_nothing(store):
    """Collecting what was logged, with its summary, leaves the store as it is."""
    run = kept_run(store.parent)
    log_all(run, f"sqlite:///{store}", odd_records(), metrics=[Metric("best", 1.0, 0)], files={"sweep.json": b"{}"})
    before = rows(store, "SELECT * FROM runs ORDER BY 1")
    log_run(find_kept(str(run.folder)), f"sqlite:///{store}")
    assert rows(store, "SELECT * FROM runs ORDER BY 1") == before
    assert rows(store, "SELECT COUNT(*) FROM metrics WHERE key = 'best'") == [(1,)]


def test_deleted_task_that_was_not_noted_is_logged(store):
    """A run that was deleted in the UI before it was noted as logged is there again after collecting."""
    run = kept_run(store.parent)
    log_all(run, f"sqlite:///{store}", [record(0)])
    client_of(store).delete_run(run.logged["0-main"])
    (run.folder / "logged.jsonl").unlink()
    log_run(find_kept(str(run.folder)), f"sqlite:///{store}")
    assert statuses(store) == ["FINISHED"] * 2


def test_hung_step_is_waited_for_no_longer_than_told():
    """A server that does not answer keeps nobody from stopping, and what waits behind it is left undone."""
    asked, answered, done = threading.Event(), threading.Event(), []
    steps = Beside()
    steps.do(lambda: (asked.set(), answered.wait()))
    steps.do(lambda: done.append("second"))
    asked.wait()
    assert not steps.stop(0.05)
    answered.set()
    assert steps.stop(10)
    assert done == []


def test_first_error_leaves_later_steps_undone():
    """What follows an error is not tried, and waiting tells the error."""
    done: list[int] = []
    steps = Beside()
    for step in (lambda: done.append(1), lambda: done.append(1 // len(done[1:])), lambda: done.append(3)):
        steps.do(step)
    with pytest.raises(ZeroDivisionError):
        steps.wait()
    assert done == [1]


# Stores that refuse


def test_unreachable_server_is_told_at_the_end(tmp_path, monkeypatch):
    """Where no server is, records are taken without a word, and the end tells address, folder and remedy."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    run = kept_run(tmp_path)
    with Recorder(run, f"http://me:secret@{NOWHERE.removeprefix('http://')}") as recorder:
        recorder.log([record(0)])
        recorder.log([record(1)])
        with pytest.raises(TrackingError) as told:
            recorder.end("FINISHED")
    beginning = f"tracking.uri: given {NOWHERE}, which could not be written (MlflowException: API request to"
    assert str(told.value).startswith(beginning)
    ending = f"). {run.remedy()} tracking.uri=<a store that can be reached>"
    assert str(told.value).endswith(ending)
    assert "secret" not in str(told.value)
    assert not run.logged


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (
            lambda store: store.write_text("no database at all, though long enough to be one" * 20),
            "file is not a database",
        ),
        (lambda store: store.mkdir(), "unable to open database file"),
    ],
)
def test_file_that_is_no_store_is_told_at_once(store, make, why):
    """A file that is no SQLite database is told in SQLite's words, without MLflow's minutes of attempts."""
    make(store)
    with pytest.raises(TrackingError, match=f"Error: {why}"):
        log_all(kept_run(store.parent), f"sqlite:///{store}", [record(0)])


def test_store_that_fails_leaves_nothing_half_written(store):
    """Where the store refuses some rows, none of the batch is there, and the parent is KILLED; later all are there."""
    run = run_with(kept_run(store.parent), record(0), record(1))
    with Recorder(run, f"sqlite:///{store}") as recorder:
        recorder.log([record(0)])
        trigger = "CREATE TRIGGER away BEFORE INSERT ON metrics BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        change(store, trigger)
        recorder.log([record(1)])
        with pytest.raises(TrackingError, match="IntegrityError: disk full"):
            recorder.end("FINISHED")
    assert statuses(store) == ["KILLED", "FINISHED"]
    change(store, "DROP TRIGGER away")
    log_run(find_kept(str(run.folder)), f"sqlite:///{store}")
    assert statuses(store) == ["FINISHED"] * 3


def test_artifacts_that_cannot_be_written_are_told(store):
    """Where the artifacts' folder cannot be made, no run claims to have them."""
    (store.parent / "mlruns").write_text("in the way")
    run = kept_run(store.parent)
    with pytest.raises(TrackingError, match="NotADirectoryError"):
        log_all(run, f"sqlite:///{store}", [record(0)])
    assert statuses(store) == ["KILLED"]
