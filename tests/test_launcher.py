"""The compiled sweeper and launcher compose what Hydra's own would, without composing every point."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from qrt_runner.launcher import compose_points
from qrt_runner.launcher.templates import Templates

SWEEPS = [
    ["mode.shots=1,2,3"],
    ["circuit=bell,ghz", "mode=raw,sampler,estimator"],
    ["circuit=ghz", "circuit.params.num_qubits=range(2,5)", "mode.shots=10,20"],
    ["seed=1,2", "backend=aer,fake_manila"],
    ["circuit=dynamic_teleport", "mode=sampler,estimator"],
    ["circuit=file", "circuit.source=a.py", "+circuit.params.depth=1,2", "+circuit.parameter_values.theta=range(0,3)"],
    ["circuit=h2", "circuit.parameter_values.theta={linspace:[0,1,2]},0.5,[1,2]"],
    ["+circuit.observables={zz:ZZ},{xx:XX}", "name=a,b"],
    ["experiment=raw_versus_primitive", "reference=none,ideal", "seed=3,4"],
    ["experiment=raw_versus_primitive", "tasks.raw.mode.shots=7,8", "mode@tasks.sampler.mode=sampler,raw"],
    ["circuit=h2", "~circuit.parameter_values.theta", "+circuit.parameter_values.theta=1,2.5"],
    ["transpile.seed=${seed},5", "seed=8,9"],
    ["transpile.initial_layout=[0,1],null", "backend.method=automatic,statevector"],
    ["circuit.name='a b','c=d',\"${mode.kind}\"", "mode=raw,sampler"],
    ["name='run_${hydra:job.num}'", "mode.shots=1,2"],
    ["mitigation=zne", "mode=estimator", "mitigation.options.resilience.zne.noise_factors=[1,2,3],[1,3]"],
]


def composed(words, launcher, monkeypatch):
    """Compose a sweep with one of Hydra's launchers; `hydra.sweep.dir` apart, which holds the time."""
    GlobalHydra.instance().clear()
    monkeypatch.setattr(
        sys, "argv", ["qrt_runner", "-m", *words, f"hydra/launcher={launcher}", f"hydra/sweeper={launcher}"]
    )
    points = compose_points(sys.argv[1:]).points
    return [(point.data, point.yaml, point.overrides) for point in points]


@pytest.mark.parametrize("words", SWEEPS, ids=" ".join)
def test_a_sweep_equals_hydras_own_composition(words, monkeypatch):
    """Every point, in its order, with the overrides that make it."""
    assert composed(words, "compiled", monkeypatch) == composed(words, "basic", monkeypatch)


@pytest.mark.parametrize("seed", range(6))
def test_a_random_sweep_equals_hydras_own_composition(seed, monkeypatch):
    """Groups, values and structures mixed at random, seeds fixed."""
    draw = random.Random(seed)  # noqa: S311 - a test's own choice
    words = [word for word in draw.choice(SWEEPS[:5]) if not word.startswith(("seed", "mode.shots"))]
    words += draw.sample(
        ["seed=1,2", "name=x,y", "mode.shots=5,6", "reference=none,ideal", "transpile=default,best"], 2
    )
    assert composed(words, "compiled", monkeypatch) == composed(words, "basic", monkeypatch)


def test_values_are_not_composed_again(monkeypatch):
    """200 points that differ in values cost one composition for each choice of groups."""
    counted = []
    compose = Templates._compose  # noqa: SLF001 - what is counted
    monkeypatch.setattr(Templates, "_compose", lambda self, *args: counted.append(args) or compose(self, *args))
    words = ["mode=raw,sampler", "mode.shots=range(1,101)"]
    assert len(composed(words, "compiled", monkeypatch)) == 200
    assert len(counted) == 2


def test_the_folder_of_a_sweep_holds_its_config_once(command):
    """`multirun.yaml` as Hydra writes it, and no folder for each point but that of its results."""
    ended = command("-m", "mode.shots=1,2", "tracking=off")
    assert ended.code == 0, ended.err
    (folder,) = Path("multirun").glob("*/*")
    assert sorted(entry.name for entry in folder.iterdir()) == [
        "0-main",
        "1-main",
        "multirun.yaml",
        "run.json",
        "tasks.jsonl",
    ]


@pytest.mark.parametrize("launcher", ["basic", "compiled"])
def test_both_launchers_run_a_sweep(launcher, command):
    """The same numbers either way."""
    ended = command("-m", "mode=raw,sampler", "mode.shots=8", f"hydra/launcher={launcher}", "tracking=off")
    assert ended.code == 0, ended.err
    assert ended.out.count("meas  11: 6  00: 2") == 2
    assert "\n1      main" in ended.out
