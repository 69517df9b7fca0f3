"""A command that is killed again and again is carried on with, and ends as if nobody had touched it.

Its jobs are on the service once, its results are those of an undisturbed run with the same seed, no session is open.
"""

from __future__ import annotations

import random
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from crashing import (
    CASES,
    Kill,
    Scene,
    Totals,
    Undisturbed,
    check_journal,
    check_ledger,
    check_left,
    chosen,
    play,
    undisturbed,
)

if TYPE_CHECKING:
    from collections.abc import Callable

SEED = 20261120
MOST_KILLS = 4
"""Of one scenario."""

AT_LEAST = 200
"""Kills of the long suite."""

AT_ONCE = 2


@pytest.fixture(scope="module")
def as_it_goes(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Undisturbed]:
    """Return a function that tells how a case goes undisturbed; each is played once."""
    known: dict[str, Undisturbed] = {}

    def tell(name: str) -> Undisturbed:
        if name not in known:
            known[name] = undisturbed(CASES[name], tmp_path_factory.mktemp("undisturbed") / "played")
        return known[name]

    return tell


IN_A_BATCH = [
    Kill("POST sessions", "after"),  # the batch is open, its id is known to nobody
    Kill("POST jobs", "amid", 2, 0.003),  # accepted or not: only the service knows
    Kill("PATCH sessions", "after"),  # the batch is closed, and written down as open
    Kill("commit journal.db", "before", 4),  # the first result is on disk, the journal has not heard of it
    Kill("commit mlflow.db", "after", 2),  # a task is in MLflow, the kept run has not heard of it
]
SIMULATED = [
    Kill("commit journal.db", "after", 2),  # a job is written down as begun, and gone with the process
    Kill("tear", nth=2),  # half a line tells that a task is in MLflow
    Kill("commit journal.db", "before", 7),
]


@pytest.mark.parametrize(("name", "kills"), [("batch", IN_A_BATCH), ("noisy", SIMULATED)])
def test_a_killed_command_is_carried_on_with(tmp_path, as_it_goes, name, kills):
    """Killed where it hurts most: between an act and the word that it was done, several times in one run."""
    scene = Scene(CASES[name], tmp_path / "played")
    play(scene, kills)
    assert scene.kills == kills, scene.issued
    check_left(scene, as_it_goes(name).left)
    assert "\ncarried on with run " in scene.ended[-1].out, "it does not say so"


def test_who_collects_need_not_submit_again(tmp_path):
    """Killed when all jobs were submitted and their batch was open: collecting closes it."""
    scene = Scene(CASES["submitted, then collected"], tmp_path / "played")
    scene.folder.mkdir()
    with scene.service() as running:
        scene.issue(scene.words, Kill("PATCH sessions", "before"))
        scene.until_done(scene.case.then)
        scene.ledger = running.ledger()
    assert len(scene.kills) == 1
    check_ledger(scene)
    check_journal(scene)


@pytest.mark.slow
def test_two_hundred_kills(tmp_path, as_it_goes, capfd):
    """Killed at steps and moments chosen by chance, each case ends as if nobody had touched it; totals are printed."""
    cases = {name: as_it_goes(name) for name in CASES}
    totals = Totals()

    def played(number: int, name: str) -> tuple[Scene, str]:
        scene = Scene(CASES[name], tmp_path / str(number))
        kills = chosen(random.Random(f"{SEED}/{number}"), cases[name], MOST_KILLS)  # noqa: S311 - no secret
        try:
            play(scene, kills)
            check_left(scene, cases[name].left)
        except AssertionError as error:
            return scene, f"scene {number}, {name}: {error}"
        shutil.rmtree(scene.folder)
        return scene, ""

    with ThreadPoolExecutor(AT_ONCE) as threads:
        while totals.kills.total() < AT_LEAST:
            numbers = range(totals.scenes, totals.scenes + len(CASES))
            for scene, wrong in threads.map(played, numbers, CASES):
                totals.add(scene, wrong)
            with capfd.disabled():
                sys.stderr.write(f"\nseed {SEED}: {totals}\n")
    assert not totals.wrong, "\n\n".join(totals.wrong)
