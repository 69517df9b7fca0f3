"""Every command that a README shows is run, and ends as the README says."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
READMES = ("README.md", "conf/README.md", "circuits/README.md")
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Shown(NamedTuple):
    """A command line as a README shows it, and the exit code it says."""

    line: str
    code: int


def shown(readme: str) -> list[Shown]:
    """Return the command lines of a README's `bash` and `console` blocks."""
    lines = []
    for kind, body in _BLOCK.findall((ROOT / readme).read_text(encoding="utf-8")):
        if kind == "bash":
            lines += [Shown(line, 0) for line in body.splitlines() if line]
        elif kind == "console":
            pairs = re.findall(r"^\$ (.*)\nexit code (\d+)$", body, re.MULTILINE)
            lines += [Shown(line, int(code)) for line, code in pairs]
    return lines


COMMANDS = [found for readme in READMES for found in shown(readme)]
OURS = [found for found in COMMANDS if found.line.startswith("python -m qrt_runner")]
MAKE = [found.line for found in COMMANDS if found.line.startswith("make")]


def test_no_command_is_of_an_unknown_kind():
    """What the suite could not run is not shown."""
    assert len(OURS) + len(MAKE) == len(COMMANDS)
    assert len(OURS) > 20


@pytest.fixture
def workplace(tmp_path):
    """A folder with the files that the READMEs speak of: the test data, ansatz.py and my.qpy, as written there."""
    shutil.copytree(Path(__file__).parent / "data", tmp_path / "tests" / "data")
    blocks = dict(_BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8")))
    (tmp_path / "ansatz.py").write_text(blocks["python"], encoding="utf-8")
    sources = [body for kind, body in _BLOCK.findall((ROOT / "circuits/README.md").read_text()) if kind == "python"]
    exec(compile(next(body for body in sources if "my.qpy" in body), "circuits/README.md", "exec"), {})  # noqa: S102
    return tmp_path


def needed(line: str) -> list[tuple[str, ...]]:
    """Return the commands that must have run before one that is about earlier runs."""
    if "ends: ZIZ" in line:
        return [("circuit=ghz",)]
    if any(f"action={action}" in line for action in ("collect", "cancel", "replay", "report")):
        return [()]
    if "action=compare" in line:
        return [("seed=1",), ("seed=2",)]
    return [("backend=fake_manila",)] if "backend=snapshot" in line else []


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize("shown", OURS, ids=[found.line.removeprefix("python -m qrt_runner").strip() for found in OURS])
def test_a_shown_command_ends_as_it_says(shown, command):
    """The command runs in an empty folder, and ends with the exit code that the README says."""
    for words in needed(shown.line):
        assert command(*words, "tracking=off").code == 0
    ended = command(*shlex.split(shown.line)[3:])
    assert ended.code == shown.code, ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("line", sorted({*MAKE, "make help", "make check"}))
def test_a_shown_make_target_exists(line):
    """Make knows what it would do; the targets themselves are what runs this suite."""
    words = shlex.split(line)
    done = subprocess.run([words[0], "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_table_of_options_is_true():
    """The README's table of groups names every option that conf/ has, and no other."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    told = {
        group: set(re.findall(r"`([\w]+)`", options))
        for group, options in re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE)
    }
    for folder in (ROOT / "conf").iterdir():
        if folder.is_dir() and folder.name != "action":
            assert told[folder.name] == {file.stem for file in folder.glob("*.yaml")}, folder.name
