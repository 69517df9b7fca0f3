"""Hydra's other launchers run point by point, and sweepers that propose points by what came of others get values."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import cloudpickle
import numpy as np
import pytest
from composing import circuit_file, outcome_of, point_of

from qrt_runner.errors import ConfigError
from qrt_runner.launcher.composing import Task
from qrt_runner.results import Comparison, Expectations
from qrt_runner.runner.objective import check_objective, objective_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Ended
    from mlflow.tracking import MlflowClient

TERNARY = '''
"""Searches the minimum of a function of one field in batches of two points, as an optimiser would."""

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper


class TernarySweeper(Sweeper):
    def __init__(self, field, low, high, batches):
        self.field, self.low, self.high, self.batches = field, low, high, batches

    def setup(self, *, hydra_context, task_function, config):
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments):
        low, high, done = float(self.low), float(self.high), 0
        for _ in range(self.batches):
            thirds = [low + (high - low) / 3, high - (high - low) / 3]
            batch = [(*arguments, f"{self.field}={value}") for value in thirds]
            self.validate_batch_is_legal(batch)
            left, right = (job.return_value for job in self.launcher.launch(batch, initial_job_idx=done))
            done += len(batch)
            print(f"asked {thirds[0]:.3f} {thirds[1]:.3f} got {left} {right}")
            if left < right:
                high = thirds[1]
            else:
                low = thirds[0]
        print(f"minimum between {low:.3f} and {high:.3f}")


ConfigStore.instance().store(
    group="hydra/sweeper",
    name="ternary",
    node={
        "_target_": "hydra_plugins.ternary_sweeper.TernarySweeper",
        "field": "circuit.parameter_values.theta",
        "low": 2.0,
        "high": 5.0,
        "batches": 8,
    },
    provider="test",
)
'''
TURN = "circuit = QuantumCircuit(1)\ncircuit.ry(Parameter('theta'), 0)"
ONE_BY_ONE = ["hydra/launcher=basic", "hydra/sweeper=basic"]


@pytest.fixture
def ternary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Install a sweeper plugin where processes of their own find it, and return the override that chooses it."""
    (tmp_path / "site/hydra_plugins").mkdir(parents=True)
    (tmp_path / "site/hydra_plugins/ternary_sweeper.py").write_text(TERNARY, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"), prepend=":")
    return ["hydra/sweeper=ternary"]


def notes() -> list[dict[str, Any]]:
    """Return what is noted of the points that ran by themselves, in their order."""
    found = [json.loads(file.read_text(encoding="utf-8")) for file in Path("multirun").rglob("ran.json")]
    return sorted(found, key=lambda note: note["points"][0])


# Point by point


def test_each_point_runs_in_its_own_folder(command: Callable[..., Ended]):
    """Results lie in Hydra's output folder of the point, and are shown with the overrides that make the point."""
    ended = command("-m", "tracking=off", "circuit=ghz", "circuit.params.num_qubits=2,3", *ONE_BY_ONE)
    assert ended.code == 0, ended.err
    assert "ghz on aer, mode sampler  [circuit.params.num_qubits=3]" in ended.out
    (folder,) = Path("multirun").glob("*/*")
    assert {".hydra", "run.json", "tasks.jsonl", "ran.json"} <= {entry.name for entry in (folder / "1").iterdir()}
    assert not (folder / "points.jsonl").exists()


def test_points_that_ran_one_by_one_are_logged(command: Callable[..., Ended], store: MlflowClient):
    """When Hydra is done, every point's task is in MLflow, under its number."""
    ended = command("-m", "name=alone", "mode.shots=8,16", *ONE_BY_ONE)
    assert ended.code == 0, ended.err
    experiment = store.get_experiment_by_name("alone")
    runs = store.search_runs([experiment.experiment_id], "tags.`qrt.task` = 'main'")
    assert sorted((run.data.tags["qrt.point"], run.data.params["mode.shots"]) for run in runs) == [
        ("0", "8"),
        ("1", "16"),
    ]


@pytest.mark.parametrize("sweeper", ["basic", "compiled"])
def test_a_failing_point_stops_no_other(sweeper, fragile, command: Callable[..., Ended]):
    """Its failure is recorded, the others run, and the exit code is 1."""
    chosen = [*fragile, "circuit=ghz", "mode=raw", "tracking=off", "hydra/launcher=basic", f"hydra/sweeper={sweeper}"]
    ended = command("-m", *chosen, "circuit.params.num_qubits=3,2,3,4")
    assert ended.code == 1
    assert ended.out.count("failed: RuntimeError: qubit 2 is too warm") == 2
    assert ended.out.count("<zz_ends> = 1") == 2
    assert [note["exit_code"] for note in notes()] == [1, 0, 1, 0]


def test_a_wrong_point_stops_no_other(command: Callable[..., Ended]):
    """Where points cannot be judged beforehand, a wrong one is told by its number when the others have run."""
    ended = command("-m", "tracking=off", "mode.shots=0,8,0.5", *ONE_BY_ONE)
    assert ended.code == 1
    assert "\n1 points: run " in ended.out
    assert ended.err.splitlines() == [
        "left out: point 0: mode.shots: given 0; allowed: a whole number (at least 1); remedy: mode.shots=1024",
        "left out: point 2: mode.shots: given 0.5; allowed: a whole number (at least 1); remedy: mode.shots=1024",
    ]


def test_a_point_that_does_not_fit_stops_no_other(command: Callable[..., Ended]):
    """What only the backend can tell is told of the point as well."""
    chosen = ["tracking=off", "backend=fake_manila", "circuit=ghz", "hydra/launcher=basic"]
    ended = command("-m", *chosen, "circuit.params.num_qubits=2,6")
    assert ended.code == 1
    assert "left out: point 1: circuit: given a circuit of 6 qubits for fake_manila; allowed: at most 5" in ended.err


def test_where_no_point_can_run_the_config_is_wrong(command: Callable[..., Ended]):
    """The mistakes of all points are listed as those of a compiled sweep are, with the same exit code."""
    ended = command("-m", "tracking=off", "mode.shots=0,-1", "seed=1,2", *ONE_BY_ONE)
    assert ended.code == 2
    assert ended.err == (
        "The config has 2 mistakes; nothing was run.\n"
        "  points 0, 1: mode.shots: given 0; allowed: a whole number (at least 1); remedy: mode.shots=1024\n"
        "  points 2, 3: mode.shots: given -1; allowed: a whole number (at least 1); remedy: mode.shots=1024\n"
    )


def test_our_sweeper_judges_all_points_before_another_launcher_runs_one(command: Callable[..., Ended]):
    """As in a compiled sweep, a wrong point refuses the whole, or is left out where that is asked for."""
    ended = command("-m", "tracking=off", "mode.shots=8,0", "hydra/launcher=basic")
    assert ended.code == 2
    assert "  point 1: mode.shots: given 0;" in ended.err
    assert notes() == []
    ended = command("-m", "tracking=off", "mode.shots=8,0", "hydra/launcher=basic", "sweep.on_invalid=skip")
    assert ended.code == 1
    assert [note["exit_code"] for note in notes()] == [0, 2]


def test_an_account_that_is_missing_is_told_once(command: Callable[..., Ended]):
    """Where nothing could run for want of access, the exit code is that of a single run."""
    chosen = ["tracking=off", "backend=ibm", "backend.name=ibm_fez", "hydra/launcher=basic"]
    ended = command("-m", *chosen, "mode.shots=8,16")
    assert ended.code == 3
    assert ended.err.startswith("points 0, 1: backend.account: given no account")


def test_other_actions_are_refused_point_by_point(command: Callable[..., Ended]):
    """What is not a run has no points."""
    ended = command("-m", "action=collect", "mode.shots=8,16", *ONE_BY_ONE)
    assert ended.code == 2
    assert "points 0, 1: action: given collect; allowed: run where Hydra runs point by point" in ended.err


def test_a_secret_in_a_point_is_taken_back(command: Callable[..., Ended]):
    """What Hydra has written of the point is removed, and nothing of it is told."""
    Path("conf/backend").mkdir(parents=True)
    Path("conf/backend/mine.yaml").write_text("kind: aer\nname: aer\ntoken: abcdefghijkl\n", encoding="utf-8")
    ended = command("-m", "tracking=off", "backend=mine", "mode.shots=8,16", *ONE_BY_ONE)
    assert ended.code == 2
    assert "points 0, 1: backend.token: given a credential (not shown)" in ended.err
    texts = [file.read_text(encoding="utf-8") for file in Path("multirun").rglob("*") if file.is_file()]
    assert not any("abcdefghijkl" in text for text in texts)


def test_a_folder_that_is_used_again_holds_its_last_sweep(command: Callable[..., Ended]):
    """What an earlier sweep left there does not count."""
    chosen = ["tracking=off", "hydra.sweep.dir=multirun/mine", *ONE_BY_ONE]
    assert command("-m", *chosen, "mode.shots=8,0").code == 1
    ended = command("-m", *chosen, "mode.shots=16")
    assert ended.code == 0, ended.err
    assert "\n1 points: run " in ended.out


def test_what_hydra_calls_can_be_pickled():
    """As launchers do that run points in other processes."""
    copied = cloudpickle.loads(cloudpickle.dumps(Task()))
    assert isinstance(copied, Task)


def test_joblib_runs_points_in_two_processes(process: Callable[..., Ended]):
    """The real launcher, in real processes: the same numbers, one line of each point, failures recorded."""
    chosen = ["tracking=off", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "sweep.on_invalid=skip"]
    ended = process("-m", *chosen, "mode.shots=8,0", "mode=raw,sampler")
    assert ended.code == 1, ended.err
    assert ended.out.count("meas  11: 6  00: 2") == 2
    assert "\n2 points: run " in ended.out
    assert "left out: points 2, 3: mode.shots: given 0;" in ended.err
    assert [note["exit_code"] for note in notes()] == [0, 0, 2, 2]


def test_submitit_runs_points_in_interpreters_of_their_own(process: Callable[..., Ended], store):
    """The real launcher, on this machine: both points are children of one parent, with the numbers of any other way."""
    ended = process("-m", "hydra/launcher=submitit_local", "mode.shots=8,16", "mode=raw")
    assert ended.code == 0, ended.err
    assert "\n2 points: run " in ended.out
    runs = {run.data.params.get("shots", "parent"): run for run in store.search_runs(["1"])}
    assert sorted(runs) == ["16", "8", "parent"]
    parents = {runs[shots].data.tags["mlflow.parentRunId"] for shots in ("8", "16")}
    assert parents == {runs["parent"].info.run_id}
    assert runs["8"].data.metrics["ev/zz"] == 1


# Values for sweepers


def test_a_sweeper_finds_a_minimum_in_compiled_batches(ternary, process: Callable[..., Ended]):
    """<Z> of ry(theta) is cos(theta): eight batches of two points close in on pi, each batch one plan."""
    turn = circuit_file("turn", TURN, "'z': 'Z'")
    ended = process(
        "-m",
        *turn,
        *ternary,
        "tracking=off",
        "+circuit.parameter_values.theta=0",
        "mode=estimator",
        "mode.shots=200000",
    )
    assert ended.code == 0, ended.err
    low, high = minimum(ended.out)
    assert low <= math.pi + 0.05
    assert high >= math.pi - 0.05
    assert high - low < 0.2
    assert [note["points"] for note in notes()] == [[2 * batch, 2 * batch + 1] for batch in range(8)]


def minimum(out: str) -> tuple[float, float]:
    """Return the interval in which the sweeper found the minimum."""
    words = out.partition("minimum between ")[2].split()
    return float(words[0]), float(words[2])


def test_a_sweeper_finds_a_minimum_with_hydras_own_launcher(ternary, process: Callable[..., Ended]):
    """Point by point, of the metric that `sweep.objective` names, which is not the headline here."""
    turn = circuit_file("turn", TURN, "'x': 'X', 'z': 'Z'")
    words = ["+circuit.parameter_values.theta=0", "mode=estimator", "sweep.objective=ev/z", "mode.shots=200000"]
    ended = process("-m", *turn, *ternary, *words, "tracking=off", "hydra/launcher=basic", "hydra.sweeper.batches=3")
    assert ended.code == 0, ended.err
    low, high = minimum(ended.out)
    assert low <= math.pi <= high
    assert high - low == pytest.approx(3 * (2 / 3) ** 3, abs=0.01)
    assert [note["points"] for note in notes()] == [[number] for number in range(6)]


def test_an_unknown_objective_is_refused_before_anything_runs(ternary, process: Callable[..., Ended]):
    """With what the first task will have."""
    turn = circuit_file("turn", TURN, "'z': 'Z'")
    words = ["+circuit.parameter_values.theta=0", "tracking=off", "mode=estimator", "sweep.objective=ev/zz"]
    ended = process("-m", *turn, *ternary, *words)
    assert ended.code == 2
    assert ended.err.splitlines()[-1] == (
        "  sweep.objective: given ev/zz; allowed: ev/z, std/z, circuit/depth, circuit/two_qubit_gates, isa/depth, "
        "isa/two_qubit_gates; remedy: sweep.objective=ev/z"
    )
    assert notes() == []


PRECISIONS = ["hydra.sweeper.field=mode.precision", "hydra.sweeper.low=0.1", "hydra.sweeper.high=1.2"]
"""Equal values leave the right two thirds: 0.467 and 0.833, 0.711 and 0.956, 0.874 and 1.037, 0.983 and 1.091."""


def test_a_wrong_point_of_a_batch_ends_the_search(ternary, process: Callable[..., Ended]):
    """A precision of 1.037 is refused; the two batches before it are kept, and the exit code is 1."""
    ended = process("-m", *ternary, *PRECISIONS, "tracking=off", "mode=estimator", "sweep.objective=ev/zz")
    assert ended.code == 1
    assert ended.err.startswith(
        "The sweep was cut short; what had been measured is kept. point 5: mode.precision: given"
    )
    assert [note["points"] for note in notes()] == [[0, 1], [2, 3]]


def test_wrong_points_of_a_batch_can_be_left_out(ternary, process: Callable[..., Ended]):
    """They give nan, and the search goes on, also where a batch has no other."""
    chosen = [*PRECISIONS, "hydra.sweeper.batches=5", "sweep.on_invalid=skip"]
    ended = process("-m", *ternary, *chosen, "tracking=off", "mode=estimator", "sweep.objective=ev/zz")
    assert ended.code == 1
    assert [line.partition("got ")[2] for line in ended.out.splitlines() if "got " in line] == [
        "1.0 1.0",
        "1.0 1.0",
        "1.0 nan",
        "1.0 nan",
        "nan nan",
    ]
    assert [(note["points"], note["exit_code"]) for note in notes()][2:] == [
        ([4, 5], 1),
        ([6, 7], 1),
        ([8], 2),
        ([9], 2),
    ]


@pytest.mark.parametrize(
    "reference",
    [["reference=none"], ["reference=ideal"], ["reference=value", "+reference.values={zz: 1}"]],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize("mode", ["raw", "sampler", "estimator"])
def test_what_is_allowed_is_what_there_is(mode, reference):
    """Every metric that a task is said to have, it has, and the headline is among them."""
    outcome = outcome_of([f"mode={mode}", *reference, "mode.shots=16"])
    (result,) = outcome.results
    experiment = point_of([f"mode={mode}", *reference, "sweep.objective=nothing"]).experiment
    with pytest.raises(ConfigError) as refused:
        check_objective(experiment, needed=True)
    (mistake,) = refused.value.mistakes
    values = {name: objective_of(result, name) for name in mistake.allowed.split(", ")}
    assert all(isinstance(value, float) for value in values.values())
    assert objective_of(result, None) == next(iter(values.values()))


def test_the_objective_is_a_metric_of_the_first_parameter_set():
    """Values, errors and deviations by name; the headline is the first expectation value, else what there is."""
    expectations = Expectations(("a", "b"), np.array([[0.5, -1.0], [0.7, 0.0]]), np.array([[0.1, 0.0], [0.2, 0.3]]))
    comparison = Comparison(np.array([[0.25, -0.5], [0.0, 0.0]]), None, (0.9, 0.8), (0.75, 0.5))
    result: Any = SimpleNamespace(
        state="done", expectations=expectations, comparison=comparison, sizes={"isa/depth": 3.0}
    )
    names = ("ev/b", "std/a", "ideal/b", "error/a", "fidelity/hellinger", "p_success", "isa/depth", None)
    assert [objective_of(result, name) for name in names] == [-1.0, 0.1, -0.5, 0.25, 0.9, 0.75, 3.0, 0.5]
    result.expectations = None
    assert objective_of(result, None) == 0.9
    result.comparison = Comparison()
    assert objective_of(result, None) is None
    result.state = "failed"
    assert math.isnan(objective_of(result, "p_success") or 0)


def test_a_task_without_numbers_is_no_objective():
    """A sweeper that needs a value is not given none."""
    bare = [*circuit_file("bare", "circuit = QuantumCircuit(1)"), "mode=raw"]
    check_objective(point_of(bare).experiment, needed=False)
    with pytest.raises(ConfigError, match="null for a task without observables and reference"):
        check_objective(point_of(bare).experiment, needed=True)


def test_points_that_ran_by_themselves_have_one_parent(command: Callable[..., Ended], store):
    """Each child under one parent, which holds the table of all; collecting the sweep again adds nothing."""
    ended = command("-m", *ONE_BY_ONE, "mode.shots=8,16", "mode=raw")
    assert ended.code == 0, ended.err
    (experiment,) = [found for found in store.search_experiments() if found.name == "qrt_runner"]
    runs = store.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if run is not parent]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert sorted(run.data.params["mode.shots"] for run in children) == ["16", "8"]
    assert {run.data.tags["qrt.run"] for run in runs} == {parent.data.tags["qrt.run"]}
    assert "results.parquet" in [file.path for file in store.list_artifacts(parent.info.run_id)]
    assert command("action=collect").code == 0
    assert len(store.search_runs([experiment.experiment_id])) == 3
