"""What would run and what it would cost, told before: nothing is submitted, and the counts equal what then runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from time import process_time

import pytest
from composing import circuit_file, foreseen, outcome_of, plan_of, point_of
from watching import QUIET, watched

import qrt_runner
from qrt_runner.config import Experiment
from qrt_runner.journal import Journal
from qrt_runner.plan import Explaining
from qrt_runner.runner.columns import fitted
from qrt_runner.runner.predicting import Foretold, History, with_predictions
from qrt_runner.tracking import find_kept

TURN = ("turn", "circuit = QuantumCircuit(1)\ncircuit.ry(Parameter('theta'), 0)", "'z': 'Z', 'x': 'X'")


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
    assert [(row["pubs"], row["parameter_sets"], row["circuits"], row["executions"]) for row in told.jobs] == [
        (1, 3, 3, 300),
        (1, 3, 6, 384),
    ]
    seconds = [2 + 350e-6 * 300, 2 + 350e-6 * 384]
    assert [row["estimated_s"] for row in told.jobs] == pytest.approx(seconds)
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
    assert [job.sets for job in planned] == [row["parameter_sets"] for row in told.jobs]
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
    (job,) = foreseen(words).jobs
    over, told = "is not over: action=run would carry on with it", foreseen(words).notes
    assert told == (
        f"run {run.id} of the same command {over} (0 of 1 job done, 1 submitted)",
        f"left of it: {job['estimated_s']:.3g} s expected, 0 s of them to be submitted",
    )
    assert command("action=cancel", *QUIET).code == 0


def test_results_that_are_there_are_told():
    """Of two points that were run and one that was not: reuse=true leaves the two out, and only then."""
    points = [of_ghz("mode.shots=10"), of_ghz("mode.shots=20")]
    assert all(result.state == "done" for result in outcome_of(*points).results)
    points.append(of_ghz("mode.shots=30"))
    told = foreseen(*points)
    assert told.notes == ("of 2 tasks there are results in earlier runs: reuse=true would take them",)
    assert len(told.jobs) == 3
    told = foreseen(*([*point, "reuse=true"] for point in points))
    assert told.notes == ("2 tasks would take results from earlier runs (reuse=true)",)
    assert [row["shots"] for row in told.jobs] == [30]
    assert [row["tasks"] for row in told.programs] == [1]


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


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["action.dry_run=true"], 2, "job 1 has none, aer is no backend of IBM Quantum"),
        (["action.rate=-1"], 2, "action.rate: given -1"),
        (["circuit=ghz", "circuit.params.num_qubits=9", "backend=fake_manila"], 2, "at most 5 qubits"),
        (["backend=ibm", "backend.name=ibm_fez"], 3, "backend.account: given no account"),
    ],
)
def test_what_is_refused_leaves_nothing_behind(command, words, code, told):
    """No run to be carried on with, no store, no plan."""
    ended = command("action=plan", *words)
    assert (ended.code, ended.out) == (code, "")
    assert told in ended.err
    with Journal(Path("outputs/journal")) as journal:
        assert journal.runs() == []
    assert not Path("mlflow.db").exists()
    assert not [*Path.cwd().rglob("plan.json")]


def test_points_that_fail_alone_are_told(command):
    """The other is planned; the exit code is that of the run."""
    ended = command("-m", "action=plan", "circuit=ghz", "circuit.params.num_qubits=3,1")
    assert ended.code == 1
    assert "fails: point 1: circuit.params: given" in ended.out
    assert "1 task, 1 program, 1 job, 0 groups" in ended.out


def test_it_is_kept_for_programs_that_read_json(served, command):
    """`plan.json` in the output folder holds what Python gives, and a group."""
    words = of_ghz(*watched(served).words, "mode=sampler", "session=batch")
    ended = command("action=plan", "action.rate=2", *words)
    assert ended.code == 0, ended.err
    (file,) = Path.cwd().rglob("plan.json")
    assert ended.out.endswith(f"all of it in {file.relative_to(Path.cwd())}\n")
    kept = json.loads(file.read_text(encoding="utf-8"))
    told = qrt_runner.plan(qrt_runner.compose(words), rate=2)
    again = json.loads(json.dumps(told.to_dict()))
    sizes = [found["jobs"][0].pop("payload_bytes") for found in (kept, again)]
    assert kept == again
    assert sizes[0] == pytest.approx(sizes[1], abs=20)
    assert sizes[0] > 500
    assert kept["groups"] == [{"group": 1, "kind": "batch", "jobs": [1]}]
    assert kept["total"]["price"] == pytest.approx(2 * (2 + 1024 * 350e-6))


def test_a_terminal_is_not_overrun(command, monkeypatch):
    """Of 80 characters: what all jobs have in common is said once, and columns go on below themselves."""
    words = ["-m", "action=plan", "backend=fake_manila", "mode=estimator", "mitigation=none,trex,level_2"]
    monkeypatch.setenv("COLUMNS", "80")
    narrow = command(*words).out.splitlines()
    assert max(len(line) for line in narrow if "plan.json" not in line) <= 80
    assert "all 3 jobs: mode estimator; backend fake_manila; PUBs 1; sets 1; shots 4096" in narrow
    monkeypatch.setenv("COLUMNS", "200")
    wide = command(*words).out.splitlines()
    row = next(line for line in wide if line.startswith("3  "))
    assert " ".join(row.split()) == "3 estimator level_2 point 2 fake_manila 1 1 4096 224 x 128 28,672"


def test_a_narrow_table_goes_on_below_itself():
    """Columns of 5, 10 and 10 characters in 20: nothing is cut off, and each part begins with the first column."""
    row = {"job": "1", "circuits": "1234567890", "executions": "1234567890", "price": ""}
    assert fitted([row], "jobs", 20) == ["job  circuits", "1    1234567890", "job  executions", "1    1234567890"]
    assert fitted([row], "jobs", None) == ["job  circuits    executions", "1    1234567890  1234567890"]


def test_a_budget_that_is_less_is_told(served):
    """Two jobs of 2 s and 350 us each, with less than that to spend."""
    words = [
        *watched(served).words,
        "circuit=bell",
        "mode.shots=1",
        "+mode@tasks.a.mode=raw",
        "+mode@tasks.b.mode=sampler",
    ]
    words += ["tasks.a.mode.shots=1", "tasks.b.mode.shots=1"]
    told = foreseen([*words, "budget.max_quantum_s=3", "budget.max_jobs=1"]).notes
    assert told == (
        "budget.max_quantum_s=3 is less than the formula's 4 s: jobs would be left out",
        "budget.max_jobs=1 is less than 2: jobs would be left out",
    )


def test_simulators_take_no_quantum_time():
    """The seconds of a device are told beside it: 2 s and 1024 executions of 350 us are 2.36 s."""
    told = foreseen(of_ghz("mode=sampler", "mode.shots=1024"))
    assert told.total == Foretold()
    assert "simulated here: no quantum time; a device would take about 2.36 s" in told.lines()
    assert {row["payload_bytes"] for row in told.jobs} == {None}


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


def test_a_job_is_told_from_the_nearest_one():
    """The third has the shots of the first and a seed of its own: of the second both differ."""
    start = "mode.shots=1000"
    *_, told = jobs_of(of_ghz(start), of_ghz("mode.shots=2000", "seed=7"), of_ghz(start, "seed=8"))
    assert told == "job 3: differs from job 1 in seed 8 instead of 42"


def test_reasons_of_many_jobs_are_told_at_once():
    """A thousand jobs, each on a qubit of its own: each is compared with a few, which takes no 12 s as of all pairs."""
    plan = plan_of(of_ghz())
    (job,), (task,) = plan.jobs, plan.tasks
    jobs = [replace(job, index=at, submission=replace(job.submission, qubits=(at,))) for at in range(1000)]
    tasks = [replace(task, places=tuple(replace(place, job=at) for place in task.places)) for at in range(1000)]
    began = process_time()
    told = list(Explaining(replace(plan, jobs=tuple(jobs), tasks=tuple(tasks))).split())
    assert process_time() - began < 5
    assert told[-1] == "job 1000: differs from job 999 in qubits [999] instead of [998]"


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
