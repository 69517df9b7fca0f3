"""Tab completion: what a line may become, and real shells that ask for it."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import pytest

from qrt_runner.shell import completions

ROOT = Path(__file__).parents[1]
SHELLS = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"], "fish": ["fish", "-N", "-i"]}
INSTALL = {shell: f'eval "$(python -m qrt_runner -sc install={shell})"' for shell in SHELLS}
INSTALL["fish"] = "python -m qrt_runner -sc install=fish | source"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("python -m qrt_runner circ", ["circuit.", "circuit="]),
        ("/usr/bin/python3.11 -m qrt_runner circuit=g", ["circuit=ghz"]),
        ("qrt-runner backend/", ["backend/limits="]),
        ("qrt-runner experiment=migration/ru", ["experiment=migration/run", "experiment=migration/run_session"]),
        ("qrt-runner -m mode=raw,", ["mode=raw,estimator", "mode=raw,sampler"]),
        ("qrt-runner mode@tasks.raw.mode=r", ["mode@tasks.raw.mode=raw"]),
        ("qrt-runner session.scope=", ["session.scope=run", "session.scope=sweep", "session.scope=task"]),
        ("qrt-runner reuse=", ["reuse=false", "reuse=true"]),
        ("qrt-runner bud", ["budget."]),
        ("qrt-runner ~tas", ["~tasks="]),
        ("qrt-runner --help circuit=gh", ["circuit=ghz"]),
        ("qrt-runner --mul", ["--multirun"]),
        ("qrt-runner circuit.source=./an", []),
        ("qrt-runner nothing=", []),
    ],
)
def test_what_needs_no_composing(line, found):
    """Groups, options, also behind a comma, values of closed sets, flags; paths are left to the shell."""
    assert completions(line) == found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("python -m qrt_runner mode=estimator mode.", ["mode.kind=", "mode.precision=", "mode.shots="]),
        ("qrt-runner circuit=ghz circuit.params.", ["circuit.params.num_qubits="]),
        ("qrt-runner -m circuit=ghz,qft mode=sampler,estimator circuit.params.n", ["circuit.params.num_qubits="]),
        ("qrt-runner +circuit.params.depth=3 +circuit.params.d", ["+circuit.params.depth="]),
        ("qrt-runner '+circuit.observables={zz: ZZ}' mode.sh", ["mode.shots="]),
        ("qrt-runner mode=estimator mode.shots=", ["mode.shots=4096"]),
        ("qrt-runner experiment=raw_versus_primitive tasks.ra", ["tasks.raw."]),
        ("qrt-runner hydra/launcher=co", ["hydra/launcher=compiled"]),
        ("qrt-runner circuit=nothing circuit.me", []),
    ],
)
def test_fields_are_those_of_the_chosen_options(line, found, capfd):
    """As Hydra composes them; what cannot be composed has none, and nothing is said of it."""
    assert completions(line) == found
    assert capfd.readouterr().err == ""


def test_own_options_are_completed(tmp_path):
    """Those of conf/ in the working directory, with their fields."""
    (tmp_path / "conf" / "mode").mkdir(parents=True)
    (tmp_path / "conf" / "mode" / "quick.yaml").write_text("kind: raw\nshots: 10\n")
    assert completions("qrt-runner mode=q") == ["mode=quick"]
    assert completions("qrt-runner mode=quick mode.shots=") == ["mode.shots=10"]


def test_groups_and_options_are_there_at_once():
    """Without Hydra and pydantic, whose imports are most of the time that fields take."""
    shell = [sys.executable, "-X", "importtime", "-m", "qrt_runner", "-sc", "query=bash"]
    environment = os.environ | {"COMP_LINE": "python -m qrt_runner circuit=g"}
    done = subprocess.run(shell, capture_output=True, text=True, check=True, env=environment)
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert done.stdout == "circuit=ghz\n"
    assert not imported & {"hydra", "omegaconf", "pydantic", "numpy", "qiskit"}


def test_unknown_words_after_sc_are_refused(command):
    """With the shells that there are."""
    ended = command("-sc", "install=csh")
    assert ended.code == 2
    assert "install, uninstall or query, each with one of bash, zsh, fish" in ended.err


class Terminal:
    """A shell at a terminal; lives as long as its `with`."""

    def __init__(self, shell: str, folder: Path) -> None:
        """Start it in a folder, with the interpreter of these tests as `python`."""
        self.shell, self.folder = shell, folder

    def __enter__(self) -> Self:
        """Start the shell."""
        path = os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"]])
        (self.folder / "bin").mkdir()
        python = self.folder / "bin" / "python"
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        python.chmod(0o755)
        self.pid, self.handle = pty.fork()
        if self.pid == 0:
            os.environ.update(PATH=path, TERM="xterm", PYTHONPATH=str(ROOT), HOME=str(self.folder))
            os.execvp(self.shell, SHELLS[self.shell])  # noqa: S606 - a shell at a terminal is what is tested
        return self

    def __exit__(self, *_: object) -> None:
        """End the shell."""
        os.close(self.handle)
        os.waitpid(self.pid, 0)

    def typed(self, keys: str, wanted: str, limit_s: float = 60) -> str:
        """Type, and return what is shown, once that is wanted or time is over."""
        os.write(self.handle, keys.encode())
        shown, end = "", time.monotonic() + limit_s
        while wanted not in shown and time.monotonic() < end:
            if select.select([self.handle], [], [], 0.1)[0]:
                shown += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", os.read(self.handle, 65536).decode(errors="replace"))
        return shown


@pytest.mark.parametrize("shell", SHELLS)
def test_a_real_shell_completes(shell, tmp_path):
    """`python -m qrt_runner` with options, nested ones, values and fields; any other python completes as ever."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "READ.ME").touch()
    with Terminal(shell, tmp_path) as terminal:
        terminal.typed(f"{INSTALL[shell]}; echo in''stalled\n", "installed")
        for begun, wanted in (
            ("python -m qrt_runner circuit=gh", "circuit=ghz "),
            ("python -m qrt_runner experiment=migration/prim", "experiment=migration/primitive_session "),
            ("python -m qrt_runner session.scope=sw", "session.scope=sweep "),
            ("python -m qrt_runner mode=estimator mode.pre", "cision="),
            ("python READ", "READ.ME "),
        ):
            assert wanted in terminal.typed(f"{begun}\t", wanted)
            terminal.typed("\x15", "", 0)
