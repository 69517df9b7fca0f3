"""What is told while a run runs: a line on a terminal, lines elsewhere, nothing where nothing is wanted.

Commands run on terminals of their own, jobs wait on a rehearsal's device that is in maintenance until they may run.
"""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from composing import point_of
from terminals import Screen, on_terminal
from watching import QUIET, Watched, rehearsal, watched

from qrt_runner.__main__ import _spelled_out
from qrt_runner.display import Display
from qrt_runner.display.drawing import Lines
from qrt_runner.display.wording import clock, line_of
from qrt_runner.execution import Board
from qrt_runner.plan import request_key
from qrt_runner.rehearsal import Fault, Rehearsal

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from conftest import Ended

PAIR = ("-m", "mode=sampler", "mode.shots=16,32", "backend.settle_s=0.2", "session=batch")
"""Two jobs in a batch."""

STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
SHOWN, HIDDEN = "\x1b[?25h", "\x1b[?25l"
"""What a terminal is told of its cursor."""


@pytest.fixture(scope="module")
def premium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """The service that the commands join."""
    with rehearsal(tmp_path_factory.mktemp("premium")) as running:
        yield running


@pytest.fixture
def waiting(premium: Rehearsal) -> Iterator[Watched]:
    """The service, with its device in maintenance: jobs are accepted and stay in the queue."""
    service = watched(premium)
    service.running.arm(Fault(kind="maintenance"))
    yield service
    premium.lift_faults()


def once(pattern: str, does: Callable[[Screen, subprocess.Popen[bytes]], object]) -> Callable[..., None]:
    """Return what acts once something stands on a terminal."""
    done: list[bool] = []

    def act(screen: Screen, running: subprocess.Popen[bytes]) -> None:
        if not done and re.search(pattern, screen.raw):
            done.append(True)
            does(screen, running)

    return act


# On a terminal


def test_a_terminal_shows_states_queue_and_seconds(waiting):
    """Two jobs wait among two in the queue, 4 s and 48 times 350 us to go; then they are done, and the line is gone.

    The second one's result is slow to come, so that there is time to draw what the first one took. The first word
    comes within the time that people notice, and no line is wider than the terminal.
    """

    def goes_on(*_: object) -> None:
        waiting.running.lift_faults()
        waiting.running.arm(Fault(kind="slow", on="results", delay_s=1.5, skip=1))

    screen = on_terminal([*PAIR, *waiting.words], act=once(r"2 queued \(queue: 2\)", goes_on))
    assert screen.code == 0, screen.raw
    drawn = screen.drawn()
    assert screen.pieces[0][1].strip() == "reading the config"
    assert screen.pieces[0][0] < 1.0, "0.3 s, on a machine that does nothing else"
    assert any(
        re.search(r"^0:\d\d  .*2 queued \(queue: 2\) of 2 jobs; 0 s spent, about 4\.0 s to go$", line) for line in drawn
    )
    assert any(re.search(r"^0:\d\d  .*1 done.* of 2 jobs; .*2\.0 s spent", line) for line in drawn), drawn
    assert max(len(line) for line in drawn if re.match(r"\d+:\d\d  ", line)) <= 80
    left = screen.left()
    assert not any(re.match(r"\d+:\d\d  ", line) for line in left), left
    assert {f"      job id {job['id']}" for job in waiting.jobs()} < set(left), "80 columns have no room for two ids"
    assert [line for line in left if "submitted job" in line] == [
        f"submitted job {job['id']}" for job in waiting.jobs()
    ]
    assert sum("<zz> = " in line for line in left) == 2
    assert screen.raw.rindex(SHOWN) > screen.raw.rindex(HIDDEN)


def test_ctrl_c_leaves_the_terminal_as_it_was(waiting):
    """The line goes, the cursor is back, and the command that carries on is the last thing on the terminal."""
    act = once(r"queued", lambda screen, _: screen.press(b"\x03"))
    screen = on_terminal([*PAIR, *waiting.words], act=act)
    assert screen.code == 130
    left = [line for line in screen.left() if line]
    assert "Ctrl-C again within 2 s cancels the jobs that are on the service" in left
    assert left[-1].startswith("Carry on with: python -m qrt_runner -m mode=sampler")
    assert not any(re.match(r"\d+:\d\d  ", line) for line in left), left
    assert screen.raw.rindex(SHOWN) > screen.raw.rindex(HIDDEN)


def test_a_killed_command_leaves_the_terminal_as_it_was(waiting):
    """Whoever draws ends with the command, which could clear up nothing."""
    act = once(r"queued", lambda _, running: running.kill())
    screen = on_terminal(["mode=sampler", *waiting.words], act=act, controls=False)
    assert screen.code == -signal.SIGKILL
    assert not any(re.match(r"\d+:\d\d  ", line) for line in screen.left()), screen.left()
    assert screen.raw.rindex(SHOWN) > screen.raw.rindex(HIDDEN)


def test_a_drawing_process_that_hangs_leaves_the_terminal_as_it_was(waiting):
    """The command waits for it for two seconds, and then clears up itself."""

    def hangs(screen: Screen, running: subprocess.Popen[bytes]) -> None:
        children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text(encoding="utf-8").split()
        (drawing,) = [one for one in children if b"display" in Path(f"/proc/{one}/cmdline").read_bytes()]
        os.kill(int(drawing), signal.SIGSTOP)
        screen.press(b"\x03")

    screen = on_terminal(["mode=sampler", *waiting.words], act=once(r"queued", hangs))
    assert screen.code == 130, screen.raw
    assert not any(re.match(r"\d+:\d\d  ", line) for line in screen.left()), screen.left()
    assert screen.raw.rindex(SHOWN) > screen.raw.rindex(HIDDEN)


def test_the_clock_goes_on_while_aer_simulates():
    """Fifteen noisy qubits keep Python's lock for seconds; what runs is told before, and the clock does not stop."""
    big = ("backend=fake_fez", "circuit=efficient_su2", "circuit.params.num_qubits=15", "mode=raw", "mode.shots=128")
    screen = on_terminal([*big, *QUIET])
    assert screen.code == 0, screen.raw
    told = [line for line in screen.drawn() if "job 1 of 1: raw on fake_fez: 1 circuit, 128 shots" in line]
    assert all("(1 program of 15 qubits, 1 PUB)"[:20] in line or line.endswith("…") for line in told)
    assert len({line.split()[0] for line in told}) >= 2, told


def test_whoever_draws_takes_no_file_of_the_user_for_pythons(capsys):
    """A `queue.py` in the working directory is nobody's business; what is printed beside the line is printed."""
    Path("queue.py").write_text("raise SystemExit('not to be imported')\n", encoding="utf-8")
    display = Display("line")
    time.sleep(0.6)
    display.beside(print)("between two lines")
    assert display.draws
    display.close()
    assert capsys.readouterr().out == "between two lines\n"


def test_a_drawing_process_that_is_gone_holds_nothing_up():
    """The run goes on without it."""
    display = Display("line")
    board = Board(display.watch)
    assert display._drawing is not None  # noqa: SLF001 - there is no other way to end it
    display._drawing.kill()  # noqa: SLF001 - as above
    for number in range(100):
        board.does(f"step {number}")
        time.sleep(0.01)
    assert not display.draws
    display.beside(print)("as ever")
    display.close()


def test_no_progress_is_drawn_where_none_is_wanted():
    """Not even what is told of the config: the first line is the result's."""
    screen = on_terminal([*QUIET, "mode=raw", "progress=off"])
    assert screen.code == 0
    assert screen.drawn()[0] == "bell on aer, mode raw"


def test_a_dumb_terminal_is_written_no_codes():
    """Neither a line that is drawn anew nor colours."""
    screen = on_terminal([*QUIET, "mode=raw"], TERM="dumb")
    assert (screen.code, "\x1b" in screen.raw) == (0, False), screen.raw


# Elsewhere


def told(**changed: object) -> dict[str, object]:
    """Return what is told of a run of three jobs that wait."""
    return {
        "doing": "",
        "since": 1000.0,
        "states": {"queued": 3},
        "pending": 7,
        "spent_s": 0,
        "to_go_s": 12.5,
        "session": "batch",
        "session_since": None,
        "tasks": [0, 3],
        **changed,
    }


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines that were written meanwhile, their stamps left out, which they must have."""
    lines = capsys.readouterr().err.splitlines()
    assert all(re.match(f"{STAMP} ", line) for line in lines), lines
    return [line[20:] for line in lines]


def test_elsewhere_a_change_is_a_line_and_a_poll_is_none(capsys):
    """What is said and what changes is written once; a hundred polls without a change write nothing."""
    lines = Lines()
    lines.take({"said": "submitted job a"})
    lines.take({"board": told()})
    lines.draw()
    assert lines_of(capsys) == []
    lines.began -= 10
    for _ in range(100):
        lines.take({"board": told()})
        lines.draw()
    assert lines_of(capsys) == ["submitted job a", "3 queued (queue: 7) of 3 jobs; 0 s spent, about 12 s to go"]
    lines.moment -= 5
    lines.take({"board": told(states={"running": 1, "queued": 2}, session_since=time.time())})
    lines.draw()
    (line,) = lines_of(capsys)
    assert line == "1 running, 2 queued (queue: 7) of 3 jobs; 0 s spent, about 12 s to go; batch 0:00"
    for doing, states in (("job 1 of 3", {"running": 1}), ("job 1 of 3", {"done": 1})):
        lines.moment -= 5
        lines.take({"board": told(doing=doing, states=states, to_go_s=0)})
        lines.draw()
    assert lines_of(capsys) == ["job 1 of 3"]


def test_elsewhere_a_minute_without_a_change_is_told(capsys):
    """Then after two minutes more: it is not silent, and no line for each."""
    lines = Lines()
    lines.take({"board": told(since=time.time() - 3700)})
    lines.began -= 10
    written = []
    for _ in range(5):
        lines.draw()
        written += lines_of(capsys)
        lines.moment -= 60
    assert [line.startswith("1:01:40  3 queued") for line in written] == [False, True, True]


def test_elsewhere_a_short_run_says_nothing(process: Callable[..., Ended]):
    """A Bell pair is done before there is anything to be told."""
    ended = process(*QUIET, "mode=raw")
    assert (ended.code, ended.err) == (0, "")


@pytest.mark.slow
def test_elsewhere_a_long_run_says_what_it_waits_for(waiting, process: Callable[..., Ended]):
    """The jobs are in the queue until the first lines must be there; then all goes on."""
    from threading import Timer

    timer = Timer(25.0, waiting.running.lift_faults)
    timer.start()
    ended = process(*PAIR, *waiting.words)
    timer.join()
    assert ended.code == 0, ended.err
    lines = ended.err.splitlines()
    assert all(re.match(f"{STAMP} ", line) for line in lines), lines
    assert [line[20:] for line in lines if "submitted job" in line] == [
        f"submitted job {job['id']}" for job in waiting.jobs()
    ]
    assert any("queued (queue: 2)" in line for line in lines)
    assert len(lines) < 12


# In words


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({}, "0:47  3 queued (queue: 7) of 3 jobs; 0 s spent, about 12 s to go"),
        ({"pending": None}, "0:47  3 queued of 3 jobs; 0 s spent, about 12 s to go"),
        (
            {
                "states": {"done": 1, "running": 1, "queued": 1},
                "spent_s": 4.16,
                "to_go_s": 8.0,
                "session_since": 1016.0,
            },
            "0:47  1 done, 1 running, 1 queued (queue: 7) of 3 jobs; 4.2 s spent, about 8.0 s to go; batch 0:31",
        ),
        ({"states": {"done": 1}, "to_go_s": 0, "spent_s": 1234.5}, "0:47  1 done of 1 job; 1,234 s spent"),
        (
            {"doing": "job 2 of 3: raw on aer", "spent_s": 0, "to_go_s": 0, "tasks": [1, 3]},
            "0:47  job 2 of 3: raw on aer; 1 of 3 tasks are done",
        ),
    ],
)
def test_a_line_says_what_is_known_and_no_more(changed, line):
    """Without an answer there is no queue, without a device no seconds, before the first job runs no session."""
    assert line_of(told(**changed), 1047.0) == line


def test_a_clock_has_hours_where_it_needs_them():
    """7 s, a minute short of an hour, and beyond."""
    assert [clock(seconds) for seconds in (-1, 7.9, 3599, 3723)] == ["0:00", "0:07", "59:59", "1:02:03"]


def test_a_board_tells_changes_only():
    """Equal states are told once, in our words; what has ended has nothing to go."""
    seen: list[dict[str, object]] = []
    board = Board(lambda one: seen.append(one.told()), to_go_s={0: 3.0, 1: 4.0})
    for state in ("QUEUED", "QUEUED", "RUNNING", "RUNNING", "DONE"):
        board.stands(0, state)
    board.stands(1, "planned")
    assert [one["states"] for one in seen] == [
        {"queued": 1},
        {"running": 1},
        {"done": 1},
        {"done": 1, "planned": 1},
    ]
    assert [one["to_go_s"] for one in seen] == [7.0, 7.0, 4.0, 4.0]


# Steps in the log


def test_v_logs_the_steps_with_their_times(waiting, process: Callable[..., Ended]):
    """Composed, compiled, opened, submitted, asked, collected, on stderr; numbers are on stdout as ever."""
    waiting.running.lift_faults()
    ended = process("-v", *PAIR, *waiting.words)
    assert ended.code == 0, ended.err
    steps = (
        "composed 2 ex",
        "compiled 2 t",
        "opened batch",
        "job 1 of 2",
        "submitted job",
        " is done",
        "job 1 is done: ",
    )
    places = [ended.err.index(step) for step in steps]
    assert places == sorted(places)
    assert all(re.match(rf"\[{STAMP},\d+\]\[qrt_runner[\w.]*\]\[INFO\] - ", line) for line in ended.err.splitlines())
    assert ended.out.count("<zz> = ") == 2
    assert "INFO" not in ended.out


def test_vv_is_more_of_the_same():
    """Hydra's own words are set, last, wherever `-vv` stands; of other packages there is none."""
    levels = [f"++hydra.{log}_logging.loggers.qrt_runner.level=DEBUG" for log in ("job", "hydra")]
    assert _spelled_out(["-m", "-vv", "seed=1,2"]) == ["-m", "seed=1,2", *levels]


def test_progress_is_no_part_of_what_is_asked():
    """A run that was begun with a line is carried on with by a command that wants none."""
    keys = [request_key([point_of(words)], "name") for words in ([], ["progress=off"], ["progress=false"])]
    assert keys[0] == keys[1] == keys[2]


@pytest.mark.parametrize("value", ["loud", "on"])
def test_an_unknown_form_of_progress_is_refused(command: Callable[..., Ended], value):
    """With what is allowed."""
    ended = command(f"progress={value}")
    assert ended.code == 2
    assert f"progress: given '{value}'; allowed: auto, lines, off" in ended.err
