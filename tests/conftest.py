"""What the tests share: a command line to call, and the MLflow store it leaves behind."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hydra.core.global_hydra import GlobalHydra

from qrt_runner.__main__ import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from faulting import Service
    from mlflow.tracking import MlflowClient
    from qiskit_ibm_runtime import QiskitRuntimeService

    from qrt_runner.rehearsal import Rehearsal


_ACCOUNT = ("QISKIT_IBM_TOKEN", "QISKIT_IBM_URL", "QISKIT_IBM_INSTANCE", "QISKIT_IBM_CHANNEL")


FRAGILE = '''
from qiskit.providers.basic_provider import BasicSimulator


class Fragile(BasicSimulator):
    """A vendor's device that fails for circuits on three qubits."""

    def run(self, run_input, **options):
        if any(circuit.num_qubits == 3 for circuit in run_input):
            raise RuntimeError("qubit 2 is too warm")
        return super().run(run_input, **options)


def get_backend():
    return Fragile()
'''


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True, scope="module")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a module's fixtures run finds and leaves no transpiled circuit elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QRT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def template_stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for the template of fresh stores, which MLflow needs seconds to make."""
    return tmp_path_factory.mktemp("stores")


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template_stores: Path) -> Iterator[None]:
    """Every test works in an empty folder of its own, without account, store or cache of the machine's user."""
    own = tmp_path.with_name(f"{tmp_path.name}-cache") / "stores"
    shutil.copytree(template_stores, own)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("QRT_CACHE_DIR", str(own.parent))
    monkeypatch.setenv("QRT_STATE_DIR", str(tmp_path / ".state"))
    for name in (
        "MLFLOW_TRACKING_URI",
        "QISKIT_IBM_TOKEN",
        "QISKIT_IBM_URL",
        "QISKIT_IBM_INSTANCE",
        "HYDRA_FULL_ERROR",
    ):
        monkeypatch.delenv(name, raising=False)
    yield
    for template in own.glob("*.db"):
        if not (template_stores / template.name).exists():
            shutil.copy(template, template_stores)
    shutil.rmtree(own.parent)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Return a function that calls the command line in this process, which saves the seconds that imports take."""

    def call(*words: str) -> Ended:
        GlobalHydra.instance().clear()
        monkeypatch.setattr(sys, "argv", ["qrt_runner", *words])
        capsys.readouterr()
        try:
            code = main()
        except SystemExit as ending:  # Hydra ends --help and --cfg this way
            code = int(ending.code or 0)
        told = capsys.readouterr()
        return Ended(code, told.out, told.err)

    return call


@pytest.fixture
def process() -> Callable[..., Ended]:
    """Return a function that calls the command line in a process of its own, as a user does."""

    def call(*words: str, **options: object) -> Ended:
        line = [sys.executable, "-m", "qrt_runner", *words]
        done = subprocess.run(line, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
        return Ended(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def store(tmp_path: Path) -> MlflowClient:
    """Return a client of the store in the test's folder."""
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")


@pytest.fixture
def fragile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Return the overrides that open a vendor's device which fails for circuits on three qubits."""
    (tmp_path / "acme_fragile.py").write_text(FRAGILE, encoding="utf-8")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield ["backend=vendor", "backend.source=acme_fragile:get_backend"]
    sys.modules.pop("acme_fragile", None)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """Return the rehearsal service of a module's tests, which `watched` looks at."""
    from watching import rehearsal

    with rehearsal(tmp_path_factory.mktemp("served") / "store") as running:
        yield running


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """The service that `backend=rehearsal` asks for: commands join it, which spares the seconds of a start."""
    from faulting import started

    with started(tmp_path_factory.mktemp("rehearsal")) as rehearsal:
        yield rehearsal


@pytest.fixture(scope="module")
def client(running: Rehearsal) -> QiskitRuntimeService:
    """The client that sees what the service gives."""
    from faulting import client_of

    return client_of(running)


@pytest.fixture
def service(running: Rehearsal, client: QiskitRuntimeService) -> Iterator[Service]:
    """The service from now on; no fault outlives the test."""
    from faulting import service_of

    yield service_of(running, client)
    running.lift_faults()
