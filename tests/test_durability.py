"""Nothing measured is lost: many processes, a store that is away, slow or refuses, a job that is interrupted."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow.entities import Run

NOWHERE = "http://127.0.0.1:9"
QUICK = ("mode=raw", "tracking.plots=false")

TILTED = '''
"""RY(theta) and CX."""

from qiskit import QuantumCircuit
from qiskit.circuit import Parameter


def build():
    circuit = QuantumCircuit(2)
    circuit.ry(Parameter("theta"), 0)
    circuit.cx(0, 1)
    return circuit


def observables():
    return {"zz": "ZZ", "xx": "XX"}
'''

PERMUTED = '''
"""A permutation, for which qiskit 2.6 cannot write OpenQASM 3."""

from qiskit import QuantumCircuit
from qiskit.circuit.library import PermutationGate


def build():
    circuit = QuantumCircuit(2)
    circuit.x(0)
    circuit.append(PermutationGate([1, 0]), [0, 1])
    return circuit
'''

SHARED = '''
"""Two classical registers over the same bits."""

from qiskit import ClassicalRegister, QuantumCircuit


def build():
    circuit = QuantumCircuit(2)
    bits = ClassicalRegister(2, "a")
    circuit.add_register(bits)
    circuit.add_register(ClassicalRegister(bits=bits[:], name="b"))
    circuit.x(0)
    circuit.measure([0, 1], [0, 1])
    return circuit


def observables():
    return {"zz": "ZZ"}
'''


@pytest.fixture(scope="module")
def migrated(tmp_path_factory) -> Path:
    """Return a migrated SQLite store that tests copy or share, because a migration takes two seconds."""
    from mlflow.tracking import MlflowClient

    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def own_store(migrated, tmp_path, monkeypatch) -> Path:
    """Return a copy of the migrated store, named in the environment by its whole path.

    MLflow keeps its connections by address: by a relative one, commands in this process would share a store.
    """
    file = tmp_path / "mlflow.db"
    file.write_bytes(migrated.read_bytes())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{file}")
    return file


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[str]:
    """Start a tracking server on loopback, and stop it."""
    folder = tmp_path_factory.mktemp("server")
    port = _free_port()
    line = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", "sqlite:///server.db"]
    line += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    settings = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log.txt").open("w") as log:
        started = subprocess.Popen(
            line, cwd=folder, env=settings, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address, started, folder / "log.txt")
        yield address
    finally:
        os.killpg(started.pid, signal.SIGTERM)
        started.wait(30)


def _free_port() -> int:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def _wait_for(address: str, started: subprocess.Popen, log: Path) -> None:
    for _ in range(300):
        assert started.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(log.read_text())


@contextmanager
def running(*words: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """Start the command line as a process, and see that it is gone afterwards."""
    line = [sys.executable, "-m", "qrt_runner", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **settings}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(line, env=environment, **pipes) as started:
        try:
            yield started
        finally:
            started.kill()


def runs_of(uri: str | Path, experiment: str = "qrt_runner") -> list[Run]:
    """Return the runs of an MLflow experiment; none where there is no such experiment."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{uri}" if isinstance(uri, Path) else uri)
    found = client.get_experiment_by_name(experiment)
    return client.search_runs([found.experiment_id]) if found else []


def statuses(uri: str | Path, experiment: str = "qrt_runner") -> list[str]:
    """Return how the runs of an MLflow experiment ended."""
    return sorted(run.info.status for run in runs_of(uri, experiment))


def advised(err: str, store: Path) -> list[str]:
    """Return the words of the command that an error message advises, with a store put in."""
    [line] = re.findall(r"python -m qrt_runner (action=collect .*)", err)
    return shlex.split(line.replace("<a store that can be reached>", f"sqlite:///{store}"))


def ended_at_once(count: int, folder: Path) -> list[tuple[int, str]]:
    """Start processes at the same time in a folder without a store; return their exit codes and errors."""
    line = [sys.executable, "-m", "qrt_runner", "circuit=bell", "mode=raw"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    all_started = [subprocess.Popen(line, cwd=folder, env=environment, **pipes) for _ in range(count)]
    errors = [started.communicate()[1] for started in all_started]
    return [(started.returncode, err) for started, err in zip(all_started, errors, strict=True)]


def test_processes_at_once_on_a_fresh_store(tmp_path):
    """Four processes started at once on a fresh store all end well, and leave four finished runs."""
    assert ended_at_once(4, tmp_path) == [(0, "")] * 4
    assert statuses(tmp_path / "mlflow.db") == ["FINISHED"] * 4


@pytest.mark.slow
def test_ten_processes_at_once_on_a_fresh_store(tmp_path):
    """Ten processes started at once on a fresh store all end well, and leave ten finished runs."""
    assert ended_at_once(10, tmp_path) == [(0, "")] * 10
    assert statuses(tmp_path / "mlflow.db") == ["FINISHED"] * 10


@pytest.fixture
def unreachable(monkeypatch) -> str:
    """Return the address of a server that is not there, which is asked once."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return f"tracking.uri={NOWHERE}"


def test_unreachable_server_keeps_the_results(command, unreachable, tmp_path):
    """Where the server is away the command ends with 1, after the results were kept on disk."""
    ended = command(*QUICK, unreachable)
    assert ended.code == 1
    [counts] = tmp_path.glob("outputs/*/*/0-main/counts.json")
    assert sum(json.loads(counts.read_text())[0]["meas"].values()) == 1024


def test_unreachable_server_is_told_with_the_remedy(command, unreachable, tmp_path):
    """The message is one line that names the path, the server, the folder and the command that logs the results."""
    ended = command(*QUICK, unreachable)
    [kept] = tmp_path.glob("outputs/*/*/run.json")
    index = json.loads(kept.read_text())
    assert ended.err.count("\n") == 1
    assert ended.err.startswith(f"tracking.uri: given {NOWHERE}, which could not be written")
    assert str(kept.parent.relative_to(tmp_path)) in ended.err
    assert f"python -m qrt_runner action=collect run={index['id']} tracking.uri=" in ended.err


def test_table_is_printed_without_a_server(command, unreachable):
    """The numbers are on the screen although they are not in MLflow, and no MLflow run is claimed."""
    ended = command(*QUICK, unreachable)
    assert "zz = 1" in ended.out
    assert "MLflow run" not in ended.out
    assert "browse" not in ended.out


def test_advised_command_logs_what_was_kept(command, unreachable, own_store):
    """The command that the message gives logs the kept results, with their numbers and artifacts."""
    ended = command(*QUICK, unreachable)
    again = command(*advised(ended.err, own_store))
    assert again.code == 0, again.err
    [run] = runs_of(own_store)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["ev/zz"] == 1.0
    assert run.data.params["mode"] == "raw"


def test_collecting_twice_logs_once(command, unreachable, own_store):
    """Repeating the advised command logs nothing a second time."""
    words = advised(command(*QUICK, unreachable).err, own_store)
    assert [command(*words).code, command(*words).code] == [0, 0]
    assert statuses(own_store) == ["FINISHED"]


def test_collecting_takes_the_latest_run(command, unreachable, own_store):
    """`action=collect` without an id is about the latest run."""
    assert command("name=first", *QUICK, unreachable).code == 1
    assert command("name=second", *QUICK, unreachable).code == 1
    assert command("action=collect").code == 0
    assert (len(runs_of(own_store, "first")), len(runs_of(own_store, "second"))) == (0, 1)


def test_collecting_a_recorded_run_logs_nothing(command, own_store):
    """A run that reached MLflow at once is not logged again."""
    assert command(*QUICK).code == 0
    assert command("action=collect").code == 0
    assert statuses(own_store) == ["FINISHED"]


def test_collecting_an_unknown_run_is_refused(command):
    """An id that no kept run has is a mistake in the config, and no store is made."""
    ended = command("action=collect", "run=nope")
    assert ended.code == 2
    assert "run: given nope; allowed: latest, or the id or folder of a kept run" in ended.err
    assert not Path("mlflow.db").exists()


def test_collecting_from_a_folder_of_ones_own(command, unreachable, own_store, tmp_path):
    """Where the results were kept in a folder chosen by the user, the advised command finds them as well."""
    ended = command(*QUICK, unreachable, f"hydra.run.dir={tmp_path}/my_results")
    again = command(*advised(ended.err, own_store))
    assert again.code == 0, again.err
    assert statuses(own_store) == ["FINISHED"]


def test_sweep_is_collected_with_its_parent(command, unreachable, own_store):
    """A kept sweep is logged as it would have been at once: a parent with its children."""
    ended = command("-m", *QUICK, unreachable, "mode.shots=10,20")
    assert command(*advised(ended.err, own_store)).code == 0
    runs = runs_of(own_store)
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(parents) == 1
    children = sorted(run.data.params["shots"] for run in runs if run is not parents[0])
    assert children == ["10", "20"]


@contextmanager
def refusing(store: Path, trigger: str) -> Iterator[None]:
    """Let a SQLite store refuse what a trigger describes."""
    with closing(sqlite3.connect(store)) as database, database:
        database.execute(f"CREATE TRIGGER away BEFORE INSERT ON {trigger} BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    try:
        yield
    finally:
        with closing(sqlite3.connect(store)) as database, database:
            database.execute("DROP TRIGGER away")


def test_store_that_fails_half_way_leaves_no_run_open(command, own_store):
    """Where the store breaks while runs are logged, none stays open, and the message says where the results are."""
    with refusing(own_store, "metrics"):
        ended = command("-m", *QUICK, "mode.shots=10,20")
    assert ended.code == 1
    assert "disk full" in ended.err
    assert "RUNNING" not in statuses(own_store)
    assert "action=collect" in ended.err


def test_store_that_recovers_gets_the_results(command, own_store):
    """Once the store works again, collecting leaves one finished run."""
    with refusing(own_store, "metrics"):
        assert command(*QUICK).code == 1
    assert command("action=collect").code == 0
    assert statuses(own_store).count("FINISHED") == 1


def test_only_what_is_missing_is_collected(command, own_store):
    """Of a sweep that was logged in part, collecting adds the missing point and nothing else."""
    with refusing(own_store, "tags WHEN NEW.key = 'qrt.point' AND NEW.value = '1'"):
        assert command("-m", *QUICK, "mode.shots=10,20").code == 1
    assert len([run for run in runs_of(own_store) if run.info.status == "FINISHED"]) == 1
    assert command("action=collect").code == 0
    assert statuses(own_store) == ["FINISHED"] * 3


def test_store_in_a_place_that_cannot_be(command, tmp_path):
    """A store below what is no folder costs exit code 1 and a clean message; the results are kept."""
    (tmp_path / "notes").write_text("no folder")
    ended = command(*QUICK, f"tracking.uri=sqlite:///{tmp_path}/notes/mlflow.db")
    assert ended.code == 1
    assert ended.err.startswith(f"tracking.uri: given sqlite:///{tmp_path}/notes/mlflow.db, which could not be written")
    assert len(list(tmp_path.glob("outputs/*/*/0-main/counts.json"))) == 1


def bound_by_permissions() -> list[str]:
    """Return what to put before a command line so that file permissions bind it: nothing, but for root."""
    if os.geteuid() != 0:
        return []
    if not (setpriv := shutil.which("setpriv")):
        pytest.skip("permissions do not bind root, and there is no setpriv to change that")
    return [setpriv, "--bounding-set=-dac_override,-dac_read_search"]


@pytest.mark.parametrize("locked", ["store", "folder"])
def test_store_that_is_read_only(migrated, tmp_path, locked):
    """A store that may only be read, or lies where nothing may be written, costs code 1; the results are kept."""
    folder = tmp_path / "archive"
    folder.mkdir()
    store = folder / "mlflow.db"
    store.write_bytes(migrated.read_bytes())
    store.chmod(0o444)
    folder.chmod(0o555 if locked == "folder" else 0o755)
    line = [*bound_by_permissions(), sys.executable, "-m", "qrt_runner", *QUICK, f"tracking.uri=sqlite:///{store}"]
    ended = subprocess.run(line, capture_output=True, text=True, check=False)
    folder.chmod(0o755)
    assert ended.returncode == 1, ended.stderr
    assert ended.stderr.startswith(f"tracking.uri: given sqlite:///{store}, which could not be written")
    assert len(list(tmp_path.glob("outputs/*/*/0-main/counts.json"))) == 1


def test_store_that_is_no_database(command, tmp_path):
    """A file that is no database costs exit code 1 and a clean message, and is left as it was."""
    (tmp_path / "notes.db").write_text("not a database, but " * 100)
    ended = command(*QUICK, "tracking.uri=sqlite:///notes.db")
    assert ended.code == 1
    assert ended.err.startswith("tracking.uri: given sqlite:///notes.db, which could not be written")
    assert (tmp_path / "notes.db").read_text() == "not a database, but " * 100


@pytest.mark.parametrize("uri", ["./mlruns", "nonsense://x", "sqlite://", "sqlite:///:memory:", "file:///tmp/mlruns"])
def test_address_that_is_no_store(command, uri, tmp_path):
    """An address that MLflow cannot use costs one clean message; the results are kept or nothing was run."""
    ended = command(*QUICK, f"tracking.uri={uri}")
    assert ended.code in (1, 2)
    assert "tracking.uri: given" in ended.err
    assert ended.code == 2 or list(tmp_path.glob("outputs/*/*/0-main/counts.json"))


def test_server_gets_a_run_over_http(command, server):
    """A run is recorded on a tracking server, with its metrics and artifacts."""
    from mlflow.tracking import MlflowClient

    ended = command("reference=ideal", "mode=raw", f"tracking.uri={server}")
    assert ended.code == 0, ended.err
    [run] = runs_of(server)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["ev/zz"] == 1.0
    counts = Path(MlflowClient(tracking_uri=server).download_artifacts(run.info.run_id, "counts.json"))
    assert sum(json.loads(counts.read_text())[0]["meas"].values()) == 1024
    assert f"browse: open {server}" in ended.out


def _secrets() -> Mapping[str, str]:
    password = "opensesame"
    return {
        "QISKIT_IBM_TOKEN": "a-token-of-mine-0123456789",
        "MLFLOW_TRACKING_URI": f"http://ali:{password}@127.0.0.1:9",
        "MLFLOW_TRACKING_TOKEN": "a-bearer-of-mine-0123456789",
    }


def test_no_secret_is_kept_or_told(command, monkeypatch, tmp_path):
    """A token and a server's password from the environment are in no kept file and no message."""
    for name, value in _secrets().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    ended = command(*QUICK)
    assert ended.code == 1
    texts = {file: file.read_bytes().decode(errors="ignore") for file in tmp_path.rglob("*") if file.is_file()}
    assert texts
    texts |= {Path("stdout"): ended.out, Path("stderr"): ended.err}
    for secret in ("a-token-of-mine-0123456789", "a-bearer-of-mine-0123456789", "opensesame"):
        assert not [str(file) for file, text in texts.items() if secret in text]


def test_interrupted_sweep_records_what_it_has(own_store, tmp_path):
    """Ctrl-C in the middle of a sweep ends with 130, and the finished points are in MLflow."""
    (tmp_path / "tilted.py").write_text(TILTED)
    points = ("circuit=file", "circuit.source=tilted.py", "+circuit.parameter_values.theta=range(0,20)")
    how = ("mode=estimator", "mitigation=level_2", "backend=fake_manila", "backend.limits.parameter_sets=1")
    with running("-m", *points, *how) as started:
        told = 0
        while told < 3:
            line = started.stdout.readline()
            assert line, started.stderr.read()
            told += "on fake_manila, mode estimator" in line
        started.send_signal(signal.SIGINT)
        rest, err = started.communicate(timeout=60)
    assert (started.returncode, "Traceback" in err) == (130, False), err
    assert "Interrupted: what had been measured is kept." in err
    told += rest.count("on fake_manila, mode estimator")
    runs = runs_of(own_store)
    children = [run.info.status for run in runs if "mlflow.parentRunId" in run.data.tags]
    # The last one may have been kept without being told, never the other way round.
    assert children in (["FINISHED"] * told, ["FINISHED"] * (told + 1))
    assert 3 <= told < 20
    assert "RUNNING" not in statuses(own_store)


def test_interrupted_logging_says_where_the_results_are(tmp_path):
    """Ctrl-C while a server does not answer ends with 130 and names the kept results, not that nothing was done."""
    with closing(socket.socket()) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        silent.settimeout(60)
        with running(*QUICK, f"tracking.uri=http://127.0.0.1:{silent.getsockname()[1]}") as started:
            connection, _ = silent.accept()
            started.send_signal(signal.SIGINT)
            _, err = started.communicate(timeout=60)
            connection.close()
    assert (started.returncode, "Traceback" in err) == (130, False), err
    [kept] = tmp_path.glob("outputs/*/*/run.json")
    assert "nothing had been submitted" not in err
    assert f"action=collect run={json.loads(kept.read_text())['id']}" in err


@pytest.mark.parametrize("source", [PERMUTED, SHARED], ids=["permuted", "shared_bits"])
def test_what_was_measured_outlives_what_comes_after(command, tmp_path, source):
    """A circuit that cannot be drawn, exported or evaluated in every way is recorded or refused, and not lost."""
    (tmp_path / "odd.py").write_text(source)
    ended = command("tracking=off", "circuit=file", "circuit.source=odd.py", "mode=raw")
    assert ended.code in (0, 2), ended.err
    assert ended.code == 2 or list(tmp_path.glob("outputs/*/*/0-main/counts.json"))


def test_figure_that_cannot_be_drawn_loses_nothing(command, own_store):
    """A name that matplotlib takes for broken mathematics does not cost the measured numbers."""
    ended = command("mode=raw", "circuit.name='$\\frac{$'")
    assert ended.code == 0, ended.err
    [run] = runs_of(own_store)
    assert run.data.metrics["ev/zz"] == 1.0


def test_a_line_cut_off_by_a_crash_costs_no_other_task(command, tmp_path):
    """Two tasks are kept, the journal is gone, a line is cut off: the other task is logged and noted all the same."""
    command("-m", "seed=1,2", *QUICK, "tracking=off")
    shutil.rmtree("outputs/journal")
    [file] = tmp_path.glob("multirun/*/*/tasks.jsonl")
    file.write_text(file.read_text()[:-40])
    assert "1 tasks are in MLflow" in command("action=collect", f"tracking.uri=sqlite:///{tmp_path}/own.db").out
    assert "1 tasks are in MLflow" in command("action=collect", f"tracking.uri=sqlite:///{tmp_path}/own.db").out
