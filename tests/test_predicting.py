"""How long a job will take, by the estimate and by what earlier jobs took: the numbers worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from composing import foreseen, outcome_of, plan_of
from watching import watched

from qrt_runner.journal import SpentJob
from qrt_runner.runner.predicting import History

if TYPE_CHECKING:
    from qrt_runner.plan import Job
    from qrt_runner.rehearsal import Rehearsal

T_2, T_3, T_22 = 2.919986, 2.353363, 1.717144
"""Quantiles of Student's t at 0.95, by its degrees of freedom, as tables have them."""


@pytest.fixture
def job(served: Rehearsal) -> Job:
    """Return a job of the sampler that is expected to take 10 s."""
    (found,) = plan_of([*watched(served).words, "circuit=bell", "mode=sampler"]).jobs
    return replace(found, expected_s=10.0)


def history(*factors: float, backend: str = "fake_manila", mode: str = "sampler") -> History:
    """Return the history of jobs that took so many times what was expected of them."""
    return History([SpentJob(backend, mode, 10.0, 10.0 * factor) for factor in factors])


def at_a_delay(seconds: float, *words: str) -> list[str]:
    """Return the overrides of 20,000 shots, each with so long a delay and 100 us of circuit; 2 s a job besides."""
    options = f"++mitigation.options.execution.rep_delay={seconds}"
    return ["circuit=bell", "mode=sampler", "mode.shots=20000", options, *words]


def test_without_history_the_estimate_stands(job):
    """From half of it to twice as much; so it is said."""
    told = History().foretold(job)
    assert (told.lower_s, told.likely_s, told.upper_s) == pytest.approx((5.0, 10.0, 20.0))
    assert told.jobs == 0
    (line,) = History().told([job])
    assert line.startswith("sampler on fake_manila: IBM's formula (2 s a job, 350 µs an execution); no earlier job")


def test_history_corrects_the_estimate(job):
    """Three jobs took twice as long: with the estimate itself as one more, 2^(3/4) = 1.682 times."""
    told = history(2, 2, 2).foretold(job)
    assert told.likely_s == pytest.approx(10 * 2**0.75)
    assert told.lower_s < told.likely_s < told.upper_s
    assert told.jobs == 3
    (line,) = history(2, 2, 2).told([job])
    assert line.endswith("times 1.68, by 3 earlier jobs in the journal")


def test_the_bounds_of_one_job_of_history(job):
    """It took 4 times as long: the mean is log 2, of which it and the prior are log 2 away.

    Their squares are 2 log(2)^2, the prior's own 2 (log(2) / t_2)^2 / 2; over 3 degrees of freedom, and half as much
    again for the mean: (2 + 1 / t_2^2) / 3 * 1.5 * log(2)^2 is the square of the spread.
    """
    told = history(4).foretold(job)
    half_width = T_3 * math.log(2) * math.sqrt((2 + 1 / T_2**2) / 2)
    assert told.likely_s == pytest.approx(20.0)
    assert math.log(told.upper_s / 20) == pytest.approx(half_width, rel=1e-5)
    assert math.log(20 / told.lower_s) == pytest.approx(half_width, rel=1e-5)


def test_much_history_narrows_the_bounds(job):
    """Twenty jobs that took what was expected: the prior's squares over 22, and a 21st for the mean."""
    told = history(*[1.0] * 20).foretold(job)
    spread = math.log(2) / T_2 * math.sqrt(1 / 22 * (1 + 1 / 21))
    assert told.likely_s == pytest.approx(10.0)
    assert math.log(told.upper_s / 10) == pytest.approx(T_22 * spread, rel=1e-5)


def test_one_odd_job_upsets_nothing(job):
    """Of 20 jobs one took 100 times as long: it counts as 3 prior spreads away, of log(2) / t_2 / sqrt(2) each."""
    told = history(*[1.0] * 19, 100.0).foretold(job)
    away = 3 * math.log(2) / T_2 / math.sqrt(2)
    assert math.log(told.likely_s / 10) == pytest.approx(away / 21, rel=1e-5)
    assert told.upper_s < 13


def test_history_is_of_the_backend_and_where_there_is_some_of_the_mode(job):
    """Other backends tell nothing; other modes only where there is none of the same."""
    spent = [*history(4).spent, *history(9, mode="estimator").spent, *history(100, backend="ibm_torino").spent]
    assert History(spent).foretold(job).likely_s == pytest.approx(10 * 2)
    assert History(spent).foretold(replace(job, mode="estimator")).likely_s == pytest.approx(10 * 3)
    raw = replace(job, mode="raw")
    assert History(spent).foretold(raw).likely_s == pytest.approx(10 * 36 ** (1 / 3))
    (line,) = History(spent).told([raw])
    assert line.endswith("by 2 earlier jobs of other modes in the journal")


@pytest.mark.parametrize("spread", [0.1, 0.4, 0.8])
def test_nine_in_ten_are_within(job, spread):
    """Jobs take exp(0.5 +- spread) times the estimate: of 1000, each after 20 others, 900 +- 9.5 are in the bounds.

    Where jobs spread less than the prior the bounds are wider than they had to be: more may be within, none fewer.
    """
    rng = np.random.default_rng(7)
    within = 0
    for _ in range(1000):
        *earlier, next_one = np.exp(0.5 + spread * rng.normal(size=21))
        told = history(*earlier).foretold(job)
        within += told.lower_s <= 10 * next_one <= told.upper_s
    assert within > 900 - 4 * 9.5
    assert within < 900 + 4 * 9.5 or spread < 0.24


def test_errors_shrink_from_run_to_run(served):
    """Delays of 1 ms instead of 250 us: 2 s + 20000 * 1.1 ms = 24 s instead of 9 s, 8/3 times as long.

    After n runs (8/3)^(n / (n + 1)) times the estimate is predicted: 9, 14.7, 17.3, 18.8, 19.7 s. What is logged is
    that, and by how much more was spent; from the second run on 24 s lie within the bounds.
    """
    words = at_a_delay(1e-3, *watched(served).words)
    for earlier in range(5):
        (told,) = foreseen(words).jobs
        predicted_s = 9 * (8 / 3) ** (earlier / (earlier + 1))
        assert told["estimated_s"] == pytest.approx(predicted_s, rel=1e-3)
        assert (told["lower_s"] <= 24 <= told["upper_s"]) == (earlier > 0)
        outcome = outcome_of(words)
        assert outcome.kept is not None
        (record,) = outcome.kept.records()
        logged = {one.key: one.value for one in record.metrics if one.key.startswith("usage/")}
        assert logged["usage/quantum_s"] == pytest.approx(24.0, rel=1e-3)
        assert logged["usage/predicted_s"] == pytest.approx(told["estimated_s"])
        assert logged["usage/prediction_error_s"] == logged["usage/quantum_s"] - logged["usage/predicted_s"]


def test_the_prediction_is_in_mlflow(served, store, command):
    """One run of the store has both metrics, and they add up to what was spent."""
    service = [word for word in watched(served).words if not word.startswith("tracking")]
    assert command(*at_a_delay(1e-3, *service), "tracking.plots=false").code == 0
    (experiment,) = store.search_experiments(filter_string="name = 'qrt_runner'")
    (run,) = store.search_runs([experiment.experiment_id])
    found = run.data.metrics
    assert found["usage/predicted_s"] == pytest.approx(9.0)
    assert found["usage/predicted_s"] + found["usage/prediction_error_s"] == pytest.approx(found["usage/quantum_s"])


@pytest.mark.slow
def test_nine_in_ten_runs_are_within(served):
    """30 runs whose delays are log-normal with a spread of 0.5: 27 +- 1.6 are within the bounds told before each."""
    rng = np.random.default_rng(3)
    within = 0
    for _ in range(30):
        delay = 6e-4 * math.exp(0.5 * rng.normal())
        words = at_a_delay(round(delay, 6), *watched(served).words)
        (told,) = foreseen(words).jobs
        (result,) = outcome_of(words).results
        within += told["lower_s"] <= result.jobs[0].quantum_s <= told["upper_s"]
    assert within >= 27 - 3 * 1.6
