"""What the crash tests share: commands that are killed and issued again, and how what they leave must look.

A killed command is one that ends by SIGKILL: at a step that it takes (see `dying`), or at a moment by the clock. Each
scenario has a folder and, where jobs go to a service, a service of its own, so that its numbers must be those of a run
that nobody disturbed: they depend on the seed and on the order in which the service has accepted its jobs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import pyarrow.parquet
from watching import rehearsal

from qrt_runner.journal import Journal
from qrt_runner.tracking import find_kept

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Mapping, Sequence

    from mlflow.entities import Run

    from qrt_runner.rehearsal import Rehearsal

MOST_ISSUES: Final = 5
"""So often a command is issued again after the last kill, at most."""

_DYING: Final = Path(__file__).with_name("dying.py")
_TIMEOUT_S: Final = 600
_FAST: Final = ("tracking.plots=false", "mode.shots=64")
_SERVICE: Final = ("backend=rehearsal", "backend.settle_s=0.2")
_MODES: Final = "mode=raw,sampler,estimator"
_TOLD: Final = ("ev/", "std/", "circuit/", "isa/", "usage/quantum_s")
"""Beginnings of the names of metrics that nothing but the seed decides."""


@dataclass(frozen=True)
class Case:
    """A command that is killed, and what it must have done in the end."""

    name: str
    words: tuple[str, ...]
    jobs: int
    tasks: int
    groups: int = 0
    """Session groups that an undisturbed run opens."""

    service: Literal["joined", "own", ""] = "joined"
    """Whether commands join a service that outlives them, start one that dies with them, or need none."""

    grouped: bool = True
    """Whether the tasks' runs in MLflow have a parent."""

    then: tuple[str, ...] = ()
    """A command that is issued after the first one is done, until it is done too."""


CASES: Final = {
    case.name: case
    for case in (
        Case("alone", ("-m", *_SERVICE, _MODES, "circuit=bell", *_FAST), 3, 3),
        Case("batch", ("-m", *_SERVICE, _MODES, "circuit=bell", "session=batch", *_FAST), 3, 3, 1),
        Case("dedicated", ("-m", *_SERVICE, _MODES, "circuit=bell", "session=dedicated", *_FAST), 3, 3, 1),
        Case(
            "both kinds",
            ("-m", *_SERVICE, "circuit=bell,ghz", "mode=sampler", "session=batch,dedicated", *_FAST),
            2,
            4,
            2,
        ),
        Case(
            "one by one",
            ("-m", *_SERVICE, "circuit=bell,ghz,qft,tfim", "mode=estimator", "backend.limits.pubs=1", *_FAST),
            4,
            4,
        ),
        Case(
            "one point",
            (*_SERVICE, "circuit=bell", "mode=sampler", "session=dedicated", *_FAST),
            1,
            1,
            1,
            grouped=False,
        ),
        Case(
            "tasks",
            (*_SERVICE, "+mode@tasks.a.mode=raw", "+mode@tasks.b.mode=estimator", "session=batch", _FAST[0]),
            2,
            2,
            1,
        ),
        Case(
            "submitted, then collected",
            ("-m", "action=submit", *_SERVICE, _MODES, "circuit=bell", "session=batch", *_FAST),
            3,
            3,
            1,
            then=("action=collect",),
        ),
        Case(
            "own service",
            ("-m", *_SERVICE, "circuit=bell", "mode=sampler,estimator", "session=batch", *_FAST),
            2,
            2,
            1,
            service="own",
        ),
        Case("ideal", ("-m", "backend=aer", "circuit=bell,ghz", _MODES, *_FAST), 3, 6, service=""),
        Case(
            "noisy",
            ("-m", "backend=fake_manila", "circuit=bell,ghz,qft", "mode=estimator", "backend.limits.pubs=1", *_FAST),
            3,
            3,
            service="",
        ),
        Case(
            "folders",
            ("-m", "backend=fake_manila", "circuit=bell,ghz", "mode=raw", "sweep.folders=true", *_FAST),
            2,
            2,
            service="",
        ),
        Case(
            "MLflow's own client",
            ("-m", "backend=aer", "circuit=bell,ghz", 'tracking.uri="sqlite:///mlflow.db?timeout=60"', *_FAST),
            1,
            2,
            service="",
        ),
    )
}


@dataclass(frozen=True)
class Kill:
    """When a command is killed: at its n-th step of a kind, or after some seconds."""

    step: str = "time"
    when: Literal["before", "amid", "after"] = "after"
    nth: int = 1
    delay_s: float = 0.0
    """From the command's start or, amid a step, from that step's."""

    def __str__(self) -> str:
        """Return it in words."""
        if self.step == "time":
            return f"{self.delay_s:.2f} s after the start"
        amid = f" ({self.delay_s * 1000:.1f} ms)" if self.when == "amid" else ""
        return f"{self.when} {self.step} {self.nth}{amid}"

    @property
    def orders(self) -> dict[str, Any]:
        """What `dying` is told."""
        return {} if self.step == "time" else vars(self)


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def is_killed(self) -> bool:
        """Whether it was killed."""
        return self.code == -signal.SIGKILL


@dataclass
class Scene:
    """A folder in which one case is played, with its service."""

    case: Case
    folder: Path
    census: Path | None = None
    """Where the first command that is not killed writes how often it takes each step."""

    ended: list[Ended] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    """Those that struck."""

    ledger: Mapping[str, Any] = field(default_factory=lambda: {"jobs": [], "sessions": []})
    """What the service was given."""

    @property
    def issued(self) -> list[str]:
        """Every command with how it ended, in words."""
        kills = iter(self.kills)
        how = [f"killed {next(kills)}" if one.is_killed else f"exit {one.code}" for one in self.ended]
        return [f"{how}; {' '.join(one.err.split())}" for how, one in zip(how, self.ended, strict=True)]

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The command."""
        return self.case.words + ((f"backend.store={self._store}",) if self.case.service else ())

    @property
    def _store(self) -> Path:
        return self.folder / "service"

    @contextmanager
    def service(self) -> Iterator[Rehearsal]:
        """Start the service on its store, as a command does that finds none."""
        words = [word for word in self.case.words if word.startswith("backend.")]
        with rehearsal(self._store, *words) as running:
            yield running

    def issue(self, words: Sequence[str], kill: Kill | None = None) -> Ended:
        """Give a command, and return how it ended.

        Args:
            words: The command.
            kill: When it is killed, if it comes to that.
        """
        orders = kill.orders if kill else {"census": str(self.census)} if self.census and not self.ended else {}
        plain = [sys.executable, "-m", "qrt_runner", *words]
        line = [sys.executable, str(_DYING), json.dumps(orders), *words] if orders else plain
        began = time.monotonic()
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(line, cwd=self.folder, env=self._environment(), **pipes) as started:
            try:
                out, err = started.communicate(timeout=kill.delay_s if kill and not orders else _TIMEOUT_S)
            except subprocess.TimeoutExpired:
                started.kill()
                out, err = started.communicate()
                # What was to be killed at a step and was not reached, or hung, is no kill of ours.
                assert kill is not None, f"{words} took longer than {_TIMEOUT_S} s: {out}{err}"
                assert not orders, f"{words} took longer than {_TIMEOUT_S} s, to be killed {kill}: {out}{err}"
        ended = Ended(started.returncode, out, err, time.monotonic() - began)
        self.ended.append(ended)
        if ended.is_killed and kill is not None:
            self.kills.append(kill)
        assert ended.is_killed or ended.code == 0 or kill is None, self.issued
        return ended

    def until_done(self, words: Sequence[str]) -> None:
        """Issue a command until it is done."""
        for _ in range(MOST_ISSUES):
            if self.issue(words).code == 0:
                return
        raise AssertionError(self.issued)

    def is_over(self, words: Sequence[str]) -> bool:
        """Tell whether a command that was killed had done all that it is for: the same one would begin a new run."""
        if not (self.folder / "outputs/journal/journal.db").exists():
            return False
        with Journal(self.folder / "outputs/journal") as journal:
            runs = journal.runs()
            jobs = {job.state for run in runs for job in journal.jobs(run.id)}
            groups = {one.state for run in runs for one in journal.groups(run.id)}
        if "action=submit" in words:
            return (jobs, groups) == ({"submitted"}, {"done"})
        return bool(runs) and runs[-1].state == "recorded"

    def _environment(self) -> dict[str, str]:
        own = {"HOME": str(self.folder), "QRT_STATE_DIR": str(self.folder / ".state"), "OMP_NUM_THREADS": "1"}
        return {**os.environ, **own}


@dataclass(frozen=True)
class Left:
    """What a case has left, without what differs from run to run, such as ids and times."""

    tasks: Mapping[tuple[str, str], Any]
    """By point and task: params, metrics, counts and results as MLflow has them."""

    table: Sequence[Mapping[str, Any]]
    """The rows of the table of all tasks, from the kept folder."""


@dataclass(frozen=True)
class Undisturbed:
    """How a case goes when nobody is killed."""

    left: Left
    census: Mapping[str, int]
    """How often the command takes each step."""

    seconds: float


def play(scene: Scene, kills: Sequence[Kill]) -> None:
    """Issue a case's command, killed each time, then until it is done, and see that all is as it must be."""
    scene.folder.mkdir(parents=True)
    if scene.case.service == "joined":
        with scene.service() as running:
            _play(scene, kills)
            scene.ledger = running.ledger()
    else:
        _play(scene, kills)
    if scene.case.service == "own":
        with scene.service() as running:
            scene.ledger = running.ledger()
    check_ledger(scene)
    check_journal(scene)


def _play(scene: Scene, kills: Sequence[Kill]) -> None:
    commands = [scene.words, *([scene.case.then] if scene.case.then else [])]
    todo = list(kills)
    for number, words in enumerate(commands):
        share = len(todo) if number == len(commands) - 1 else len(todo) // 2
        is_over = False
        for kill in todo[:share]:
            is_over = scene.issue(words, kill).code == 0 or scene.is_over(words)
            if is_over:
                break
        del todo[:share]
        if not is_over:
            scene.until_done(words)


def undisturbed(case: Case, folder: Path) -> Undisturbed:
    """Play a case without kills, and count its steps."""
    scene = Scene(case, folder, census=folder / "census.json")
    play(scene, [])
    first = scene.ended[0]
    assert [(one.code, one.err) for one in scene.ended] == [(0, "")] * len(scene.ended), scene.ended
    return Undisturbed(left_by(scene), json.loads((folder / "census.json").read_text("utf-8")), first.seconds)


# --- how it must look ---


def check_ledger(scene: Scene) -> None:
    """See that the service was given each job once, that all have run, and that no session takes jobs."""
    case, jobs, sessions = scene.case, scene.ledger["jobs"], scene.ledger["sessions"]
    if not case.service:
        return
    assert Counter(job["status"] for job in jobs) == {"Completed": case.jobs}, (scene.issued, jobs)
    tags = [job["tags"] for job in jobs]
    assert {len(own) for own in tags} == {2}, (scene.issued, tags)
    assert len({own[0] for own in tags}) == 1, ("one run", scene.issued, tags)
    assert len({own[1] for own in tags}) == case.jobs, (scene.issued, tags)
    still_open = [one["id"] for one in sessions if one["accepting_jobs"]]
    assert not still_open, (scene.issued, sessions)
    used = {job["session_id"] for job in jobs} - {None}
    assert len(used) >= case.groups, (scene.issued, jobs)
    # Each kill may cost one group; none is opened for nothing.
    assert len(sessions) <= case.groups + len(scene.kills), (scene.issued, sessions)
    if not case.groups:
        assert not sessions, (scene.issued, sessions)


def check_journal(scene: Scene) -> None:
    """See that the journal has one run, which is recorded whole, and that nothing is left open or under way."""
    case = scene.case
    with Journal(scene.folder / "outputs/journal") as journal:
        (run,) = journal.runs()
        states = {
            "run": run.state,
            "points": {one.state for one in journal.points(run.id)},
            "tasks": [one.state for one in journal.tasks(run.id)],
            "jobs": [one.state for one in journal.jobs(run.id)],
            "groups": [one.state for one in journal.groups(run.id)],
        }
        submissions = journal.submissions(run.id)
        assert (run.interrupted, journal.dead()) == (False, []), (scene.issued, run)
    wanted = {
        "run": "recorded",
        "points": {"recorded"},
        "tasks": ["recorded"] * case.tasks,
        "jobs": ["done"] * case.jobs,
        "groups": ["done"] * case.groups,
    }
    assert states == wanted, (scene.issued, states)
    assert {one.state for one in submissions} == {"done"}, (scene.issued, submissions)
    assert sorted(one.job for one in submissions) == list(range(case.jobs)), (scene.issued, submissions)
    notes = [*(scene.folder / ".state" / "sessions").glob("*.json")]
    assert not notes, (scene.issued, notes)


def check_left(scene: Scene, wanted: Left) -> None:
    """See that MLflow and the kept folder have what an undisturbed run leaves there."""
    found = left_by(scene)
    assert found.tasks.keys() == wanted.tasks.keys(), (scene.issued, found.tasks.keys())
    for key, task in found.tasks.items():
        assert task == wanted.tasks[key], (scene.issued, key, task, wanted.tasks[key])
    assert found.table == wanted.table, (scene.issued, found.table, wanted.table)


def left_by(scene: Scene) -> Left:
    """Return what a case has left in MLflow and in the kept folder; each is whole."""
    from mlflow.tracking import MlflowClient

    store = MlflowClient(tracking_uri=f"sqlite:///{scene.folder}/mlflow.db")
    (experiment,) = store.search_experiments(filter_string="name = 'qrt_runner'")
    runs = store.search_runs([experiment.experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"}, (scene.issued, runs)
    tasks = [run for run in runs if "qrt.task" in run.data.tags]
    parents = [run for run in runs if run not in tasks]
    assert len(parents) == int(scene.case.grouped), (scene.issued, runs)
    assert len(tasks) == scene.case.tasks, (scene.issued, runs)
    above = {run.data.tags.get("mlflow.parentRunId") for run in tasks}
    assert above == {parents[0].info.run_id if parents else None}, (scene.issued, runs)
    return Left({_place(run): _told(run) for run in tasks}, _table(scene, {_place(run): run for run in tasks}))


def _place(run: Run) -> tuple[str, str]:
    return run.data.tags["qrt.point"], run.data.tags["qrt.task"]


def _told(run: Run) -> dict[str, Any]:
    folder = Path(run.info.artifact_uri)
    counts = folder / "counts.json"
    return {
        "params": dict(run.data.params),
        "metrics": {name: value for name, value in run.data.metrics.items() if name.startswith(_TOLD)},
        "counts": json.loads(counts.read_text(encoding="utf-8")) if counts.exists() else None,
        "results": json.loads((folder / "results.json").read_text(encoding="utf-8")),
        "files": sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()),
    }


def _table(scene: Scene, runs: Mapping[tuple[str, str], Run]) -> list[dict[str, Any]]:
    """Return the table in the kept folder, which must name the tasks that MLflow has."""
    with Journal(scene.folder / "outputs/journal") as journal:
        (run,) = journal.runs()
    folder = scene.folder / run.folder
    kept = find_kept(str(folder))
    assert kept.logged == {"-".join(place): one.info.run_id for place, one in runs.items()}, (scene.issued, kept.logged)
    assert set(kept.states().values()) == {"FINISHED"}, (scene.issued, kept.states())
    assert not kept.interrupted, scene.issued
    [file] = [folder / "results.parquet"] if scene.case.grouped else folder.glob("*/results.parquet")
    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(file).to_pylist()
    return rows


# --- many ---


@dataclass
class Totals:
    """What many scenes come to."""

    scenes: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    """By step, or by time."""

    commands: int = 0
    planned: int = 0
    accepted: int = 0
    sessions: int = 0
    still_open: int = 0
    wrong: list[str] = field(default_factory=list)
    """What was not as it must be."""

    def add(self, scene: Scene, wrong: str) -> None:
        """Add a scene that was played."""
        self.scenes += 1
        self.kills.update(kill.step for kill in scene.kills)
        self.commands += len(scene.ended)
        if scene.case.service:
            self.planned += scene.case.jobs
            self.accepted += len(scene.ledger["jobs"])
            self.sessions += len(scene.ledger["sessions"])
            self.still_open += sum(one["accepting_jobs"] for one in scene.ledger["sessions"])
        if wrong:
            self.wrong.append(wrong)

    def __str__(self) -> str:
        """Return them in words."""
        kills = sum(self.kills.values())
        by_step = ", ".join(f"{count} {step}" for step, count in sorted(self.kills.items()) if step != "time")
        return (
            f"{self.scenes} runs, {kills} kills ({self.kills['time']} by time, {kills - self.kills['time']} by step: "
            f"{by_step}), {self.commands - self.scenes} commands issued again; jobs on services: {self.planned} "
            f"planned, {self.accepted} accepted, {self.accepted - self.planned} twice; sessions: {self.sessions} "
            f"opened, {self.still_open} open; runs that did not end as undisturbed ones: {len(self.wrong)}"
        )


# --- which kills ---


def chosen(rng: random.Random, case: Undisturbed, count: int) -> list[Kill]:
    """Choose kills by chance: a third by time, the others by step; the last one strikes anywhere, others early."""
    how = [_by_time if rng.random() < 1 / 3 else _by_step for _ in range(count)]
    return [choose(rng, case, is_last=number == count - 1) for number, choose in enumerate(how)]


def _by_time(rng: random.Random, case: Undisturbed, *, is_last: bool) -> Kill:
    return Kill(delay_s=rng.uniform(0.3, 1.0 if is_last else 0.9) * case.seconds)


def _by_step(rng: random.Random, case: Undisturbed, *, is_last: bool) -> Kill:
    """Choose a step of the undisturbed run; a command that carries on takes fewer."""
    step = rng.choice(sorted(case.census))
    place = rng.random() ** (1 if is_last else 2)
    when: Any = rng.choice(["before", "amid", "after"])
    return Kill(step, when, 1 + int(place * case.census[step]), rng.uniform(0.0, 0.02))
