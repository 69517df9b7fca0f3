"""A sweep is one plan: circuits are lowered once, points stay in order, and one that fails fails alone."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest
from composing import circuit_file, outcome_of, plan_of

from qrt_runner.execution.asking import asked
from qrt_runner.execution.attempts import Attempt

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Ended


def rows(ended: Ended) -> list[list[str]]:
    """Return the words of each line of the closing table: point, task, job id, session id, state, headline."""
    _, _, below = ended.out.partition("headline number\n")
    return [line.split() for line in below.partition("\n\n")[0].splitlines()]


# One plan


def test_a_circuit_is_lowered_once_for_raw_and_sampler():
    """Raw, sampler and estimator of one circuit are three jobs of two programs: with measurements and without."""
    plan = plan_of(["mode=raw"], ["mode=sampler"], ["mode=estimator"])
    assert [job.mode for job in plan.jobs] == ["raw", "sampler", "estimator"]
    assert len(plan.programs) == 2
    assert plan.tasks[0].program is plan.tasks[1].program


def test_a_circuit_is_lowered_once_for_all_its_parameter_values():
    """Points that differ only in parameter values share one program, still parametrised."""
    plan = plan_of(*(["circuit=h2", f"circuit.parameter_values.theta={angle}"] for angle in (0, 0.5, 1)))
    assert len(plan.programs) == 1
    assert len(plan.programs[0].lowered.circuit.parameters) == 1
    assert [task.logical.sets.values[0, 0] for task in plan.tasks] == [0, 0.5, 1]


def test_a_circuit_is_lowered_once_for_all_shots_seeds_and_mitigations():
    """Shots and mitigation change the job, not the program."""
    chosen = ["circuit=ghz", "backend=fake_manila", "mode=sampler"]
    plan = plan_of([*chosen, "mode.shots=10"], [*chosen, "mode.shots=20"], [*chosen, "mitigation=twirl"])
    assert len(plan.programs) == 1


@pytest.mark.parametrize(
    "other", ["circuit.params.num_qubits=4", "backend=fake_fez", "transpile.optimization_level=0", "circuit=bell"]
)
def test_what_changes_the_lowered_circuit_makes_a_program(other):
    """Another width, device, optimization level or circuit is another program."""
    chosen = ["circuit=ghz", "backend=fake_manila"]
    assert len(plan_of(chosen, [*chosen, other]).programs) == 2


def test_points_of_one_layout_share_a_simulator():
    """Two circuits on the same two qubits of a device are simulated by one simulator, built once."""
    chosen = ["backend=fake_sherbrooke", "transpile.initial_layout=[18,14]"]
    plan = plan_of([*chosen, "circuit=bell"], [*chosen, "circuit=ghz", "circuit.params.num_qubits=2"])
    assert len(plan.programs) == 2
    assert plan.programs[0].runs_on is plan.programs[1].runs_on


# Points


def test_results_come_in_the_order_of_the_points():
    """Circuits, modes and parameter values swept together come back point by point, each with its own numbers."""
    turn = circuit_file("turn", "circuit = QuantumCircuit(1)\ncircuit.ry(Parameter('theta'), 0)", "'z': 'Z'")
    points = [
        [*turn, "+circuit.parameter_values.theta=3.141592653589793", "mode=estimator"],
        ["circuit=ghz", "mode=raw"],
        [*turn, "+circuit.parameter_values.theta=0", "mode=sampler"],
        ["circuit=ghz", "circuit.params.num_qubits=2", "mode=raw"],
    ]
    results = sorted(outcome_of(*points).results, key=lambda result: result.point.index)
    assert [result.point.index for result in results] == [0, 1, 2, 3]
    assert [result.task.mode.kind for result in results] == ["estimator", "raw", "sampler", "raw"]
    assert [result.expectations.values[0, 0] for result in results] == [-1.0, 1.0, 1.0, 1.0]
    assert [len(next(iter(results[place].counts.joint[0]))) for place in (1, 3)] == [3, 2]


def test_a_multirun_over_circuits_modes_and_parameters(command: Callable[..., Ended]):
    """Two widths and two modes on the command line are four points, in Hydra's order, in one table."""
    ended = command("-m", "tracking=off", "circuit=ghz", "circuit.params.num_qubits=2,3", "mode=raw,estimator")
    assert ended.code == 0, ended.err
    assert [row[0] for row in rows(ended)] == ["0", "1", "2", "3"]
    assert all(" ".join(row[3:]) == "none done zz_ends = 1" for row in rows(ended))
    told = re.findall(r"mode (\w+)  \[(.*)\]", ended.out)
    # job by job, in the order of their first points
    assert told == [
        ("raw", "circuit.params.num_qubits=2 mode=raw"),
        ("raw", "circuit.params.num_qubits=3 mode=raw"),
        ("estimator", "circuit.params.num_qubits=2 mode=estimator"),
        ("estimator", "circuit.params.num_qubits=3 mode=estimator"),
    ]


def test_a_point_does_not_depend_on_its_neighbours():
    """A point gives the same numbers alone as in a sweep, bit for bit."""
    point = ["circuit=random", "backend=fake_manila", "mode=estimator", "mode.shots=512"]
    (alone,) = outcome_of(point).results
    swept = outcome_of(["circuit=ghz", "backend=fake_manila"], point).results[1]
    assert (alone.expectations.values == swept.expectations.values).all()


# Failing points


@pytest.mark.parametrize("mode", ["raw", "sampler", "estimator"])
def test_a_failing_job_fails_alone(fragile, mode):
    """The point whose job the device refuses fails with the device's own reason; the others are kept."""
    outcome = outcome_of(
        *([*fragile, "circuit=ghz", f"circuit.params.num_qubits={width}", f"mode={mode}"] for width in (2, 3, 4))
    )
    results = sorted(outcome.results, key=lambda result: result.point.index)
    assert [result.state for result in results] == ["done", "failed", "done"]
    assert results[1].error == "RuntimeError: qubit 2 is too warm"
    assert outcome.exit_code == 1
    assert len(outcome.kept.states()) == 3


def test_a_sweep_with_a_failing_point_ends_with_1(fragile, command: Callable[..., Ended]):
    """On the command line the failed point stands in the table with its reason above it, and the exit code is 1."""
    ended = command("-m", "tracking=off", *fragile, "circuit=ghz", "circuit.params.num_qubits=2,3,4", "mode=raw")
    assert ended.code == 1
    assert [" ".join(row[4:]) for row in rows(ended)] == ["done zz_ends = 1", "failed failed", "done zz_ends = 1"]
    assert "  failed: RuntimeError: qubit 2 is too warm" in ended.out
    assert "Traceback" not in ended.err


def test_a_wrong_point_refuses_the_sweep(command: Callable[..., Ended]):
    """A point that cannot run is told by its index before anything runs, and the whole sweep is refused."""
    ended = command("-m", "tracking=off", "backend=fake_manila", "circuit=ghz", "circuit.params.num_qubits=2,6")
    assert ended.code == 2
    assert ended.err == (
        "The config has 1 mistake; nothing was run.\n"
        "  point 1: circuit: given a circuit of 6 qubits for fake_manila; allowed: at most 5 qubits; remedy: fewer "
        "qubits, or a larger backend\n"
    )


def test_a_wrong_point_can_be_left_out(command: Callable[..., Ended]):
    """With `sweep.on_invalid=skip` the others run, the left-out one is told, and the exit code is 1."""
    chosen = ["tracking=off", "sweep.on_invalid=skip", "backend=fake_manila", "circuit=ghz"]
    ended = command("-m", *chosen, "circuit.params.num_qubits=2,6,3")
    assert ended.code == 1
    assert [row[0] for row in rows(ended)] == ["0", "2"]
    assert "point 1" in ended.err
    assert "at most 5 qubits" in ended.err


@pytest.mark.parametrize("policy", ["refuse", "skip"])
def test_a_point_without_a_reference_is_told_by_its_index(policy, command: Callable[..., Ended]):
    """A point whose ideal reference cannot be computed is wrong like any other: told by its index, or left out."""
    chosen = ["tracking=off", "reference=ideal", "circuit=tfim", "reference.max_qubits=3", f"sweep.on_invalid={policy}"]
    ended = command("-m", *chosen, "circuit.params.num_qubits=2,4")
    assert "point 1" in ended.err
    assert "not Clifford" in ended.err
    assert ended.code == {"refuse": 2, "skip": 1}[policy]


# Several tasks


def test_raw_versus_primitive_has_three_tasks():
    """The preset is one experiment of three tasks: raw, sampler and estimator of one circuit on one device."""
    plan = plan_of(["experiment=raw_versus_primitive"])
    assert [task.name for task in plan.tasks] == ["raw", "sampler", "estimator"]
    assert [job.mode for job in plan.jobs] == ["raw", "sampler", "estimator"]
    assert {task.point.index for task in plan.tasks} == {0}


def test_raw_versus_primitive_stands_side_by_side(command: Callable[..., Ended]):
    """On the command line its three tasks are three lines of one point."""
    ended = command("experiment=raw_versus_primitive", "tracking=off")
    assert ended.code == 0, ended.err
    assert [row[:2] for row in rows(ended)] == [["0", "raw"], ["0", "sampler"], ["0", "estimator"]]


def test_a_preset_can_be_swept(command: Callable[..., Ended]):
    """A sweep over a preset has its tasks in each point."""
    ended = command("-m", "experiment=raw_versus_primitive", "tracking=off", "seed=1,2")
    assert ended.code == 0, ended.err
    assert [" ".join(row[:2]) for row in rows(ended)] == [
        f"{point} {task}" for point in (0, 1) for task in ("raw", "sampler", "estimator")
    ]


COUNTING = '''
from pathlib import Path

from qiskit.providers.basic_provider import BasicSimulator


class Broken(BasicSimulator):
    """A vendor's device that takes jobs and fails, and notes how often."""

    def run(self, run_input, **options):
        with Path("submitted").open("a") as notes:
            notes.write("x")
        raise ConnectionError("the line broke")


def get_backend():
    return Broken()
'''


@pytest.mark.parametrize("mode", ["raw", "sampler", "estimator"])
def test_a_vendors_job_is_submitted_once(mode, tmp_path, monkeypatch):
    """A job that failed may have been paid for: its eight parameter sets fail, and it is not tried again."""
    (tmp_path / "acme_broken.py").write_text(COUNTING, encoding="utf-8")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    turn = circuit_file("turn", "circuit = QuantumCircuit(1)\ncircuit.ry(Parameter('theta'), 0)", "'z': 'Z'")
    vendor = ["backend=vendor", "backend.source=acme_broken:get_backend", f"mode={mode}"]
    (result,) = outcome_of([*turn, *vendor, "+circuit.parameter_values.theta={linspace:[0,1,8]}"]).results
    sys.modules.pop("acme_broken", None)
    assert (result.state, result.error) == ("failed", "ConnectionError: the line broke")
    assert (tmp_path / "submitted").read_text() == "x"


def test_what_a_service_will_not_say_costs_no_result():
    """Time stamps that cannot be had are noted in the record; what was measured is kept."""

    def unreachable(_: object) -> None:
        raise ConnectionError("503")

    handle = type("Handle", (), {"metrics": unreachable, "__module__": "qiskit_ibm_runtime.jobs"})()
    attempt = Attempt(plan_of(["mode=raw"]).jobs[0], (), 1, "", handle=handle)
    assert asked(attempt, "metrics") is None
    assert attempt.untold == ["metrics: ConnectionError: 503"]
