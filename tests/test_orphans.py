"""A session that a killed command left open is closed by the next one, which says so; no other is touched."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from composing import point_of

from qrt_runner.backends.rehearsing import _settings
from qrt_runner.errors import AccessError
from qrt_runner.rehearsal import Fault, Rehearsal, start
from qrt_runner.sessions.orphans import Orphan, close_orphans, noted

if TYPE_CHECKING:
    from collections.abc import Iterator

QUIET = ("tracking=off", "tracking.plots=false")
OPENED_AND_KILLED = """
import os, signal, sys
from qrt_runner.sessions.orphans import noted

with noted("fake_manila", "{}") as note:
    if sys.argv[1]:
        note.opened(sys.argv[1])
    os.kill(os.getpid(), signal.SIGKILL)
"""
MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00"


@dataclass
class Closing:
    """A plain function that closes nothing, and what it was asked to close."""

    fails: bool = False
    asked: list[Orphan] = field(default_factory=list)

    def __call__(self, orphan: Orphan) -> None:
        """Note what is to be closed, and fail where it should."""
        self.asked.append(orphan)
        if self.fails:
            raise ConnectionError("nobody answers")


def leave_orphan(group: str) -> None:
    """Let a process note a group and be killed."""
    done = subprocess.run([sys.executable, "-c", OPENED_AND_KILLED, group], check=False)
    assert done.returncode == -signal.SIGKILL


def state_files(ending: str) -> list[Path]:
    """Return the files that tell of open groups."""
    return [*Path(".state", "sessions").glob(f"*{ending}")]


def rehearsal(folder: Path, *words: str) -> Rehearsal:
    """Start the service that commands with these words ask for: they join it."""
    section = point_of(["backend=rehearsal", *words]).experiment.document.backend
    return start(_settings(section), folder)


def sessions_of(running: Rehearsal) -> list[dict[str, Any]]:
    """Return what the service knows of its sessions."""
    return list(running.ledger()["sessions"])


@pytest.fixture(scope="module")
def premium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """The service that `backend=rehearsal` asks for."""
    with rehearsal(tmp_path_factory.mktemp("premium")) as running:
        yield running


@pytest.fixture
def slow(premium) -> Iterator[Rehearsal]:
    """A service that answers late to the next job, so that the session stays open meanwhile."""
    premium.lift_faults()
    premium.arm(Fault(kind="slow", on="submit", delay_s=40))
    yield premium
    premium.lift_faults()


def on(running: Rehearsal) -> list[str]:
    """Return the overrides of a command that is to use a service."""
    return ["backend=rehearsal", f"backend.store={running.folder}", *QUIET]


@contextmanager
def held_open(*words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a command as a process and lend it, with its session's id, while the session is open; see that it ends."""
    line = [sys.executable, "-m", "qrt_runner", *words]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        try:
            yield started, _noted_id(started)
        finally:
            started.kill()


def _noted_id(started: subprocess.Popen[str]) -> str:
    for _ in range(600):
        for file in state_files(".json"):
            if found := re.search(r'"id": "([^"]+)"', file.read_text(encoding="utf-8")):
                return found[1]
        assert started.poll() is None, started.communicate()
        time.sleep(0.05)
    raise AssertionError("no session was opened")


def kill(started: subprocess.Popen[str]) -> None:
    """Kill a process as nobody can prevent, and wait until it is gone."""
    started.send_signal(signal.SIGKILL)
    assert started.wait(10) == -signal.SIGKILL


# Whole commands


@pytest.mark.parametrize("kind", ["dedicated", "batch"])
def test_the_next_command_closes_what_a_killed_one_left_open(command, slow, kind):
    """It says so on stderr, with the id, the backend and the time; the service takes no more jobs in it."""
    with held_open(*on(slow), f"session={kind}") as (started, group):
        assert sessions_of(slow)[-1]["accepting_jobs"]
        kill(started)
    ended = command(*QUIET)
    told = rf"closed session {group} on fake_manila, which an earlier command had asked for at {MOMENT} and left open\n"
    assert (ended.code, bool(re.fullmatch(told, ended.err))) == (0, True), ended.err
    assert (sessions_of(slow)[-1]["id"], sessions_of(slow)[-1]["accepting_jobs"]) == (group, False)


def test_nothing_is_closed_while_its_command_is_alive(command, slow):
    """Another command leaves the session of one that runs alone, and says nothing."""
    with held_open(*on(slow), "session=dedicated") as (started, group):
        assert command(*QUIET).err == ""
        assert started.poll() is None
        assert (sessions_of(slow)[-1]["id"], sessions_of(slow)[-1]["accepting_jobs"]) == (group, True)


def test_an_interrupted_command_leaves_no_orphan(command, slow):
    """Ctrl-C closes the session, so the next command has nothing to close and nothing to tell."""
    with held_open(*on(slow), "session=dedicated") as (started, _):
        started.send_signal(signal.SIGINT)
        started.communicate(timeout=30)
    assert not sessions_of(slow)[-1]["accepting_jobs"]
    assert command(*QUIET).err == ""


def test_a_service_that_died_with_its_command_is_started_to_close(command, tmp_path):
    """A rehearsal ends with the command that started it; the next command starts it again on the same store."""
    words = ["backend=rehearsal", f"backend.store={tmp_path}/store", "backend.faults=[{kind: slow, delay_s: 40}]"]
    with held_open(*words, *QUIET, "session=dedicated") as (started, group):
        kill(started)
    assert f"closed session {group}" in command(*QUIET).err
    with rehearsal(tmp_path / "store") as again:
        assert [(one["id"], one["accepting_jobs"]) for one in sessions_of(again)] == [(group, False)]


@pytest.mark.parametrize(
    ("words", "code"),
    [(["action=cache"], 0), (["-m", "seed=1,2", *QUIET], 0), (["--cfg", "job"], 0), (["mode.shots=-1"], 2)],
)
def test_any_command_looks_for_orphans(command, words, code):
    """A sweep, an action, one that only shows its config and one that is refused tell of it alike."""
    leave_orphan("")
    ended = command(*words)
    assert (ended.code, ended.err.startswith("session of unknown id on fake_manila, which an earlier")) == (code, True)


def test_what_cannot_be_closed_is_told_each_time(command):
    """An account that is gone cannot close its session: the command goes on and says so, and so does the next."""
    section = point_of(["backend=ibm", "backend.name=ibm_fez"]).experiment.document.backend.model_dump_json()
    line = [sys.executable, "-c", OPENED_AND_KILLED.replace('"{}"', repr(section)), "abc"]
    assert subprocess.run(line, check=False).returncode == -signal.SIGKILL
    for _ in range(2):
        ended = command(*QUIET)
        assert (ended.code, "headline number" in ended.out) == (0, True)
        assert ended.err.startswith("session abc on fake_manila, which an earlier command had asked for at ")
        assert "could not be closed" in ended.err
        assert ended.err.endswith("the next command tries again\n")


# Notes


def test_an_orphan_is_closed_with_all_that_was_noted():
    """Whoever closes it is given backend, section, time and id, and the words name them."""
    leave_orphan("abc")
    closing = Closing()
    (told,) = close_orphans(closing)
    (orphan,) = closing.asked
    assert (orphan.backend, orphan.section, orphan.id) == ("fake_manila", "{}", "abc")
    assert (
        told
        == f"closed session abc on fake_manila, which an earlier command had asked for at {orphan.asked} and left open"
    )


def test_several_orphans_are_closed_all():
    """Two killed commands are two sessions."""
    leave_orphan("abc")
    leave_orphan("def")
    closing = Closing()
    assert len(close_orphans(closing)) == 2
    assert {orphan.id for orphan in closing.asked} == {"abc", "def"}


def test_a_closed_orphan_is_forgotten():
    """Neither note nor lock is left, and nothing is closed a second time."""
    leave_orphan("abc")
    close_orphans(Closing())
    again = Closing()
    assert (close_orphans(again), again.asked, state_files("")) == ([], [], [])


def test_what_could_not_be_closed_is_tried_again():
    """The reason is told, the note stays, and the next attempt closes it."""
    leave_orphan("abc")
    (told,) = close_orphans(Closing(fails=True))
    assert told.endswith("could not be closed (ConnectionError: nobody answers); the next command tries again")
    (told,) = close_orphans(Closing())
    assert told.startswith("closed session abc")


def test_one_that_cannot_be_closed_does_not_keep_others_open():
    """Of two orphans one cannot be closed, the other is."""
    leave_orphan("abc")
    leave_orphan("def")

    def close(orphan: Orphan) -> None:
        if orphan.id == "abc":
            raise ConnectionError("nobody answers")

    told = close_orphans(close)
    assert sorted(words.partition(" on ")[0] for words in told) == ["closed session def", "session abc"]


def test_a_group_whose_id_was_never_known_is_told_and_not_closed():
    """The command died before the service had answered: there is nothing to close it by, which is told once."""
    leave_orphan("")
    closing = Closing()
    (told,) = close_orphans(closing)
    assert told.startswith("session of unknown id on fake_manila, which an earlier command had asked for at ")
    assert (closing.asked, close_orphans(closing)) == ([], [])


def test_a_note_of_a_living_command_is_left_alone():
    """While its command holds the lock it is no orphan."""
    closing = Closing()
    with noted("fake_manila", "{}") as note:
        note.opened("abc")
        assert (close_orphans(closing), closing.asked, len(state_files(".json"))) == ([], [], 1)


def test_a_group_that_was_closed_leaves_no_note():
    """Neither note nor lock is left when all went well."""
    with noted("fake_manila", "{}") as note:
        note.opened("abc")
        note.closed()
    assert state_files("") == []


def test_a_group_that_was_refused_leaves_no_note():
    """The command ends with the service's refusal, and nothing is left to be told."""

    def refused() -> None:
        with noted("fake_manila", "{}") as note:
            note.nothing_opened()
            raise AccessError("refused")

    with pytest.raises(AccessError):
        refused()
    assert close_orphans(Closing()) == []


def test_a_group_that_could_not_be_closed_leaves_its_note():
    """What the command could not close itself is an orphan once it has ended."""

    def broken() -> None:
        with noted("fake_manila", "{}") as note:
            note.opened("abc")
            raise ConnectionError

    with pytest.raises(ConnectionError):
        broken()
    closing = Closing()
    close_orphans(closing)
    assert [orphan.id for orphan in closing.asked] == ["abc"]


def test_notes_are_for_their_owner_alone():
    """Nobody else on the machine can list the folder in which they lie."""
    leave_orphan("abc")
    assert Path(".state", "sessions").stat().st_mode & 0o077 == 0


def test_without_notes_nothing_is_done():
    """A machine on which nothing was ever opened has no folder, and gets none."""
    closing = Closing()
    assert (close_orphans(closing), Path(".state").exists()) == ([], False)
