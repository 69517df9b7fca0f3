"""What people see in MLflow's own UI: a real browser, against the real server as `make browse` starts it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from browsing import browser, kept_screenshot, seen_within, sized

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver import Chrome

ROOT = Path(__file__).parents[1]
WIDE = (1600, 1000)
BEEN_HERE = """
if (location.protocol == 'http:') localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')
"""
ANSATZ = """
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter


def build():
    theta = Parameter("theta")
    circuit = QuantumCircuit(2)
    circuit.ry(theta, [0, 1])
    circuit.cx(0, 1)
    return circuit


def observables():
    return {"zz": "ZZ"}
"""
SWEEP = (
    *("-m", "circuit=file", "circuit.source=ansatz.py", "+circuit.parameter_values.theta=0,0.5,1", "mode=estimator"),
    *("backend=rehearsal", "backend.queue_wait_s=20", "session=dedicated", "mode.shots=256", "reference=ideal"),
)
BELL = ("circuit=bell", "backend=fake_manila", "mode=sampler", "mitigation=m3", "mode.shots=256")


@dataclass(frozen=True)
class Told:
    """Where a run says it is."""

    run: str
    """Id of the MLflow run."""

    table: str
    """Address of the run table, on the server that was started."""

    folder: Path

    @property
    def page(self) -> str:
        """Address of the run's page."""
        return f"{self.table.partition('?')[0]}/{self.run}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Work in a folder without account, store or cache of the machine's user."""
    home = tmp_path_factory.mktemp("browsed")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("HOME", str(home))
        patch.setenv("QRT_STATE_DIR", str(home / ".state"))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield home


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    """Start the UI by `make browse`, with the interpreter of the tests instead of that of .venv."""
    if (make := shutil.which("make")) is None:
        pytest.skip("no make is installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told(folder, "http://127.0.0.1:5000", *BELL)
    line = [make, "-f", str(ROOT / "Makefile"), "-o", ".venv/run.stamp", "browse"]
    line += [f"VPY={sys.executable}", f"PORT={port}"]
    with (folder / "browse.log").open("wb") as log:
        served = subprocess.Popen(line, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(1200):
            try:
                urlopen(f"{address}/health").close()
                break
            except (URLError, ConnectionError):
                assert served.poll() is None, (folder / "browse.log").read_text()
                time.sleep(0.1)
        else:
            pytest.fail((folder / "browse.log").read_text(encoding="utf-8"))
        yield address
    finally:
        os.killpg(served.pid, signal.SIGTERM)
        served.wait(30)


def told(folder: Path, server: str, *words: str) -> Told:
    """Run a command, and read from what it says where its results are seen."""
    line = [sys.executable, "-m", "qrt_runner", *words]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = {name: value for line in done.stdout.splitlines() for name, _, value in [line.partition(": ")]}
    (run,) = re.findall(r"^MLflow run (\w+) in", done.stdout, re.MULTILINE)
    (kept,) = re.findall(r"kept in (\S+)$", done.stdout, re.MULTILINE)
    return Told(run, found["run table"].replace("http://127.0.0.1:5000", server), folder / kept)


@pytest.fixture(scope="module")
def sweep(folder: Path, server: str) -> Told:
    """A sweep of three points in a session with a queue, recorded while the UI is there."""
    (folder / "ansatz.py").write_text(ANSATZ, encoding="utf-8")
    return told(folder, server, *SWEEP)


@pytest.fixture(scope="module")
def opened() -> Iterator[Chrome]:
    """Return a browser of somebody who was here before: an assistant that opens beside the first page is closed."""
    with browser() as found:
        sized(found, WIDE)
        found.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": BEEN_HERE})
        yield found


def go(opened: Chrome, address: str) -> None:
    """Open an address anew; one that differs behind its # only would be no new page."""
    opened.get("about:blank")
    opened.get(address)


def words_of(opened: Chrome) -> str:
    """Return the words on a page."""
    return str(opened.execute_script("return document.body.innerText"))


def texts(opened: Chrome, selector: str) -> list[str]:
    """Return the words of all such places that are inside the window, line by line."""
    script = """return [...document.querySelectorAll(arguments[0])]
        .map(one => [one.getBoundingClientRect(), one.innerText])
        .filter(([box]) => box.width && box.left >= 0 && box.right <= innerWidth && box.bottom <= innerHeight)
        .sort(([a], [b]) => Math.round(a.top - b.top) || a.left - b.left).map(([, text]) => text)"""
    found: list[str] = opened.execute_script(script, selector)
    return [text.strip() for text in found]


def test_the_run_table_opens_with_what_tells_runs_apart(opened: Chrome, sweep: Told) -> None:
    """At the address that a run prints: circuit, mode, mitigation, backend, headline, session, value and error."""
    go(opened, sweep.table)
    columns = ["circuit.name", "mode", "mitigation", "qrt.backend", "qrt.headline", "qrt.session_id"]
    columns += ["headline/value", "headline/error"]
    assert seen_within(opened, lambda: texts(opened, ".ag-header-cell")[-8:] == columns)
    seen_within(opened, lambda: "bell" in texts(opened, ".ag-cell"))
    cells = texts(opened, ".ag-cell")
    (job, *_) = json.loads(next(sweep.folder.rglob("*jobs.json")).read_text(encoding="utf-8"))
    for told_there in ("bell", "sampler", "m3", "file", "estimator", "fake_manila", job["session_id"]):
        assert told_there in cells
    assert [cell for cell in cells if cell.startswith("best error/zz = ")]
    assert [cell for cell in cells if re.fullmatch(r"zz = [01]\.\d+\(\d+\)", cell)]
    assert "Model training" in words_of(opened)
    kept_screenshot(opened, "mlflow-run-table")


def test_the_note_of_a_sweep_is_read_as_it_was_meant(opened: Chrome, sweep: Told) -> None:
    """Its Markdown is drawn: what was swept, the best point, jobs, session and command, without a mark left over."""
    go(opened, sweep.page)
    show = "return [...document.querySelectorAll('button')].find(one => one.innerText == 'Show more')?.click() ?? true"
    seen_within(opened, lambda: "Show more" in words_of(opened) and opened.execute_script(show))
    words = seen_within(opened, lambda: "Show less" in (seen := words_of(opened)) and seen)
    note = words[words.index("Description") : words.index("Show less")]
    assert "tasks: 3 done, 0 failed" in note
    assert "swept over: circuit.parameter_values.theta (0, 0.5, 1)" in note
    assert re.search(r"best point: \d \(theta = [\d.]+\): error/zz = -?0\.\d+\(\d+\)", note)
    assert "python -m qrt_runner -m circuit=file" in note
    assert not re.search(r"\*\*|`", note)
    # A command without line breaks would push what stands beside the note out of the window.
    assert "Run ID" in texts(opened, "span, div")
    assert [text for text in texts(opened, "span, div") if text == sweep.run]
    kept_screenshot(opened, "mlflow-note")


def test_figures_are_drawn(opened: Chrome, sweep: Told) -> None:
    """Those of what was swept and of the session are shown in the artifacts' pane."""
    drawn = "return [...document.images].filter(one => one.complete && one.naturalWidth > 500).length"
    for name in ("against-theta", "time_line"):
        go(opened, f"{sweep.page}/artifacts/plots/{name}.png")
        assert seen_within(opened, lambda: opened.execute_script(drawn))
        kept_screenshot(opened, f"mlflow-figure-{name}")


def test_the_table_of_all_points_is_shown_with_its_numbers(opened: Chrome, sweep: Told) -> None:
    """What was swept to and what was measured are in the cells, none of which is empty."""
    go(opened, f"{sweep.page}/artifacts/results_table.json")
    seen_within(opened, lambda: "theta" in texts(opened, "[role=columnheader]"))
    columns = texts(opened, "[role=columnheader]")
    assert columns[:4] == ["point", "theta", "observable", "ev"]
    cells = [text for text in texts(opened, "[role=cell]") if text]
    assert len(cells) == 3 * len(columns)
    width = len(columns)
    assert [cells[line : line + 3] for line in range(0, len(cells), width)] == [
        [str(point), theta, "zz"] for point, theta in enumerate(("0", "0.5", "1"))
    ]
    kept_screenshot(opened, "mlflow-table")


def test_the_trace_shows_where_the_time_went(opened: Chrome, sweep: Told) -> None:
    """The spans of preparing and of each stage of the job, in their order, waiting apart from running."""
    go(opened, f"{sweep.page}/traces")
    click = """return [...document.querySelectorAll('a, button, span')].filter(
        one => one.innerText.endsWith('(3 points)') && one.closest('[role=row], tr')).map(one => one.click()).length"""
    seen_within(opened, lambda: opened.execute_script(click))
    words = seen_within(opened, lambda: "collect" in (seen := words_of(opened)) and seen)
    names = ("prepare", "transpile", "submit", "queue", "execute", "collect", "record")
    spans = [line for line in words[words.index("Spans") :].splitlines() if line in names]
    assert spans == [*names]
    lines = words.splitlines()
    assert re.fullmatch(r"2\d\.\d+s", lines[lines.index("queue") + 1])
    kept_screenshot(opened, "mlflow-trace")
