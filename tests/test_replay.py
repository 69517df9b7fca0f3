"""A recorded run is computed again from its raw results alone: equal numbers, other observables, readout undone."""

from __future__ import annotations

import io
import json
import math
import re
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from composing import circuit_file, outcome_of, plan_of, point_of
from qiskit import QuantumCircuit, qpy
from qiskit.quantum_info import SparsePauliOp
from watching import rehearsal

from qrt_runner.analysis import expectations_from_counts
from qrt_runner.analysis.readout import ReadoutError, readout_errors
from qrt_runner.config import Replay
from qrt_runner.errors import ConfigError
from qrt_runner.journal import Journal
from qrt_runner.results import Counts
from qrt_runner.runner.collecting import Looking
from qrt_runner.runner.replaying import replay
from qrt_runner.runner.revising import revised
from qrt_runner.tracking import Records
from qrt_runner.tracking.noting import NOTE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qrt_runner.results import TaskResult
    from qrt_runner.runner import Outcome

JOURNAL = Path("outputs/journal")
GHZ = ("circuit=ghz", "circuit.params.num_qubits=2", "seed=5", "reference=ideal")
ANSATZ = "circuit = QuantumCircuit(2)\ncircuit.ry(Parameter('theta'), 0)\ncircuit.cx(0, 1)"

MISREADING = '''
"""A vendor's device of three perfect qubits that misreads 1 far more often than 0."""

from types import SimpleNamespace

from qiskit.providers import BackendV2, Options
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError

ERRORS = [(0.02, 0.15), (0.05, 0.25), (0.01, 0.1)]


class Misreading(BackendV2):
    def __init__(self):
        super().__init__(name="acme_misreading")
        noise = NoiseModel()
        for qubit, (up, down) in enumerate(ERRORS):
            noise.add_readout_error(ReadoutError([[1 - up, up], [down, 1 - down]]), [qubit])
        self._inner = AerSimulator(noise_model=noise, n_qubits=3, seed_simulator=3)

    target = property(lambda self: self._inner.target)
    max_circuits = None

    @classmethod
    def _default_options(cls):
        return Options()

    def run(self, run_input, **options):
        return self._inner.run(run_input, **options)

    def properties(self):
        names = ("prob_meas1_prep0", "prob_meas0_prep1")
        qubits = [
            [{"name": name, "value": value} for name, value in zip(names, errors)] for errors in ERRORS
        ]
        told = {"last_update_date": "2026-11-02", "qubits": qubits, "gates": []}
        return SimpleNamespace(to_dict=lambda: told)


def get_backend():
    return Misreading()
'''


@pytest.fixture(autouse=True)
def _no_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a run is computed again, whoever opens a backend fails."""
    monkeypatch.setattr("qrt_runner.runner.acting.replay", partial(_without_backend, replay))


def _without_backend(call: Any, *words: Any) -> Outcome:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a replay opens no backend")

    with pytest.MonkeyPatch.context() as patch:
        for place in ("backends.open_device", "plan.restoring.reopened", "plan.restoring.simulator_of"):
            patch.setattr(f"qrt_runner.{place}", refuse)
        patch.setattr("qiskit_aer.AerSimulator.run", refuse)
        return call(*words)


def replayed(
    observables: Mapping[str, Any] | None = None, readout: str = "as_measured", run: str = "latest"
) -> Outcome:
    """Compute a run again, without MLflow."""
    asked = Replay.model_validate({"kind": "replay", "observables": dict(observables or {}), "readout": readout})
    document = point_of(()).experiment.document
    shows = (lambda _: None, lambda *_: None)
    looking = Looking(run, Path("again").resolve(), document.tracking, document.budget, *shows)
    with Journal(JOURNAL) as journal:
        return _without_backend(replay, journal, asked, looking)


def record_of(result: TaskResult) -> dict[str, Any]:
    """Return everything of a result's record that a replay makes again, and that is not about the replay itself."""
    record = Records("any", {}).of(result)
    files = dict(record.artifacts)
    told = json.loads(files.pop("results.json"))
    told["notes"] = [note for note in told["notes"] if not note.startswith("replayed from")]
    files.pop("replay.json", None)
    # QPY writes a layout's registers in the order of a set: the circuits are compared, not their bytes.
    circuits = {name: _circuit_in(files.pop(name)) for name in [*files] if name.endswith(".qpy")}
    tags = {name: value for name, value in record.tags.items() if name not in ("qrt.notes", NOTE)}
    metrics = [(metric.key, repr(metric.value), metric.step) for metric in record.metrics]
    return {**told, "files": files, "circuits": circuits, "tags": tags, "metrics": metrics, "params": record.params}


def _circuit_in(content: bytes) -> tuple[QuantumCircuit, Any]:
    (circuit,) = qpy.load(io.BytesIO(content))
    return circuit, circuit.layout


def assert_same(first: Outcome, again: Outcome) -> None:
    """Compare all numbers and artifacts of two outcomes, bit for bit."""
    assert again.exit_code == first.exit_code
    by_place = {(result.point.index, result.name): result for result in again.results}
    assert len(by_place) == len(first.results)
    for result in first.results:
        assert record_of(by_place[result.point.index, result.name]) == record_of(result)


def values_of(outcome: Outcome) -> list[float]:
    """Return the expectation values of the only task's only parameter set."""
    (result,) = outcome.results
    assert result.expectations is not None
    return result.expectations.values[0].tolist()


# --- the same numbers ---


@pytest.mark.parametrize(
    "words",
    [
        ("mode=raw", "backend=aer"),
        ("mode=raw", "backend=fake_manila"),
        ("mode=sampler", "mitigation=twirl", "backend=fake_manila"),
        ("mode=estimator", "mitigation=level_1", "backend=aer"),
        ("mode=estimator", "mitigation=zne", "backend=fake_manila", "mode.shots=256"),
    ],
    ids=" ".join,
)
def test_a_run_is_computed_again_bit_for_bit(words):
    """Counts, expectation values, errors, references, tables, circuit files and job records come out the same."""
    first = outcome_of((*GHZ, *words))
    again = replayed()
    assert_same(first, again)
    assert again.exit_code == 0
    assert again.run != first.run
    assert again.results[0].notes[0].startswith(f"replayed from run {first.run}")


@pytest.mark.parametrize(
    "words",
    [
        ("circuit=bell", "reference=value", "+reference.values={zz: 1}"),
        ("circuit=efficient_su2", "circuit.clifford=true", "reference=ideal"),
        ("circuit=tfim", "reference=ideal", "reference.max_qubits=2", "reference.on_unknown=skip"),
    ],
    ids=["known values", "Clifford projection", "no reference"],
)
def test_references_of_every_kind_are_computed_again(words):
    """Errors, mean squared error times cost and what is said of them come out the same."""
    first = outcome_of((*words, "mode=estimator", "mode.shots=128", "backend=fake_manila"))
    assert_same(first, replayed())


def test_a_sweep_of_several_jobs_is_computed_again():
    """Points of two modes, whose parameter sets were cut over several jobs, come out the same."""
    words = [*circuit_file("tilted", ANSATZ, "'zz': 'ZZ', 'zi': 'ZI'"), "seed=3", "backend=fake_manila"]
    words += ["backend.limits.parameter_sets=2", "reference=ideal", "mode.shots=128"]
    values = "+circuit.parameter_values.theta=[0.3, 0.1, 0.2, 0.4, 0.5]"
    first = outcome_of(*((*words, values, f"mode={mode}") for mode in ("raw", "sampler", "estimator")))
    assert max(len(result.jobs) for result in first.results) > 1
    assert_same(first, replayed())


def test_failed_points_stay_failed_with_their_reason(fragile):
    """A point whose job failed and one whose circuit cannot be loaded fail again; the others have their numbers."""
    words = ("circuit=ghz", *fragile, "mode=raw")
    lost = ("circuit=file", "circuit.source=lost.py", *fragile, "mode=raw")
    first = outcome_of(*((*words, f"circuit.params.num_qubits={width}") for width in (2, 3)), lost)
    again = replayed()
    assert_same(first, again)
    failed = {result.point.index: result.error for result in again.results if result.state == "failed"}
    assert failed[1] == "RuntimeError: qubit 2 is too warm"
    assert "lost.py" in failed[2]
    assert again.exit_code == 1


def test_parts_of_a_job_that_was_tried_in_halves_are_found_again(monkeypatch):
    """Where a job failed as a whole and its halves succeeded but for one set, just that one has no number."""
    from qiskit_aer import AerSimulator

    run = AerSimulator.run

    def fragile_run(self: Any, circuits: Any, *words: Any, **options: Any) -> Any:
        binds = options.get("parameter_binds", [{}])
        if any(0.3 in values for bind in binds for values in bind.values()):
            raise RuntimeError("0.3 is too warm")
        return run(self, circuits, *words, **options)

    words = [*circuit_file("tilted", ANSATZ), "seed=3", "mode=raw", "backend=aer", "reference=ideal"]
    with monkeypatch.context() as patch:
        patch.setattr(AerSimulator, "run", fragile_run)
        first = outcome_of((*words, "+circuit.parameter_values.theta=[0.1, 0.2, 0.3, 0.4]"))
    (result,) = first.results
    assert result.missing == (2,)
    assert_same(first, replayed())


def test_what_has_not_ended_is_left_out():
    """A task whose job has no result is not in a replay, which says so and ends with 1."""
    words = ("mode=raw", "backend=aer")
    first = outcome_of(*(("circuit=bell", *words, f"mode.shots={shots}") for shots in (16, 32)))
    with Journal(JOURNAL) as journal, journal.held(first.run) as diary:
        diary.cancelled(diary.submissions()[1].id)
    again = replayed()
    assert [result.point.index for result in again.results] == [0]
    assert (again.exit_code, again.left, again.state) == (1, 1, "KILLED")
    words = f"no results to compute from: 1 task of run {first.run}"
    assert again.troubles == [f"{words}; action=status run={first.run} shows how far it is"]


def test_a_damaged_result_fails_its_own_points():
    """The file is named, the points of its job fail, and the rest is computed."""
    words = ("mode=raw", "backend=aer")
    first = outcome_of(*(("circuit=bell", *words, f"mode.shots={shots}") for shots in (16, 32)))
    file = JOURNAL / "results" / first.run / "2-counts.z"
    file.write_bytes(file.read_bytes()[:-1])
    again = replayed()
    assert [result.state for result in again.results] == ["done", "failed"]
    assert str(file.absolute()) in again.results[1].error
    assert "is damaged" in again.results[1].error
    assert again.exit_code == 1
    assert len(again.troubles) == 1


def test_results_taken_from_another_run_are_taken_again():
    """A task that reused results shows them again; other observables are asked of the run that has them."""
    words = ("circuit=bell", "mode=raw", "backend=aer", "seed=1")
    source = outcome_of(words)
    first = outcome_of((*words, "reuse=true"))
    assert_same(first, replayed(run=first.run))
    other = replayed({"zi": "ZI"}, run=first.run)
    assert (other.results, other.exit_code) == ([], 1)
    assert source.run in other.troubles[0]


# --- other observables ---


@pytest.mark.parametrize("mode", ["raw", "sampler"])
def test_counts_tell_other_diagonal_observables(mode):
    """They are those of a run that had asked for them, and are compared with their own exact values."""
    words = (*GHZ, "backend=aer", f"mode={mode}")
    outcome_of((*words, "+circuit.observables={zi: ZI}"))
    again = replayed({"sum": {"ZZ": 1.0, "IZ": 0.5}, "zz": "ZZ"})
    fresh = outcome_of((*words, "+circuit.observables={sum: {ZZ: 1, IZ: 0.5}, zz: ZZ}"))
    assert values_of(again) == values_of(fresh)
    (result,) = again.results
    assert result.comparison.ideal == pytest.approx(np.array([[1.0, 1.0]]))
    assert result.comparison.hellinger == fresh.results[0].comparison.hellinger
    asked = json.loads(result.files["replay.json"])
    assert asked["observables"] == {"sum": {"ZZ": 1.0, "IZ": 0.5}, "zz": {"ZZ": 1.0}}


@pytest.mark.parametrize("mitigation", ["none", "level_1", "zne"])
def test_the_estimator_tells_what_its_bases_cover(mitigation):
    """Bits measured for ZI and XX tell ZZ, IZ and XI as well, mitigated as in a run that had asked for them."""
    words = (*GHZ, "backend=fake_manila", "mode=estimator", f"mitigation={mitigation}", "mode.shots=128")
    outcome_of((*words, "+circuit.observables={zi: ZI, xx: XX}"))
    again = replayed({"s": {"ZZ": 1.0, "IZ": 0.5}, "t": {"XI": 1.0, "ZZ": 0.25, "II": 2.0}})
    fresh = outcome_of((*words, "+circuit.observables={s: {ZZ: 1, IZ: 0.5}, t: {XI: 1, ZZ: 0.25, II: 2}, xx: XX}"))
    ours, theirs = again.results[0].expectations, fresh.results[0].expectations
    assert ours is not None
    assert theirs is not None
    np.testing.assert_array_equal(ours.values, theirs.values[:, :2])
    np.testing.assert_array_equal(ours.errors, theirs.errors[:, :2])
    assert again.results[0].comparison.ideal == pytest.approx(np.array([[1.0, 2.25]]))


def test_observables_go_through_the_stored_layout():
    """On physical qubits 3 and 1, which are not in the circuit's order, a sweep's observables stay the circuit's."""
    words = [*circuit_file("tilted", ANSATZ), "seed=3", "backend=fake_manila", "mode=estimator", "mode.shots=128"]
    words += ["transpile.initial_layout=[3, 1]", "+circuit.parameter_values.theta=[0.3, 0.9]"]
    outcome_of((*words, "+circuit.observables={zz: ZZ}"))
    again = replayed({"zi": "ZI", "iz": "IZ"}).results[0].expectations
    fresh = outcome_of((*words, "+circuit.observables={zi: ZI, iz: IZ}")).results[0].expectations
    assert again is not None
    assert fresh is not None
    np.testing.assert_array_equal(again.values, fresh.values)


def test_observables_that_are_not_in_the_results_are_refused(command, fragile):
    """Width, letters, what counts cannot tell, unmeasured qubits and bases: each is refused, and nothing recorded."""
    told = partial(_mistake_of, command)
    outcome_of(("circuit=bell", "mode=raw", "backend=aer", "circuit.measure=[1]"))
    assert told("+action.observables={z: Z}") == (
        "action.observables.z: given an observable over 1 qubits; allowed: a Pauli string such as ZZII (letters I, X, "
        "Y, Z; the rightmost is qubit 0) or a mapping of Pauli strings of one width to coefficients, one letter for "
        "each of the circuit's 2 qubits; remedy: write 2 letters, I where nothing is measured"
    )
    assert told("+action.observables={iz: IZ}") == (
        "action.observables.iz: given an observable that counts cannot tell: qubit 0 is not measured at the end; "
        "allowed: I and Z on measured qubits in mode=raw and mode=sampler; remedy: a run of the circuit with "
        "mode=estimator"
    )
    assert "it is not diagonal (X or Y in it)" in told("+action.observables={xi: XI}")
    assert told("+action.observables={q: QZ}").startswith("action.observables.q: given 'QZ'; allowed: a Pauli string")
    outcome_of((*GHZ, "mode=estimator", "backend=aer", "+circuit.observables={zi: ZI, xx: XX}"))
    assert told("+action.observables={a: {ZY: 1, ZZ: 1}}") == (
        "action.observables.a: given ZY, which the run has not measured; allowed: I or the same letter on each qubit "
        "as in one of the measured bases: ZZ, XX; remedy: a run of the circuit with this observable"
    )
    outcome_of(("circuit=bell", *fragile, "mode=estimator", "+circuit.observables={zz: ZZ}"))
    assert "that gave expectation values and no bits" in told("+action.observables={zi: ZI}")
    assert not list(Path("outputs").glob("2*/*/run.json"))


def test_one_run_is_meant(command):
    """All runs at once are refused, and so is one that is not there."""
    assert _mistake_of(command, run="latest").startswith("run: given latest, of no run in ")
    outcome_of(("circuit=bell", "mode=raw", "backend=aer"))
    words = "run: given all, for a replay; allowed: latest, or the id of one run; remedy: action=status run=all shows"
    assert _mistake_of(command, run="all").startswith(words)
    assert _mistake_of(command, run="nobody").startswith("run: given nobody; allowed: latest, all, or the id of one")


def _mistake_of(command: Any, *words: str, run: str = "latest") -> str:
    """Return the only mistake of a replay."""
    ended = command("action=replay", f"run={run}", "tracking=off", *words)
    assert ended.code == 2, ended.err
    first, line = ended.err.strip().splitlines()
    assert first == "The config has 1 mistake; nothing was run."
    return line.strip()


# --- readout errors ---


def test_readout_errors_are_undone_as_worked_out_by_hand():
    """Of 1,000 shots 100 read 1 with p10 = 0.1 and p01 = 0.2: <Z> = (0.8 - 0.1) / 0.7 = 1, and its error grows alike.

    The error is that of the mean of s / 0.7, with s = 1 or -1: sqrt(1 - 0.8^2) / 0.7 / sqrt(1000) = 0.0271052...
    """
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    counts = Counts((("c", 1),), ({"0": 900, "1": 100},))
    found = expectations_from_counts(counts, {"z": SparsePauliOp("Z")}, circuit, {0: ReadoutError(0.1, 0.2)})
    assert found.values[0, 0] == pytest.approx(1.0)
    assert found.errors[0, 0] == pytest.approx(0.6 / 0.7 / math.sqrt(1000))


def test_a_pauli_string_is_the_product_of_its_qubits():
    """With a = (s - 0.1) / 0.7 and b = s / 0.9 the outcomes 00, 01, 10, 11 (first b) tell 10/7, -110/63, -10/7, 110/63.

    Halves of 00 and 01: ZZ is (10/7 - 110/63) / 2 = -10/63, and IZ, which leaves b out, (9/7 - 11/7) / 2 = -1/7.
    """
    circuit = QuantumCircuit(2, 2)
    circuit.measure([0, 1], [0, 1])
    counts = Counts((("c", 2),), ({"00": 50, "01": 50},))
    errors = {0: ReadoutError(0.1, 0.2), 1: ReadoutError(0.05, 0.05)}
    observables = {"zz": SparsePauliOp("ZZ"), "iz": SparsePauliOp("IZ"), "one": SparsePauliOp("II")}
    found = expectations_from_counts(counts, observables, circuit, errors)
    assert found.values[0] == pytest.approx([-10 / 63, -1 / 7, 1.0])
    assert found.errors[0, 2] == 0.0


def test_the_bias_of_an_asymmetric_readout_goes(tmp_path, monkeypatch):
    """A device that misreads 1 more often than 0: what was far off is right within four standard errors.

    Qubit 0, the device's 2, is left in 1, and qubit 1, the device's 0, in (0 + 1)/sqrt(2): <IZ> = -1, <ZI> = <ZZ> = 0.
    As measured, <IZ> is 2 * 0.1 - 1 = -0.8, <ZI> is 0.15 - 0.02 = 0.13, and <ZZ> is their product, -0.104.
    """
    (tmp_path / "acme_misreading.py").write_text(MISREADING, encoding="utf-8")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    lines = "circuit = QuantumCircuit(2, 2)\ncircuit.x(0)\ncircuit.h(1)\ncircuit.measure([0, 1], [1, 0])"
    words = [*circuit_file("crossed", lines, "'iz': 'IZ', 'zi': 'ZI', 'zz': 'ZZ'"), "mode=raw", "mode.shots=20000"]
    words += ["backend=vendor", "backend.source=acme_misreading:get_backend"]
    words += ["transpile.initial_layout=[2, 0]"]
    first, again = outcome_of(words), replayed(readout="calibration")
    sys.modules.pop("acme_misreading", None)
    off, right = first.results[0].expectations, again.results[0].expectations
    assert off is not None
    assert right is not None
    exact = np.array([-1.0, 0.0, 0.0])
    assert (np.abs(off.values[0] - [-0.8, 0.13, -0.104]) < 4 * off.errors[0]).all()
    assert (np.abs(off.values[0] - exact) > 10 * off.errors[0]).all()
    assert (np.abs(right.values[0] - exact) < 4 * right.errors[0]).all()
    assert again.results[0].counts == first.results[0].counts


@pytest.mark.parametrize("words", [("mode=raw",), ("mode=sampler", "mitigation=twirl")], ids=" ".join)
def test_the_readout_noise_of_a_simulated_device_goes(words):
    """Physical qubits 2 and 0 of Manila are misread with 0.0964 and 0.0353: <ZZ> of 00 is 0.75, and 1 undone."""
    lines = "circuit = QuantumCircuit(2)\ncircuit.id(0)\ncircuit.measure_all()"
    given = [*circuit_file("rest", lines, "'zz': 'ZZ', 'iz': 'IZ'"), "backend=aer_noisy", "backend.name=fake_manila"]
    first = outcome_of((*given, *words, "mode.shots=16384", "seed=2", "transpile.initial_layout=[2, 0]"))
    again = replayed(readout="calibration")
    off, right = first.results[0].expectations, again.results[0].expectations
    assert off is not None
    assert right is not None
    measured = [(1 - 2 * 0.0964) * (1 - 2 * 0.0353), 1 - 2 * 0.0964]
    assert off.values[0] == pytest.approx(measured, abs=4 * off.errors[0].max())
    assert (np.abs(off.values[0] - 1.0) > 20 * off.errors[0]).all()
    assert (np.abs(right.values[0] - 1.0) < 4 * right.errors[0]).all()


def test_a_readout_correction_is_told(command, store):
    """Ledger, tag and notes name it, and say that counts stay as measured."""
    words = ("circuit=bell", "backend=fake_manila", "mode=sampler", "+circuit.observables={zz: ZZ}")
    assert command(*words).code == 0
    ended = command("action=replay", "run=latest", "action.readout=calibration")
    assert ended.code == 0, ended.err
    assert "applied readout (calibration)" in ended.out
    experiment = store.get_experiment_by_name("qrt_runner")
    (run,) = store.search_runs([experiment.experiment_id], "tags.`qrt.replay_of` != ''")
    assert run.data.tags["qrt.mitigation_applied"] == "readout (calibration)"
    assert "counts and fidelities are as measured" in run.data.tags["qrt.notes"]


def test_without_an_observable_nothing_is_corrected():
    """A correction that had nothing to act on is not shown as applied."""
    outcome_of((*circuit_file("rest", "circuit = QuantumCircuit(1)"), "mode=raw", "backend=fake_manila"))
    (result,) = replayed(readout="calibration").results
    assert result.ledger.applied == ()
    assert result.ledger.ignored == {"readout (calibration)": "there is no observable to correct"}


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("mode=raw",), ReadoutError(0.0122, 0.0316)),
        (("mode=sampler", "mitigation=twirl"), ReadoutError(0.0219, 0.0219)),
    ],
    ids=["raw", "twirled"],
)
def test_twirled_measurements_are_misread_alike(words, error, monkeypatch):
    """Bits flipped at random before the readout and back after it see the mean of Manila's errors of qubit 1."""
    monkeypatch.setattr("qrt_runner.runner.revising._SIMULATED", ())
    plan = plan_of((*GHZ, "backend=fake_manila", "transpile.initial_layout=[1, 2]", *words))
    asked = Replay.model_validate({"kind": "replay", "observables": {}, "readout": "calibration"})
    (found,) = revised(plan, asked).errors.values()
    assert (found[0].one_for_zero, found[0].zero_for_one) == pytest.approx((error.one_for_zero, error.zero_for_one))


def test_a_correction_that_is_not_possible_is_refused():
    """The estimator, a backend without calibration, bits of no final measurement, and qubits that tell nothing."""
    outcome_of(("circuit=bell", "mode=raw", "backend=aer"))
    assert _refused() == (
        "action.readout: given calibration, for a backend without one; allowed: calibration for backends that have "
        "one, such as those of IBM and the fake devices; remedy: action.readout=as_measured"
    )
    outcome_of((*GHZ, "mode=estimator", "backend=fake_manila", "+circuit.observables={zz: ZZ}"))
    assert _refused().startswith("action.readout: given calibration, for results of the estimator")
    measured, bare = QuantumCircuit(1, 1), QuantumCircuit(1, 1)
    measured.measure(0, 0)
    told = _refusal_of({"qubits": {"0": []}}, measured, measured)
    assert told.startswith("action.readout: given calibration, which does not tell the readout error of qubit 0;")
    half = [{"name": "prob_meas1_prep0", "value": 0.4}, {"name": "prob_meas0_prep1", "value": 0.6}]
    told = _refusal_of({"qubits": {"0": half}}, measured, measured)
    assert told.startswith("action.readout: given calibration, by which qubit 0 is misread as often as not;")
    told = _refusal_of({"qubits": {"0": half}}, measured, bare)
    assert "bit 0 is not a final measurement of a qubit" in told


def _refused() -> str:
    with pytest.raises(ConfigError) as caught:
        replayed(readout="calibration")
    return str(caught.value.mistakes[0])


def _refusal_of(calibration: dict[str, Any], logical: QuantumCircuit, isa: QuantumCircuit) -> str:
    with pytest.raises(ConfigError) as caught:
        readout_errors(calibration, logical, isa, asymmetric=True)
    return str(caught.value.mistakes[0])


# --- in MLflow ---


def test_a_replay_of_jobs_on_a_service_needs_no_service(command, store, tmp_path):
    """Sampler and estimator in a batch, whose service is gone: each task's run gets a child with the same metrics."""
    tasks = ["+mode@tasks.a.mode=sampler", "+mode@tasks.b.mode=estimator", "+mitigation@tasks.b.mitigation=level_1"]
    words = ["circuit=bell", "+circuit.observables={zz: ZZ}", "reference=ideal", "session=batch", *tasks]
    with rehearsal(tmp_path / "service") as running:
        first = command("backend=rehearsal", f"backend.store={running.folder}", *words)
    assert first.code == 0, first.err
    ended = command("action=replay", "run=latest")
    assert ended.code == 0, ended.err
    experiment = store.get_experiment_by_name("qrt_runner")
    runs = store.search_runs([experiment.experiment_id])
    replays = [run for run in runs if "qrt.replay_of" in run.data.tags and "qrt.task" in run.data.tags]
    assert len(replays) == 2
    for run in replays:
        original = store.get_run(run.data.tags["mlflow.parentRunId"])
        assert original.data.tags["qrt.task"] == run.data.tags["qrt.task"]
        assert original.data.tags["qrt.run"] == run.data.tags["qrt.replay_of"]
        assert original.data.tags["qrt.job_ids"] == run.data.tags["qrt.job_ids"]
        assert original.data.metrics == run.data.metrics
        assert original.info.status == run.info.status == "FINISHED"
        names = {file.path for file in store.list_artifacts(run.info.run_id)}
        assert names >= {"config.yaml", "jobs.json", "calibration.json", "results.json", "results.parquet", "circuit"}


def test_a_single_run_has_its_figures_and_files_again(command, store):
    """What a replay draws and writes of a task is what the run drew and wrote, and says what was asked for."""
    assert command("circuit=bell", "mode=raw", "backend=aer", "reference=ideal").code == 0
    assert command("action=replay", "run=latest").code == 0
    experiment = store.get_experiment_by_name("qrt_runner")
    again, first = store.search_runs([experiment.experiment_id], order_by=["attributes.start_time DESC"])
    assert again.data.tags["mlflow.parentRunId"] == first.info.run_id
    ours, theirs = files_below(store, again.info.run_id), files_below(store, first.info.run_id)
    assert ours.keys() - theirs.keys() == {"replay.json"}
    assert not theirs.keys() - ours.keys()
    changed = {name for name in theirs if ours[name] != theirs[name]}
    assert changed <= {"results.json", "environment.json", "circuit/isa.qpy"}
    assert json.loads(ours["replay.json"])["replay_of"] == first.data.tags["qrt.run"]


def files_below(store: Any, run: str, path: str | None = None) -> dict[str, bytes]:
    """Return the artifacts of a run by their paths."""
    found: dict[str, bytes] = {}
    for file in store.list_artifacts(run, path):
        if file.is_dir:
            found |= files_below(store, run, file.path)
        else:
            found[file.path] = Path(store.download_artifacts(run, file.path)).read_bytes()
    return found


def test_a_sweep_that_is_replayed_has_its_table(command, store):
    """The table of all points goes into a run below the sweep's own, beside which the tasks' replays lie."""
    assert command("-m", "circuit=bell", "mode=raw", "backend=aer", "mode.shots=16,32", "seed=1").code == 0
    ended = command("action=replay", "run=latest")
    assert ended.code == 0, ended.err
    experiment = store.get_experiment_by_name("qrt_runner")
    runs = store.search_runs([experiment.experiment_id])
    replays = [run for run in runs if "qrt.replay_of" in run.data.tags]
    (whole,) = [run for run in replays if "qrt.task" not in run.data.tags]
    assert len(replays) == 3
    assert "results.parquet" in files_below(store, whole.info.run_id)
    sweep = store.get_run(whole.data.tags["mlflow.parentRunId"])
    assert "mlflow.parentRunId" not in sweep.data.tags


def test_a_replay_that_could_not_be_logged_is_logged_later(command, store, monkeypatch):
    """With MLflow away it is on disk; the command ends with 1 and says what logs it, below its original."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert command("circuit=bell", "mode=raw", "backend=aer").code == 0
    ended = command("action=replay", "run=latest", "tracking.uri=http://127.0.0.1:9")
    assert ended.code == 1
    (remedy,) = re.findall(r"Log them with: python -m qrt_runner (action=collect run=\S+)", ended.err)
    assert command(*remedy.split()).code == 0
    experiment = store.get_experiment_by_name("qrt_runner")
    again, first = store.search_runs([experiment.experiment_id], order_by=["attributes.start_time DESC"])
    assert again.data.tags["mlflow.parentRunId"] == first.info.run_id


def test_another_store_is_told(command):
    """Where the originals are not in the store, a replay stands by itself and says so."""
    assert command("circuit=bell", "mode=raw", "backend=aer").code == 0
    ended = command("action=replay", "run=latest", "tracking.uri=sqlite:///other.db")
    assert ended.code == 0, ended.err
    assert re.fullmatch(r"the MLflow store does not hold run \S+: 1 task logged without a parent .*\n", ended.err)


def test_a_damaged_plan_is_told(command):
    """Without its plan a run cannot be computed: the file is named, and nothing is recorded."""
    assert command("circuit=bell", "mode=raw", "backend=aer", "tracking=off").code == 0
    (plan,) = (JOURNAL / "plans").iterdir()
    plan.write_bytes(plan.read_bytes()[:-1])
    ended = command("action=replay", "run=latest", "tracking=off")
    assert ended.code == 1
    assert ended.err.startswith(f"journal.folder: {plan.absolute()} is damaged")
