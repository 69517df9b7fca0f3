"""The rehearsal as a process: who may talk to it, what it keeps, how it starts, restarts and ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from qiskit_ibm_runtime import QiskitRuntimeService, Session
from qiskit_ibm_runtime.accounts.exceptions import InvalidAccountError
from rehearsing import FAST, client_of, rehearsal_with, submitted

from qrt_runner.errors import AccessError, ConfigError
from qrt_runner.rehearsal import Settings, account_of, start
from qrt_runner.rehearsal.service import API

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qrt_runner.rehearsal import Rehearsal


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """A service in a folder of its own."""
    with rehearsal_with(tmp_path_factory.mktemp("rehearsal") / "store") as running:
        yield running


def asked(rehearsal: Rehearsal, path: str, method: str = "GET", **headers: str) -> int:
    """Return the status that a request is answered with."""
    request = urllib.request.Request(rehearsal.url + path, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return int(error.code)


def test_a_wrong_token_gets_401_everywhere(rehearsal) -> None:
    """With a wrong one, with none, and with one that was tampered with."""
    crn = account_of(rehearsal).arguments["instance"]
    for path in (f"{API}/jobs", f"{API}/backends", f"{API}/sessions/1", "/control/ledger", "/catalog/open"):
        for token in ("Bearer wrong", "apikey wrong", "Bearer a.b.c", ""):
            assert asked(rehearsal, path, Authorization=token, **{"Service-CRN": crn}) == 401
    assert asked(rehearsal, "/search/v3/resources/search", "POST") == 401


def test_a_good_token_needs_a_known_instance(rehearsal) -> None:
    """Of this account."""
    token = f"apikey {rehearsal.token}"
    crn = account_of(rehearsal).arguments["instance"]
    assert asked(rehearsal, f"{API}/jobs", Authorization=token, **{"Service-CRN": crn}) == 200
    assert asked(rehearsal, f"{API}/jobs", Authorization=token, **{"Service-CRN": crn + "x"}) == 401


def test_the_client_with_a_wrong_token_is_not_let_in(rehearsal) -> None:
    """With the client's own error."""
    arguments = {**account_of(rehearsal).arguments, "token": "wrong"}
    with pytest.raises(InvalidAccountError, match="valid API token"):
        QiskitRuntimeService(**arguments)


def test_a_path_outside_the_api_gets_404(rehearsal) -> None:
    """Whoever asks."""
    for path in ("/", "/docs", "/experimental", "/v1/jobs", f"{API}/programs"):
        assert asked(rehearsal, path, Authorization=f"apikey {rehearsal.token}") == 404


def test_it_listens_on_loopback_only(rehearsal) -> None:
    """No other address of this machine answers on its port."""
    process = psutil.Process(rehearsal.pid)
    listening = [one.laddr for one in process.net_connections() if one.status == psutil.CONN_LISTEN]
    assert [(one.ip, one.port) for one in listening] == [("127.0.0.1", int(rehearsal.url.rpartition(":")[2]))]


def test_each_start_has_a_token_of_its_own(rehearsal, tmp_path) -> None:
    """Unless one is given."""
    with start(Settings(**FAST), tmp_path / "other") as other:
        assert other.token != rehearsal.token
        assert len(other.token) > 30
    with start(Settings(**FAST, token="mine"), tmp_path / "other") as given:
        assert given.token == "mine"
    assert "mine" not in repr(given)


def test_others_cannot_read_the_store(rehearsal) -> None:
    """The folder is 0700, every file in it 0600."""
    files = list(Path(rehearsal.folder).iterdir())
    assert stat.S_IMODE(Path(rehearsal.folder).stat().st_mode) == 0o700
    assert {file.name for file in files} >= {"rehearsal.sqlite", "rehearsal.sqlite-wal", "service.log"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


@pytest.mark.parametrize("kill", [False, True])
def test_a_restarted_service_goes_on_with_its_queue(tmp_path, kill) -> None:
    """Jobs keep their ids, sessions stay open, the client notices nothing; also after kill -9."""
    with rehearsal_with(tmp_path / "store", queue_wait_s=600) as rehearsal:
        backend = client_of(rehearsal).backend("fake_manila")
        done = submitted(backend, backend)
        before = done.result()[0].data.meas.get_counts()
        session = Session(backend=backend)
        queued = [submitted(backend, backend), submitted(session, backend)]
        rehearsal.restart(kill=kill)
        assert [one["status"] for one in rehearsal.ledger()["jobs"]] == ["Completed", "Queued", "Queued"]
        assert done._service.job(done.job_id()).result()[0].data.meas.get_counts() == before  # noqa: SLF001 -- same client
        assert [job.result()[0].data.meas.num_shots for job in queued] == [100, 100]
        assert session.details()["state"] == "active"


def test_a_job_that_was_running_runs_again_after_a_restart(tmp_path) -> None:
    """Killed in the middle, it is simulated anew and keeps its id and its start."""
    with rehearsal_with(tmp_path / "store", hold_s=0, virtual_clock=False) as rehearsal:
        backend = client_of(rehearsal).backend("fake_manila")
        job = submitted(backend, backend)
        while job.status() != "RUNNING":
            time.sleep(0.02)
        started = rehearsal.ledger()["jobs"][0]["started"]
        rehearsal.restart(kill=True)
        assert job.result()[0].data.meas.num_shots == 100
        assert rehearsal.ledger()["jobs"][0]["started"] == started


def test_a_folder_has_one_service_which_others_join(tmp_path) -> None:
    """It goes on until the last of them leaves, and one with other settings is told so."""
    with start(Settings(**FAST), tmp_path / "store") as first:
        second = start(Settings(**FAST, port=1), tmp_path / "store")
        assert (second.pid, second.url, second.token) == (first.pid, first.url, first.token)
        with pytest.raises(AccessError, match=r"another service has .*, with queue_wait_s=0\.0; remedy"):
            start(Settings(**FAST, queue_wait_s=9), tmp_path / "store")
    assert second.ledger()["jobs"] == []
    second.stop()
    psutil.Process(first.pid).wait(10)


def test_services_started_at_once_are_one(tmp_path) -> None:
    """Whoever comes second joins, also while the first is still starting."""
    with ThreadPoolExecutor(3) as pool:
        starting = [pool.submit(start, Settings(**FAST), tmp_path / "store") for _ in range(3)]
    started = [one.result() for one in starting]
    assert len({one.pid for one in started}) == 1
    for one in started:
        one.stop()


def test_an_unknown_device_is_told_with_those_there_are(tmp_path) -> None:
    """Before anything starts."""
    with pytest.raises(ConfigError, match=r"backend\.devices: given fake_nowhere; allowed: .*fake_manila"):
        start(Settings(devices=("fake_nowhere",)), tmp_path / "store")


def test_it_ends_with_whoever_started_it(tmp_path) -> None:
    """Also when that process is killed."""
    code = (
        "import sys, time; from pathlib import Path; from qrt_runner.rehearsal import start, Settings;"
        f"r = start(Settings(), Path({str(tmp_path / 'store')!r})); print(r.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        service = psutil.Process(int(starter.stdout.readline()))
        os.kill(starter.pid, signal.SIGKILL)
    service.wait(10)
    assert not service.is_running()


def test_it_ends_when_nobody_asks(tmp_path) -> None:
    """After the idle time."""
    rehearsal = start(Settings(idle_s=0.2), tmp_path / "store")
    psutil.Process(rehearsal.pid).wait(10)
    rehearsal.stop()


def test_stopping_leaves_nothing(tmp_path) -> None:
    """Neither the process nor its port."""
    with start(Settings(**FAST), tmp_path / "store") as rehearsal:
        address = ("127.0.0.1", int(rehearsal.url.rpartition(":")[2]))
    assert not psutil.pid_exists(rehearsal.pid)
    with socket.socket() as knocking:
        assert knocking.connect_ex(address) != 0


def test_in_the_foreground_it_prints_how_to_use_it(tmp_path) -> None:
    """What it prints for a shell is enough for a program that knows nothing of it."""
    (tmp_path / "settings.json").write_text(json.dumps({"devices": ["fake_manila"]}), encoding="utf-8")
    line = [sys.executable, "-m", "qrt_runner.rehearsal", "--settings", "settings.json"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as foreground:
        assert foreground.stdout is not None
        exports = [foreground.stdout.readline() for _ in range(6)]
        script = "".join(exports) + f"{sys.executable} -c '{_PROGRAM}'"
        said = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True).stdout
        foreground.send_signal(signal.SIGINT)
        assert foreground.wait(10) == 130
    assert said == "['fake_manila']\n"
    assert Path(".rehearsal/rehearsal.sqlite").exists()


_PROGRAM = (
    "import os; from qiskit_ibm_runtime import QiskitRuntimeService as S;"
    'e = os.environ; s = S(token=e["QISKIT_IBM_TOKEN"], url=e["QISKIT_IBM_URL"], instance=e["QISKIT_IBM_INSTANCE"]);'
    "print([b.name for b in s.backends()])"
)


def test_settings_are_checked(tmp_path) -> None:
    """A misspelt name and a port out of range are told."""
    wrong: Any = {"devises": ["fake_manila"], "port": 70000}
    (tmp_path / "settings.json").write_text(json.dumps(wrong), encoding="utf-8")
    line = [sys.executable, "-m", "qrt_runner.rehearsal", "--settings", "settings.json"]
    ended = subprocess.run(line, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "devises" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_user_who_is_killed_leaves_too(tmp_path) -> None:
    """The service ends when its starter leaves after that."""
    code = (
        "import time; from pathlib import Path; from qrt_runner.rehearsal import start, Settings;"
        f"r = start(Settings(), Path({str(tmp_path / 'store')!r})); print(r.pid, flush=True); time.sleep(60)"
    )
    rehearsal = start(Settings(), tmp_path / "store")
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as joiner:
        assert joiner.stdout is not None
        assert int(joiner.stdout.readline()) == rehearsal.pid
        os.kill(joiner.pid, signal.SIGKILL)
    time.sleep(0.3)
    rehearsal.stop()
    assert not psutil.pid_exists(rehearsal.pid)
