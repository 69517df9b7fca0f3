"""From a clone or a wheel to a first run: make targets, pins, packaging, the user's own conf/, help."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from qrt_runner import SHIPPED

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[1]
CONSTRAINTS = ROOT / ".ci" / "constraints.txt"
OFF = ("tracking=off", "mode=raw")

FLIP = '''
"""X on one qubit: every shot gives 1."""

from qiskit import QuantumCircuit


def build():
    circuit = QuantumCircuit(1)
    circuit.x(0)
    return circuit
'''

OPTION = """
# What does a flipped qubit give?
name: {name}
source: {source}
params: {{}}
parameter_values: {{}}
broadcast: zip
observables: {{}}
measure: auto
"""

STUB = """#!/bin/sh
echo "$*" >> calls.txt
case "$*" in *"${BREAKS:-nothing}"*) exit 1 ;; esac
"""


def ran(*words: str | Path, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, with additions to the environment."""
    environment = {**os.environ, **settings}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def tracked() -> list[Path]:
    """Return the files of the repository: those that git tracks or would."""
    listed = ran("git", "ls-files", "--cached", "--others", "--exclude-standard", folder=ROOT)
    assert listed.returncode == 0, listed.stderr
    return [file for line in listed.stdout.splitlines() if (file := ROOT / line).is_file()]


def below(folder: Path) -> set[str]:
    """Return the files below a folder by their relative paths, without what Python leaves there."""
    files = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    return {str(file) for file in files if "__pycache__" not in file.parts}


# --- make ---------------------------------------------------------------------------------------------------------


def test_make_help_lists_the_targets():
    """`make help`, and `make` alone, list the targets with what they do."""
    shown = ran("make", "help", folder=ROOT)
    targets = {line.split()[0]: line.split()[1:] for line in shown.stdout.splitlines() if line.startswith("  ")}
    assert shown.returncode == 0, shown.stderr
    assert {"run", "test", "check", "browse"} <= set(targets)
    assert all(targets.values())
    assert ran("make", folder=ROOT).stdout == shown.stdout


def test_every_make_target_is_phony():
    """A file called like a target does not keep make from running it."""
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", text, re.MULTILINE))
    [phony] = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert targets == set(phony.split())


@pytest.fixture
def checkout(tmp_path) -> Path:
    """Return a folder with the real Makefile and .ci/, and a .venv whose Python is a stub that notes its calls."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(STUB)
    python.chmod(0o755)
    for stamp in ("created", "run", "dev"):
        (tmp_path / ".venv" / f"{stamp}.stamp").touch()
    return tmp_path


def test_ci_passes_when_every_part_passes(checkout):
    """With lint, format, types and tests passing, .ci/run passes, and has called them all."""
    done = ran(checkout / ".ci" / "run", folder=checkout.parent, BREAKS="nothing")
    calls = (checkout / "calls.txt").read_text()
    assert done.returncode == 0, done.stderr
    assert all(part in calls for part in ("ruff check", "ruff format --check", "mypy", "pytest"))


@pytest.mark.parametrize("part", ["ruff check", "ruff format", "mypy", "pytest"])
def test_ci_fails_when_any_part_fails(checkout, part):
    """Whichever part fails, .ci/run fails with it."""
    assert ran(checkout / ".ci" / "run", folder=checkout.parent, BREAKS=part).returncode != 0


@pytest.mark.parametrize("part", ["ruff check", "mypy"])
def test_ci_goes_on_after_a_failure(checkout, part):
    """A failing part does not hide whether the later ones pass."""
    ran(checkout / ".ci" / "run", folder=checkout.parent, BREAKS=part)
    assert "pytest" in (checkout / "calls.txt").read_text()


def test_second_make_run_installs_nothing(checkout):
    """With an environment that is newer than the pins, `make run` only runs, with the arguments given."""
    done = ran("make", "run", "ARGS=circuit=ghz mode=sampler", folder=checkout)
    assert done.returncode == 0, done.stderr
    assert (checkout / "calls.txt").read_text() == "-m qrt_runner circuit=ghz mode=sampler\n"


def test_changed_pins_are_installed(checkout):
    """Where the pins are newer than the environment, `make run` installs them before it runs."""
    os.utime(checkout / ".venv" / "run.stamp", (1, 1))
    done = ran("make", "run", folder=checkout)
    first, last = (checkout / "calls.txt").read_text().splitlines()
    assert done.returncode == 0, done.stderr
    assert first.startswith("-m pip install")
    assert ".ci/constraints.txt" in first
    assert last == "-m qrt_runner"


# --- pins ---------------------------------------------------------------------------------------------------------


def pins() -> Mapping[str, str]:
    """Return the pinned versions by normalised name."""
    lines = CONSTRAINTS.read_text().splitlines()
    return {_normal(name): version for name, version in (line.split("==") for line in lines)}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_constraints_are_names_and_versions():
    """Every line of the constraints is name==version and nothing else, each name once."""
    lines = CONSTRAINTS.read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*==[0-9][A-Za-z0-9.+!]*", line)] == []
    assert len(pins()) == len(lines)


def test_constraints_cover_every_dependency():
    """Every dependency of pyproject.toml, for running and for development, has its pin, within its range."""
    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [Requirement(line) for line in project["dependencies"] + project["optional-dependencies"]["dev"]]
    pinned = pins()
    outside = [str(item) for item in wanted if not item.specifier.contains(pinned.get(_normal(item.name), "0"))]
    assert outside == []


def test_constraints_cover_what_dependencies_need():
    """What the dependencies themselves need, as installed here, has its pin too."""
    from importlib.metadata import distribution

    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    waiting = [Requirement(line).name for line in project["dependencies"]]
    met: set[str] = set()
    while waiting:
        name = _normal(waiting.pop())
        if name in met:
            continue
        met.add(name)
        needs = [Requirement(line) for line in distribution(name).requires or []]
        waiting += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    assert met - set(pins()) == set()


# --- wheel --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Build the wheel as `make wheel` does, through the source distribution, and return it.

    The build backend must be installed, because a build environment of its own would need a registry.
    """
    folder = tmp_path_factory.mktemp("dist")
    built = ran(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, folder=folder)
    assert built.returncode == 0, built.stdout + built.stderr
    [file] = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """Install the wheel alone into a folder of its own, and return that."""
    folder = tmp_path_factory.mktemp("site")
    words = ("pip", "install", "--quiet", "--no-deps", "--no-index", "--target", folder, wheel)
    done = ran(sys.executable, "-m", *words, folder=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_wheel_holds_conf_and_circuits(wheel):
    """The wheel has every file of conf/ and circuits/, byte by byte, and no other."""
    for name in ("conf", "circuits"):
        prefix = f"qrt_runner/shipped/{name}/"
        with zipfile.ZipFile(wheel) as held:
            files = {path.removeprefix(prefix): held.read(path) for path in held.namelist() if path.startswith(prefix)}
        assert files == {path: (ROOT / name / path).read_bytes() for path in below(ROOT / name)}


def test_wheel_holds_the_package_and_nothing_beside_it(wheel):
    """The wheel has the package and its metadata; conf/ and circuits/ do not lie at the top of site-packages."""
    with zipfile.ZipFile(wheel) as held:
        names = held.namelist()
    assert {name.split("/")[0] for name in names} == {"qrt_runner", "qrt_runner-0.1.0.dist-info"}
    modules = {name for name in names if name.startswith("qrt_runner/") and "/shipped/" not in name}
    assert modules == {f"qrt_runner/{path}" for path in below(ROOT / "qrt_runner")}


def test_installed_wheel_ships_its_own_files(installed, tmp_path):
    """What is installed reads conf/ and circuits/ from inside the package, not from a clone."""
    show = "import qrt_runner; print(qrt_runner.SHIPPED)"
    shown = ran(sys.executable, "-c", show, folder=tmp_path, PYTHONPATH=str(installed))
    assert Path(shown.stdout.strip()) == installed / "qrt_runner" / "shipped"


def test_installed_wheel_runs_in_an_empty_folder(installed, tmp_path):
    """From the wheel alone the command line runs a shipped circuit in a folder with nothing in it."""
    line = (sys.executable, "-m", "qrt_runner", "circuit=ghz", *OFF)
    done = ran(*line, folder=tmp_path, PYTHONPATH=str(installed))
    assert done.returncode == 0, done.stderr
    assert "zz_ends = 1" in done.stdout


def test_installed_wheel_has_a_command(installed, tmp_path):
    """The wheel installs the command `qrt-runner`."""
    shown = ran(installed / "bin" / "qrt-runner", "--cfg", "job", folder=tmp_path, PYTHONPATH=str(installed))
    assert shown.returncode == 0, shown.stderr
    assert yaml.safe_load(shown.stdout)["circuit"]["name"] == "bell"


# --- the user's own conf/ and circuits/ ---------------------------------------------------------------------------


def write(file: Path, text: str) -> Path:
    """Write a file and the folders above it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def counts_in(folder: Path) -> dict[str, dict[str, int]]:
    """Return the counts of the only run kept below a folder."""
    [file] = folder.glob("outputs/*/*/0-main/counts.json")
    [registers] = json.loads(file.read_text())
    return registers


def shown(ended) -> dict:
    """Return the config that a command showed."""
    assert ended.code == 0, ended.err
    return yaml.safe_load(ended.out)


def test_own_option_and_circuit(command, tmp_path):
    """A new option in ./conf and its circuit file in ./circuits are used with one word."""
    write(tmp_path / "conf" / "circuit" / "flip.yaml", OPTION.format(name="flip", source="flip.py"))
    write(tmp_path / "circuits" / "flip.py", FLIP)
    ended = command("circuit=flip", *OFF)
    assert ended.code == 0, ended.err
    assert counts_in(tmp_path) == {"meas": {"1": 1024}}


def test_own_circuit_file_goes_before_the_shipped_one(command, tmp_path):
    """./circuits/bell.py is what `circuit=bell` runs."""
    write(tmp_path / "circuits" / "bell.py", FLIP)
    ended = command(*OFF)
    assert ended.code == 0, ended.err
    assert counts_in(tmp_path) == {"meas": {"1": 1024}}


def test_own_option_goes_before_the_shipped_one(command, tmp_path):
    """./conf/mode/raw.yaml is what `mode=raw` means; the other options are still the shipped ones."""
    write(tmp_path / "conf" / "mode" / "raw.yaml", "kind: raw\nshots: 77\n")
    assert shown(command("mode=raw", "--cfg", "job"))["mode"] == {"kind": "raw", "shots": 77}
    assert shown(command("mode=sampler", "--cfg", "job"))["mode"] == {"kind": "sampler", "shots": 1024}


def test_own_option_is_run(command, tmp_path):
    """What ./conf overrides is not only shown but run."""
    write(tmp_path / "conf" / "mode" / "raw.yaml", "kind: raw\nshots: 77\n")
    assert command(*OFF).code == 0
    assert sum(counts_in(tmp_path)["meas"].values()) == 77


def test_own_preset(command, tmp_path):
    """A preset in ./conf/experiment uses shipped options and sets values of its own."""
    preset = "# @package _global_\ndefaults:\n  - override /circuit: ghz\n  - override /mode: raw\nname: mine\n"
    write(tmp_path / "conf" / "experiment" / "mine.yaml", preset + "circuit:\n  params:\n    num_qubits: 5\n")
    config = shown(command("experiment=mine", "--cfg", "job"))
    assert (config["name"], config["mode"]["kind"], config["circuit"]["params"]) == ("mine", "raw", {"num_qubits": 5})


@pytest.mark.parametrize("form", [("--config-dir", "{}"), ("--config-dir={}",), ("-cd", "{}"), ("-cd={}",)])
def test_config_dir_goes_before_all(command, tmp_path, form):
    """`--config-dir`, in every form Hydra takes it, goes before ./conf, and that before what is shipped."""
    write(tmp_path / "elsewhere" / "mode" / "raw.yaml", "kind: raw\nshots: 5\n")
    write(tmp_path / "conf" / "mode" / "raw.yaml", "kind: raw\nshots: 6\n")
    write(tmp_path / "conf" / "mode" / "sampler.yaml", "kind: sampler\nshots: 7\n")
    words = [word.format("elsewhere") for word in form]
    assert shown(command(*words, "mode=raw", "--cfg", "job"))["mode"]["shots"] == 5
    assert shown(command(*words, "mode=sampler", "--cfg", "job"))["mode"]["shots"] == 7


def test_own_options_are_listed(command, tmp_path):
    """The help and the refusal of an unknown option list the user's own options beside the shipped ones."""
    write(tmp_path / "conf" / "circuit" / "flip.yaml", OPTION.format(name="flip", source="flip.py"))
    assert {"flip", "bell"} <= set(re.findall(r"\w+", command("--help").out))
    assert "circuit.source=flip.py" in command("--help", "circuit=flip").out
    ended = command("circuit=flap", *OFF)
    assert ended.code == 2
    assert "remedy: circuit=flip" in ended.err


def test_mistake_in_an_own_option_is_told(command, tmp_path):
    """An unknown key beside an option of the user's own is told by its path, as with a shipped option."""
    write(tmp_path / "conf" / "circuit" / "flip.yaml", OPTION.format(name="flip", source="flip.py"))
    ended = command("circuit=flip", "circuit.mesure=never", *OFF)
    assert ended.code == 2
    assert "circuit.mesure: given" in ended.err
    assert "circuit.measure" in ended.err


def test_missing_config_dir_is_refused(command):
    """A --config-dir that is not there is a mistake in the config, told with its name."""
    ended = command("--config-dir", "nowhere", *OFF)
    assert ended.code == 2
    assert "nowhere" in ended.err
    assert "Traceback" not in ended.err


# --- help ---------------------------------------------------------------------------------------------------------


def help_text() -> str:
    """Return what --help prints in a process of its own, which imports neither qiskit nor mlflow."""
    done = ran(sys.executable, "-X", "importtime", "-m", "qrt_runner", "--help", folder=Path.cwd())
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert done.returncode == 0, done.stderr
    assert not imported & {"qiskit", "qiskit_aer", "qiskit_ibm_runtime", "mlflow", "matplotlib"}
    return done.stdout


def test_a_raw_run_imports_neither_the_runtime_nor_mlflow() -> None:
    """A Bell pair on the ideal simulator takes a second; the runtime alone would double that.

    Once its circuit is in the cache: transpiling it lets Qiskit look for plugins, of which the runtime is one.
    """
    words = ("-m", "qrt_runner", "mode=raw", "tracking=off")
    assert ran(sys.executable, *words, folder=Path.cwd()).returncode == 0
    done = ran(sys.executable, "-X", "importtime", *words, folder=Path.cwd())
    modules = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert "qiskit_aer" in modules
    assert not modules & {"qiskit_ibm_runtime", "samplomatic", "mthree", "qiskit_noise_learning", "mlflow", "pandas"}


def examples(text: str) -> list[str]:
    """Return the command lines that a text shows, those that are carried over put together."""
    lines = re.sub(r" \\\n\s+", " ", text).splitlines()
    return [line.strip() for line in lines if line.strip().startswith("python -m qrt_runner")]


def test_help_is_for_a_physicist():
    """--help needs no qiskit, names every group with its options, and has at least five examples."""
    text = help_text()
    for folder in (path for path in (ROOT / "conf").iterdir() if path.is_dir()):
        [block] = re.findall(rf"^  {folder.name}= (.*?)^  \w+[\w/]*=", f"{text}\n  x=", re.MULTILINE | re.DOTALL)
        assert {path.stem for path in folder.glob("*.yaml")} <= set(re.findall(r"[\w/]+", block))
    assert len(examples(text)) >= 5


def test_help_leaves_nothing_behind(command, tmp_path):
    """--help makes no output folder and no store."""
    assert command("--help").code == 0
    assert list(tmp_path.iterdir()) == []


def test_every_example_of_the_help_composes(command):
    """Each example of the help composes as it stands there; a sweep by its first values, as --cfg shows no sweep."""
    for line in examples(command("--help").out):
        words = shlex.split(line)[3:]
        if "--help" not in words:
            words = [*(_first_value(word) for word in words if word != "-m"), "--cfg", "job"]
        ended = command(*words)
        assert ended.code == 0, f"{line}: {ended.err}"


def _first_value(word: str) -> str:
    name, _, value = word.partition("=")
    return f"{name}={value.removeprefix('range(').split(',')[0]}"


def test_cfg_job_shows_the_composed_experiment(command, tmp_path):
    """`--cfg job` prints the composed experiment as YAML, and runs nothing."""
    config = shown(command("circuit=ghz", "circuit.params.num_qubits=6", "mode=estimator", "--cfg", "job"))
    assert config["circuit"]["params"] == {"num_qubits": 6}
    assert config["mode"]["kind"] == "estimator"
    assert "hydra" not in config
    assert list(tmp_path.iterdir()) == []


def test_clone_ships_its_own_folders():
    """In a clone, conf/ and circuits/ are those of the repository."""
    assert SHIPPED == ROOT
