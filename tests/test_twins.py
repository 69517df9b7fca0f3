"""A result beside that of a noisy simulator of its backend: how far apart, and how far chance would put them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from composing import circuit_file, outcome_of, plan_of, point_of, result_of

from qrt_runner.analysis.twins import in_errors, with_twin_distances
from qrt_runner.errors import ConfigError
from qrt_runner.plan import packed, stored_points, unpacked
from qrt_runner.plan.restoring import away
from qrt_runner.results import Comparison, Counts, Expectations, PubResult, Twin
from qrt_runner.runner.twinning import with_twins
from qrt_runner.tracking import Records, tidy_rows

if TYPE_CHECKING:
    from qrt_runner.tracking import Record

NOISY = ["backend=fake_manila", "reference=twin"]
TURN = "circuit = QuantumCircuit(2)\ncircuit.ry(Parameter('theta'), 0)\ncircuit.cx(0, 1)"


def turned(values: str, *words: str) -> list[str]:
    """Return the overrides of a pair of qubits turned by some angles."""
    circuit = circuit_file("turn", TURN, "'zi': 'ZI', 'xx': 'XX'")
    return [*circuit, *NOISY, f"+circuit.parameter_values.theta={values}", *words]


def refusal(*words: str) -> str:
    """Return the only mistake that an experiment is refused with."""
    with pytest.raises(ConfigError) as caught:
        outcome_of(words)
    (mistake,) = caught.value.mistakes
    return str(mistake)


def metrics_of(record: Record) -> dict[str, float]:
    """Return the metrics of the first parameter set."""
    return {metric.key: metric.value for metric in record.metrics if metric.step == 0}


def values_of(value: float, error: float) -> Expectations:
    """Return one expectation value of one parameter set."""
    return Expectations(("z",), np.array([[value]]), np.array([[error]]))


# Distances


def test_differences_are_told_in_standard_errors():
    """0.9(3) beside the twin's 0.8(4): 0.1 / 0.05 = 2; beside the exact 1: -0.1 / 0.03 = -3.33."""
    twin = Twin(expectations=values_of(0.8, 0.04))
    given = Comparison(ideal=np.array([[1.0]]), twin=twin)
    found = with_twin_distances(given, PubResult(expectations=values_of(0.9, 0.03))).twin
    assert found.sigmas[0, 0] == pytest.approx(2.0)
    assert found.ideal_sigmas[0, 0] == pytest.approx(-10 / 3)


@pytest.mark.parametrize(
    ("difference", "error", "told"), [(0.0, 0.0, 0.0), (0.1, 0.0, math.nan), (0.1, math.inf, math.nan), (-0.3, 0.1, -3)]
)
def test_what_has_no_finite_error_is_not_told(difference, error, told):
    """Equal values without errors are no errors apart; a difference without a finite error is unknown."""
    assert in_errors(np.array([difference]), np.array([error]))[0] == pytest.approx(told, nan_ok=True)


def test_distances_of_counts():
    """Shares 3/4 and 1/4 beside 1/2 and 1/2: total variation 1/4, Hellinger sqrt(1 - (sqrt(3) + 1) / sqrt(8))."""
    registers = (("c", 1),)
    twin = Twin(counts=Counts(registers, ({"0": 500, "1": 500},)))
    given = Comparison(hellinger=(0.64,), twin=twin)
    told = with_twin_distances(given, PubResult(Counts(registers, ({"0": 750, "1": 250},)))).twin.distances
    assert told["twin/total_variation"] == (pytest.approx(0.25),)
    assert told["twin/hellinger"] == (pytest.approx(math.sqrt(1 - (math.sqrt(3) + 1) / math.sqrt(8))),)
    assert told["distance/hellinger"] == (pytest.approx(math.sqrt(1 - 0.8)),)
    # |p - q| of two shares of 1000 shots each has the mean sqrt(2 / pi) sqrt(2 * 0.625 * 0.375 / 1000) = 0.01727.
    assert told["twin/total_variation_expected"][0] == pytest.approx(0.01727, rel=0.1)


# What twins give


def test_a_simulated_device_is_its_own_twin():
    """80 differences in standard errors have the mean 0 within 4 / sqrt(80), and the square 1 within 3 sqrt(2 / 80)."""
    result = result_of(*turned("{linspace: [0, 3.1, 40]}", "mode=estimator", "mode.shots=512"))
    sigmas = result.comparison.twin.sigmas.ravel()
    assert len(sigmas) == 80
    assert abs(sigmas.mean()) < 4 / math.sqrt(80)
    assert (sigmas**2).mean() == pytest.approx(1.0, abs=3 * math.sqrt(2 / 80))


def test_counts_of_a_device_and_of_its_twin_are_as_far_apart_as_chance_makes_them():
    """Over 20 angles the total variation is on average what sampling makes of equal distributions, within a third."""
    told = result_of(*turned("{linspace: [0, 3.1, 20]}", "mode=sampler")).comparison.twin.distances
    ratio = np.mean(told["twin/total_variation"]) / np.mean(told["twin/total_variation_expected"])
    assert ratio == pytest.approx(1.0, abs=0.33)
    assert np.mean(told["distance/hellinger"]) > np.mean(told["twin/hellinger"])


def test_a_service_and_its_twin_agree():
    """The rehearsal's device is a whole one of five qubits; its twin has the two that are used."""
    words = ["backend=rehearsal", "backend.queue_wait_s=0", "reference=twin", "mode=estimator", "mitigation=level_1"]
    result = result_of(*words)
    assert np.abs(result.comparison.twin.sigmas).max() < 4
    assert result.comparison.ideal.tolist() == [[pytest.approx(1.0), pytest.approx(1.0)]]


def test_a_twin_draws_other_numbers_and_the_same_again():
    """Another seed than the run's, made of it: equal commands have equal twins, which are not the run itself."""
    first, again = (result_of(*NOISY, "mode=sampler").comparison.twin.counts.joint for _ in range(2))
    assert first == again
    assert first != result_of(*NOISY, "mode=sampler").counts.joint


def test_points_that_ask_for_no_twin_have_none():
    """Of two points of one job, only that which asks is compared."""
    results = outcome_of(NOISY, ["backend=fake_manila", "reference=none"]).results
    by_point = {result.point.index: result.comparison.twin is not None for result in results}
    assert by_point == {0: True, 1: False}


# What is kept and told


@pytest.mark.parametrize(
    "words",
    [["mode=estimator", "mode.shots=64"], ["mode=sampler"], ["circuit=dynamic_teleport", "mode=raw"]],
    ids=["values", "counts", "registers"],
)
def test_a_twin_is_kept_with_the_plan(words):
    """What is restored from what a plan was packed into has the same twins, register by register."""
    plan = with_twins(plan_of([*NOISY, *words]), lambda _: None)
    files = packed(plan)
    (task,), (kept,) = plan.tasks, unpacked(files, stored_points(files), away).tasks
    before, after = task.reference.twin, kept.reference.twin
    assert before.counts == after.counts
    if before.counts is None:
        assert before.expectations.names == after.expectations.names
        assert (before.expectations.values == after.expectations.values).all()
        assert (before.expectations.errors == after.expectations.errors).all()


@pytest.mark.parametrize("mode", ["sampler", "estimator"])
def test_a_replay_has_the_twin_of_its_run(mode, command):
    """Nothing is simulated again: the twin is a part of the plan."""
    assert command(*NOISY, f"mode={mode}", "tracking=off").code == 0
    first = latest_results()
    assert command("action=replay", "run=latest", "tracking=off").code == 0
    again = latest_results()
    assert again["notes"] != first["notes"]
    assert again["rows"] == first["rows"]
    assert first["rows"][0].keys() >= {"twin_ev", "twin_std", "twin_error_sigmas", "error_sigmas"}


def test_what_is_collected_later_is_compared_with_the_twin_of_then(command, monkeypatch):
    """Submitted by one command, fetched by another, which simulates nothing."""
    words = ["backend=rehearsal", "reference=twin", "mode=sampler", "tracking=off"]
    assert command("action=submit", *words).code == 0
    monkeypatch.setattr("qrt_runner.runner.twinning.simulator_of", None)
    assert command("action=collect", "tracking=off").code == 0
    (row,) = latest_results()["rows"]
    assert abs(row["twin_error_sigmas"]) < 4


def test_counts_of_a_twin_tell_other_observables(command):
    """Asked for in a replay: the first qubit's Z of both, told by their counts."""
    assert command(*NOISY, "mode=sampler", "tracking=off").code == 0
    assert command("action=replay", "run=latest", "+action.observables={first: IZ}", "tracking=off").code == 0
    (row,) = latest_results()["rows"]
    assert row["observable"] == "first"
    assert abs(row["twin_error_sigmas"]) < 4


def test_expectation_values_of_a_twin_tell_no_others(command):
    """A note says so, and the exact values are there."""
    assert command(*NOISY, "mode=estimator", "tracking=off").code == 0
    assert command("action=replay", "run=latest", "+action.observables={first: IZ}", "tracking=off").code == 0
    told = latest_results()
    assert "no twin of these observables: it gave the expectation values of those that were asked for" in told["notes"]
    assert "twin_ev" not in told["rows"][0]
    assert told["rows"][0]["ideal"] == pytest.approx(0.0)


def latest_results() -> dict[str, Any]:
    """Return `results.json` of the run that was kept last."""
    files = Path("outputs").rglob("results.json")
    return json.loads(max(files, key=lambda file: file.stat().st_mtime_ns).read_text())


def test_metrics_and_table_tell_of_the_twin():
    """Of counts with an observable: values, errors, distances, and the twin's own counts as an artifact."""
    result = result_of(*NOISY, "mode=sampler")
    record = Records("any", {}).of(result)
    metrics, (row,) = metrics_of(record), tidy_rows(result)
    twin = result.comparison.twin
    assert metrics["twin/ev/zz"] == row["twin_ev"] == twin.expectations.values[0, 0]
    assert metrics["twin/error_sigmas/zz"] == row["twin_error_sigmas"] == twin.sigmas[0, 0]
    assert metrics["error_sigmas/zz"] == pytest.approx((metrics["ev/zz"] - 1.0) / metrics["std/zz"])
    for key in ("total_variation", "total_variation_expected", "hellinger", "hellinger_expected"):
        assert metrics[f"twin/{key}"] == row[f"twin_{key}"]
    assert metrics["distance/hellinger"] == pytest.approx(math.sqrt(1 - math.sqrt(metrics["fidelity/hellinger"])))
    assert json.loads(record.artifacts["twin_counts.json"]) == twin.counts.by_register()


def test_without_a_twin_nothing_of_it_is_told():
    """Neither a metric, nor a column, nor an artifact."""
    result = result_of("backend=fake_manila", "reference=ideal")
    record = Records("any", {}).of(result)
    assert not [key for key in metrics_of(record) if "twin" in key or "sigmas" in key]
    assert "twin_counts.json" not in record.artifacts
    assert not [name for name in tidy_rows(result)[0] if "twin" in name]


# What has none


def test_an_ideal_simulator_has_no_twin():
    """There is no noise to simulate: refused before anything is imported for it."""
    with pytest.raises(ConfigError) as caught:
        point_of(["reference=twin"])
    (mistake,) = caught.value.mistakes
    assert str(mistake) == (
        "reference: given twin, of an ideal simulator, which has no noise to be simulated; allowed: twin for backends "
        "with a calibration; remedy: reference=ideal, or a device such as backend=fake_manila"
    )


def test_a_backend_without_calibration_has_no_twin():
    """A vendor's device that tells nothing of its noise is refused, and nothing has been submitted."""
    source = "backend.source=qiskit.providers.basic_provider:BasicSimulator"
    assert refusal("backend=vendor", source, "mode=raw", "reference=twin").startswith(
        "reference: given twin, of basic_simulator, of whose noise nothing is known; allowed: twin for backends with a"
    )


def test_a_twin_that_its_method_cannot_simulate_is_refused():
    """Trotter steps are not Clifford."""
    told = refusal(*NOISY, "circuit=tfim", "reference.method=stabilizer")
    assert told.startswith(
        "reference: given twin, of stabilizer, for a circuit that is not Clifford on fake_manila_twin"
    )
    assert "reference.method=automatic" in told.partition("remedy: ")[2]
