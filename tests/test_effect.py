"""How far off results are, and at which price: error, mean squared error times cost, known values as the reference."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from composing import circuit_file, outcome_of, plan_of, point_of, result_of

from qrt_runner.analysis import Costs, Pricing, compared
from qrt_runner.analysis.differences import total_variation
from qrt_runner.analysis.effect import effect_of
from qrt_runner.circuits import load
from qrt_runner.config import Replay
from qrt_runner.errors import ConfigError
from qrt_runner.modes import mode_named
from qrt_runner.plan import packed, stored_points, unpacked
from qrt_runner.plan.restoring import away
from qrt_runner.results import Comparison, Counts, Expectations, JobResult, PubResult, Span
from qrt_runner.runner.revising import revised
from qrt_runner.runner.scattering import scatter
from qrt_runner.tracking import Records, tidy_rows

if TYPE_CHECKING:
    from qrt_runner.plan import Plan
    from qrt_runner.results import TaskResult
    from qrt_runner.tracking import Record

TURN = "circuit = QuantumCircuit(1)\ncircuit.ry(Parameter('theta'), 0)"
SHOTS = "mode.shots=64"


def turned(values: str = "[0.0, 1.0, 2.0]", *words: str) -> list[str]:
    """Return the overrides of a qubit turned by some angles, in mode=estimator."""
    theta = f"+circuit.parameter_values.theta={values}"
    return [*circuit_file("turn", TURN, "'z': 'Z', 'x': 'X'"), "mode=estimator", SHOTS, theta, *words]


def expectations(values: list[list[float]], errors: list[list[float]]) -> Expectations:
    """Return expectation values of observables a, b and so on."""
    return Expectations(tuple("abc"[: len(values[0])]), np.array(values), np.array(errors))


def price(*cost_s: float) -> Costs:
    """Return what parameter sets are said to have cost."""
    return Costs(np.array(cost_s), "spent")


def job_result(index: int, spans: list[tuple[int, int, int]], quantum_s: float) -> JobResult:
    """Return a job that took so many quantum seconds, without its numbers."""
    spent = tuple(Span(*span) for span in spans)
    return JobResult(index, "done", (PubResult(),) * len(spans), spent, {"id": "1"}, 0.0, 0.0, quantum_s)


def metrics_of(record: Record, key: str) -> dict[int, float]:
    """Return a metric's values by step."""
    return {metric.step: metric.value for metric in record.metrics if metric.key == key}


def refusal(*words: str) -> str:
    """Return what a config or its plan is refused with."""
    try:
        (refused,) = plan_of(words).refusals
    except ConfigError as error:
        return "\n".join(map(str, error.mistakes))
    return "\n".join(map(str, refused.error.mistakes))


# --- mean squared error times cost ---


def test_mean_squared_error_times_cost():
    """Off by -0.1 and -0.2 with errors of 0.1 and 0.05 at 2 s: (0.01 + 0.01) 2 and (0.04 + 0.0025) 2, mean 0.0625."""
    found = effect_of(expectations([[0.9, -0.2]], [[0.1, 0.05]]), np.array([[1.0, 0.0]]), price(2.0))
    assert found.bias[0] == pytest.approx([-0.1, -0.2])
    assert found.mse_cost[0] == pytest.approx([0.04, 0.085])
    assert found.mean_mse_cost == pytest.approx([0.0625])


def test_each_parameter_set_has_its_own_cost():
    """The same error of 0.5 without a standard error, at 1 s and at 3 s: 0.25 and 0.75."""
    found = effect_of(expectations([[0.5], [0.5]], [[0.0], [0.0]]), np.zeros((2, 1)), price(1.0, 3.0))
    assert found.mean_mse_cost == pytest.approx([0.25, 0.75])


def test_twice_the_shots_are_worth_as_much():
    """Without bias the squared error halves as the cost doubles."""
    once, twice = (
        effect_of(expectations([[1.0]], [[0.2 / math.sqrt(times)]]), np.array([[1.0]]), price(4.0 * times))
        for times in (1, 2)
    )
    assert once.mean_mse_cost == pytest.approx(twice.mean_mse_cost)


def test_what_has_no_reference_is_not_averaged_over():
    """Of a, 0.1 off with an error of 0.1 at 1 s, the value is known and of b not: the mean is that of a, 0.02."""
    found = effect_of(expectations([[1.1, 7.0]], [[0.1, 0.1]]), np.array([[1.0, np.nan]]), price(1.0))
    assert found.mean_mse_cost == pytest.approx([0.02])
    assert np.isnan([found.bias[0, 1], found.mse_cost[0, 1]]).all()


def test_without_any_reference_there_is_no_effect():
    """Nothing is known of the only observable."""
    assert effect_of(expectations([[1.1]], [[0.1]]), np.array([[np.nan]]), price(1.0)) is None


def test_an_infinite_error_is_not_averaged_away():
    """What is finite of the observables stays, their mean does not; the other parameter set has both."""
    found = effect_of(
        expectations([[1.0, 1.0], [1.0, 1.0]], [[0.1, math.inf], [0.1, 0.3]]), np.ones((2, 2)), price(1, 1)
    )
    assert found.mse_cost.tolist() == [pytest.approx([0.01, math.inf]), pytest.approx([0.01, 0.09])]
    assert found.mean_mse_cost == pytest.approx([math.inf, 0.05])


def test_total_variation():
    """Shares 0.7, 0.2, 0.1 of 00, 11, 01 against 0.5, 0.5, 0: (0.2 + 0.3 + 0.1) / 2."""
    assert total_variation({"00": 7, "11": 2, "01": 1}, {"00": 0.5, "11": 0.5}) == pytest.approx(0.3)


def test_total_variation_at_its_ends():
    """Equal distributions are 0 apart, disjoint ones 1."""
    assert total_variation({"0": 5, "1": 5}, {"0": 0.5, "1": 0.5}) == pytest.approx(0.0)
    assert total_variation({"0": 5}, {"1": 1.0}) == pytest.approx(1.0)


def test_counts_without_observables_cost_nothing_to_compare():
    """Nobody asks for the price where there is no expectation value to weigh."""

    def unasked() -> Costs:
        raise AssertionError

    found = compared(Comparison(probabilities=({"0": 1.0},)), PubResult(Counts((("c", 1),), ({"0": 3},))), unasked)
    assert (found.total_variation, found.effect) == ((0.0,), None)


# --- what parameter sets cost ---


def test_the_estimate_stands_in_where_nothing_was_spent():
    """Three sets of two bases of 64 shots: 2 s and 384 executions of 350 us, a third of it for each."""
    plan = plan_of(turned())
    found = Pricing(plan).of(plan.tasks[0], [job_result(0, [(0, 0, 3)], 0.0)])
    assert found.source == "estimated"
    assert found.cost_s == pytest.approx([(2 + 384 * 350e-6) / 3] * 3)


def test_what_was_spent_is_shared_by_executions():
    """A job of 6 s with a task of one basis and a task of two: 2 s and 4 s."""
    plan = plan_of(*(["mode=estimator", SHOTS, f"+circuit.observables={{{o}}}"] for o in ("zz: ZZ", "zz: ZZ, xx: XX")))
    assert len(plan.jobs) == 1
    pubs = [place.pub for task in plan.tasks for place in task.places]
    job = job_result(0, [(0, 0, 1), (1, 0, 1)], 6.0)
    found = [Pricing(plan).of(task, [job]) for task in plan.tasks]
    assert sorted(pubs) == [0, 1]
    assert [one.cost_s.tolist() for one in found] == [pytest.approx([2.0]), pytest.approx([4.0])]
    assert {one.source for one in found} == {"spent"}


def test_parts_of_a_job_have_their_own_seconds():
    """Two sets of which the first try gave 3 s, and one of the second try with 5 s."""
    plan = plan_of(turned())
    parts = [job_result(0, [(0, 0, 2)], 3.0), job_result(0, [(0, 2, 3)], 5.0)]
    assert Pricing(plan).of(plan.tasks[0], parts).cost_s == pytest.approx([1.5, 1.5, 5.0])


def test_a_set_without_result_has_no_cost():
    """Its job failed; what the other one spent is told."""
    plan = plan_of(turned("[0.0, 1.0, 2.0]", "backend.limits.parameter_sets=2"))
    failed = replace(job_result(1, [(0, 0, 1)], 0.0), state="failed")
    found = Pricing(plan).of(plan.tasks[0], [job_result(0, [(0, 0, 2)], 3.0), failed])
    assert found.source == "spent"
    assert found.cost_s == pytest.approx([1.5, 1.5, math.nan], nan_ok=True)


def test_jobs_of_which_one_tells_nothing_are_estimated():
    """Spent and estimated seconds are never added up."""
    plan = plan_of(turned("[0.0, 1.0, 2.0]", "backend.limits.parameter_sets=2"))
    jobs = [job_result(0, [(0, 0, 2)], 3.0), job_result(1, [(0, 0, 1)], 0.0)]
    found = Pricing(plan).of(plan.tasks[0], jobs)
    assert found.source == "estimated"
    assert found.cost_s == pytest.approx([(2 + 256 * 350e-6) / 2] * 2 + [2 + 128 * 350e-6])


# --- what is recorded ---


@pytest.fixture(scope="module")
def ghz(tmp_path_factory: pytest.TempPathFactory) -> TaskResult:
    """Return a noisy GHZ state's result compared with exact values."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("ghz"))
        return result_of("circuit=ghz", "backend=fake_manila", "mode=estimator", SHOTS, "reference=ideal")


def test_metrics_tell_the_effect(ghz):
    """Error, mean squared error times cost of each observable, and their mean, worked out of `ev` and `std`."""
    record, bases = Records("any", {}).of(ghz), 2
    cost_s = 2 + 64 * bases * 350e-6
    assert metrics_of(record, "effect/cost_s") == {0: pytest.approx(cost_s)}
    weighed = []
    for name in ("zz_ends", "parity_x"):
        error = metrics_of(record, f"ev/{name}")[0] - 1.0
        weighed.append((error**2 + metrics_of(record, f"std/{name}")[0] ** 2) * cost_s)
        assert metrics_of(record, f"error/{name}") == {0: pytest.approx(error)}
        assert metrics_of(record, f"effect/mse_cost/{name}") == {0: pytest.approx(weighed[-1])}
    assert metrics_of(record, "effect/mse_cost") == {0: pytest.approx(sum(weighed) / 2)}


def test_the_table_tells_the_effect(ghz):
    """One row for each observable."""
    record = Records("any", {}).of(ghz)
    rows = json.loads(record.artifacts["results.json"])["rows"]
    assert [row["observable"] for row in rows] == ["zz_ends", "parity_x"]
    for row in rows:
        assert row["error"] == metrics_of(record, f"error/{row['observable']}")[0]
        assert row["mse_cost"] == metrics_of(record, f"effect/mse_cost/{row['observable']}")[0]
        assert row["cost_s"] == metrics_of(record, "effect/cost_s")[0]


def test_it_is_told_whether_the_cost_was_spent(ghz):
    """A simulator spends nothing, so it is the estimate."""
    record = Records("any", {}).of(ghz)
    assert record.tags["qrt.cost_source"] == "estimated"
    assert json.loads(record.artifacts["results.json"])["effect"] == {"cost_source": "estimated"}


def test_without_a_reference_nothing_of_it_is_told():
    """Neither a tag, nor a metric, nor a column."""
    record = Records("any", {}).of(result_of("mode=estimator", SHOTS))
    assert "qrt.cost_source" not in record.tags
    assert not [metric.key for metric in record.metrics if metric.key.startswith(("effect", "error", "distance"))]
    assert not {"error", "cost_s", "mse_cost"} & json.loads(record.artifacts["results.json"])["rows"][0].keys()


def test_what_is_not_finite_is_in_the_table_and_in_no_metric(ghz):
    """With a standard error that could not be told, of one of two observables."""
    found = replace(ghz.expectations, errors=np.array([[math.inf, 0.1]]))
    effect = effect_of(found, ghz.comparison.ideal, price(2.0))
    result = replace(ghz, expectations=found, comparison=replace(ghz.comparison, effect=effect))
    record = Records("any", {}).of(result)
    assert [row["mse_cost"] for row in tidy_rows(result)] == [math.inf, pytest.approx(effect.mse_cost[0, 1])]
    assert metrics_of(record, "effect/mse_cost/zz_ends") == metrics_of(record, "effect/mse_cost") == {}
    assert list(metrics_of(record, "effect/mse_cost/parity_x")) == [0]
    assert list(metrics_of(record, "error/zz_ends")) == [0]


def test_an_infinite_error_is_noted():
    """The job's numbers with one standard error made infinite."""
    plan = plan_of(["circuit=ghz", "mode=estimator", SHOTS, "reference=ideal"])
    found = Expectations(("zz_ends", "parity_x"), np.array([[1.0, 1.0]]), np.array([[math.inf, 0.1]]))
    job = replace(job_result(0, [(0, 0, 1)], 1.0), pubs=(PubResult(expectations=found),))
    ((result,),) = scatter(plan, [job])
    assert result.notes == (
        "no finite standard error for zz_ends: the extrapolation could not tell one",
        "effect/mse_cost left out where a standard error is not finite, and the average with it",
    )


def test_a_projected_circuit_is_told_by_its_record():
    """By a parameter and by the title, as nobody shall take its numbers for those of the circuit itself."""
    record = Records("any", {}).of(result_of("circuit=tfim", "circuit.clifford=true", "mode=estimator", SHOTS))
    assert record.params["circuit.clifford"] == "True"
    assert record.title.startswith("tfim clifford estimator aer")


# --- known values ---


def test_known_values_are_the_reference():
    """A number is for all parameter sets, a list has one for each; cos(theta) and sin(theta) are measured."""
    result = result_of(*turned("[0.0, 1.0]", "reference=value", "+reference.values={z: 0.5, x: [0.25, -1]}"))
    assert result.comparison.ideal.tolist() == [[0.5, 0.25], [0.5, -1.0]]
    found, cost_s = result.expectations, 2 + 2 * 64 * 2 * 350e-6
    mse = (found.values - result.comparison.ideal) ** 2 + found.errors**2
    assert result.comparison.effect.mse_cost == pytest.approx(mse * cost_s / 2)
    assert result.comparison.probabilities is None


def test_an_observable_without_a_known_value_has_no_reference():
    """It is measured, has no error, and a note says so."""
    result = result_of("mode=estimator", SHOTS, "reference=value", "+reference.values={zz: 1}")
    record = Records("any", {}).of(result)
    assert result.notes == ("no reference for xx: reference.values has no value",)
    assert metrics_of(record, "ideal/zz") == {0: 1.0}
    assert not any(metrics_of(record, f"{kind}/xx") for kind in ("ideal", "error", "effect/mse_cost"))
    assert ["error" in row for row in tidy_rows(result)] == [True, False]


def test_counts_have_known_values_too():
    """Of the diagonal ones; what counts cannot tell may have a value, which then belongs to nothing here."""
    result = result_of("mode=sampler", "reference=value", "+reference.values={zz: 1, xx: 1}")
    assert result.comparison.ideal.tolist() == [[1.0]]
    assert "fidelity/hellinger" not in {metric.key for metric in Records("any", {}).of(result).metrics if metric.value}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            [],
            (
                "reference.values: given {}; allowed: at least one observable by name, with a number, or a list of one "
                "number for each parameter set; remedy: '+reference.values={zz: 1.0}', or reference=none"
            ),
        ),
        (
            ["+reference.values={zz: .nan}"],
            (
                "reference.values.zz: given '.nan'; allowed: a number, or a list of one number for each parameter set; "
                "remedy: reference.values.zz=1.0"
            ),
        ),
        (
            ["+reference.values={zz: [1, high]}"],
            (
                "reference.values.zz.1: given 'high'; allowed: a number, or a list of one number for each parameter "
                "set; remedy: reference.values.zz.1=1.0"
            ),
        ),
        (
            ["+reference.values={zz: []}"],
            (
                "reference.values.zz: given []; allowed: a number, or a list of one number for each parameter set; "
                "remedy: reference.values.zz=1.0"
            ),
        ),
        (
            ["+reference.values={zz1: 1}", "+circuit.observables={zz: ZZ, xx: XX}"],
            (
                "reference.values.zz1: given a value of no observable; allowed: zz, xx; remedy: did you mean "
                "reference.values.zz?"
            ),
        ),
        (
            ["+reference.values={zz: 1, energy: 1}"],
            (
                "reference.values.energy: given a value of no observable; allowed: zz, xx; remedy: leave "
                "reference.values.energy out"
            ),
        ),
        (
            ["+reference.values={zz: [1, 1, 1]}"],
            (
                "reference.values.zz: given 3 values for 1 parameter set; allowed: one for each, or a number for all "
                "of them; remedy: reference.values.zz=1.0"
            ),
        ),
    ],
    ids=["none", "nan", "text", "empty", "config's own names", "circuit file's names", "length"],
)
def test_known_values_that_do_not_fit_are_refused(words, told):
    """Word by word, before anything is submitted."""
    assert refusal("mode=estimator", "reference=value", *words) == told


def test_names_that_the_config_itself_tells_are_judged_with_it():
    """Before any circuit is opened."""
    with pytest.raises(ConfigError, match=r"reference\.values\.zx: given a value of no observable"):
        point_of(["reference=value", "+reference.values={zx: 1}", "+circuit.observables={zz: ZZ}"])


def test_a_name_may_belong_to_another_task():
    """Where tasks have circuits of their own, each takes the values that are of its observables."""
    tasks = ["+circuit@tasks.one.circuit=bell", "+circuit@tasks.two.circuit=ghz"]
    words = ["mode=estimator", SHOTS, "reference=value", "+reference.values={zz: 1, zz_ends: 0.5}", *tasks]
    one, two = plan_of(words).tasks
    assert one.reference.ideal.tolist() == [[1.0, pytest.approx(math.nan, nan_ok=True)]]
    assert two.reference.ideal.tolist() == [[0.5, pytest.approx(math.nan, nan_ok=True)]]


def test_names_of_all_tasks_are_judged_together_with_the_config():
    """A name that no task's observables have is refused, one that some task has is not."""
    tasks = ["+circuit@tasks.one.circuit=bell", "+circuit@tasks.two.circuit=ghz"]
    asked = ["+tasks.one.circuit.observables={zz: ZZ}", "+tasks.two.circuit.observables={zzz: ZZZ}"]
    words = ["mode=estimator", "reference=value", *tasks, *asked]
    assert point_of([*words, "+reference.values={zz: 1, zzz: 0}"])
    assert refusal(*words, "+reference.values={energy: 1}") == (
        "reference.values.energy: given a value of no observable; allowed: zz, zzz; remedy: leave "
        "reference.values.energy out"
    )


# --- circuits without exact values ---


def test_a_circuit_without_exact_values_may_run_without_a_reference():
    """Asked for by `reference.on_unknown=skip`, and told by a note."""
    words = ["circuit=tfim", "mode=estimator", SHOTS, "reference=ideal", "reference.max_qubits=3"]
    result = result_of(*words, "reference.on_unknown=skip")
    assert (result.comparison.ideal, result.comparison.effect) == (None, None)
    assert result.notes == ("no reference: exact values of this circuit cannot be computed",)


def test_a_circuit_beside_its_projection():
    """Only the second of them has exact values: one sweep runs both."""
    words = ["circuit=tfim", "mode=estimator", SHOTS, "reference=ideal", "reference.max_qubits=3"]
    words += ["reference.on_unknown=skip"]
    outcome = outcome_of([*words, "circuit.clifford=false"], [*words, "circuit.clifford=true"])
    assert {result.point.index: result.comparison.effect is not None for result in outcome.results} == {
        0: False,
        1: True,
    }


def test_too_many_outcomes_leave_expectation_values():
    """17 even coins have 2^17 outcomes, which are not listed, and Z = 0 each."""
    coins = circuit_file("coins", "circuit = QuantumCircuit(21)\ncircuit.h(range(17))", "'z': 'I' * 20 + 'Z'")
    result = result_of(*coins, SHOTS, "reference=ideal", "reference.on_unknown=skip", "backend.method=stabilizer")
    assert result.comparison.ideal == pytest.approx(np.array([[0.0]]))
    assert result.comparison.probabilities is None
    assert result.notes == ("no fidelity: exact probabilities of the outcomes cannot be listed",)


# --- stored plans and replays ---


def restored(plan: Plan) -> Plan:
    """Return a plan made of nothing but what it was packed into."""
    files = packed(plan)
    return unpacked(files, stored_points(files), away)


def ran(plan: Plan, quantum_s: float) -> list[JobResult]:
    """Return what each job gives, as if it had taken so many quantum seconds."""
    results = []
    for job in plan.jobs:
        mode, sent = mode_named(job.mode), job.submission
        pubs = tuple(mode.read(sent, mode.fetch(sent, mode.submit(sent))))
        spans = [(number, 0, len(pub.values)) for number, pub in enumerate(sent.pubs)]
        results.append(replace(job_result(job.index, spans, quantum_s), pubs=pubs))
    return results


@pytest.mark.parametrize(
    "words",
    [
        ("reference=value", "+reference.values={z: [1.0, 0.5, -0.5]}"),
        ("reference=ideal", "circuit.clifford=true"),
    ],
    ids=["known values", "projected"],
)
@pytest.mark.parametrize("quantum_s", [0.0, 3.0], ids=["estimated", "spent"])
def test_a_stored_plan_gives_the_same_effect(words, quantum_s):
    """References, also those that are not known, and what comes of them survive the journal bit for bit."""
    plan = plan_of(turned("[0.0, 1.0, 2.0]", *words))
    jobs, again = ran(plan, quantum_s), restored(plan)
    np.testing.assert_array_equal(plan.tasks[0].reference.ideal, again.tasks[0].reference.ideal)
    ((first,), (second,)) = next(iter(scatter(plan, jobs))), next(iter(scatter(again, jobs)))
    assert first.comparison.effect.cost_source == ("spent" if quantum_s else "estimated")
    for name in ("bias", "mse_cost", "mean_mse_cost", "cost_s"):
        np.testing.assert_array_equal(*(getattr(one.comparison.effect, name) for one in (first, second)))
    assert (first.parameters, first.notes) == (second.parameters, second.notes)


def test_a_replay_with_other_observables_keeps_the_values_of_the_same_ones():
    """Of three observables asked for one is as before, one is new, and one has the name of another one before."""
    plan = plan_of(turned("[0.0]", "reference=value", "+reference.values={z: 1.0, x: 0.0}"))
    observables = {"x": {"Z": 0.5}, "y": {"Z": 2.0}, "z": {"Z": 1.0}}
    asked = Replay.model_validate({"kind": "replay", "observables": observables, "readout": "as_measured"})
    (task,) = revised(restored(plan), asked).plan.tasks
    assert task.reference.ideal.tolist() == [[pytest.approx(math.nan, nan_ok=True)] * 2 + [1.0]]


def test_left_out_observables_are_known_by_name():
    """X on both qubits cannot be told from counts; its name still is that of an observable."""
    assert load(point_of(["mode=raw"]).experiment.tasks["main"].circuit, "raw").left_out == ("xx",)


def test_it_lands_in_mlflow(command, store):
    """Metrics, one step for each parameter set, and the tag, under their own names."""
    words = [*turned("[0.0, 1.0]"), "reference=ideal", "name=effect", "backend=fake_manila"]
    assert command(*words).code == 0
    (run,) = store.search_runs([store.get_experiment_by_name("effect").experiment_id])
    assert run.data.tags["qrt.cost_source"] == "estimated"
    for key in ("error/z", "effect/mse_cost/x", "effect/mse_cost", "effect/cost_s"):
        assert [metric.step for metric in store.get_metric_history(run.info.run_id, key)] == [0, 1]
    assert Path("mlflow.db").exists()
