"""The run table opens with the columns that tell what was run and what came of it, in both ways into a store."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import pytest

from qrt_runner.tracking import proven
from qrt_runner.tracking.addresses import browse_address, browse_command
from qrt_runner.tracking.keeping import KeptRun
from qrt_runner.tracking.records import Record
from qrt_runner.tracking.store import Recorder
from qrt_runner.tracking.viewing import experiment_tags, view


def log(store: Path, run: str) -> KeptRun:
    """Log a run of one empty task."""
    kept = KeptRun(store.parent / run, run, "viewed", "viewed", grouped=False, folders=False, started_ms=1)
    kept.save()
    record = Record("0-main", "bell", "FINISHED", {}, {"qrt.run": run, "qrt.point": "0", "qrt.task": "main"}, (), {})
    kept.keep([record])
    with Recorder(kept, f"sqlite:///{store}") as recorder:
        recorder.log([record])
        recorder.end("FINISHED")
    return kept


def tags_of(store: Path) -> list[tuple[str, str]]:
    """Return the tags of all experiments of a store."""
    with closing(sqlite3.connect(store)) as database:
        return database.execute("SELECT key, value FROM experiment_tags ORDER BY key").fetchall()


@pytest.mark.parametrize("way", ["direct", "mlflow"])
def test_experiment_has_a_view(tmp_path, monkeypatch, way):
    """The experiment has the view once, however many runs it has, and the user may change it."""
    store = tmp_path / "mlflow.db"
    if way == "mlflow":
        log(tmp_path / "other.db", "r0")
        shutil.copy(tmp_path / "other.db", store)
        with closing(sqlite3.connect(store)) as database, database:
            database.execute("DELETE FROM experiment_tags")
        monkeypatch.setattr(proven, "PROVEN", {})
    kept = log(store, "r1")
    assert tags_of(store) == sorted(experiment_tags().items())
    assert kept.experiment_id == "1"
    with closing(sqlite3.connect(store)) as database, database:
        database.execute("UPDATE experiment_tags SET value = 'mine'")
    log(store, "r2")
    assert {value for _, value in tags_of(store)} == {"mine"}


def test_a_store_that_refuses_the_view_gets_the_run(tmp_path, monkeypatch):
    """As a server does that another process has told the same since it was asked: the row is there already."""
    store = tmp_path / "mlflow.db"
    log(tmp_path / "other.db", "r0")
    shutil.copy(tmp_path / "other.db", store)
    with closing(sqlite3.connect(store)) as database, database:
        database.execute("DELETE FROM experiment_tags")
        refuses = "SELECT RAISE(ABORT, 'UNIQUE constraint failed: experiment_tags.key')"
        database.execute(f"CREATE TRIGGER refused BEFORE INSERT ON experiment_tags BEGIN {refuses}; END")
    monkeypatch.setattr(proven, "PROVEN", {})
    assert log(store, "r1").logged.keys() == {"0-main"}
    assert tags_of(store) == []


def made_of(store: Path) -> list[tuple[object, ...]]:
    """Return the datasets of a store's runs with all that is told of them, ids aside."""
    query = """SELECT datasets.experiment_id, datasets.name, digest, dataset_source_type, dataset_source,
    dataset_schema, dataset_profile, source_type, destination_type, destination_id, step, input_tags.name,
    input_tags.value FROM inputs JOIN datasets ON dataset_uuid = source_id
    JOIN input_tags ON input_tags.input_uuid = inputs.input_uuid
    ORDER BY destination_id"""
    with closing(sqlite3.connect(store)) as database:
        return database.execute(query).fetchall()


def log_circuits(store: Path, run: str, *circuits: bytes) -> None:
    """Log a run with a task for each circuit."""
    kept = KeptRun(store.parent / run, run, "viewed", "viewed", grouped=False, folders=False, started_ms=1)
    kept.save()
    tags = {"qrt.run": run, "qrt.task": "main"}
    records = [
        Record(
            f"{point}-main",
            "bell",
            "FINISHED",
            {"circuit.name": "bell"},
            {**tags, "qrt.point": str(point)},
            (),
            {"circuit/logical.qasm3": circuit},
        )
        for point, circuit in enumerate(circuits)
    ]
    kept.keep(records)
    for _ in range(2):
        with Recorder(kept, f"sqlite:///{store}") as recorder:
            recorder.log(records)
            recorder.end("FINISHED")


def test_circuits_are_datasets(tmp_path, monkeypatch):
    """Runs of equal circuits share a dataset, in both ways into a store, and runs of another one have another."""
    log_circuits(tmp_path / "direct.db", "r1", b"h q;", b"x q;", b"h q;")
    log(tmp_path / "mlflow.db", "r0")
    monkeypatch.setattr(proven, "PROVEN", {})
    log_circuits(tmp_path / "mlflow.db", "r1", b"h q;", b"x q;", b"h q;")
    written, own = made_of(tmp_path / "direct.db"), made_of(tmp_path / "mlflow.db")
    assert sorted(row[2] for row in written) == sorted(row[2] for row in own)
    assert {(*row[:9], *row[10:]) for row in written} == {(*row[:9], *row[10:]) for row in own}
    assert [row[2] for row in written] == [written[0][2], written[1][2], written[0][2]]
    assert written[0][2] != written[1][2]


def test_processes_that_log_one_circuit_at_once_share_its_dataset(tmp_path):
    """Four threads stand for processes on a server, each with a run; before each of 25 circuits they wait for another.

    In about one of four rounds the store refuses one of them what another has just written.
    """
    from qrt_runner.tracking.client import Client

    kept = KeptRun(tmp_path, "r1", "viewed", "viewed", grouped=False, folders=False, started_ms=1)
    client = Client(kept, f"sqlite:///{tmp_path / 'mlflow.db'}")
    store = client._mlflow  # noqa: SLF001 - a file's lock would keep them apart, and a server has none
    runs = [store.create_run(client._experiment).info.run_id for _ in range(4)]  # noqa: SLF001 - as above
    together = Barrier(len(runs), timeout=30)

    def logs(run: str) -> int:
        for number in range(25):
            circuit = {"circuit/logical.qasm3": str(number).encode()}
            record = Record("0-main", "bell", "FINISHED", {"circuit.name": "bell"}, {}, (), circuit)
            together.wait()
            client._log_dataset(run, record)  # noqa: SLF001 - as above
        return len(store.get_run(run).inputs.dataset_inputs)

    with ThreadPoolExecutor(len(runs)) as pool:
        assert list(pool.map(logs, runs)) == [25] * len(runs)
    assert len({row[2] for row in made_of(tmp_path / "mlflow.db")}) == 25


def test_columns_are_what_tasks_have():
    """Each column is a param, a tag or a metric that the record of a real task has."""
    from composing import result_of

    from qrt_runner.tracking import Records

    record = Records("r", {}).of(result_of("mode=estimator", "mode.shots=16"))
    names = {f"params.`{name}`" for name in record.params} | {f"tags.`{name}`" for name in record.tags}
    names |= {f"metrics.`{metric.key}`" for metric in record.metrics}
    assert set(json.loads(view())["selectedColumns"]) <= names


def test_address_of_the_run_table():
    """The address is that of a server or, of a file, where `mlflow ui` serves it; it shows no password."""
    place = "/#/experiments/7/runs?viewStateShareKey=qrt&workflowType=machine_learning"
    assert browse_address("sqlite:///a.db", "7") == f"http://127.0.0.1:5000{place}"
    assert browse_address("https://me:secret@host/mlflow/", "7") == f"https://host/mlflow{place}"


def test_the_command_that_browses_is_called_by_this_interpreter(tmp_path, monkeypatch):
    """As `python` where a shell finds this one by that name, else by its path, from the working directory if inside."""
    store, inside = "sqlite:///a b.db", tmp_path / "venv" / "bin" / "python"
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert browse_command(store) == "python -m mlflow ui --backend-store-uri 'sqlite:///a b.db'"
    monkeypatch.setenv("PATH", "")
    assert browse_command(store).startswith(f"{sys.executable} -m mlflow ui")
    monkeypatch.setattr(sys, "executable", str(inside))
    assert browse_command(store).startswith("venv/bin/python -m mlflow ui")
    assert browse_command("http://host:5000") == "open http://host:5000"
