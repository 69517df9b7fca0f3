"""Points become the fewest possible jobs, jobs stay within limits, and every number finds its point again."""

from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from composing import circuit_file, outcome_of, plan_of
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from qrt_runner.backends import Device
from qrt_runner.config import Limits, Session
from qrt_runner.modes import Pub, Submission
from qrt_runner.plan.costs import SetCost
from qrt_runner.plan.merging import Wanted, merged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Ended

TURN = "circuit = QuantumCircuit(2)\ncircuit.ry(Parameter('theta'), 0)\ncircuit.cx(0, 1)"
FRAGILE = '''
from qiskit_aer import AerSimulator


class Fragile(AerSimulator):
    """A simulator that fails where an angle is 13."""

    def run(self, circuits, parameter_binds=None, **options):
        if any(13.0 in values for binds in parameter_binds or [] for values in binds.values()):
            raise RuntimeError("13 is unlucky")
        return super().run(circuits, parameter_binds=parameter_binds, **options)


def get_backend():
    return Fragile()
'''


@pytest.fixture
def turn() -> list[str]:
    """Return the overrides that open a two-qubit circuit with one angle, whose ZZ is 1 and whose IZ is cos(theta)."""
    return circuit_file("turn", TURN, "'zz': 'ZZ', 'z': 'IZ'")


@pytest.fixture
def fragile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Return the overrides that open a simulator which fails where an angle is 13."""
    (tmp_path / "acme_unlucky.py").write_text(FRAGILE, encoding="utf-8")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield ["backend=vendor", "backend.source=acme_unlucky:get_backend", "mode=raw"]
    sys.modules.pop("acme_unlucky", None)


def theta(value: object) -> str:
    """Return the override that gives the angle."""
    return f"+circuit.parameter_values.theta={value}"


def sent(plan):
    """Return mode and parameter values of each job's PUBs."""
    return [(job.mode, [pub.values.ravel().tolist() for pub in job.submission.pubs]) for job in plan.jobs]


# Merging


def test_values_of_one_program_are_one_broadcast_pub(turn):
    """Four points of one circuit are one job with one PUB, in the order of their values."""
    plan = plan_of(*([*turn, theta(angle)] for angle in (0.3, 0.1, 0.4, 0.2)))
    assert sent(plan) == [("sampler", [[0.1, 0.2, 0.3, 0.4]])]


def test_a_grid_and_a_sweep_are_the_same_plan(turn):
    """A list of values in one experiment and a sweep over them send the same, and give the same numbers."""
    swept, grid = [[*turn, theta(angle)] for angle in (0.5, 0.1, 0.3)], [[*turn, theta("[0.5,0.1,0.3]")]]
    assert sent(plan_of(*swept)) == sent(plan_of(*grid))
    one_by_one = [result.counts.joint[0] for result in outcome_of(*swept).results]
    (together,) = outcome_of(*grid).results
    assert one_by_one == list(together.counts.joint)


def test_programs_with_equal_options_are_one_job(turn):
    """Three circuits on the ideal simulator are three PUBs of one job; other shots, another mode or seed are others."""
    plan = plan_of(["circuit=bell"], ["circuit=ghz"], [*turn, theta(1)])
    assert [len(job.submission.pubs) for job in plan.jobs] == [3]
    plan = plan_of(["circuit=bell"], ["mode.shots=7"], ["seed=7"], ["mode=raw"], ["mode=estimator"])
    assert len(plan.jobs) == 5


@pytest.mark.parametrize("mitigation", ["dd", "twirl"])
def test_mitigation_parts_jobs(turn, mitigation):
    """Points with other mitigation options are another job of the same program."""
    chosen = [*turn, theta(1), "backend=fake_fez"]
    plan = plan_of(chosen, [*chosen, f"mitigation={mitigation}"])
    assert len(plan.jobs) == 2
    assert len(plan.programs) == 1


def test_equal_points_are_measured_each_for_itself(turn):
    """Two points that ask for the same are two parameter sets, with independent shots."""
    first, second = outcome_of(*([[*turn, theta(1), "seed=3"]] * 2)).results
    assert first.jobs[0].record["id"] == second.jobs[0].record["id"]
    assert first.counts.joint != second.counts.joint


@pytest.mark.parametrize("mode", ["raw", "sampler", "estimator"])
def test_the_order_of_points_does_not_change_results(turn, mode):
    """Shuffled, each point has the same numbers, bit for bit; a point asked for twice has the same two."""
    points = [[*turn, theta(angle), f"mode={mode}", "backend=fake_manila"] for angle in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)]
    points += [["circuit=ghz", f"mode={mode}", "backend=fake_manila"], [*points[0], "reference=ideal"]]
    order = list(range(len(points)))
    random.Random(1).shuffle(order)  # noqa: S311 - a test's own choice
    straight = outcome_of(*points).results
    shuffled = outcome_of(*(points[place] for place in order)).results
    by_place = {order[result.point.index]: result for result in shuffled}
    for result in straight:
        other = by_place[result.point.index]
        assert result.counts == other.counts
        assert (result.expectations.values == other.expectations.values).all()


def test_compiled_and_one_by_one_agree(turn):
    """Exact values are equal, and measured ones agree within errors with those of each point run alone."""
    points = [[*turn, theta(angle), "reference=ideal", "mode=estimator"] for angle in np.linspace(0, 3, 8)]
    together = outcome_of(*points).results
    alone = [outcome_of(point).results[0] for point in points]
    for one, other in zip(together, alone, strict=True):
        assert (one.comparison.ideal == other.comparison.ideal).all()
        apart = np.abs(one.expectations.values - other.expectations.values)
        # five standard errors of the difference; where an error is 0, so is the spread
        assert (apart <= 5 * np.hypot(one.expectations.errors, other.expectations.errors) + 1e-12).all()


def test_points_that_share_a_readout_calibration_say_so(turn):
    """TREX calibrates once per job, so the errors of its points are correlated, which stands in the record."""
    chosen = [*turn, "backend=fake_manila", "mode=estimator", "mitigation=trex", "mode.shots=64"]
    results = outcome_of([*chosen, theta(1)], [*chosen, theta(2)]).results
    assert results[0].notes == ("readout calibration (TREX) shared with 1 other parameter sets of the job",)


# Limits


@pytest.mark.parametrize(
    ("limit", "sizes"),
    [
        ("parameter_sets=4", [4, 3, 3]),
        ("executions=5000", [4, 3, 3]),
        ("memory_mib=0.6", [4, 3, 3]),
        ("pubs=1", [10]),
        ("payload_mib=0.001", [10]),
    ],
)
def test_a_job_splits_at_a_limit(turn, limit, sizes):
    """Ten sets of 1,024 shots split into even parts, none of which exceeds the limit."""
    plan = plan_of([*turn, theta("{linspace:[0,1,10]}"), f"backend.limits.{limit}"])
    assert [len(job.submission.pubs[0].values) for job in plan.jobs] == sizes


def test_pubs_split_at_their_limit():
    """Three programs with two PUBs a job are two jobs."""
    plan = plan_of(*([f"circuit={name}", "backend.limits.pubs=2"] for name in ("bell", "ghz", "qft")))
    assert sorted(len(job.submission.pubs) for job in plan.jobs) == [1, 2]


def test_twirling_counts_every_randomization(turn):
    """1,024 shots in 16 randomizations of 64 are as many executions; in mode=estimator times two bases."""
    chosen = [*turn, theta("[1,2]"), "backend=fake_manila", "mitigation=twirl", "backend.limits.executions=2048"]
    assert [len(job.submission.pubs[0].values) for job in plan_of(chosen).jobs] == [2]
    bases = [*chosen, "mode=estimator", "mode.shots=1024", "+circuit.observables={a:XX,b:ZZ}"]
    assert [len(job.submission.pubs[0].values) for job in plan_of(bases).jobs] == [1, 1]


def test_a_set_that_exceeds_a_limit_is_refused(turn):
    """One parameter set cannot be split, so its shots are refused by the limit's path before anything runs."""
    plan = plan_of([*turn, theta(1), "backend.limits.executions=1000"])
    assert str(plan.refusals[0].error) == (
        "The config has 1 mistake; nothing was run.\n"
        "  backend.limits.executions: given 1024 of a single parameter set; allowed: at most 1000 a job; remedy: fewer "
        "shots, or another limit"
    )


@pytest.mark.parametrize("mode", ["raw", "sampler", "estimator"])
def test_a_task_over_several_jobs_is_whole_again(turn, mode):
    """Seven values in three jobs come back in the order written: IZ is cos(theta), here 1 or -1."""
    angles = [0, np.pi, 0, 0, np.pi, np.pi, 0]
    chosen = [*turn, theta(f"{angles}"), f"mode={mode}", "backend.limits.parameter_sets=3"]
    (result,) = outcome_of(chosen).results
    assert len(result.jobs) == 3
    assert result.expectations.values[:, 1].tolist() == pytest.approx(np.cos(angles))
    assert len({job.record["id"] for job in result.jobs}) == 3


COST = SetCost(shots=10, payload_bytes=8, memory_bytes=100, fixed_payload_bytes=50)
ANGLE = Parameter("a")
CIRCUIT = QuantumCircuit(1)
CIRCUIT.rz(ANGLE, 0)
BATCH = Session(kind="batch", scope="sweep", label=None, max_time=None, id=None)
DEVICE = Device("none", None, "simulator", noisy=False)


@st.composite
def wanted_tasks(draw):
    """Draw tasks of a few programs and jobs with a few values each, and limits."""
    most = draw(st.integers(1, 7))
    limits = Limits(
        pubs=draw(st.none() | st.integers(1, 3)),
        parameter_sets=most,
        executions=None,
        payload_mib=None,
        memory_mib=None,
    )
    tasks = []
    for number in range(draw(st.integers(1, 12))):
        values = draw(st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]), min_size=1, max_size=9))
        pub = Pub(CIRCUIT, np.array(values)[:, None], {})
        one = Submission(DEVICE, None, (pub,), 10, 1)
        key, program = draw(st.sampled_from("ab")), draw(st.sampled_from("pqr"))
        group = draw(st.sampled_from(["", "g", "h"]))
        tasks.append(Wanted(number, "raw", one, key, program, lambda: "", COST, most, limits, BATCH, group))
    return tasks, limits


@settings(max_examples=200, deadline=None)
@given(wanted_tasks())
def test_every_set_is_in_one_place(drawn):
    """Whatever is merged and split: each set of each task is in one place, with its own values, within the limits."""
    tasks, limits = drawn
    jobs, groups, places = merged(tasks)
    for task, found in zip(tasks, places, strict=True):
        indices = {jobs[place.job].group for place in found}
        assert (indices == {None}) == (not task.group_key)
        assert len(indices) == 1
        sets = np.concatenate([place.sets for place in found])
        assert sorted(sets) == list(range(len(task.values)))
        for place in found:
            rows = jobs[place.job].submission.pubs[place.pub].values[place.rows]
            assert (rows == task.values[place.sets]).all()
    total = sum(len(pub.values) for job in jobs for pub in job.submission.pubs)
    assert total == sum(len(task.values) for task in tasks)
    assert all(sum(len(pub.values) for pub in job.submission.pubs) <= limits.parameter_sets for job in jobs)
    assert all(limits.pubs is None or len(job.submission.pubs) <= limits.pubs for job in jobs)
    assert [job.index for job in jobs] == list(range(len(jobs)))
    assert [[job.index for job in jobs if job.group == group.index] for group in groups] == [
        list(group.jobs) for group in groups
    ]
    assert len(groups) == len({task.group_key for task in tasks} - {""})


# Failing points


def test_a_set_that_cannot_run_fails_alone(turn, fragile):
    """Of twelve points in one job the one that the simulator cannot run fails; the others have their numbers."""
    outcome = outcome_of(*([*turn, *fragile, theta(angle)] for angle in range(5, 17)))
    states = {result.point.index: result.state for result in outcome.results}
    assert [index for index, state in states.items() if state == "failed"] == [8]
    (failed,) = [result for result in outcome.results if result.state == "failed"]
    assert failed.error == "RuntimeError: 13 is unlucky"
    assert outcome.exit_code == 1
    assert outcome.kept.states() == {f"{index}-main": "FAILED" if index == 8 else "FINISHED" for index in range(12)}


def test_a_task_keeps_what_it_has(turn, fragile):
    """A grid of which one set cannot run fails, says how many, and keeps the numbers of the others."""
    (result,) = outcome_of([*turn, *fragile, theta("[1,13,2]")]).results
    assert result.state == "failed"
    assert result.error == "RuntimeError: 13 is unlucky (of 1 of 3 parameter sets)"
    assert result.missing == (1,)
    assert [bool(joint) for joint in result.counts.joint] == [True, False, True]
    assert np.isnan(result.expectations.values[1]).all()


def test_a_device_that_always_fails_is_not_tried_for_ever(fragile, turn):
    """Where no part of a failed job runs, the rest is taken to fail as well: far fewer tries than sets."""
    outcome = outcome_of([*turn, *fragile, theta(f"{[13] * 300}")])
    (result,) = outcome.results
    assert len(result.missing) == 300
    assert len(result.jobs) < 40


def test_a_circuit_that_cannot_be_built_fails_alone(command: Callable[..., Ended], tmp_path: Path):
    """One width for which `build` raises is reported with its overrides; the others run, and the exit code is 1."""
    (tmp_path / "odd.py").write_text(
        "from qiskit import QuantumCircuit\n\n\ndef build(width):\n"
        "    if width == 3:\n        raise ValueError('no 3')\n    return QuantumCircuit(width)\n",
        encoding="utf-8",
    )
    ended = command("-m", "tracking=off", "circuit=file", "circuit.source=odd.py", "+circuit.params.width=2,3,4")
    assert ended.code == 1
    assert "[+circuit.params.width=3]\n  failed: circuit.params: given what odd.py" in ended.out
    assert "no 3" in ended.out
    assert ended.out.count("meas  00") == 2


@pytest.mark.usefixtures("turn")
def test_a_parameter_that_cannot_be_bound_fails_alone(command: Callable[..., Ended]):
    """A circuit without the swept parameter fails at its own points; alone it is refused."""
    words = ["tracking=off", "+circuit.parameter_values.theta=1,2", "circuit.source=turn.py,bell.py"]
    ended = command("-m", "circuit=file", "circuit.name=x", *words)
    assert ended.code == 1
    assert ended.out.count("  failed: circuit.parameter_values.theta: given a value without a parameter") == 2
    assert command("circuit=bell", "+circuit.parameter_values.theta=1", "tracking=off").code == 2


def test_a_sweep_of_which_nothing_can_be_loaded_is_refused(command: Callable[..., Ended]):
    """Where no point can be loaded, nothing runs, and all mistakes are told with their points."""
    ended = command("-m", "tracking=off", "circuit=file", "circuit.source=a.py,b.py")
    assert ended.code == 2
    assert "point 0: circuit.source" in ended.err
    assert "point 1: circuit.source" in ended.err


# Every group at once

MIXED = ["circuit=bell,ghz,qft", "backend=aer,fake_manila", "mode=raw,sampler,estimator", "mitigation=none"]


def test_a_mixed_sweep_runs(command: Callable[..., Ended]):
    """18 points over circuits, backends and modes; qft's own observables cannot all be counted, which is a note."""
    ended = command("-m", "tracking=off", *MIXED)
    assert ended.code == 0, ended.err
    assert ended.out.count(" done ") == 18


def test_impossible_combinations_are_all_told_first(command: Callable[..., Ended]):
    """Raw takes no mitigation and the Sampler no level: both are told, by their points, before anything runs."""
    ended = command("-m", "tracking=off", *MIXED[:-1], "mitigation=none,level_1")
    assert ended.code == 2
    assert "none or m3 in mode=raw" in ended.err
    assert "in mode=sampler" in ended.err
    assert "meas" not in ended.out


def test_impossible_combinations_can_be_left_out(command: Callable[..., Ended]):
    """With `sweep.on_invalid=skip` the 24 possible ones of 36 points run, and the exit code is 1."""
    ended = command("-m", "tracking=off", *MIXED[:-1], "mitigation=none,level_1", "sweep.on_invalid=skip")
    assert ended.code == 1
    assert ended.out.count(" done ") == 24


# What lowering drops


@pytest.mark.parametrize("mode", ["raw", "sampler", "estimator"])
@pytest.mark.parametrize("backend", ["aer", "fake_manila"])
def test_values_go_to_their_parameters_by_name(mode, backend):
    """The transpiler drops an rz(a) before a measurement; rx(b) still gets b: with b = pi and a = 0 the qubit is 1."""
    lines = "circuit = QuantumCircuit(1, 1)\ncircuit.rx(Parameter('b'), 0)\ncircuit.rz(Parameter('a'), 0)"
    chosen = circuit_file("dropped", f"{lines}\ncircuit.measure(0, 0)", "'z': 'Z'")
    values = ["+circuit.parameter_values.a=[0,3]", "+circuit.parameter_values.b=[3.141592653589793,0]"]
    (result,) = outcome_of([*chosen, *values, f"mode={mode}", f"backend={backend}"]).results
    assert result.expectations.values[:, 0] == pytest.approx([-1, 1], abs=0.15)
    assert result.parameters == ("a", "b")


@pytest.mark.parametrize("mode", ["raw", "sampler"])
def test_sets_of_a_circuit_that_lost_all_its_parameters_are_each_run(mode):
    """Of a circuit whose only angle does nothing, three values are three sets with independent shots."""
    lines = "circuit = QuantumCircuit(1, 1)\ncircuit.h(0)\ncircuit.rz(Parameter('a'), 0)\ncircuit.measure(0, 0)"
    chosen = circuit_file("dropped", lines)
    (result,) = outcome_of([*chosen, "+circuit.parameter_values.a=[0,1,2]", f"mode={mode}", "backend=aer"]).results
    assert result.counts.shots() == [1024] * 3
