"""From Python and notebooks: compose, plan, run and load, and what they return."""

from __future__ import annotations

import builtins
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from composing import circuit_file
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from qiskit.primitives import StatevectorSampler

import qrt_runner
from qrt_runner.circuits import open_circuit
from qrt_runner.errors import ConfigError

QUIET = ["tracking=off", "tracking.plots=false"]
TURN = ("turn", "circuit = QuantumCircuit(1)\ncircuit.ry(Parameter('theta'), 0)", "'z': 'Z', 'x': 'X'")


def imported(line: str) -> set[str]:
    """Return the modules that a fresh interpreter has after a line."""
    shell = [sys.executable, "-c", f"{line}; import sys; print(*sys.modules)"]
    return set(subprocess.run(shell, capture_output=True, check=True, text=True).stdout.split())


def test_importing_the_package_imports_nothing_else():
    """Beside itself a few modules of the standard library, some milliseconds in all."""
    library = imported("import collections.abc, importlib, pathlib, types, typing")
    assert imported("import qrt_runner") - library == {"qrt_runner"}


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


@pytest.mark.parametrize("words", [["seed=3"], ["-m", "seed=1,2"]])
def test_composing_leaves_nothing_behind(tmp_path, words):
    """Neither folders nor files, nor loggers that are set otherwise."""
    other = logging.getLogger("urllib3")
    before = (list(logging.root.handlers), logging.root.level, other.level)
    qrt_runner.compose([*words, *QUIET])
    assert [path.name for path in tmp_path.iterdir() if path.name != ".state"] == []
    assert (list(logging.root.handlers), logging.root.level, other.level) == before


def test_what_a_caller_has_in_hydra_stays(tmp_path):
    """An application of their own goes on, and does not find `conf/` of the working directory among its configs."""
    own, beside = tmp_path / "own", tmp_path / "conf"
    for folder, text in ((own, "answer: 42\n"), (beside, "answer: 0\n")):
        folder.mkdir()
        (folder / "theirs.yaml").write_text(text)
    with initialize_config_dir(version_base="1.3", config_dir=str(own)):
        hydra, config = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
        qrt_runner.compose(["-m", "seed=1,2", *QUIET])
        with pytest.raises(ConfigError):
            qrt_runner.compose(["circuit=nothing"])
        assert GlobalHydra.instance().hydra is hydra
        assert HydraConfig.instance().cfg is config
        assert compose("theirs").answer == 42
    with initialize_config_dir(version_base="1.3", config_dir=str(own)):
        assert compose("theirs").answer == 42


APPLICATION = """
import hydra
import qrt_runner
from hydra.core.hydra_config import HydraConfig


@hydra.main(version_base="1.3", config_path="own", config_name="app")
def main(config):
    results = qrt_runner.run(qrt_runner.compose("-m seed=1,2 tracking=off"))
    print(config.x, results.exit_code, len(results), HydraConfig.get().job.name)


main()
"""


def test_inside_an_application_of_the_caller_s_own(tmp_path):
    """Which had Hydra look for plugins before this package was imported; its own jobs go on."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "app.yaml").write_text("x: 1\n")
    (tmp_path / "app.py").write_text(APPLICATION)
    shell = [sys.executable, "app.py", "-m", "x=2,3"]
    environment = os.environ | {"PYTHONPATH": str(Path(qrt_runner.__file__).parents[1])}
    done = subprocess.run(shell, capture_output=True, text=True, check=False, env=environment)
    assert [line for line in done.stdout.splitlines() if line.endswith(" app")] == ["2 0 2 app", "3 0 2 app"], (
        done.stderr
    )


def test_other_launchers_are_refused_before_they_run_anything():
    """They compose and run in one."""
    with pytest.raises(ConfigError, match=r"hydra/launcher: given basic; allowed: compiled"):
        qrt_runner.compose(["-m", "hydra/launcher=basic", "seed=1,2", *QUIET])
    assert not list(Path().rglob("tasks.jsonl"))


def test_threads_compose_and_run_side_by_side():
    """Each has what it asked for: the numbers that its seed gives alone."""
    found = {}

    def run(seed: int) -> None:
        results = qrt_runner.run(qrt_runner.compose([f"seed={seed}", "backend=fake_manila", *QUIET]))
        found[seed] = dict(results[0].counts.joint[0])

    threads = [threading.Thread(target=run, args=(seed,)) for seed in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    together = dict(found)
    for seed in (1, 2, 3):
        run(seed)
    assert found == together
    assert len({tuple(sorted(counts.items())) for counts in found.values()}) == 3


def test_without_its_journal_a_run_is_told_where_it_is_kept(tmp_path):
    """No journal is made by looking for one."""
    results = qrt_runner.run(qrt_runner.compose(QUIET))
    with pytest.raises(ConfigError, match=rf"action=report run={results.run}, from outputs/"):
        qrt_runner.load("latest", journal="nowhere")
    with pytest.raises(ConfigError, match="journal: given nowhere, which is not there"):
        qrt_runner.load("20200101-000000-ffffff", journal="nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_what_a_notebook_shows_is_escaped():
    """Names are words, whatever they look like; the config is folded."""
    asked = qrt_runner.compose(["name='<script>alert(1)</script>'", "backend.name='<b>aer</b>'", *QUIET])
    results = qrt_runner.run(asked)
    for shown in (asked, qrt_runner.plan(asked), results):
        page = shown._repr_html_()
        assert "<script" not in page
        assert "<b>" not in page
    assert "&lt;script&gt;" in asked._repr_html_()


def test_rich_leaves_notebooks_alone(monkeypatch):
    """In a notebook rich would show a table by itself, and leave none in the text."""

    class ZMQInteractiveShell:
        """What rich tells a notebook by."""

    monkeypatch.setattr(builtins, "get_ipython", ZMQInteractiveShell, raising=False)
    results = qrt_runner.run(qrt_runner.compose(QUIET))
    assert "headline number" in repr(results)


def test_counts_are_as_qiskit_s_own_sampler_gives_them():
    """Registers of different widths and order, bound parameters: same shapes, widths and bits, shot for shot.

    x(0) and x(3) are certain; ry(theta) turns qubit 2 from 0 to 1 as theta goes from 0 to pi.
    """
    lines = "circuit = QuantumCircuit(QuantumRegister(4), ClassicalRegister(1, 'low'), ClassicalRegister(3, 'high'))"
    lines += "\ncircuit.x([0, 3])\ncircuit.ry(Parameter('theta'), 2)\ncircuit.measure([0, 1, 2, 3], [0, 1, 2, 3])"
    words = ["mode=sampler", "mode.shots=64", "+circuit.parameter_values.theta=[0,3.141592653589793]", *QUIET]
    asked = qrt_runner.compose([*circuit_file("wide", lines), *words])
    (pub,) = qrt_runner.run(asked).to_qiskit()
    task = asked.experiment.tasks["main"]
    circuit = open_circuit(task.circuit, task.mode.kind).circuit
    (theirs,) = StatevectorSampler(seed=1).run([(circuit, [[0], [np.pi]])], shots=64).result()
    assert pub.data.shape == theirs.data.shape == (2,)
    for name in ("low", "high"):
        ours, other = pub.data[name], theirs.data[name]
        assert (ours.shape, ours.num_bits, ours.num_shots) == (other.shape, other.num_bits, other.num_shots)
        assert np.array_equal(ours.array, other.array)
    assert pub.data.high.get_counts(1) == {"110": 64}
    assert pub.join_data().get_counts(0) == theirs.join_data().get_counts(0) == {"1001": 64}


def test_a_real_notebook_shows_what_it_is_given(tmp_path):
    """Each object as HTML, and nothing beside it."""
    client = pytest.importorskip("nbclient")
    form = pytest.importorskip("nbformat").v4
    begin = f"import sys; sys.path.insert(0, {str(Path(qrt_runner.__file__).parents[1])!r}); import qrt_runner"
    words = f"asked = qrt_runner.compose({QUIET!r})"
    sources = [f"{begin}\n{words}\nasked", "qrt_runner.plan(asked)", "qrt_runner.run(asked)", "qrt_runner.load()"]
    notebook = form.new_notebook(cells=[form.new_code_cell(source) for source in sources])
    client.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    for cell in notebook.cells:
        (output,) = cell.outputs
        assert output.output_type == "execute_result"
        assert output.data["text/html"].startswith("<div>")
