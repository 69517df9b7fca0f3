"""What a run says: the help page at once, few words for many points, and every failure."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from composing import outcome_of
from hydra.core.global_hydra import GlobalHydra

from qrt_runner.__main__ import main
from qrt_runner.launcher import compose_points
from qrt_runner.launcher.moding import may_set_mode
from qrt_runner.runner import table, told_in_sweep

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Ended

    from qrt_runner.results import TaskResult


@pytest.fixture
def one() -> TaskResult:
    """Return the result of a Bell pair."""
    (result,) = outcome_of(["mode.shots=16"]).results
    return result


@pytest.mark.parametrize("own", [False, True])
def test_the_help_page_is_the_one_that_hydra_shows(own, monkeypatch, capsys):
    """Word for word, the user's own options included, though Hydra is not asked."""
    if own:
        Path("conf/circuit").mkdir(parents=True)
        Path("conf/circuit/mine.yaml").write_text("name: mine\n", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["qrt_runner", "--help"])
    assert main() == 0
    ours = capsys.readouterr().out
    GlobalHydra.instance().clear()
    with pytest.raises(SystemExit):
        compose_points(["--help"])
    assert ours == capsys.readouterr().out
    assert ("file, ghz, h2, kicked_ising, mine, qaoa_maxcut" in ours) == own


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
