"""Disks that are full, closed or damaged, and clocks that jump: told clearly, nothing lost, nothing submitted twice."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import Ended
from journaling import bound_by_permissions, change_rows

from qrt_runner.journal import Journal, RunEntry, Submission

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

AGAIN = "then give the same command again"
ROOM = f"remedy: make room on its disk, {AGAIN}: what was written before is whole"
RESTORE = (
    "remedy: restore a copy of the journal's folder, or move that away: what is recorded in outputs/ and in MLflow "
    "stays, while jobs still under way are then known to the service only"
)
FOLDER = Path("outputs/journal")
BELL = ("circuit=bell", "mode=sampler", "mode.shots=128", "tracking.plots=false")
HERE = ("backend=aer", *BELL)
SERVICE = ("backend=rehearsal", "backend.store=${oc.env:REHEARSAL_STORE}", *BELL)
WIDE = (*SERVICE, "session=batch", "circuit=random", "circuit.params.num_qubits=5", "mode.shots=400000", "tracking=off")
"""Its raw result is some hundred KiB, which compression makes no smaller."""

CLOCK = """
import datetime, runpy, sys, time
shift_s = float(sys.argv.pop(1))
true_time, true_time_ns, true_datetime = time.time, time.time_ns, datetime.datetime

class Shifted(true_datetime):
    __slots__ = ()

    @classmethod
    def now(cls, tz=None):
        return true_datetime.now(tz) + datetime.timedelta(seconds=shift_s)

time.time, time.time_ns = lambda: true_time() + shift_s, lambda: true_time_ns() + int(shift_s * 1e9)
datetime.datetime = Shifted
runpy.run_module("qrt_runner", run_name="__main__", alter_sys=True)
"""


# --- what the tests share -------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True, scope="module")
def _one_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """All commands of the module use one rehearsal service, which outlives each of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REHEARSAL_STORE", str(tmp_path_factory.mktemp("rehearsal")))
        yield


@dataclass(frozen=True)
class Disk:
    """A small file system over a folder, which only processes started through `before` see."""

    folder: Path
    before: tuple[str, ...]

    def resize(self, kib: int) -> None:
        """Make it larger or smaller."""
        subprocess.run([*self.before, "mount", "-o", f"remount,size={kib}k", str(self.folder)], check=True)

    def ended(self, *words: str) -> Ended:
        """Call the command line where the disk is seen."""
        return ended([*self.before, sys.executable, "-m", "qrt_runner", *words, "progress=off"])


@contextmanager
def mounted(folder: Path, kib: int) -> Iterator[Disk]:
    """Lay a small file system over a folder, for as long as its keeper lives."""
    unshare, nsenter = shutil.which("unshare"), shutil.which("nsenter")
    if unshare is None or nsenter is None:
        pytest.skip("no file system can be mounted here")
    # Who is not root may mount one where the system lets users be root among themselves.
    own = [] if os.geteuid() == 0 else ["--map-root-user"]
    folder.mkdir(parents=True, exist_ok=True)
    keep = f"mount -t tmpfs -o size={kib}k none '{folder}' && echo ready && exec cat"
    pipe = subprocess.PIPE
    line = [unshare, *own, "--mount", "sh", "-c", keep]
    with subprocess.Popen(line, stdin=pipe, stdout=pipe, text=True) as keeper:
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        try:
            if keeper.stdout.readline() != "ready\n":
                pytest.skip("no file system can be mounted here")
            where = [f"--target={keeper.pid}", "--mount", *(["--user", "--preserve-credentials"] if own else [])]
            here = f"cd '{Path.cwd()}' && exec \"$@\""
            yield Disk(folder, (nsenter, *where, "sh", "-c", here, "sh"))
        finally:
            keeper.stdin.close()


def ended(line: Sequence[str]) -> Ended:
    """Run a process to its end."""
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)


def assert_told(found: Ended, *lines: str, code: int = 1) -> None:
    """Assert that a command ended with exactly these lines on stderr."""
    assert (found.code, found.err.splitlines()) == (code, list(lines)), found


def assert_ended_well(found: Ended) -> None:
    """Assert that a command ended with 0 and without a word of trouble."""
    assert (found.code, found.err) == (0, ""), found


def records(of: str) -> list[dict[str, Any]]:
    """Return the jobs or sessions that ever arrived at the service; none where it was never started."""
    file = Path(os.environ["REHEARSAL_STORE"]) / "rehearsal.sqlite"
    if not file.exists():
        return []
    with closing(sqlite3.connect(file)) as store:
        return [json.loads(text) for (text,) in store.execute(f"SELECT record FROM {of}")]  # noqa: S608 - our own words


@pytest.fixture
def ledger() -> Callable[..., list[dict[str, Any]]]:
    """Return a function that gives the jobs, or the sessions, that really arrived at the service in this test."""
    before = {one["id"] for of in ("jobs", "sessions") for one in records(of)}
    return lambda of="jobs": [one for one in records(of) if one["id"] not in before]


def runs() -> list[RunEntry]:
    """Return the runs of the journal."""
    with Journal(FOLDER) as journal:
        return journal.runs()


def submissions(run_id: str) -> list[Submission]:
    """Return all submissions of a run."""
    with Journal(FOLDER) as journal:
        return journal.submissions(run_id)


def only_run() -> RunEntry:
    """Return the only run of the journal."""
    (run,) = runs()
    return run


def statuses(file: Path = Path("mlflow.db")) -> Counter[str]:
    """Return how the MLflow runs of a store ended."""
    with closing(sqlite3.connect(file)) as store:
        return Counter(status for (status,) in store.execute("SELECT status FROM runs"))


def numbers(found: Ended) -> list[str]:
    """Return the lines that show counts and expectation values."""
    return [line for line in found.out.splitlines() if line.startswith("  ")]


def run_told(found: Ended) -> str:
    """Return the id of the run that a command tells of."""
    return next(line for line in found.out.splitlines() if line.startswith("run ")).split()[1].rstrip(",:")


# --- a full disk ----------------------------------------------------------------------------------------------------


def test_no_room_for_the_journal(tmp_path, ledger):
    """Nothing is submitted that cannot be written down; with room the same command runs."""
    with mounted(tmp_path / FOLDER, kib=40) as disk:
        full = f"{tmp_path / FOLDER}/journal.db cannot be written, because its disk is full (database or disk is full)"
        assert_told(disk.ended(*SERVICE), f"journal.folder: {full}; {ROOM}")
        assert not ledger()
        disk.resize(4096)
        assert_ended_well(disk.ended(*SERVICE))
        assert len(ledger()) == 1


@pytest.mark.parametrize(
    "then", [WIDE, pytest.param(("action=collect",), marks=pytest.mark.slow)], ids=["again", "collect"]
)
def test_no_room_for_a_raw_result(tmp_path, then, ledger):
    """The job stays on the service; with room the same command or `action=collect` fetches its result."""
    with mounted(tmp_path / FOLDER, kib=380) as disk:
        cut_off = disk.ended(*WIDE)
        assert cut_off.code == 1
        assert cut_off.err.startswith(f"journal.folder: {tmp_path / FOLDER}/results/"), cut_off
        assert cut_off.err.endswith(f"cannot be written, because its disk is full (No space left on device); {ROOM}\n")
        disk.resize(8192)
        done = disk.ended(*then)
        assert_ended_well(done)
        assert len(ledger()) == 1
        assert run_told(done) in ledger()[0]["tags"]
        assert {one["state"] for one in ledger("sessions")} == {"closed"}


@pytest.mark.slow
@pytest.mark.parametrize("kib", range(72, 232, 8))
def test_no_room_at_any_moment(tmp_path, kib, ledger):
    """Wherever the disk of the journal is full, every job is submitted once, and every session closed."""
    words = ("-m", *SERVICE, "session=batch", "mode.shots=128,256", "tracking=off")
    with mounted(tmp_path / FOLDER, kib=kib) as disk:
        first = disk.ended(*words)
        assert "Traceback" not in first.err
        assert first.code == 0 or "because its disk is full" in first.err, first
        disk.resize(8192)
        if first.code:
            again = disk.ended(*words)
            assert again.code == 0, again
            assert {len(job["tags"]) for job in ledger()} == {2}
        assert len(ledger()) == 2
        assert len({tag for job in ledger() for tag in job["tags"]}) == 3
        assert {one["state"] for one in ledger("sessions")} == {"closed"}


def test_no_room_for_mlflow(tmp_path):
    """The results are kept and the exit code says so; with room the same command records them, and runs nothing."""
    store = tmp_path / "small" / "mlflow.db"
    words = (*HERE, f"tracking.uri=sqlite:///{store}")
    with mounted(tmp_path / "small", kib=100) as disk:
        first = disk.ended(*words)
        assert first.code == 1
        assert first.err.startswith(f"tracking.uri: given sqlite:///{store}, which could not be written"), first
        assert f"python -m qrt_runner action=collect run={only_run().id}" in first.err
        disk.resize(8192)
        again = disk.ended(*words)
        assert_ended_well(again)
        assert numbers(again) == numbers(first)
        assert only_run().state == "recorded"
        assert len(submissions(only_run().id)) == 1
        query = "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute('SELECT status FROM runs'))"
        assert ended([*disk.before, sys.executable, "-c", query, str(store)]).out == "('FINISHED',)\n"


@pytest.mark.parametrize("kib", [4, 40])
def test_no_room_for_the_outputs(tmp_path, kib, ledger):
    """Where Hydra or the results have no room it is told; what the journal has is recorded once there is."""
    words = (*SERVICE, "journal.folder=journal")
    with mounted(tmp_path / "outputs", kib=kib) as disk:
        first = disk.ended(*words)
        assert first.code == 1
        assert first.err.endswith(f" cannot be written, because its disk is full (No space left on device); {ROOM}\n")
        assert len(first.err.splitlines()) == 1
        disk.resize(4096)
        assert_ended_well(disk.ended(*words))
        assert len(ledger()) == 1
        assert statuses() == {"FINISHED": 1}


def test_no_room_for_what_is_shown():
    """The run goes on and is recorded where stdout cannot be written, and that is told."""
    with Path("/dev/full").open("w") as full:
        line = [sys.executable, "-m", "qrt_runner", *HERE, "progress=off"]
        done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    told = "stdout cannot be written (No space left on device): what is not shown is kept all the same\n"
    assert (done.returncode, done.stderr) == (0, told)
    assert statuses() == {"FINISHED": 1}


# --- folders that may not be written --------------------------------------------------------------------------------


def test_outputs_that_may_only_be_read(tmp_path, ledger):
    """Told with the folder and what to do; nothing is submitted before."""
    outputs = tmp_path / "outputs"
    outputs.mkdir(mode=0o500)
    line = [*bound_by_permissions(), sys.executable, "-m", "qrt_runner", *SERVICE, "progress=off"]
    found = ended(line)
    assert found.code == 1
    assert len(found.err.splitlines()) == 1
    assert found.err.startswith("outputs/")
    remedy = f"remedy: allow writing there, or work in another folder, {AGAIN}\n"
    assert found.err.endswith(f" may not be read or written (Permission denied); {remedy}"), found
    assert not ledger()
    outputs.chmod(0o700)
    assert_ended_well(ended(line))


def test_results_that_may_not_be_written(tmp_path, command, ledger):
    """The job stays on the service, and is collected once its result may be kept."""
    assert_ended_well(command("action=submit", *SERVICE))
    results = tmp_path / FOLDER / "results"
    results.mkdir(mode=0o500, exist_ok=True)
    results.chmod(0o500)
    found = ended([*bound_by_permissions(), sys.executable, "-m", "qrt_runner", "action=collect"])
    results.chmod(0o700)
    assert found.code == 1
    assert found.err.startswith(f"journal.folder: {results}/{only_run().id} cannot be written (Permission denied)")
    assert_ended_well(command("action=collect"))
    assert (only_run().state, len(ledger())) == ("recorded", 1)


# --- a damaged journal ----------------------------------------------------------------------------------------------


@pytest.fixture
def submitted(command, ledger) -> str:
    """The id of a run whose only job is on the service."""
    assert not ledger()
    assert_ended_well(command("action=submit", *SERVICE))
    return only_run().id


def spoil(file: Path, at: int, content: bytes) -> bytes:
    """Write over a part of a file, and return what it held as a whole."""
    before = file.read_bytes()
    with file.open("r+b") as stream:
        stream.seek(at)
        stream.write(content)
    return before


@pytest.mark.parametrize("page", [0, 2])
def test_a_damaged_page_of_the_journal(command, submitted, page, ledger):
    """Told with the file and the remedy, and nothing is done; the same command carries on with a copy of it."""
    file = FOLDER / "journal.db"
    before = spoil(file, 4096 * page, b"\xa5" * 4096)
    for words in (SERVICE, ("action=collect",), ("action=status",), ("action=cancel",)):
        found = command(*words)
        assert found.code == 1
        assert found.err.startswith(f"journal.folder: {file.absolute()} is "), found
        assert found.err.endswith(f"; {RESTORE}\n")
        assert len(found.err.splitlines()) == 1
    assert len(ledger()) == 1
    file.write_bytes(before)
    assert_ended_well(command(*SERVICE))
    assert (only_run().id, only_run().state, len(ledger())) == (submitted, "recorded", 1)


def test_a_journal_that_was_removed(command, submitted, ledger):
    """Nothing is begun anew beside what it told of."""
    file = FOLDER / "journal.db"
    aside = file.rename("aside.db")
    found = command(*SERVICE)
    assert found.code == 1
    assert f"journal.folder: {file.absolute()} is missing, though " in found.err
    aside.rename(file)
    assert_ended_well(command(*SERVICE))
    assert (only_run().id, len(ledger())) == (submitted, 1)


@pytest.mark.parametrize("damage", ["changed", "cut off", "gone"])
def test_a_damaged_plan(command, submitted, damage, ledger):
    """Without its plan a run cannot be read: that is told, and no job is submitted a second time."""
    file = FOLDER / "plans" / f"{submitted}.zip"
    before = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(before[:-100] if damage == "cut off" else b"PK" + before[3:] + b"x")
    for words in (SERVICE, ("action=collect",)):
        found = command(*words)
        assert found.code == 1
        assert found.err.startswith(
            f"journal.folder: {file.absolute()} is {'missing' if damage == 'gone' else 'damaged'}"
        )
        assert found.err.endswith(f"; {RESTORE}\n")
    assert len(ledger()) == 1
    file.write_bytes(before)
    assert_ended_well(command("action=collect"))
    assert (only_run().state, len(ledger())) == ("recorded", 1)


def test_a_plan_that_unpacks_to_too_much(command, submitted):
    """A journal of somebody else's, with an archive that claims to hold 3 GiB and a checksum that fits it."""
    file = FOLDER / "plans" / f"{submitted}.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("plan.json", bytes(2**20))
    file.write_bytes(file.read_bytes().replace((2**20).to_bytes(4, "little"), (3 * 2**30).to_bytes(4, "little")))
    sha = hashlib.sha256(file.read_bytes()).hexdigest()
    change_rows(FOLDER / "journal.db", f"UPDATE runs SET plan_sha = '{sha}'")  # noqa: S608 - our own words
    told = f"{file.absolute()} holds more than 2 GiB; remedy: it was not written by this program: remove it"
    assert_told(command("action=collect"), f"journal.folder: {told}")


# --- damaged results ------------------------------------------------------------------------------------------------


def damage_result(run_id: str, damage: str) -> Path:
    """Change, empty or remove the raw result of a run's only submission."""
    (submission,) = submissions(run_id)
    file = (FOLDER / str(submission.result)).absolute()
    if damage == "gone":
        file.unlink()
    elif damage == "empty":
        file.write_bytes(b"")
    else:
        spoil(file, 20, b"\x00\xff\x00")
    return file


@pytest.fixture
def unrecorded(command, tmp_path) -> Callable[..., Ended]:
    """Return a function that runs a command whose results MLflow does not take, because a file is in its way."""

    def call(*words: str) -> Ended:
        (tmp_path / "away").write_text("no folder")
        found = command(*words, f"tracking.uri=sqlite:///{tmp_path}/away/mlflow.db")
        assert found.code == 1
        assert found.err.startswith("tracking.uri: given")
        (tmp_path / "away").unlink()
        (tmp_path / "away").mkdir()
        return found

    return call


@pytest.mark.parametrize("damage", ["changed", "empty", "gone"])
def test_a_damaged_result_of_a_job_on_a_service(command, unrecorded, tmp_path, damage, ledger):
    """It is fetched again, which is told; the job is not submitted again."""
    first = unrecorded(*SERVICE)
    file = damage_result(only_run().id, damage)
    again = command(*SERVICE, f"tracking.uri=sqlite:///{tmp_path}/away/mlflow.db")
    assert again.code == 0, again
    (line,) = again.err.splitlines()
    assert line.startswith(f"journal.folder: {file} is ")
    assert line.endswith("Job 1 is asked for again.")
    assert numbers(again) == numbers(first)
    assert (only_run().state, len(ledger())) == ("recorded", 1)
    assert statuses(tmp_path / "away/mlflow.db") == {"FINISHED": 1}


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_damaged_result_of_a_simulator(command, unrecorded, tmp_path, damage):
    """The same command computes it again, with the same seed and so the same numbers, which is told."""
    first = unrecorded(*HERE)
    file = damage_result(only_run().id, damage)
    again = command(*HERE, f"tracking.uri=sqlite:///{tmp_path}/away/mlflow.db")
    assert again.code == 0, again
    (line,) = again.err.splitlines()
    assert line.startswith(f"journal.folder: {file} is ")
    assert line.endswith("Job 1 is run again.")
    assert numbers(again) == numbers(first)
    assert only_run().state == "recorded"
    assert statuses(tmp_path / "away/mlflow.db") == {"FINISHED": 1}


def test_collecting_a_damaged_result_of_a_simulator(command, unrecorded, tmp_path):
    """What only running it again can give is left to the same command, and told; nothing is said to be recorded."""
    unrecorded(*HERE)
    file = damage_result(only_run().id, "changed")
    where = f"tracking.uri=sqlite:///{tmp_path}/away/mlflow.db"
    collected = command("action=collect", where)
    assert f"journal.folder: {file} is damaged" in collected.err
    assert "1 tasks are not done yet" in collected.out
    assert only_run().state != "recorded"
    again = command(*HERE, where)
    assert again.code == 0, again
    assert only_run().state == "recorded"


@pytest.mark.parametrize("words", [HERE, SERVICE], ids=["simulator", "service"])
def test_a_damaged_result_of_a_recorded_run(command, words):
    """It is told where somebody reads it; what is in MLflow and in the journal stays."""
    assert_ended_well(command(*words))
    run = only_run()
    damage_result(run.id, "changed")
    for _ in range(2):
        collected = command("action=collect", f"run={run.id}")
        assert "Traceback" not in collected.err
        assert only_run().state == "recorded"
        assert statuses() == {"FINISHED": 1}
    assert len(submissions(run.id)) == 1


# --- a clock that jumps ---------------------------------------------------------------------------------------------

DAY_S = 86_400


def at(shift_s: float, *words: str) -> Ended:
    """Call the command line in a process whose clock is ahead by so many seconds."""
    return ended([sys.executable, "-c", CLOCK, str(shift_s), *words])


def test_a_clock_that_jumped_back_before_the_next_command(command, ledger):
    """A run that began tomorrow is carried on with today, and its job is there once."""
    first = at(DAY_S, "action=submit", *SERVICE)
    assert_ended_well(first)
    assert_ended_well(command(*SERVICE))
    assert (only_run().state, len(ledger())) == ("recorded", 1)
    assert statuses() == {"FINISHED": 1}


def test_the_latest_run_is_the_one_begun_last(command, ledger):
    """Whatever the clock says: of a run of tomorrow and one of today, given in this order, the second is the latest."""
    assert_ended_well(at(DAY_S, *HERE))
    assert_ended_well(command("action=submit", *SERVICE))
    first, second = runs()
    assert first.began > second.began
    status = command("action=status")
    assert_ended_well(status)
    collected = command("action=collect")
    assert_ended_well(collected)
    assert run_told(collected) == second.id
    assert [run.state for run in runs()] == ["recorded", "recorded"]
    assert len(ledger()) == 1
