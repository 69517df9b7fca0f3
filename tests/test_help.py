"""Help on a group, an option or a field, from the comments of conf/ and the sections."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
GROUPS = sorted(folder.name for folder in (ROOT / "conf").iterdir() if folder.is_dir())


def in_one_line(text: str) -> str:
    """Return a page with its lines put together."""
    return " ".join(text.replace(" \\\n", " ").split())


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_s_page(command, group):
    """It fits 80 columns and tells each option with the question that its file begins with."""
    ended = command("--help", group)
    assert ended.code == 0, ended.err
    assert max(map(len, ended.out.splitlines())) <= 80
    for file in (ROOT / "conf" / group).glob("*.yaml"):
        lines = file.read_text(encoding="utf-8").splitlines()
        question = next(line for line in lines if line.startswith("# ") and "@package" not in line).removeprefix("# ")
        assert question in in_one_line(ended.out)
    assert "Example: python -m qrt_runner" in in_one_line(ended.out)


@pytest.mark.parametrize("words", [("circuit", "--help"), ("-h", "circuit="), ("-m", "--help", "circuit")])
def test_help_is_asked_for_in_any_order(command, words):
    """A flag stands where it likes, and says nothing else."""
    assert command(*words).out == command("--help", "circuit").out


def test_an_option_s_page_has_all_of_its_fields(command):
    """Each with what it is for, its default and the values that it takes; also where another option is its base."""
    out = command("--help", "transpile=best").out
    told = re.findall(r"^  transpile\.(\w+)=(.*)$", out, re.MULTILINE)
    best, default = (yaml.safe_load((ROOT / f"conf/transpile/{name}.yaml").read_text()) for name in ("best", "default"))
    wanted = {**default, **best}
    assert {name: yaml.safe_load(value) for name, value in told} == {
        name: value for name, value in wanted.items() if name not in ("kind", "defaults")
    }
    assert "0 (none) to 3 (most) takes a whole number (at least 0, at most 3)" in in_one_line(out)


def test_fields_that_options_do_not_share(command):
    """The group's page tells whose they are, and each default with its options."""
    out = in_one_line(command("--help", "mode").out)
    assert "takes a number (above 0, below 1) or null only of estimator" in out
    assert "default 1024 (sampler, raw), 4096 (estimator)" in out


def test_what_is_a_group_of_its_own_is_left_to_it(command):
    """Limits are one line on the backend's page; knobs of the runtime one line on that of mitigation."""
    assert "backend.limits.pubs" not in command("--help", "backend").out
    assert "backend.limits.pubs=" in command("--help", "backend/limits").out
    assert "zne.amplifier" not in command("--help", "mitigation").out
    out = in_one_line(command("--help", "mitigation=zne").out)
    assert (
        "mitigation.options.resilience.zne.amplifier=null gate_folding, gate_folding_front, gate_folding_back, pea"
        in out
    )


def test_fields_of_no_group(command):
    """A section, a field, and a field inside an open mapping, of which the mapping is told."""
    out = in_one_line(command("--help", "budget", "seed", "circuit.observables.zz").out)
    assert "budget.max_jobs=null jobs on a service takes a whole number (at least 1) or null" in out
    assert "Equal seeds give equal numbers" in out
    assert "circuit.observables={}" in out


def test_a_preset_s_page_tells_what_it_sets(command):
    """Groups, fields, and what it sweeps over."""
    out = command("--help", "experiment=mitigation_ladder").out
    assert {"  mode=estimator", "  overview=ladder", "  hydra.mode=MULTIRUN"} <= set(out.splitlines())
    assert "hydra.sweeper.params.mitigation=none,trex" in out
    assert "experiment=migration/run\n" in command("--help", "experiment=migration/run").out


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("circit", "--help: given 'circit'; allowed: action, backend, backend/limits, circuit,"),
        ("circuit=gzh", "allowed: bell, bernstein_vazirani, dynamic_teleport,"),
        ("mode.shotz", "allowed: mode.shots, mode.precision; remedy: did you mean --help mode.shots?"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(command, word, told):
    """As a mistake in the config is, with exit code 2."""
    ended = command("--help", word)
    assert ended.code == 2
    assert told in ended.err
    assert "did you mean --help" in ended.err


def test_a_page_imports_nothing_heavy():
    """Neither Hydra nor qiskit nor MLflow, on the page of a group as on the main one."""
    for words in (["--help"], ["--help", "circuit", "backend=ibm"]):
        shell = [sys.executable, "-X", "importtime", "-m", "qrt_runner", *words]
        done = subprocess.run(shell, capture_output=True, text=True, check=True)
        imported = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}
        assert not imported & {"hydra", "omegaconf", "qiskit", "mlflow", "numpy", "pandas", "rich"}


@pytest.mark.parametrize(("variables", "bold"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_bold_on_a_terminal_only(command, variables, bold):
    """And there not with NO_COLOR."""
    assert "\033" not in command("--help", "mode").out
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | variables
    shell = [sys.executable, "-m", "qrt_runner", "--help", "mode=raw"]
    subprocess.run(shell, stdout=theirs, env=environment, check=True)
    assert ("\033[1mmode=raw\033[0m" in os.read(ours, 65536).decode()) is bold


def test_groups_and_configs_of_the_users_own(command, tmp_path):
    """A group of their own is listed and told of; a config of their own need not have the main page in it."""
    (tmp_path / "conf" / "lab").mkdir(parents=True)
    (tmp_path / "conf" / "lab" / "ours.yaml").write_text(
        "# Whose fridge is it?\n# python -m qrt_runner +lab=ours\nfloor: 2\n"
    )
    assert re.search(r"^  lab= +ours$", command("--help").out, re.MULTILINE)
    assert "ours              Whose fridge is it?" in command("--help", "lab").out
    assert "  lab.floor=2" in command("--help", "lab=ours").out.splitlines()
    (tmp_path / "conf" / "config.yaml").write_text(
        (ROOT / "conf" / "config.yaml").read_text().partition("hydra:\n  help")[0]
    )
    assert "  circuit=" in command("--help").out
