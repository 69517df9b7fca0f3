"""What a run says: the help page at once, few words for many points, and every failure."""

from __future__ import annotations

import os
import pty
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from composing import circuit_file, outcome_of
from hydra.core.global_hydra import GlobalHydra

from qrt_runner.__main__ import main
from qrt_runner.launcher import compose_points
from qrt_runner.launcher.moding import may_set_mode
from qrt_runner.launcher.saying import is_coloured
from qrt_runner.runner import table, told_in_sweep

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Ended

    from qrt_runner.results import TaskResult


FOUR_ANGLES = """
circuit = QuantumCircuit(1)
for name in "abcd":
    circuit.ry(Parameter(name), 0)
"""


@pytest.fixture
def one() -> TaskResult:
    """Return the result of a Bell pair."""
    (result,) = outcome_of(["mode.shots=16"]).results
    return result


@pytest.mark.parametrize("own", [False, True])
def test_the_help_page_is_hydras_with_what_there_is_to_choose(own, monkeypatch, capsys):
    """Word by word what Hydra shows, but for groups, which tell what they are for; the user's own options included."""
    if own:
        Path("conf/circuit").mkdir(parents=True)
        Path("conf/circuit/mine.yaml").write_text("name: mine\n", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["qrt_runner", "--help"])
    assert main() == 0
    ours = capsys.readouterr().out
    GlobalHydra.instance().clear()
    with pytest.raises(SystemExit):
        compose_points(["--help"])
    before, groups, after = capsys.readouterr().out.partition("action: ")
    assert ours.startswith(before)
    *_, after = (groups + after).partition("\n\n")
    words = [word for word in ours.split() if word != "\\"]
    assert words[-len(after.split()) :] == after.split()
    assert ("mine," in words) == own


@pytest.mark.parametrize(
    ("arguments", "may"),
    [
        ([], False),
        (["-m", "circuit=bell,ghz"], False),
        (["experiment=raw_versus_primitive"], True),
        (["hydra.mode=MULTIRUN"], True),
        (["--config-name", "other"], True),
    ],
)
def test_hydra_looks_for_its_mode_where_something_may_set_it(arguments, may):
    """A preset, an override or another config may; the command line alone says it by -m."""
    assert may_set_mode(arguments) == may


def test_a_config_of_the_users_may_make_a_sweep(command: Callable[..., Ended]):
    """A preset in the user's own folder that is a sweep runs as one."""
    Path("conf/experiment").mkdir(parents=True)
    lines = ("# @package _global_", "hydra:", "  mode: MULTIRUN", "  sweeper:", "    params:", "      seed: 1,2", "")
    Path("conf/experiment/twice.yaml").write_text("\n".join(lines), encoding="utf-8")
    ended = command("experiment=twice", "tracking=off")
    assert ended.code == 0, ended.err
    assert ended.out.count(" done ") == 2


def test_many_points_are_told_in_few_words(one):
    """In full up to 24, a line each up to 200, and beyond only what failed."""
    assert len(told_in_sweep(one, 24)) > 1
    assert told_in_sweep(one, 25) == ["bell on aer, mode sampler  [mode.shots=16]: zz = 1"]
    assert told_in_sweep(one, 201) == []
    assert "  failed: too warm" in told_in_sweep(replace(one, state="failed", error="too warm"), 10_000)


def test_a_long_table_shows_its_beginning_and_every_failure(one):
    """Of 100 points the failed one stands among the first, and the rest is counted."""
    points = [replace(one, point=replace(one.point, index=index)) for index in range(100)]
    points[99] = replace(points[99], state="failed")
    lines = table(points).splitlines()
    assert len(lines) == 62
    assert lines[60].split()[0] == "99"
    assert lines[61] == "and 40 more that are done; all are in results.parquet"


def test_a_table_is_as_wide_as_what_it_tells(one):
    """Of a job id nothing is cut off, however long the headline number is."""
    long = replace(one, expectations=replace(one.expectations, names=("n" * 200, *one.expectations.names[1:])))
    _, row = table([long]).splitlines()
    assert row.split()[2:5] == [one.jobs[0].record["id"], "none", "done"]
    assert "n" * 200 in row


def test_a_table_without_room_puts_ids_below():
    """In 60 columns a job id is whole, on a line of its own, as is a session id where there is one."""
    (result,) = outcome_of(["mode.shots=16"]).results
    job = replace(result.jobs[0], record={**result.jobs[0].record, "id": "j" * 36, "session_id": "s" * 36})
    lines = table([replace(result, jobs=(job,)), result], columns=60).splitlines()
    assert lines[0].split() == ["point", "task", "state", "headline", "number"]
    assert lines[1:4] == ["0      main  done   zz = 1", f"      job id {'j' * 36}", f"      session id {'s' * 36}"]
    assert len(lines) == 6
    assert table([result], columns=200) == table([result])


@pytest.mark.parametrize(
    ("variables", "terminal", "coloured"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, True, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, False, True),
    ],
)
def test_colours_are_for_terminals(variables, terminal, coloured, monkeypatch):
    """Unless a variable says otherwise; an empty one says nothing."""
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm", **variables}.items():
        monkeypatch.setenv(name, value)
    ours, theirs = pty.openpty()
    with open(theirs, "w", encoding="utf-8") as there, open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 - by its number
        monkeypatch.setattr(sys, "stdout", there if terminal else nowhere)
        found = is_coloured()
    os.close(ours)
    assert found is coloured


def test_a_coloured_table_is_as_wide_as_another(one):
    """Codes take no room: what fits stays as it is."""
    assert table([one], colour=True, columns=90).count("\n") == 1
    assert "\x1b[32mdone" in table([one], colour=True)


def test_sets_are_told_with_their_values():
    """Of two parameters the one that differs, of four those of which there is room."""
    words = circuit_file("turned", FOUR_ANGLES)
    values = [f"+circuit.parameter_values.{name}=[0.1,{index}.25]" for index, name in enumerate("abcd")]
    swept = outcome_of([*words, "mode=raw", "mode.shots=16", *values]).results[0]
    told = told_in_sweep(swept, 1)
    assert told[1].startswith("  set 0 (a=0.1, b=0.1, c=0.1, 1 more) meas  0"), told
    assert told[2].startswith("  set 1 (a=0.25, b=1.25, c=2.25, 1 more) meas  "), told
    values[1:] = [f"+circuit.parameter_values.{name}=0.5" for name in "bcd"]
    single = outcome_of([*words, "mode=raw", "mode.shots=16", *values]).results[0]
    assert told_in_sweep(single, 1)[2].startswith("  set 1 (a=0.25) meas  ")
