"""Ctrl-C once leaves jobs to run and tells what carries on; twice cancels them; SIGTERM is as once.

Jobs wait in the queue of a device that is in maintenance, so that each signal comes at a known moment.
"""

from __future__ import annotations

import shlex
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from watching import QUIET, Watched, begun, rehearsal, wait_until, watched

from qrt_runner.journal import Journal, RunEntry
from qrt_runner.rehearsal import Fault, Rehearsal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlflow.tracking import MlflowClient

PAIR = ("-m", "mode=sampler", "mode.shots=16,32", "backend.settle_s=0.2")
"""Two jobs."""

TRIPLE = ("-m", "mode=sampler", "mode.shots=16,32,48", "backend.settle_s=0.2")


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def premium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """The service that the commands join."""
    with rehearsal(tmp_path_factory.mktemp("premium")) as running:
        yield running


@pytest.fixture
def service(premium) -> Iterator[Watched]:
    """The service, from now on; no fault outlives the test."""
    yield watched(premium)
    premium.lift_faults()


@pytest.fixture
def waiting(service) -> Watched:
    """The same, with its device in maintenance: jobs are accepted and stay in the queue."""
    service.running.arm(Fault(kind="maintenance"))
    return service


def signalled(words: list[str], holds: Callable[[], object], *numbers: int, pause_s: float = 0.3) -> Ended:
    """Start a command, send it signals one after the other once something holds, and return how it ended."""
    with begun(*words) as started:
        wait_until(holds, started)
        for count, number in enumerate(numbers):
            time.sleep(pause_s if count else 0.0)
            started.send_signal(number)
        out, err = started.communicate(timeout=120)
    assert "Traceback" not in err, err
    return Ended(started.returncode, out, err)


def both_wait(service: Watched) -> Callable[[], object]:
    """Return what tells whether two jobs are on the service and the command waits for one of them."""
    return lambda: len(service.jobs()) == 2 and "job" in service.asked()[-4:]


def only_first_ends(service: Watched) -> Callable[[], object]:
    """Have a service run the first of some jobs only; return what tells whether that is kept and another waited for."""
    # The client asks for the job that it has just submitted, and submits the next one when it has the answer.
    service.running.arm(Fault(kind="slow", on="jobs", delay_s=6.0))
    held: list[bool] = []

    def holds() -> bool:
        if len(service.jobs()) == 1 and not held:
            service.running.pass_time(20)
            service.running.arm(Fault(kind="maintenance"))
            held.append(True)
        return "done" in states("tasks") and "job" in service.asked()[-4:]

    return holds


def run_in_journal() -> RunEntry:
    """Return the latest run."""
    with Journal(Path("outputs/journal")) as journal:
        return journal.runs("latest")[0]


def states(of: str) -> list[str]:
    """Return the states of the latest run's jobs, tasks or groups in the journal; none before it has begun."""
    if not Path("outputs/journal/journal.db").exists():
        return []
    with Journal(Path("outputs/journal")) as journal:
        return [one.state for run in journal.runs()[-1:] for one in getattr(journal, of)(run.id)]


def words_that_carry_on(err: str) -> list[str]:
    """Return the words of the command that is printed."""
    (line,) = [line for line in err.splitlines() if line.startswith("Carry on with: ")]
    words = shlex.split(line.removeprefix("Carry on with: "))
    assert words[:3] == ["python", "-m", "qrt_runner"]
    return words[3:]


# Once


@pytest.mark.parametrize(
    ("session", "numbers"),
    [("batch", [signal.SIGINT]), ("none", [signal.SIGTERM]), ("none", [signal.SIGINT, signal.SIGTERM])],
    ids=["ctrl-c", "sigterm", "sigterm after ctrl-c"],
)
def test_jobs_are_left_to_run(waiting, command, session, numbers):
    """Nothing is cancelled, the exit code is 130, and the printed command takes the results without submitting."""
    ended = signalled([*PAIR, *waiting.words, f"session={session}"], both_wait(waiting), *numbers)
    assert ended.code == 130, ended.err
    assert "Jobs that had been submitted are left to run." in ended.err
    assert ([job["status"] for job in waiting.jobs()], any(waiting.takes_jobs())) == (["Queued"] * 2, False)
    assert (run_in_journal().state, states("jobs")) == ("submitted", ["submitted"] * 2)
    waiting.running.lift_faults()
    again = command(*words_that_carry_on(ended.err))
    assert (again.code, again.err) == (0, "")
    assert f"carried on with run {run_in_journal().id}: 0 of 2 jobs were done" in again.out
    assert [job["status"] for job in waiting.jobs()] == ["Completed"] * 2
    assert run_in_journal().state == "recorded"


def test_nothing_more_is_submitted(service, command):
    """Ctrl-C while the second of three jobs is submitted leaves the third for the next command, in a new group."""
    service.running.arm(Fault(kind="slow", on="submit", skip=1, delay_s=3.0))
    words = [*TRIPLE, *service.words, "session=batch"]
    ended = signalled(words, lambda: len(service.jobs()) == 2, signal.SIGINT)
    assert (ended.code, len(service.jobs())) == (130, 2), ended.err
    assert not any(service.takes_jobs())
    again = command(*words_that_carry_on(ended.err))
    assert again.code == 0, again.err
    assert [job["status"] for job in service.jobs()] == ["Completed"] * 3
    assert (service.jobs_in(), any(service.takes_jobs())) == ([2, 1], False)
    assert (run_in_journal().state, states("groups")) == ("recorded", ["done"])


def test_what_is_there_is_recorded(service, command, store):
    """Of three jobs the first has ended: its task is in MLflow; in the end all are, and none was run twice."""
    words = [*TRIPLE, *[word for word in service.words if word not in QUIET], "tracking.plots=false"]
    ended = signalled(words, only_first_ends(service), signal.SIGINT)
    assert ended.code == 130, ended.err
    assert states("tasks") == ["recorded", "planned", "planned"]
    assert sorted(in_mlflow(store)) == ["FINISHED", "KILLED"]
    service.running.lift_faults()
    again = command(*words_that_carry_on(ended.err))
    assert again.code == 0, again.err
    assert "1 of 3 jobs were done" in again.out
    assert in_mlflow(store) == ["FINISHED"] * 4
    assert len(service.jobs()) == 3


def test_what_was_all_there_is_complete(service, store):
    """Ctrl-C while the only result is read stops nothing: it is recorded, and no command is said to carry on."""
    service.running.arm(Fault(kind="slow", on="results", delay_s=2.0))
    words = ["mode=sampler", *[word for word in service.words if word not in QUIET], "tracking.plots=false"]
    ended = signalled(words, lambda: "results" in service.asked(), signal.SIGINT)
    assert (ended.code, ended.err.splitlines()[-1]) == (130, "All of it is done.")
    assert (run_in_journal().state, in_mlflow(store)) == ("recorded", ["FINISHED"])


def in_mlflow(store: MlflowClient) -> list[str]:
    """Return how the runs in MLflow ended."""
    (experiment,) = store.search_experiments(filter_string="name = 'qrt_runner'")
    return [run.info.status for run in store.search_runs([experiment.experiment_id])]


def test_an_interrupted_simulation_is_forgotten():
    """Of a job that was simulated here nothing is left under way, and no second Ctrl-C is waited for."""
    big = ["backend=aer", "circuit=qft", "circuit.params.num_qubits=22", "mode=sampler", "mode.shots=100000", *QUIET]
    ended = signalled(big, lambda: states("jobs") == ["submitting"], signal.SIGINT)
    assert (ended.code, states("jobs"), run_in_journal().state) == (130, ["planned"], "planned"), ended.err
    assert "left to run" not in ended.err
    assert words_that_carry_on(ended.err) == big


# Twice


@pytest.mark.parametrize("pause_s", [0.02, 1.0], ids=["at once", "later"])
def test_a_second_ctrl_c_cancels(waiting, command, pause_s):
    """All jobs are cancelled, their group is closed; the run stays cancelled, the same command begins a new one."""
    words = [*PAIR, *waiting.words, "session=batch"]
    ended = signalled(words, both_wait(waiting), signal.SIGINT, signal.SIGINT, pause_s=pause_s)
    assert ended.code == 130, ended.err
    assert "2 jobs were cancelled, and their session groups closed." in ended.err
    assert "Carry on with" not in ended.err
    assert ([job["status"] for job in waiting.jobs()], any(waiting.takes_jobs())) == (["Cancelled"] * 2, False)
    run = run_in_journal()
    assert command("action=collect", f"run={run.id}", *QUIET).code == 0
    assert (run_in_journal().state, states("jobs"), states("tasks")) == ("cancelled", *[["cancelled"] * 2] * 2)
    waiting.running.lift_faults()
    again = command(*words)
    assert (again.code, "carried on" in again.out) == (0, False), again.err
    assert run_in_journal().id != run.id
    assert [job["status"] for job in waiting.jobs()] == ["Cancelled"] * 2 + ["Completed"] * 2


def test_what_had_ended_is_kept_when_the_rest_is_cancelled(service):
    """Results that were paid for are recorded, the other jobs are cancelled, and the run with them."""
    ended = signalled([*TRIPLE, *service.words], only_first_ends(service), signal.SIGINT, signal.SIGINT)
    assert (ended.code, "zz = " in ended.out) == (130, True), ended.err
    assert [job["status"] for job in service.jobs()] == ["Completed", "Cancelled", "Cancelled"]
    assert (run_in_journal().state, states("tasks")) == ("cancelled", ["recorded", "cancelled", "cancelled"])
