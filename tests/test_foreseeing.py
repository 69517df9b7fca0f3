"""What would run and what it would cost, told before: nothing is submitted, and the counts equal what then runs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from composing import circuit_file, plan_of, point_of
from watching import rehearsal, watched

from qrt_runner.config import Experiment
from qrt_runner.journal import Journal, SpentJob
from qrt_runner.plan import Explaining
from qrt_runner.runner.foreseeing import Foreseen, foresee
from qrt_runner.runner.outcome import Request
from qrt_runner.runner.predicting import Foretold, History, with_predictions
from qrt_runner.tracking import find_kept

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qrt_runner.rehearsal import Rehearsal

TURN = ("turn", "circuit = QuantumCircuit(1)\ncircuit.ry(Parameter('theta'), 0)", "'z': 'Z', 'x': 'X'")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """Return a rehearsal service."""
    with rehearsal(tmp_path_factory.mktemp("served") / "store") as running:
        yield running


def foreseen(*points: tuple[str, ...] | list[str]) -> Foreseen:
    """Return what several points would run, each given by its overrides."""
    asked = tuple(point_of(overrides, index) for index, overrides in enumerate(points))
    tracking = asked[0].experiment.document.tracking
    return foresee(Request(asked, Path("results"), tracking, grouped=len(points) > 1), lambda _: None)


def of_ghz(*words: str) -> list[str]:
    """Return the overrides of a GHZ state on three qubits."""
    return ["circuit=ghz", "circuit.params.num_qubits=3", *words]


def jobs_of(*points: list[str]) -> list[str]:
    """Return why the jobs of a plan are apart."""
    return list(Explaining(plan_of(*points)).split())


def test_nothing_is_submitted_and_what_runs_is_what_was_told(served, command):
    """Two modes of one circuit: a job each. Shots: 100 of one circuit, and 64 in each of two bases.

    The service keeps its device for 2 s and 350 us an execution, which is the estimate, so the prediction's error is 0.
    """
    service = watched(served)
    words = [*circuit_file(*TURN), *service.words, "+circuit.parameter_values.theta=[0.1,0.2,0.3]"]
    words += ["+mode@tasks.a.mode=sampler", "tasks.a.mode.shots=100"]
    words += ["+mode@tasks.b.mode=estimator", "tasks.b.mode.shots=64"]
    ended = command("action=plan", "action.rate=1.6", *words)
    assert ended.code == 0, ended.err
    assert (service.jobs(), service.sessions()) == ([], [])
    told = foreseen(words)
    assert [(row["PUBs"], row["parameter sets"], row["circuits"], row["executions"]) for row in told.jobs] == [
        (1, 3, 3, 300),
        (1, 3, 6, 384),
    ]
    seconds = [2 + 350e-6 * 300, 2 + 350e-6 * 384]
    assert [row["estimated s"] for row in told.jobs] == pytest.approx(seconds)
    assert f"price {sum(seconds) * 1.6:.2f}" in ended.out
    assert service.jobs() == []
    ended = command(*words)
    assert ended.code == 0, ended.err
    assert len(service.jobs()) == len(told.jobs)
    with Journal(Path("outputs/journal")) as journal:
        (run,) = journal.runs()
        planned = journal.jobs(run.id)
        spent = [one.quantum_s for one in journal.submissions(run.id)]
        assert len(journal.spent_jobs()) == 2
    assert [job.sets for job in planned] == [row["parameter sets"] for row in told.jobs]
    assert spent == pytest.approx(seconds, rel=1e-3)
    metrics = [{one.key: one.value for one in record.metrics} for record in find_kept("latest").records()]
    assert sorted(one["usage/predicted_s"] for one in metrics) == pytest.approx(seconds)
    assert [one["usage/prediction_error_s"] for one in metrics] == pytest.approx([0, 0], abs=0.01)


def test_no_run_is_begun_by_planning():
    """The journal stays empty, and there is nothing to carry on with."""
    assert foreseen(of_ghz()).notes == ()
    with Journal(Path("outputs/journal")) as journal:
        assert journal.runs() == []


def test_a_run_that_was_only_submitted_is_told(served, command):
    """Whoever plans its command again learns that it would be carried on with."""
    words = of_ghz(*watched(served).words)
    assert command("action=submit", *words).code == 0
    with Journal(Path("outputs/journal")) as journal:
        (run,) = journal.runs()
    ended = command("action=plan", *words)
    assert f"run {run.id} of the same command is not over" in ended.out
    assert command("action=cancel").code == 0


def test_a_dry_run_goes_to_the_mock(served, command):
    """Each mode is accepted there, costs nothing, and is no run of the journal."""
    service = watched(served)
    modes = ["+mode@tasks.a.mode=sampler", "+mode@tasks.b.mode=estimator", "+mode@tasks.c.mode=raw"]
    words = of_ghz(*service.words, *modes)
    ended = command("action=plan", "action.dry_run=true", *words)
    assert ended.code == 0, ended.err
    for number in (1, 2, 3):
        assert f"dry run of job {number}: accepted, with results of 1 of 1 PUBs" in ended.out
    assert {job["backend"].partition("_")[0] for job in service.jobs()} == {"mock"}
    with Journal(Path("outputs/journal")) as journal:
        assert journal.runs() == []


def test_simulators_take_no_quantum_time():
    """The seconds of a device are told beside it: 2 s and 1024 executions of 350 us are 2.36 s."""
    told = foreseen(of_ghz("mode=sampler", "mode.shots=1024"))
    assert told.total == Foretold()
    assert "simulated here: no quantum time; a device would take about 2.36 s" in told.lines()


def test_programs_tell_their_sizes_before_and_after():
    """A GHZ state of three qubits has two two-qubit gates, on a line of qubits as well."""
    (row,) = foreseen(of_ghz("backend=fake_manila"), of_ghz("backend=fake_manila", "mode.shots=10")).programs
    assert (row["tasks"], row["circuit/two_qubit_gates"], row["isa/two_qubit_gates"]) == (2, 2, 2)


def test_merged_tasks_are_told():
    """Three points over one parameter are one program and one PUB."""
    points = [[*circuit_file(*TURN), f"+circuit.parameter_values.theta={value}"] for value in (0.1, 0.2, 0.3)]
    assert list(Explaining(plan_of(*points)).merged()) == [
        "3 tasks run 1 program, each lowered once",
        "job 1, PUB 1: 3 parameter sets of 3 tasks with equal circuit and observables",
    ]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["mode.shots=2000"], "mode.shots 2000 instead of 1000"),
        (["mode=raw"], "mode.kind raw instead of sampler"),
        (["backend=fake_manila"], "backend.kind fake instead of aer"),
        (["seed=7"], "seed 7 instead of 42"),
    ],
)
def test_what_differs_splits_jobs(words, why):
    """Named by what users type."""
    (told,) = jobs_of(of_ghz("mode.shots=1000"), of_ghz("mode.shots=1000", *words))
    assert told.startswith(f"job 2: differs from job 1 in {why}")


def test_limits_split_jobs():
    """Four parameter sets of which a job holds three go in two and two: together four, which exceeds the limit."""
    theta = "+circuit.parameter_values.theta=[0.1,0.2,0.3,0.4]"
    told = jobs_of([*circuit_file(*TURN), theta, "backend.limits.parameter_sets=3"])
    assert told == ["job 2: with job 1 it would exceed backend.limits.parameter_sets=3"]


def test_a_job_that_learns_and_what_pec_adds_are_told():
    """PEC's circuits are told without what the noise will multiply them by; its own options bound that by 100."""
    plan = plan_of(of_ghz("backend=fake_manila", "mode=estimator", "mitigation=pec"))
    explaining = Explaining(plan)
    assert list(explaining.split()) == ["job 1: learns the noise that job 2 needs"]
    words = "job 2: PEC multiplies its circuits by gamma squared, at most by 100, once the noise is learned"
    assert list(explaining.unknown()) == [words]


def history(*factors: float, backend: str = "ibm_fez", mode: str = "sampler") -> History:
    """Return the history of jobs that took so many times what was expected of them."""
    return History([SpentJob(backend, mode, 10.0, 10.0 * factor) for factor in factors])


class _Named:
    """Stands for a job of a plan, as far as predictions ask for it."""

    def __init__(self, mode: str = "sampler", expected_s: float = 10.0) -> None:
        self.mode, self.expected_s, self.loads = mode, expected_s, ()
        self.submission = type("Submission", (), {"device": type("Device", (), {"name": "ibm_fez"}), "options": None})


def test_without_history_the_estimate_stands():
    """From half of it to twice as much."""
    told = History().foretold(_Named())
    assert (told.lower_s, told.likely_s, told.upper_s) == pytest.approx((5.0, 10.0, 20.0))
    assert told.jobs == 0


def test_history_corrects_the_estimate():
    """Three jobs took twice as long: with the estimate itself as one more, 2^(3/4) = 1.682 times."""
    told = history(2, 2, 2).foretold(_Named())
    assert told.likely_s == pytest.approx(10 * 2**0.75)
    assert told.lower_s < told.likely_s < told.upper_s
    assert told.jobs == 3


def test_much_history_narrows_the_bounds():
    """A hundred jobs that took what was expected: the prior's variance over 101, and a hundredth for the mean."""
    told = history(*[1.0] * 100).foretold(_Named())
    assert told.likely_s == pytest.approx(10.0)
    assert math.log(told.upper_s / 10) == pytest.approx(math.log(2) / math.sqrt(2) * math.sqrt((1 + 1 / 101) / 101))


def test_history_is_of_the_backend_and_where_there_is_some_of_the_mode():
    """Other backends tell nothing; other modes only where there is none of the same."""
    spent = [*history(4).spent, *history(9, mode="estimator").spent, *history(100, backend="ibm_torino").spent]
    assert History(spent).foretold(_Named()).likely_s == pytest.approx(10 * 2)
    assert History(spent).foretold(_Named("estimator")).likely_s == pytest.approx(10 * 3)
    assert History(spent).foretold(_Named("raw")).likely_s == pytest.approx(10 * 36 ** (1 / 3))


def test_predictions_are_in_the_price():
    """A simulated task has none."""
    plan = with_predictions(plan_of(of_ghz()), History())
    assert plan.tasks[0].price is not None
    assert plan.tasks[0].price.predicted_s is None


def test_action_plan_is_a_config():
    """A rate below 0 is refused, as is one in words."""
    experiment = point_of(["action=plan", "action.rate=1.6"]).experiment
    assert isinstance(experiment, Experiment)
    assert experiment.document.action.model_dump() == {"kind": "plan", "rate": 1.6, "dry_run": False}


def test_a_notebook_shows_the_tables():
    """Its HTML has a row for each job, and nothing in it that is not escaped."""
    html = foreseen(of_ghz())._repr_html_()
    assert html.count("<table>") == 2
    assert "no quantum time" in html
