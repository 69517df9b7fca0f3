"""What each technique costs, told before it runs: circuits, shots, randomizations, overhead and quantum seconds.

A job takes 2 s and 350 us for each execution.
"""

from __future__ import annotations

import json
from dataclasses import replace
from math import ceil, exp
from typing import TYPE_CHECKING

import pytest
from composing import circuit_file, outcome_of, plan_of, point_of, result_of
from watching import watched

from qrt_runner.execution import Orders
from qrt_runner.noise import Layer, LayerNoise, NoiseModel
from qrt_runner.plan import away, compile_plan, packed, stored_points, unpacked
from qrt_runner.results import JobResult, PubResult, Span
from qrt_runner.runner import Request, run
from qrt_runner.runner.scattering import reference_of, scatter
from qrt_runner.tracking import Records

if TYPE_CHECKING:
    from qrt_runner.plan import Job, Plan
    from qrt_runner.price import Price
    from qrt_runner.results import TaskResult

TURN = ("turn", "circuit = QuantumCircuit(1)\ncircuit.ry(Parameter('theta'), 0)", "'z': 'Z', 'x': 'X'")
LADDER = (
    "ladder",
    "circuit = QuantumCircuit(2)\ncircuit.x([0, 1])\nfor _ in range(20):\n    circuit.cx(0, 1)\n    circuit.barrier()",
    "'zz': 'ZZ'",
)
ON_MANILA = ("circuit=bell", "backend=fake_manila")
PEC = ("backend=fake_manila", "mode=estimator", "mode.shots=4096", "mitigation=pec")
MODEL = NoiseModel(
    backend="fake_manila",
    layers=(LayerNoise(Layer((3, 4), (("cx", (3, 4)),), "pauli"), ("XI", "ZZ"), (0.004, 0.006)),),
)
"""Rates of 0.01 together: gamma is exp(0.02) for each layer, and gamma squared of 20 layers exp(0.8) = 2.2255."""


def turned(values: str, *words: str) -> list[str]:
    """Return the overrides of a qubit turned by some angles, with Z and X, in mode=estimator at 64 shots."""
    theta = f"+circuit.parameter_values.theta={values}"
    return [*circuit_file(*TURN), "mode=estimator", "mode.shots=64", theta, *words]


def price_of(*words: str) -> Price:
    """Return the price of the only task of a plan."""
    (task,) = plan_of(words).tasks
    assert task.price is not None
    return task.price


def numbers_of(price: Price) -> tuple[int, ...]:
    """Return circuits, shots of each, randomizations, noise factors and bases."""
    return (price.circuits, price.shots_per_circuit, price.randomizations, price.noise_factors, price.bases)


def with_given_model() -> Plan:
    """Return the plan of PEC with a model that another run has learned."""
    point = point_of([*circuit_file(*LADDER), *PEC, "mitigation.noise_model=run:old"])
    return compile_plan([point], reference_of, loaded=lambda _: MODEL)


def ran(plan: Plan, quantum_s: float) -> list[TaskResult]:
    """Return what tasks are told where each job took so many quantum seconds and gave no numbers."""
    jobs = []
    for job in plan.jobs:
        spans = tuple(Span(number, 0, len(pub.values)) for number, pub in enumerate(job.asked))
        record = {"id": "1", "session_id": "none", "session_kind": "none"}
        jobs.append(JobResult(job.index, "failed", (), spans, record, 0.0, 0.0, quantum_s, error="cold"))
    return [result for results in scatter(plan, jobs) for result in results]


def told_of(result: TaskResult) -> tuple[dict[str, float], dict[str, object]]:
    """Return the metrics of a task's price, and what `results.json` says of it."""
    record = Records("r1", {}).of(result)
    metrics = {one.key: one.value for one in record.metrics if one.key.startswith("price/")}
    return metrics, json.loads(record.artifacts["results.json"]).get("price")


def announced(job: Job, jobs: int = 1) -> str:
    """Return what is said when a job is next."""
    lines: list[str] = []
    orders = Orders(None, None, lines.append, lines.append, jobs=jobs)  # type: ignore[arg-type] # neither is asked
    orders.start(job)
    return lines[0]


# --- each technique ---


def test_without_mitigation():
    """3 angles in the bases of Z and X: 6 circuits of 64 shots, 2 s + 384 * 350 us = 2.1344 s."""
    price = price_of(*turned("[0.0, 1.0, 2.0]"))
    assert numbers_of(price) == (6, 64, 1, 1, 2)
    assert (price.shots, price.overhead) == (384, 1.0)
    assert price.estimated_s == pytest.approx(2.1344)


@pytest.mark.parametrize("mode", ["raw", "sampler"])
def test_counts(mode):
    """One circuit of 100 shots, whatever is computed from the counts."""
    price = price_of("circuit=bell", f"mode={mode}", "mode.shots=100")
    assert numbers_of(price) == (1, 100, 1, 1, 1)
    assert price.estimated_s == pytest.approx(2.035)


@pytest.mark.parametrize(("shots", "randomizations", "each"), [(1024, 16, 64), (4096, 32, 128)])
def test_twirling(shots, randomizations, each):
    """At most 32 randomizations, of at least 64 shots each; the shots stay as they are."""
    price = price_of(*ON_MANILA, "mode=sampler", f"mode.shots={shots}", "mitigation=twirl")
    assert numbers_of(price) == (randomizations, each, randomizations, 1, 1)
    assert price.shots == shots


def test_both_numbers_of_twirling_given():
    """7 randomizations of 100 shots are 700, however many shots are asked for."""
    twirling = "mitigation.options.twirling"
    given = (f"{twirling}.num_randomizations=7", f"{twirling}.shots_per_randomization=100")
    price = price_of(*ON_MANILA, "mode=sampler", "mode.shots=1024", "mitigation=twirl", *(f"++{one}" for one in given))
    assert numbers_of(price) == (7, 100, 7, 1, 1)


def test_level_2_takes_three_noise_factors():
    """ZZ and XX in 2 bases, 3 noise factors, 32 randomizations of 32768 / 32: 192 circuits of 1024 shots.

    TREX reads 32 more: 2 s + (196608 + 32768) * 350 us = 82.3 s.
    """
    observables = "+circuit.observables={zz: ZZ, xx: XX}"
    price = price_of(*ON_MANILA, observables, "mode=estimator", "mode.shots=32768", "mitigation=level_2")
    assert numbers_of(price) == (192, 1024, 32, 3, 2)
    assert price.shots == 196_608
    assert price.calibration_shots == 32_768
    assert price.estimated_s == pytest.approx(82.2816)


def test_pec_with_a_known_model():
    """4096 shots are 64 randomizations of 64; 2.2255 times as many are 143. 2 s + 143 * 64 * 350 us = 5.2032 s."""
    plan = with_given_model()
    price = plan.tasks[0].price
    assert numbers_of(price) == (143, 64, 64, 1, 1)
    assert price.overhead == pytest.approx(exp(0.8))
    assert price.estimated_s == pytest.approx(5.2032)
    assert (price.learning_shots, price.learning_s) == (0, 0.0)
    assert (
        announced(plan.jobs[0])
        == "job 1 of 1: estimator on fake_manila: 143 circuits, 9,152 shots (1 program of 2 qubits, 1 PUB)"
    )


def test_pec_before_its_noise_is_learned():
    """The overhead is not known; what learns is named beside.

    One layer at 2 depths: (9 * 2 + 1) * 4 = 76 circuits of 128 shots, 9728 shots, 2 s + 9728 * 350 us = 5.4048 s.
    """
    learning = ("num_randomizations=4", "shots_per_randomization=128", "layer_pair_depths=[0,8]")
    words = [*circuit_file(*LADDER), *PEC, "mitigation.noise_model=learn"]
    plan = plan_of([*words, *(f"mitigation.learning.{one}" for one in learning)])
    price = plan.tasks[0].price
    assert numbers_of(price) == (64, 64, 64, 1, 1)
    assert price.overhead is None
    assert price.learning_shots == 9728
    assert price.learning_s == pytest.approx(5.4048)
    runs = "76 circuits, 9,728 shots (1 program of 2 qubits, 1 PUB)"
    assert announced(plan.jobs[0], 2) == f"job 1 of 2: learner on fake_manila: {runs}"


def test_m3_is_calibrated_beside():
    """100 shots, and as many of each of 4 strings: 2 s + 500 * 350 us."""
    price = price_of(*ON_MANILA, "mode=raw", "mode.shots=100", "mitigation=m3")
    assert numbers_of(price) == (1, 100, 1, 1, 1)
    assert price.calibration_shots == 400
    assert price.estimated_s == pytest.approx(2.175)


# --- tasks and jobs ---


def test_tasks_of_a_job_share_its_seconds():
    """1 and 3 angles in one job, of 8 circuits and 512 shots: 2.1792 s, of which 1/4 and 3/4."""
    plan = plan_of(turned("0.5"), turned("[0.0, 1.0, 2.0]"))
    assert [job.executions for job in plan.jobs] == [512]
    assert [task.price.estimated_s for task in plan.tasks] == pytest.approx([0.5448, 1.6344])


def test_each_job_of_a_task_takes_its_own_2_seconds():
    """3 angles in 2 jobs are 4 s + 384 * 350 us."""
    price = price_of(*turned("[0.0, 1.0, 2.0]", "backend.limits.parameter_sets=2"))
    assert price.circuits == 6
    assert price.estimated_s == pytest.approx(4.1344)


def test_what_is_said_before_a_job_on_a_service():
    """ZZ and XX in 2 bases, 3 noise factors, 32 randomizations of 512, and 32 of TREX; the seconds where they cost."""
    (job,) = plan_of([*ON_MANILA, "mode=estimator", "mode.shots=16384", "mitigation=level_2"]).jobs
    told = "224 circuits, 114,688 shots (1 program of 2 qubits, 1 PUB)"
    assert announced(job, 3) == f"job 1 of 3: estimator on fake_manila: {told}"
    charged = replace(job, expected_s=36.4)
    told = "224 circuits, 114,688 shots, about 36 s (1 program of 2 qubits, 1 PUB)"
    assert announced(charged, 3) == f"job 1 of 3: estimator on fake_manila: {told}"


def test_a_single_shot_is_no_plural():
    """1 circuit, 1 shot."""
    (job,) = plan_of(["circuit=bell", "mode=raw", "mode.shots=1"]).jobs
    assert announced(job) == "job 1 of 1: raw on aer: 1 circuit, 1 shot (1 program of 2 qubits, 1 PUB)"


# --- what is kept ---


def test_a_stored_plan_has_its_prices():
    """With the overhead that was known, and what the jobs run."""
    plan = with_given_model()
    files = packed(plan)
    again = unpacked(files, stored_points(files), away)
    assert [task.price for task in again.tasks] == [task.price for task in plan.tasks]
    assert [job.loads for job in again.jobs] == [job.loads for job in plan.jobs]


def test_a_plan_of_an_earlier_version_has_none():
    """Nothing is told of prices then, before and after."""
    plan = plan_of(["circuit=bell", "mode=raw"])
    files = packed(plan)
    content = json.loads(files["plan.json"])
    del content["prices"], content["tasks"][0]["price"], content["jobs"][0]["loads"]
    files["plan.json"] = json.dumps(content).encode()
    again = unpacked(files, stored_points(files), away)
    assert announced(again.jobs[0]) == "job 1 of 1: raw on aer"
    assert told_of(ran(again, 0.0)[0]) == ({}, None)


def test_the_price_is_recorded():
    """As metrics, and in `results.json` with what serves several tasks beside; on a simulator nothing is spent."""
    result = result_of(*ON_MANILA, "mode=raw", "mode.shots=100", "mitigation=m3")
    metrics, told = told_of(result)
    assert metrics == pytest.approx(
        {"price/circuits": 1, "price/shots": 100, "price/randomizations": 1, "price/estimated_s": 2.175}
    )
    assert told == {
        "circuits": 1,
        "shots_per_circuit": 100,
        "shots": 100,
        "randomizations": 1,
        "noise_factors": 1,
        "bases": 1,
        "sampling_overhead": 1.0,
        "estimated_s": pytest.approx(2.175),
        "spent_s": None,
        "readout_calibration": {"shots": 400},
    }


def test_what_was_spent_is_told_beside_the_estimate():
    """Of 4 s that a job took, the task with 1 of 4 angles has spent 1 s, the other 3 s."""
    plan = plan_of(turned("0.5"), turned("[0.0, 1.0, 2.0]"))
    spans = (Span(0, 0, 4),)
    record = {"id": "1", "session_id": "none", "session_kind": "none"}
    job = JobResult(0, "done", (PubResult(),), spans, record, 0.0, 0.0, 4.0)
    results = [result for results in scatter(plan, [job]) for result in results]
    assert [result.price.spent_s for result in results] == pytest.approx([1.0, 3.0])


def test_what_failed_tells_its_estimate_only():
    """What a failed job cost is in `usage/quantum_s`; it bought nothing that could be shared."""
    (result,) = ran(plan_of(turned("0.5")), 4.0)
    assert (result.price.circuits, result.price.spent_s) == (2, None)


def test_what_a_learner_has_spent_stands_by_itself():
    """The model is learned in this run, simulated and so for nothing; it is named with its estimate."""
    words = ["mitigation.learning.num_randomizations=4", "mitigation.learning.layer_pair_depths=[0,8]"]
    result = result_of(*circuit_file(*LADDER), *PEC, "mitigation.noise_model=learn", *words)
    metrics, told = told_of(result)
    assert metrics["price/learning_s"] == told["noise_learning"]["estimated_s"] > 2.0
    assert told["noise_learning"]["spent_s"] is None
    assert told["sampling_overhead"] is None


def test_what_is_taken_from_another_run_has_cost_nothing():
    """Its estimate stays: so much was saved."""
    words = ["circuit=bell", "mode=raw", "mode.shots=100", "reuse=true"]
    outcome_of(words)
    (result,) = outcome_of(words).results
    assert result.reused_from
    assert (result.price.spent_s, result.price.estimated_s) == (0.0, pytest.approx(2.035))


# --- on a service ---


def test_the_spent_stand_beside_the_estimated(served, tmp_path):
    """What learns goes first; what PEC's job costs by then is said before it goes, and what both spent afterwards."""
    lines: list[str] = []
    words = ["mitigation.learning.num_randomizations=4", "mitigation.learning.layer_pair_depths=[0,8]"]
    words += [*watched(served).words, *circuit_file(*LADDER), *PEC[1:], "mitigation.noise_model=learn", "session=none"]
    points = (point_of(words),)
    request = Request(points, tmp_path / "results", points[0].experiment.document.tracking, grouped=False)
    (result,) = run(request, announce=lines.append, show=lambda *_: None).results
    first, second = [line for line in lines if line.startswith("job ")]
    assert first == "job 1 of 2: learner on fake_manila: 76 circuits, 9,728 shots, about 5 s (1 program, 1 PUB)"
    assert result.noise is not None
    circuits = ceil(64 * exp(4 * 20 * sum(result.noise.layers[0].rates)))
    seconds = 2 + circuits * 64 * 350e-6
    assert second.endswith(f"{circuits} circuits, {circuits * 64:,} shots, about {seconds:.0f} s (1 program, 1 PUB)")
    task, learner = result.jobs
    assert (result.price.spent_s, result.price.learning_spent_s) == (task.quantum_s, learner.quantum_s)
    assert min(task.quantum_s, learner.quantum_s) > 0
