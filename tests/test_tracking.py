"""What a run leaves in MLflow is the table of the design, key by key, on real runs in a real store."""

from __future__ import annotations

import io
import json
import math
import os
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml
from hydra.core.global_hydra import GlobalHydra
from pyarrow import parquet
from qiskit import QuantumCircuit, qasm3, qpy
from qiskit.quantum_info import Operator

from qrt_runner.__main__ import main
from qrt_runner.digits import with_error
from qrt_runner.tracking.showing import shown_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

ROOT = Path(__file__).parents[1]
FOREIGN = ("QISKIT_IBM_TOKEN", "QISKIT_IBM_URL", "QISKIT_IBM_INSTANCE", "HYDRA_FULL_ERROR")
PNG = b"\x89PNG\r\n\x1a\n"

TILTED = '''
"""RY(theta) and CX: <ZZ> = 1, <ZI> = cos theta, <XX> = sin theta."""

from qiskit import QuantumCircuit
from qiskit.circuit import Parameter


def build():
    circuit = QuantumCircuit(2, name="tilted")
    circuit.ry(Parameter("theta"), 0)
    circuit.cx(0, 1)
    return circuit


def observables():
    return {"zz": "ZZ", "zi": "ZI", "xx": "XX"}
'''

LABELLED = '''
"""A circuit that takes a text."""

from qiskit import QuantumCircuit


def build(label):
    return QuantumCircuit(1, name=label[:3])
'''

VENDOR = '''
"""A vendor's backend that works or does not, as it is told."""

from qiskit.providers import BackendV2, Options
from qiskit_aer import AerSimulator


class Flaky(BackendV2):
    def __init__(self, broken):
        super().__init__(name="flaky")
        self._inner, self._broken = AerSimulator(), broken

    @property
    def target(self):
        return self._inner.target

    @property
    def max_circuits(self):
        return None

    @classmethod
    def _default_options(cls):
        return Options()

    def run(self, circuits, **options):
        if self._broken:
            raise RuntimeError("the fridge is warm")
        return self._inner.run(circuits, **options)


def get_backend(broken):
    return Flaky(broken)
'''


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Recorded:
    """One MLflow run, as the store gives it back."""

    client: MlflowClient
    run: Run

    @property
    def params(self) -> dict[str, str]:
        """The run's parameters."""
        return dict(self.run.data.params)

    @property
    def tags(self) -> dict[str, str]:
        """The run's tags."""
        return dict(self.run.data.tags)

    def series(self, key: str) -> list[float]:
        """Return a metric's values in the order of their steps, which count from 0."""
        history = sorted(self.client.get_metric_history(self.run.info.run_id, key), key=lambda metric: metric.step)
        assert [metric.step for metric in history] == list(range(len(history)))
        return [metric.value for metric in history]

    def file(self, name: str) -> Path:
        """Return an artifact as a local file."""
        return Path(self.client.download_artifacts(self.run.info.run_id, name))

    def json(self, name: str) -> Any:
        """Return the content of a JSON artifact."""
        return json.loads(self.file(name).read_text(encoding="utf-8"))

    def files(self, folder: str = "") -> set[str]:
        """Return the paths of the artifacts right below a folder."""
        return {item.path for item in self.client.list_artifacts(self.run.info.run_id, folder)}


@dataclass(frozen=True)
class Lab:
    """A folder in which many commands record into one store, which is migrated once."""

    folder: Path

    @property
    def uri(self) -> str:
        """The store's address from anywhere."""
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    @property
    def client(self) -> MlflowClient:
        """A client of the store."""
        from mlflow.tracking import MlflowClient

        return MlflowClient(tracking_uri=self.uri)

    def command(self, *words: str) -> Ended:
        """Call the command line in the lab's folder."""
        with (
            _inside(self.folder, self.uri, words),
            redirect_stdout(io.StringIO()) as out,
            redirect_stderr(io.StringIO()) as err,
        ):
            code = main()
        return Ended(code, out.getvalue(), err.getvalue())

    def recorded(self, experiment: str) -> list[Recorded]:
        """Return the runs of an MLflow experiment by their points and tasks; a parent comes first."""
        client = self.client
        found = client.get_experiment_by_name(experiment)
        runs = client.search_runs([found.experiment_id]) if found else []
        runs.sort(key=lambda run: (run.data.tags.get("qrt.point", ""), run.data.tags.get("qrt.task", "")))
        return [Recorded(client, run) for run in runs]

    def record(self, *words: str) -> list[Recorded]:
        """Call the command line, which must end well, and return the runs of its experiment."""
        ended = self.command(*words)
        assert ended.code == 0, ended.err
        names = [word.removeprefix("name=") for word in words if word.startswith("name=")]
        return self.recorded(names[0])


@contextmanager
def _inside(folder: Path, uri: str, words: tuple[str, ...]) -> Iterator[None]:
    GlobalHydra.instance().clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HOME", str(folder))
        patch.setattr(sys, "argv", ["qrt_runner", *words])
        for name in FOREIGN:
            patch.delenv(name, raising=False)
        # MLflow keeps its connections by address: a relative one would lead to another test's store in this process.
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        yield


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Lab:
    """Return a lab with circuit files and a vendor's module of its own."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "tilted.py").write_text(TILTED)
    (folder / "labelled.py").write_text(LABELLED)
    (folder / "lab_provider.py").write_text(VENDOR)
    return Lab(folder)


@pytest.fixture(scope="module")
def sampled(lab) -> Recorded:
    """Return the run of a GHZ state on 3 of the 5 qubits of a noisy device, sampled and compared."""
    words = ("circuit=ghz", "backend=fake_manila", "reference=ideal", "mode.shots=500", "seed=7")
    [recorded] = lab.record("name=sampled", *words)
    return recorded


@pytest.fixture(scope="module")
def estimated(lab) -> Recorded:
    """Return the run of three parameter sets, estimated with TREX to a precision and compared."""
    values = "+circuit.parameter_values.theta={linspace: [0, 3.141592653589793, 3]}"
    words = ("mode=estimator", "mode.precision=0.05", "mitigation=trex", "backend=fake_manila", "reference=ideal")
    [recorded] = lab.record("name=estimated", "circuit=file", "circuit.source=tilted.py", values, *words)
    return recorded


@pytest.fixture(scope="module")
def swept(lab) -> list[Recorded]:
    """Return the parent and the four children of a sweep over a parameter and an option."""
    values, levels = "+circuit.parameter_values.theta=0.5,1.0", "transpile.optimization_level=0,2"
    return lab.record("-m", "name=swept", "circuit=file", "circuit.source=tilted.py", values, levels, "mode=raw")


@pytest.fixture(scope="module")
def side_by_side(lab) -> list[Recorded]:
    """Return the parent and the three children of an experiment with three tasks."""
    return lab.record("name=side_by_side", "experiment=raw_versus_primitive")


@pytest.fixture(scope="module")
def extrapolated(lab) -> Recorded:
    """Return the run of curves with two constants through two points, which leaves no freedom to tell an error from."""
    zne = "mitigation.options.resilience.zne"
    curves = (f"{zne}.noise_factors=[1,3]", f"{zne}.extrapolator=[linear,exponential]")
    [recorded] = lab.record("name=extrapolated", "mode=estimator", "mitigation=zne", "backend=fake_manila", *curves)
    return recorded


@pytest.fixture(scope="module")
def teleported(lab) -> Recorded:
    """Return the run of a circuit with three classical registers."""
    [recorded] = lab.record("name=teleported", "circuit=dynamic_teleport", "mode.shots=200")
    return recorded


@pytest.fixture(scope="module")
def broken(lab) -> tuple[Ended, list[Recorded]]:
    """Return how a sweep ended whose first job raises, and its runs: parent, failed child, good child."""
    vendor = ("backend=vendor", "backend.source=lab_provider:get_backend", "+backend.arguments.broken=true,false")
    ended = lab.command("-m", "name=broken", "mode=raw", *vendor)
    return ended, lab.recorded("broken")


def test_params_of_counts(sampled):
    """A sampled run's parameters are those of the table and no others."""
    assert sampled.params == {
        "circuit.name": "ghz",
        "circuit.params.num_qubits": "3",
        "backend.kind": "fake",
        "backend.name": "fake_manila",
        "mode": "sampler",
        "session.kind": "none",
        "mitigation": "none",
        "shots": "500",
        "seed": "7",
    }


def test_params_of_an_estimate_to_a_precision(estimated):
    """With a precision the run has it in place of shots, and the kind of mitigation asked for."""
    assert estimated.params == {
        "circuit.name": "file",
        "backend.kind": "fake",
        "backend.name": "fake_manila",
        "mode": "estimator",
        "session.kind": "none",
        "mitigation": "trex",
        "precision": "0.05",
        "seed": "42",
    }


def test_params_of_a_sweep(swept):
    """Every swept override is a parameter by its own dotted name; what all points share is not."""
    points = [
        (run.params["circuit.parameter_values.theta"], run.params["transpile.optimization_level"]) for run in swept[1:]
    ]
    assert points == [("0.5", "0"), ("0.5", "2"), ("1.0", "0"), ("1.0", "2")]
    assert "circuit.source" not in swept[1].params


def test_swept_group_of_a_task_is_a_param(lab):
    """An option swept for one task of several is recorded by a name that MLflow takes."""
    words = (
        "tracking.plots=false",
        "experiment=raw_versus_primitive",
        "backend=aer",
        "mode@tasks.raw.mode=raw,sampler",
    )
    ended = lab.command("-m", "name=packages", *words)
    assert ended.code == 0, ended.err
    told = [value for run in lab.recorded("packages") for key, value in run.params.items() if "tasks.raw.mode" in key]
    assert told == ["raw", "raw", "raw", "sampler", "sampler", "sampler"]


def test_tags_of_counts(sampled):
    """A local run's tags name its place, its job and its device, no session, and that nothing was spent."""
    [job] = sampled.json("jobs.json")
    own = {key: value for key, value in sampled.tags.items() if key.startswith("qrt.")}
    for name in ("qrt.run", "qrt.fingerprint", "qrt.notes"):
        assert own.pop(name)
    assert own.pop("qrt.headline").startswith("zz_ends = ")
    assert own == {
        "qrt.point": "0",
        "qrt.task": "main",
        "qrt.backend": "fake_manila",
        "qrt.job_ids": job["id"],
        "qrt.session_id": "none",
        "qrt.session_kind": "none",
        "qrt.mitigation_applied": "",
        "qrt.mitigation_ignored": "",
        "qrt.cost_source": "estimated",
    }


def test_notes_of_a_run(sampled):
    """The note tells the job, the shots, the numbers of the metrics, and a command that is this run's own."""
    note, [job] = sampled.tags["mlflow.note.content"], sampled.json("jobs.json")
    assert f"`{job['id']}`; no session" in note
    assert "500 shots" in note
    metrics = sampled.run.data.metrics
    assert f"`zz_ends` = {with_error(metrics['ev/zz_ends'], metrics['std/zz_ends'])} (ideal " in note
    assert "```sh\npython -m qrt_runner " in note


def test_notes_of_a_sweep(swept):
    """The parent's note tells what was swept over; its table has the rows of results.parquet."""
    parent = swept[0]
    assert "- tasks: 4 done, 0 failed\n" in parent.tags["mlflow.note.content"]
    table, rows = parent.json("results_table.json"), parquet.read_table(parent.file("results.parquet")).to_pylist()
    shown = [dict(zip(table["columns"], line, strict=True)) for line in table["data"]]
    assert shown == [{name.rpartition(".")[2]: row[name] for name in shown_names(rows)} for row in rows]
    assert json.loads(parent.tags["mlflow.loggedArtifacts"]) == [{"path": "results_table.json", "type": "table"}]


def test_trace_of_a_sweep(swept):
    """The trace of a sweep belongs to its parent, and has the stages of the run's jobs."""
    parent = swept[0]
    (trace,) = parent.client.search_traces(locations=[parent.run.info.experiment_id], run_id=parent.run.info.run_id)
    names = [span.name for span in trace.data.spans]
    assert {"prepare", "transpile", "submit", "execute", "collect", "record"} <= {*names}
    jobs = {job for run in swept[1:] for job in run.tags["qrt.job_ids"].split(",")}
    assert {name.removeprefix("job ") for name in names if name.startswith("job ")} == jobs


def test_run_tag_is_the_id_told(lab):
    """The tag `qrt.run` is the id that the command line prints."""
    ended = lab.command("name=told", "mode=raw", "tracking.plots=false")
    [recorded] = lab.recorded("told")
    assert f"run {recorded.tags['qrt.run']}, kept in " in ended.out
    assert f"MLflow run {recorded.run.info.run_id} in experiment told" in ended.out


def test_mitigation_that_acts_is_applied(estimated):
    """On a noisy device TREX and the twirling it needs are told as applied, nothing as ignored."""
    assert set(estimated.tags["qrt.mitigation_applied"].split(",")) == {"trex", "measure_twirling"}
    assert estimated.tags["qrt.mitigation_ignored"] == ""


def test_mitigation_that_does_nothing_is_ignored(lab):
    """On an ideal simulator TREX is told as ignored, and the results tell why."""
    [recorded] = lab.record("name=ignored", "mode=estimator", "mitigation=trex", "tracking.plots=false")
    assert recorded.tags["qrt.mitigation_applied"] == ""
    assert set(recorded.tags["qrt.mitigation_ignored"].split(",")) == {"trex", "measure_twirling"}
    assert "no noise" in recorded.json("results.json")["mitigation"]["ignored"]["trex"]


def test_fingerprint_is_of_the_request(lab, sampled, swept):
    """Equal requests have equal fingerprints, whatever their experiment's name; different ones do not."""
    words = (
        "circuit=ghz",
        "backend=fake_manila",
        "reference=ideal",
        "mode.shots=500",
        "seed=7",
        "tracking.plots=false",
    )
    [again] = lab.record("name=again", *words)
    assert again.tags["qrt.fingerprint"] == sampled.tags["qrt.fingerprint"]
    assert len({run.tags["qrt.fingerprint"] for run in [sampled, *swept[1:]]}) == 5


def test_sizes_are_those_of_the_recorded_circuits(sampled):
    """Depth and two-qubit gates are those of H, CX, CX and a measurement, and of the ISA circuit beside them."""
    with sampled.file("circuit/isa.qpy").open("rb") as stream:
        [isa] = qpy.load(stream)
    told = {name: sampled.series(name) for name in ("circuit/depth", "circuit/two_qubit_gates")}
    assert told == {"circuit/depth": [4.0], "circuit/two_qubit_gates": [2.0]}
    assert sampled.series("isa/depth") == [isa.depth()]
    assert sampled.series("isa/two_qubit_gates") == [isa.num_nonlocal_gates()]


def test_times_and_usage(sampled):
    """Transpiling and running took time; a local run queues and uses no quantum seconds."""
    assert 0 < sampled.series("time/transpile_s")[0] < 60
    assert 0 < sampled.series("time/run_s")[0] < 60
    assert sampled.series("time/queue_s") == [0.0]
    assert sampled.series("usage/quantum_s") == [0.0]


def test_expectation_values_from_counts(sampled):
    """<Z..Z> from counts is the mean of the product of the end bits' signs, with the standard error of a mean."""
    [registers] = sampled.json("counts.json")
    shares = {bits: count / 500 for bits, count in registers["meas"].items()}
    mean = sum(share * (1 if bits[0] == bits[-1] else -1) for bits, share in shares.items())
    assert sampled.series("ev/zz_ends") == pytest.approx([mean])
    assert sampled.series("std/zz_ends") == pytest.approx([math.sqrt((1 - mean**2) / 500)])
    assert sampled.series("ideal/zz_ends") == pytest.approx([1.0])
    assert sampled.series("error/zz_ends") == pytest.approx([mean - 1.0])


def test_fidelity_and_success_from_counts(sampled):
    """Half of the ideal outcomes are 000 and half 111: (sqrt(p0/2) + sqrt(p1/2))^2 is the Hellinger fidelity."""
    [registers] = sampled.json("counts.json")
    zeros, ones = (registers["meas"][bits] / 500 for bits in ("000", "111"))
    assert sampled.series("fidelity/hellinger") == pytest.approx([(math.sqrt(zeros / 2) + math.sqrt(ones / 2)) ** 2])
    assert sampled.series("p_success") == pytest.approx([zeros + ones])


def test_one_step_per_parameter_set(estimated):
    """At theta = 0, pi/2, pi the exact values are cos, sin and 1, each at its own step."""
    assert estimated.series("ideal/zi") == pytest.approx([1, 0, -1], abs=1e-9)
    assert estimated.series("ideal/xx") == pytest.approx([0, 1, 0], abs=1e-9)
    assert estimated.series("ideal/zz") == pytest.approx([1, 1, 1], abs=1e-9)


def test_estimates_are_near_the_ideal(estimated):
    """With readout errors undone, estimates lie within 5 standard errors and what two noisy gates leave, 5 %."""
    for name in ("zz", "zi", "xx"):
        values, errors = (np.array(estimated.series(f"{kind}/{name}")) for kind in ("ev", "std"))
        assert (np.abs(values - estimated.series(f"ideal/{name}")) <= 5 * errors + 0.05).all()
        assert estimated.series(f"error/{name}") == pytest.approx(list(values - estimated.series(f"ideal/{name}")))


def test_no_bitstring_is_a_metric(sampled, estimated, teleported):
    """Outcomes are in artifacts; the metrics are those of the table and no others."""
    always = {"circuit/depth", "circuit/two_qubit_gates", "isa/depth", "isa/two_qubit_gates"}
    always |= {"time/transpile_s", "time/queue_s", "time/run_s", "usage/quantum_s"}
    always |= {"price/circuits", "price/shots", "price/randomizations", "price/estimated_s"}
    always |= {"headline/value", "headline/error"}
    kinds = ("ev", "std", "ideal", "error", "effect/mse_cost")
    compared = always | {"effect/mse_cost", "effect/cost_s"}
    counted = {f"{kind}/zz_ends" for kind in kinds}
    counted |= {"fidelity/hellinger", "distance/total_variation", "p_success"}
    assert set(sampled.run.data.metrics) == compared | counted
    assert set(estimated.run.data.metrics) == compared | {
        f"{kind}/{name}" for kind in kinds for name in ("zz", "zi", "xx")
    }
    assert set(teleported.run.data.metrics) == always | {"ev/z_bob", "std/z_bob"}


def test_infinite_standard_error_is_logged(extrapolated):
    """An infinite standard error reaches MLflow, whose SQL store holds infinity as its largest number."""
    assert extrapolated.series("std/zz")[0] > 1e300
    assert math.isfinite(extrapolated.series("ev/zz")[0])


def test_infinite_standard_error_is_told(extrapolated):
    """An infinite standard error is `inf` in JSON, infinity in Parquet, and said in words."""
    results = extrapolated.json("results.json")
    assert [row["std"] for row in results["rows"]] == ["inf", "inf"]
    assert parquet.read_table(extrapolated.file("results.parquet")).column("std").to_pylist() == [math.inf, math.inf]
    assert "no finite standard error for zz, xx" in results["notes"][0]


def test_artifacts_of_counts(sampled):
    """A sampled run on a device has the artifacts of the table and no others."""
    names = {"config.yaml", "counts.json", "results.json", "results.parquet", "jobs.json", "environment.json"}
    assert sampled.files() == names | {"calibration.json", "circuit", "plots"}
    files = {"circuit/logical.qasm3", "circuit/logical.txt", "circuit/isa.qpy", "circuit/isa.txt"}
    assert sampled.files("circuit") == files
    assert sampled.files("plots") == {"plots/counts.png", "plots/expectation_values.png"}


def test_counts_are_per_set_and_register(sampled):
    """counts.json is a list over parameter sets of {register: {bitstring: count}} that sums to the shots."""
    [registers] = sampled.json("counts.json")
    assert list(registers) == ["meas"]
    assert all(len(bits) == 3 and set(bits) <= {"0", "1"} for bits in registers["meas"])
    assert sum(registers["meas"].values()) == 500


def test_several_registers_are_kept_apart(teleported):
    """Each classical register has its own counts, and counts_joint.json has them together, the last one leftmost."""
    [registers] = teleported.json("counts.json")
    [joint] = teleported.json("counts_joint.json")
    assert {name: sum(counts.values()) for name, counts in registers.items()} == {"crz": 200, "crx": 200, "bob": 200}
    assert registers["bob"] == {"0": 200}
    places = {"bob": 0, "crx": 1, "crz": 2} if next(iter(registers)) == "crz" else {"crx": 0, "crz": 1, "bob": 2}
    for name, place in places.items():
        ones = sum(count for bits, count in joint.items() if bits[place] == "1")
        assert ones == registers[name].get("1", 0)


def test_one_register_needs_no_joint_counts(sampled):
    """With one register the joint counts would repeat counts.json and are not there."""
    assert "counts_joint.json" not in sampled.files()


def test_estimates_have_no_counts(estimated):
    """The estimator returns no counts, so the run has none."""
    assert not {"counts.json", "counts_joint.json"} & estimated.files()


def test_results_are_tidy(estimated):
    """results.parquet has one row per parameter set and observable, with the parameters' values."""
    rows = parquet.read_table(estimated.file("results.parquet")).to_pylist()
    assert [row["observable"] for row in rows] == ["zz", "zi", "xx"] * 3
    assert [row["parameter_set"] for row in rows] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [row["theta"] for row in rows] == pytest.approx([0.0] * 3 + [math.pi / 2] * 3 + [math.pi] * 3)
    assert {"point", "task", "parameter_set", "theta", "observable", "ev", "std", "ideal", "error"} <= set(rows[0])


def test_results_agree_with_metrics(estimated):
    """results.json, results.parquet and the metrics tell the same numbers."""
    table = parquet.read_table(estimated.file("results.parquet")).to_pylist()
    results = estimated.json("results.json")
    assert results["rows"] == table
    for name in ("zz", "zi", "xx"):
        assert [row["ev"] for row in table if row["observable"] == name] == estimated.series(f"ev/{name}")
        assert [row["std"] for row in table if row["observable"] == name] == estimated.series(f"std/{name}")


def test_results_tell_what_was_applied(estimated):
    """results.json holds what was requested, applied, ignored, and every knob as it was sent."""
    mitigation = estimated.json("results.json")["mitigation"]
    assert mitigation["requested"] == "trex"
    assert set(mitigation["applied"]) == {"trex", "measure_twirling"}
    assert mitigation["ignored"] == {}
    assert mitigation["resolved"]["resilience"]["measure_mitigation"] is True
    assert mitigation["resolved"]["resilience_level"] == 0


def test_jobs_have_the_fields_of_the_table(estimated):
    """jobs.json tells of a job its id, session, backend, state, timestamps, usage, tags and options sent."""
    [job] = estimated.json("jobs.json")
    assert {"id", "session_id", "backend", "state", "timestamps", "usage", "tags", "options"} <= set(job)
    assert (job["session_id"], job["backend"], job["state"]) == ("none", "fake_manila", "done")
    assert job["usage"] == {"quantum_s": 0.0}
    assert job["options"]["default_precision"] == 0.05


def test_job_timestamps_are_in_order(estimated):
    """A job's timestamps have a time zone and go forward."""
    [job] = estimated.json("jobs.json")
    submitted, finished = (datetime.fromisoformat(job["timestamps"][name]) for name in ("submitted", "finished"))
    assert submitted.tzinfo
    assert submitted < finished


def test_logical_circuit_loads_back(sampled):
    """circuit/logical.qasm3 is the GHZ circuit."""
    circuit = qasm3.loads(sampled.file("circuit/logical.qasm3").read_text())
    expected = QuantumCircuit(3)
    expected.h(0)
    expected.cx(0, 1)
    expected.cx(1, 2)
    assert Operator(circuit.remove_final_measurements(inplace=False)).equiv(Operator(expected))


def test_isa_circuit_is_on_the_device(sampled):
    """circuit/isa.qpy is over all 5 qubits of the device and in its gates."""
    with sampled.file("circuit/isa.qpy").open("rb") as stream:
        [isa] = qpy.load(stream)
    assert isa.num_qubits == 5
    assert set(isa.count_ops()) <= {"rz", "sx", "x", "cx", "measure", "barrier"}


def test_free_parameters_stay_free(estimated):
    """The recorded circuits still have their free parameter."""
    with estimated.file("circuit/isa.qpy").open("rb") as stream:
        [isa] = qpy.load(stream)
    assert [parameter.name for parameter in isa.parameters] == ["theta"]
    assert "input float[64] theta;" in estimated.file("circuit/logical.qasm3").read_text()


def test_drawings_show_the_gates(sampled):
    """The drawings are text with the circuit's wires and gates."""
    logical = sampled.file("circuit/logical.txt").read_text(encoding="utf-8")
    assert "┤ H ├" in logical
    assert logical.count("q_") == 3
    assert "┤ X ├" in sampled.file("circuit/isa.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["counts", "expectation_values"])
def test_plots_are_pictures(sampled, name):
    """The figures are PNG files with something in them."""
    content = sampled.file(f"plots/{name}.png").read_bytes()
    assert content.startswith(PNG)
    assert len(content) > 5000


def test_extrapolation_is_drawn(extrapolated):
    """A zero-noise extrapolation has a figure of its own."""
    assert extrapolated.file("plots/zne-xx.png").read_bytes().startswith(PNG)


def test_extrapolation_by_one_curve_is_drawn(lab):
    """A single extrapolator, for which the platform returns an array of one axis less, is drawn as well."""
    words = ("mode=estimator", "mitigation=zne", "mitigation.options.resilience.zne.extrapolator=linear")
    [recorded] = lab.record("name=one_curve", *words, "backend=fake_manila")
    assert recorded.file("plots/zne-zz.png").read_bytes().startswith(PNG)


def test_plots_can_be_left_out(lab):
    """`tracking.plots=false` draws nothing."""
    [recorded] = lab.record("name=plain", "mode=raw", "tracking.plots=false")
    assert "plots" not in recorded.files()


def test_environment_tells_versions_and_seed(sampled):
    """environment.json names the versions of what computed, the state of git and the seed."""
    found = sampled.json("environment.json")
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert all(
        found["packages"][name] for name in ("qrt-runner", "qiskit", "qiskit-aer", "qiskit-ibm-runtime", "mlflow")
    )
    assert found["seed"] == 7
    assert "git" in found


def test_calibration_is_of_the_used_qubits(sampled):
    """calibration.json holds the three qubits that the circuit uses and the gates between them, no others."""
    with sampled.file("circuit/isa.qpy").open("rb") as stream:
        [isa] = qpy.load(stream)
    used = {isa.find_bit(qubit).index for instruction in isa.data for qubit in instruction.qubits if instruction.clbits}
    found = sampled.json("calibration.json")
    assert len(used) == 3
    assert set(found["qubits"]) == {str(qubit) for qubit in used}
    assert found["backend"] == "fake_manila"
    assert all(set(gate["qubits"]) <= used for gate in found["gates"])
    assert {"T1", "readout_error"} <= {entry["name"] for entry in found["qubits"][str(min(used))]}


def test_ideal_simulator_has_no_calibration(teleported):
    """Where there is no device there is nothing to calibrate."""
    assert "calibration.json" not in teleported.files()


def test_config_recomposes_to_the_same_experiment(lab, sampled):
    """A run of the recorded config.yaml is the same request and gives the same counts."""
    folder = lab.folder / "recomposed"
    folder.mkdir()
    (folder / "config.yaml").write_bytes(sampled.file("config.yaml").read_bytes())
    [again] = lab.record("--config-dir", str(folder), "name=recomposed")
    assert again.tags["qrt.fingerprint"] == sampled.tags["qrt.fingerprint"]
    assert again.json("counts.json") == sampled.json("counts.json")


def test_config_is_complete(estimated):
    """config.yaml is plain and resolved: every group is there, nothing refers to anything else."""
    text = estimated.file("config.yaml").read_text()
    groups = {"circuit", "backend", "mode", "session", "mitigation", "transpile", "reference", "tracking", "action"}
    assert groups <= set(yaml.safe_load(text))
    assert "${" not in text
    assert "hydra" not in yaml.safe_load(text)


def test_children_of_a_sweep(swept):
    """A sweep has one parent; every point is its direct child, numbered in order."""
    parent, *children = swept
    assert "mlflow.parentRunId" not in parent.tags
    assert {child.tags["mlflow.parentRunId"] for child in children} == {parent.run.info.run_id}
    assert [child.tags["qrt.point"] for child in children] == ["0", "1", "2", "3"]
    assert len({run.tags["qrt.run"] for run in swept}) == 1


def test_children_of_an_experiment_with_tasks(side_by_side):
    """An experiment with several tasks has one parent; every task is its direct child, by its name."""
    parent, *children = side_by_side
    assert "mlflow.parentRunId" not in parent.tags
    assert {child.tags["mlflow.parentRunId"] for child in children} == {parent.run.info.run_id}
    assert [child.tags["qrt.task"] for child in children] == ["estimator", "raw", "sampler"]
    assert [child.params["mode"] for child in children] == ["estimator", "raw", "sampler"]


def test_single_task_has_no_parent(sampled):
    """One task alone is one run."""
    assert "mlflow.parentRunId" not in sampled.tags


def test_sweep_of_one_point_has_a_parent(lab):
    """A multirun is a sweep, also when it has one point: its run is the child of a parent."""
    parent, child = lab.record("-m", "name=one_point", "mode=raw", "mode.shots=16", "tracking.plots=false")
    assert child.tags["mlflow.parentRunId"] == parent.run.info.run_id


def test_good_runs_are_finished(sampled, swept, side_by_side):
    """A run opened is a run ended: all are FINISHED, with an end time."""
    runs = [sampled, *swept, *side_by_side]
    assert {run.run.info.status for run in runs} == {"FINISHED"}
    assert all(run.run.info.end_time >= run.run.info.start_time for run in runs)


def test_failed_job_fails_the_command(broken):
    """A job that raises makes the exit code 1, and the backend's own words are told without a traceback."""
    ended, _ = broken
    assert ended.code == 1
    assert "failed: RuntimeError: the fridge is warm" in ended.out
    assert "Traceback" not in ended.out + ended.err


def test_failed_job_fails_its_run_only(broken):
    """The failed point's run and the sweep's are FAILED, the other point's is FINISHED with its counts."""
    _, (parent, failed, good) = broken
    assert [run.run.info.status for run in (parent, failed, good)] == ["FAILED", "FAILED", "FINISHED"]
    assert sum(good.json("counts.json")[0]["meas"].values()) == 1024


def test_failed_run_says_why(broken):
    """A failed run has the reason as an artifact and as a tag, and its request, but no invented numbers."""
    _, (_, failed, _) = broken
    assert failed.file("error.txt").read_text() == "RuntimeError: the fridge is warm\n"
    assert failed.tags["qrt.error"] == "RuntimeError: the fridge is warm"
    assert failed.json("jobs.json")[0]["state"] == "failed"
    assert failed.json("results.json")["state"] == "failed"
    assert "config.yaml" in failed.files()
    assert not [name for name in failed.run.data.metrics if name.startswith(("ev/", "fidelity/"))]


def test_long_parameter_is_cut_and_kept(lab):
    """A parameter longer than MLflow takes is cut there, and whole in config.yaml."""
    text = "ab" * 3500
    words = ("circuit=file", "circuit.source=labelled.py", f"+circuit.params.label={text}", "mode=raw")
    [recorded] = lab.record("name=long", *words, "tracking.plots=false")
    assert recorded.params["circuit.params.label"] == text[:6000]
    assert yaml.safe_load(recorded.file("config.yaml").read_text())["circuit"]["params"]["label"] == text


def test_many_metrics_are_all_there_in_order(lab):
    """300 parameter sets of two observables, compared, are 3,000 values: each at its step."""
    values = "+circuit.parameter_values.theta={linspace: [0, 3.0, 300]}"
    observables = "+circuit.observables={zz: ZZ, zi: ZI}"
    words = ("circuit=file", "circuit.source=tilted.py", values, observables, "mode=raw", "reference=ideal")
    [recorded] = lab.record("name=many", *words, "tracking.plots=false", "mode.shots=64")
    exact = np.cos(np.linspace(0, 3.0, 300))
    assert recorded.series("ideal/zi") == pytest.approx(list(exact))
    assert recorded.series("ev/zz") == [1.0] * 300
    measured = np.array(recorded.series("ev/zi"))
    assert np.abs(measured - exact).max() < 5 / math.sqrt(64)
    assert recorded.series("error/zi") == pytest.approx(list(measured - exact))
    assert len(recorded.series("fidelity/hellinger")) == len(recorded.series("p_success")) == 300


def test_parametrised_run_is_quiet(process):
    """Values given as a linspace run without a word on stderr."""
    values = "+circuit.parameter_values.theta={linspace: [0, 3.0, 3]}"
    observables = "+circuit.observables={z: IIIZ}"
    source = ("circuit=file", f"circuit.source={ROOT / 'tests/data/ansatz.py'}", "+circuit.params.depth=1")
    ended = process("tracking=off", "mode=raw", "progress=off", *source, values, observables)
    assert (ended.code, ended.err) == (0, "")


def test_every_accepted_observable_name_can_be_logged(lab):
    """What the config accepts as the name of an observable MLflow accepts as the name of a metric, or it is refused."""
    data = f"circuit.source={ROOT / 'tests/data/bell.qasm'}"
    ended = lab.command("name=dots", "circuit=file", data, "+circuit.observables={..: ZZ}", "mode=raw")
    assert ended.code == 2, ended.err
    assert not lab.recorded("dots")


def test_store_from_the_environment(lab, command, monkeypatch, tmp_path):
    """MLFLOW_TRACKING_URI names the store; the working directory gets none."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", lab.uri)
    ended = command("name=from_environment", "mode=raw", "tracking.plots=false")
    assert ended.code == 0, ended.err
    assert len(lab.recorded("from_environment")) == 1
    assert not (tmp_path / "mlflow.db").exists()
    assert f" -m mlflow ui --backend-store-uri {lab.uri}" in ended.out


def test_store_from_the_config_goes_before_the_environment(lab, command, monkeypatch, tmp_path):
    """What is asked for by tracking.uri is not overruled by the environment, whose store is not even made."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/other.db")
    ended = command("name=from_config", "mode=raw", "tracking.plots=false", f"tracking.uri={lab.uri}")
    assert ended.code == 0, ended.err
    assert len(lab.recorded("from_config")) == 1
    assert not list(tmp_path.glob("*.db"))


def test_tracking_off_keeps_results_on_disk(process, tmp_path):
    """Without tracking MLflow is not imported and makes no store; the results are in Hydra's output folder."""
    ended = process("tracking=off", "mode=raw", "mode.shots=10", env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"})
    assert ended.code == 0, ended.err
    assert "mlflow" not in ended.err
    assert not list(tmp_path.glob("ml*"))
    [counts] = tmp_path.glob("outputs/*/*/0-main/counts.json")
    assert sum(json.loads(counts.read_text())[0]["meas"].values()) == 10


def options(group: str) -> list[str]:
    """Return the options of a group of conf/."""
    return sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml"))


REMOTE = {"ibm", "ibm_least_busy", "vendor"}
LITTLE = ("mitigation.learning.num_randomizations=2", "mitigation.learning.layer_pair_depths=[0,2]")
NEEDED = {
    "backend=fake": ("backend.name=fake_manila",),
    "backend=snapshot": ("backend.run=latest",),
    "reference=value": ("+reference.values={zz: 1}",),
    "reference=twin": ("backend=fake_manila",),
    "mitigation=m3": ("mode=sampler",),
    "mitigation=pea": LITTLE,
    "mitigation=pec": LITTLE,
}
BEFORE = {"backend=snapshot": ("backend=fake_manila",)}
"""A run that must be there already."""
AROUND = {
    "backend": ("mode=raw",),
    "mode": ("backend=fake_manila",),
    "mitigation": ("mode=estimator", "mode.shots=256", "backend=fake_manila"),
    "reference": ("mode=raw",),
    "transpile": ("mode=raw",),
}
SCAN = [f"{group}={option}" for group in AROUND for option in options(group) if option not in REMOTE]


@pytest.mark.parametrize("choice", SCAN)
def test_every_option_runs(command, choice):
    """Every local option of these groups runs the Bell experiment with one word."""
    around = AROUND[choice.partition("=")[0]]
    if choice in BEFORE:
        assert command(*around, *BEFORE[choice], "tracking=off").code == 0
    ended = command(*around, choice, *NEEDED.get(choice, ()), "tracking=off")
    assert ended.code == 0, ended.err
    assert "done" in ended.out


def test_a_folder_used_again_holds_its_last_run(command):
    """What an earlier sweep left in the folder is neither collected nor taken for logged."""
    folder = "hydra.sweep.dir=again"
    assert command("-m", folder, "mode=raw", "mode.shots=10,20,30").code == 0
    assert command("-m", folder, "mode=raw", "mode.shots=40", "tracking=off").code == 0
    ended = command("action=collect", "run=again")
    assert (ended.code, ": 1 tasks are in MLflow" in ended.out) == (0, True)


def test_a_later_write_that_fails_leaves_what_was_kept(tmp_path):
    """A disk that is full when figures are added costs none of the numbers that are there."""
    from qrt_runner.tracking.files import Files

    files = Files(tmp_path, shared=False)
    files.kept("0-main", {"results.json": b"{}"})
    (tmp_path / "0-main" / "plots").write_text("in the way of a folder", encoding="utf-8")
    with pytest.raises(OSError, match="plots"):
        files.kept("0-main", {"results.json": b"{}", "plots/a.png": b"x"})
    assert (tmp_path / "0-main" / "results.json").read_bytes() == b"{}"
