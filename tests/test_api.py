"""From Python and notebooks: compose, plan, run and load, and what they return."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from composing import circuit_file

import qrt_runner
from qrt_runner.errors import ConfigError

QUIET = ["tracking=off", "tracking.plots=false"]
TURN = ("turn", "circuit = QuantumCircuit(1)\ncircuit.ry(Parameter('theta'), 0)", "'z': 'Z', 'x': 'X'")


def test_importing_the_package_takes_under_50_ms():
    """The fastest of three: another process may be at work."""
    line = "import time; start = time.perf_counter(); import qrt_runner; print(time.perf_counter() - start)"
    shell = [sys.executable, "-c", line]
    took = [float(subprocess.run(shell, capture_output=True, check=True).stdout) for _ in range(3)]
    assert min(took) < 0.05


def test_the_package_offers_its_functions():
    """`plan` is a module too, whichever is asked for first."""
    assert {"compose", "load", "plan", "run"} <= set(dir(qrt_runner))
    lines = (
        "import qrt_runner; assert callable(qrt_runner.plan); from qrt_runner.plan import Plan",
        "import qrt_runner.plan; assert callable(qrt_runner.plan)",
    )
    for line in lines:
        subprocess.run([sys.executable, "-c", line], check=True)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = qrt_runner.nothing


def test_a_bell_pair_from_composing_to_loading():
    """What is loaded is what was returned: tables, counts and Qiskit's own result alike."""
    asked = qrt_runner.compose(["circuit=bell", "mode=sampler", "mode.shots=1000", *QUIET])
    assert "python -m qrt_runner circuit=bell mode=sampler" in repr(asked)
    told = qrt_runner.plan(asked)
    results = qrt_runner.run(asked)
    assert results.exit_code == 0
    assert [row["executions"] for row in told.jobs] == [sum(results[0].counts.shots())]
    counts = results.counts()
    assert set(counts["outcome"]) == {"00", "11"}
    assert counts["count"].sum() == 1000
    loaded = qrt_runner.load("latest")
    assert loaded.run == results.run
    assert loaded.to_pandas().equals(results.to_pandas())
    (pub,) = loaded.to_qiskit()
    assert pub.data.meas.get_counts() == dict(results[0].counts.joint[0])
    assert pub.data.meas.shape == ()
    for shown in (asked, told, results):
        assert shown._repr_html_().startswith("<")


def test_expectation_values_of_a_sweep():
    """Turned by 0 and pi: Z is 1 and -1 on the ideal simulator; a task of two sets has values of shape (2, 2)."""
    words = [*circuit_file(*TURN), "mode=estimator", "+circuit.parameter_values.theta=[0,3.141592653589793]", *QUIET]
    results = qrt_runner.run(qrt_runner.compose(words))
    (pub,) = results.to_qiskit()
    assert pub.metadata["observables"] == ["z", "x"]
    assert pub.data.evs.shape == pub.data.stds.shape == (2, 2)
    assert pub.data.evs[0] == pytest.approx([1, -1])
    frame = results.to_pandas()
    assert frame[frame["observable"] == "z"]["ev"].tolist() == pytest.approx([1, -1])


def test_the_same_experiment_twice_is_two_runs():
    """Each is kept in a folder of its own, with equal numbers."""
    asked = qrt_runner.compose(["seed=3", *QUIET])
    first, second = qrt_runner.run(asked), qrt_runner.run(asked)
    assert first.run != second.run
    assert first.to_pandas().equals(second.to_pandas())
    assert len(list(Path("outputs").rglob("tasks.jsonl"))) == 2


def test_points_of_a_sweep():
    """What was swept over is a column."""
    results = qrt_runner.run(qrt_runner.compose(f"-m mode.shots=100,200 {' '.join(QUIET)}"))
    assert results.to_pandas()[["mode.shots", "shots"]].to_numpy().tolist() == [[100, 100], [200, 200]]


def test_registers_keep_what_they_have_in_common():
    """Two registers that are equal in every shot are so in Qiskit's result, whatever their widths."""
    lines = "circuit = QuantumCircuit(QuantumRegister(2), ClassicalRegister(1, 'a'), ClassicalRegister(1, 'b'))"
    lines += "\ncircuit.h(0)\ncircuit.cx(0, 1)\ncircuit.measure([0, 1], [0, 1])"
    results = qrt_runner.run(qrt_runner.compose([*circuit_file("twice", lines), "mode=sampler", *QUIET]))
    data = results.to_qiskit()[0].data
    assert np.array_equal(data.a.array, data.b.array)
    assert 0 < data.a.array.mean() < 1


def test_mistakes_are_raised():
    """As on the command line, with nothing composed half."""
    with pytest.raises(ConfigError, match="shots"):
        qrt_runner.compose(["mode.shots=-1"])
    with pytest.raises(ConfigError, match="run"):
        qrt_runner.load("20200101-000000-ffffff")
