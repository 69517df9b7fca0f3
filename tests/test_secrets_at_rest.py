"""No credential is kept, told or seen among processes, others read nothing of a run, and no config writes elsewhere."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
import threading
import zipfile
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil
import pytest
from conftest import Ended

from qrt_runner.circuits.sources import MOST_MIB
from qrt_runner.journal import Journal
from qrt_runner.rehearsal import Settings, account_of, start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

KEY = "made-up-key-of-the-environment-0123456789"
SAVED = "made-up-key-of-a-saved-account-0123456789"
PASSWORD = "made-up-password-of-mlflow-0123456789"
BELL = ("circuit=bell", "mode=sampler", "mode.shots=64", "session=batch")


# --- credentials ----------------------------------------------------------------------------------------------------


@dataclass
class Life:
    """What was left and seen of some commands, which used credentials; lives as long as they are looked into."""

    folder: Path
    ended: list[Ended] = field(default_factory=list)
    lines: set[str] = field(default_factory=set)
    """Command lines of all processes that were seen."""

    secrets: set[str] = field(default_factory=lambda: {KEY, SAVED, PASSWORD})

    def run(self, *words: str, **settings: str) -> None:
        """Call the command line, and watch its processes meanwhile."""
        environment = {**os.environ, **settings}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        line = [sys.executable, "-m", "qrt_runner", *words]
        gone = threading.Event()
        with subprocess.Popen(line, cwd=self.folder, env=environment, umask=0o022, **pipes) as started:
            watcher = threading.Thread(target=self._watch, args=(started.pid, gone))
            watcher.start()
            out, err = started.communicate()
            gone.set()
            watcher.join()
        self.ended.append(Ended(started.returncode, out, err))

    def _watch(self, pid: int, gone: threading.Event) -> None:
        """Note the command lines of a process and its children, and the key of the service that it has started."""
        while not gone.wait(0.02):
            try:
                process = psutil.Process(pid)
                self.lines.update(" ".join(one.cmdline()) for one in [process, *process.children(recursive=True)])
                self.secrets.update(
                    json.loads(file.read_text())["token"] for file in self.folder.rglob("endpoint.json")
                )
            except (psutil.Error, OSError, ValueError):
                continue


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """A rehearsal, a job that is submitted to IBM's client and collected, and two failures told with all that is known.

    The journal is held open meanwhile, so that what is in its log and not yet in its file is looked into as well.
    """
    folder = tmp_path_factory.mktemp("life")
    (folder / ".qiskit").mkdir()
    account = {"channel": "ibm_quantum_platform", "url": "https://cloud.ibm.com", "token": SAVED}
    (folder / ".qiskit" / "qiskit-ibm.json").write_text(json.dumps({"default-ibm-quantum-platform": account}))
    own = {"HOME": str(folder), "QRT_STATE_DIR": str(folder / "state"), "MLFLOW_TRACKING_PASSWORD": PASSWORD}
    loud = {"HYDRA_FULL_ERROR": "1", **own}
    found = Life(folder)
    with (
        Journal(folder / "outputs" / "journal") as journal,
        start(Settings(devices=("fake_manila",), token=KEY, hold_s=1.0), folder / "ibm") as service,
    ):
        journal.runs()
        arguments = account_of(service).arguments
        there = {f"QISKIT_IBM_{name.upper()}": str(arguments[name]) for name in ("token", "url", "instance")}
        there |= account_of(service).environment
        ibm = ("backend=ibm", "backend.name=fake_manila", *BELL)
        found.run("-m", "backend=rehearsal", *BELL, "seed=1", "mode.shots=64,65", "hydra.verbose=true", **own, **there)
        found.run("action=submit", *ibm, "hydra.verbose=true", **own, **there)
        found.run("action=collect", "hydra.verbose=true", **own, **there)
        found.run("backend=ibm", "backend.name=ibm_nowhere", **loud, **there)
        found.run(*ibm, "tracking=off", "seed=2", **loud, **{**there, "QISKIT_IBM_TOKEN": KEY[::-1]})
        found.secrets |= {KEY[::-1]}
        yield found


def contents(file: Path) -> Iterator[bytes]:
    """Give the content of a file, and that of what is packed in it."""
    content = file.read_bytes()
    yield content
    if file.suffix == ".z":
        yield zlib.decompress(content)
    if zipfile.is_zipfile(file):
        yield from unzipped(content)


def unzipped(content: bytes) -> Iterator[bytes]:
    """Give the parts of an archive, and those of archives in it."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in archive.namelist():
            part = archive.read(name)
            yield part
            if zipfile.is_zipfile(io.BytesIO(part)):
                yield from unzipped(part)


def test_commands_with_credentials_ended_as_meant(life):
    """Otherwise the other tests would look into nothing."""
    assert [one.code for one in life.ended[:3]] == [0, 0, 0], life.ended
    assert all(one.code != 0 and "Traceback" in one.err for one in life.ended[3:]), life.ended
    assert "DEBUG" in life.ended[0].err
    with Journal(life.folder / "outputs" / "journal") as journal:
        assert [run.state for run in journal.runs()] == ["recorded", "recorded"]
    assert len(life.secrets) >= 5


@pytest.mark.parametrize("where", ["outputs", "multirun", "mlflow.db", "mlruns", "state"])
def test_no_file_holds_a_credential(life, where):
    """Not packed either: journal, its log, plans, raw results, what Hydra writes, MLflow's store and files, notes."""
    place = life.folder / where
    files = [place] if place.is_file() else [file for file in place.rglob("*") if file.is_file()]
    assert files
    told = [
        (str(file), secret)
        for file in files
        for content in contents(file)
        for secret in (*life.secrets, "Bearer ", "apikey ")
        if secret.encode() in content
    ]
    assert told == []


def test_the_log_of_the_journal_was_there_to_be_looked_into(life):
    """It holds what SQLite has not moved into the database yet."""
    assert (life.folder / "outputs/journal/journal.db-wal").stat().st_size > 0


def test_no_credential_is_told(life):
    """Neither with a traceback nor with everything that libraries log."""
    for one in life.ended:
        assert not [secret for secret in life.secrets if secret in one.out + one.err]


def test_no_process_shows_a_credential(life):
    """Neither the command nor the rehearsal that it starts, nor the service beside it; anybody may list processes."""
    service = " ".join(psutil.Process().children()[0].cmdline())
    lines = {*life.lines, service}
    assert any("qrt_runner.rehearsal" in line for line in life.lines)
    assert not [line for line in lines for secret in life.secrets if secret in line]


# --- who may read ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["outputs", "multirun"])
def test_others_cannot_read_what_a_run_leaves(life, where):
    """Folders are of mode 0700 and files of 0600, those of Hydra too, although others may read what the user makes."""
    place = life.folder / where
    open_ones = {
        str(path.relative_to(life.folder)): oct(stat.S_IMODE(path.stat().st_mode))
        for path in (place, *place.rglob("*"))
        if stat.S_IMODE(path.stat().st_mode) != (0o700 if path.is_dir() else 0o600)
    }
    assert open_ones == {}


def test_others_read_the_mlflow_store_as_the_user_wants(life):
    """It is the user's own, and may be shared."""
    assert stat.S_IMODE((life.folder / "mlflow.db").stat().st_mode) == 0o644


# --- no way out -----------------------------------------------------------------------------------------------------


def around(folder: Path) -> Mapping[str, int]:
    """Return what lies around a folder and not in it, with the moments of the last changes."""
    return {
        str(path): path.stat().st_mtime_ns
        for path in folder.parent.rglob("*")
        if folder not in (path, *path.parents) and path.is_file()
    }


TASK = "{circuit: ${circuit}, mode: ${mode}, session: ${session}, mitigation: ${mitigation}}"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["journal.folder=../journal"], 2),
        (["journal.folder={around}/journal"], 2),
        (["journal.folder=outputs/../../journal"], 2),
        (["journal.folder='~/journal'"], 0),
        (["name=../../elsewhere"], 0),
        (["name={around}/elsewhere"], 0),
        (["circuit.name=../../elsewhere"], 0),
        (["circuit.name={around}/elsewhere"], 0),
        (["+circuit.observables={{'../../elsewhere': ZZ}}"], 2),
        (["+circuit.observables={{'{around}/elsewhere': ZZ}}"], 2),
        (["+tasks={{../../elsewhere: " + TASK.replace("{", "{{").replace("}", "}}") + "}}"], 2),
        (["run=../../elsewhere", "action=collect"], 2),
        (["run=../../elsewhere", "action=status"], 2),
    ],
)
def test_a_config_writes_nothing_elsewhere(tmp_path, monkeypatch, command, words, code):
    """Whatever is named in it: nothing around the working directory is made or changed."""
    work = tmp_path / "some" / "work"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    before = around(work)
    ended = command("circuit=bell", "mode=raw", *(word.format(around=tmp_path) for word in words))
    assert ended.code == code, ended
    assert "Traceback" not in ended.err
    elsewhere = {path for path in around(work) if path not in before}
    # Only what is the user's own beside every project: its caches and its state.
    assert not [path for path in elsewhere if ".state" not in path and ".config" not in path], elsewhere


# --- files that are too large ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".qpy", ".qasm", ".qasm2", ".qasm3"])
def test_a_circuit_file_that_is_too_large_is_not_read(command: Callable[..., Ended], tmp_path, suffix):
    """Its size is looked at first: these bytes are no circuit, and that is not what is told."""
    file = tmp_path / f"huge{suffix}"
    with file.open("wb") as stream:
        stream.truncate(MOST_MIB * 2**20 + 2**20)
    ended = command("circuit=file", f"circuit.source=huge{suffix}", "tracking=off")
    told = f"circuit.source: given huge{suffix} of {MOST_MIB + 1}.0 MiB; allowed: at most {MOST_MIB} MiB"
    remedy = "remedy: a Python file whose build makes the circuit"
    assert ended.err.splitlines() == ["The config has 1 mistake; nothing was run.", f"  {told}; {remedy}"]
    assert ended.code == 2


def test_a_circuit_file_as_large_as_allowed_is_read(command: Callable[..., Ended], tmp_path):
    """A comment of that size is in it."""
    head = b'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[1];\ncreg c[1];\nx q[0];\nmeasure q -> c;\n//'
    (tmp_path / "large.qasm").write_bytes(head.ljust(MOST_MIB * 2**20, b"x"))
    ended = command("circuit=file", "circuit.source=large.qasm", "tracking=off", "mode=raw", "mode.shots=10")
    assert (ended.code, ended.err) == (0, "")
    assert "1: 10" in ended.out
