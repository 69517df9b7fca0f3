"""M3: counts corrected by the readout errors that their own job has measured, told truthfully, at a stated price."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from composing import circuit_file, outcome_of, plan_of, point_of, result_of
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError
from watching import rehearsal

from qrt_runner.analysis import expectations_from_counts
from qrt_runner.analysis.m3 import M3, measured_readout
from qrt_runner.config import Replay
from qrt_runner.errors import ConfigError, JobError
from qrt_runner.execution.spans import part_of, spans_of
from qrt_runner.journal import Journal
from qrt_runner.plan import away, packed, prepared, task_keys, unpacked
from qrt_runner.plan.calibrating import balanced_strings
from qrt_runner.plan.costs import expected_s
from qrt_runner.results import Counts, Span
from qrt_runner.runner.collecting import Looking
from qrt_runner.runner.replaying import replay
from qrt_runner.tracking import Records

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qrt_runner.results import TaskResult
    from qrt_runner.runner import Outcome

ERRORS = ((0.02, 0.15), (0.05, 0.25), (0.01, 0.10))
"""Of three qubits: how often 1 is read of 0, and 0 of 1."""

READ_ZZ = 0.607
"""<ZZ> of a Bell pair on the first two as it is read: 00 stays even with 0.98 * 0.95 + 0.02 * 0.05 = 0.932, 11 with
0.85 * 0.75 + 0.15 * 0.25 = 0.675; the mean is 0.8035, and 2 * 0.8035 - 1 = 0.607. The true value is 1."""

TWIRLED = "standard errors do not hold what the finite number of readout randomizations adds (twirling)"
NO_NOISE = "the backend has no noise to act on"
ON_MANILA = ("circuit=bell", "backend=fake_manila")
TILTED = "circuit = QuantumCircuit(2)\ncircuit.ry(Parameter('theta'), 0)\ncircuit.cx(0, 1)"

MISREADING = '''
"""Devices of another vendor: perfect but for their readout, in whole, too small, and unable to rotate a qubit."""

from qiskit.circuit import Measure, Parameter
from qiskit.circuit.library import RZGate, SXGate, XGate, CXGate
from qiskit.providers import BackendV2, Options
from qiskit.transpiler import Target
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError


class Misreading(BackendV2):
    def __init__(self, most=None, gates=(RZGate(Parameter("angle")), SXGate(), XGate(), CXGate())):
        super().__init__(name="acme_misreading")
        noise = NoiseModel()
        for qubit, (up, down) in enumerate(ERRORS):
            noise.add_readout_error(ReadoutError([[1 - up, up], [down, 1 - down]]), [qubit])
        self._inner, self._most = AerSimulator(noise_model=noise, n_qubits=3, seed_simulator=3), most
        self._target = Target(num_qubits=3)
        for gate in (*gates, Measure()):
            self._target.add_instruction(gate, name=gate.name)

    target = property(lambda self: self._target)
    max_circuits = property(lambda self: self._most)

    @classmethod
    def _default_options(cls):
        return Options()

    def run(self, run_input, **options):
        return self._inner.run(run_input, **options)


def get_backend():
    return Misreading()


def small():
    return Misreading(most=4)


def classical():
    return Misreading(gates=(XGate(), CXGate()))
'''


@pytest.fixture
def vendor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Return the overrides that open another vendor's device, which misreads its qubits as `ERRORS` says."""
    text = MISREADING.replace("\n\nclass", f"\n\nERRORS = {ERRORS}\n\n\nclass", 1)
    (tmp_path / "acme_m3.py").write_text(text, encoding="utf-8")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield ["backend=vendor", "backend.source=acme_m3:get_backend"]
    sys.modules.pop("acme_m3", None)


@pytest.fixture
def misreading_manila(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a simulator that misreads as `ERRORS` says, and is perfect else, in the place of the fake Manila's."""
    from qrt_runner.backends.simulators import _Part

    noise = NoiseModel()
    for qubit, (up, down) in enumerate(ERRORS[:2]):
        noise.add_readout_error(ReadoutError([[1 - up, up], [down, 1 - down]]), [qubit])
    monkeypatch.setattr(
        "qrt_runner.plan.programs.simulator_of",
        lambda device, qubits: AerSimulator.from_backend(_Part(device.backend, qubits), noise_model=noise),
    )


def only(outcome: Outcome) -> TaskResult:
    """Return the only result of an outcome."""
    (result,) = outcome.results
    return result


def ev(result: TaskResult) -> tuple[float, float]:
    """Return the first expectation value and its standard error."""
    assert result.expectations is not None
    return float(result.expectations.values[0, 0]), float(result.expectations.errors[0, 0])


def as_read(result: TaskResult) -> tuple[float, float]:
    """Return the first expectation value as measured, and its standard error."""
    assert result.corrected is not None
    found = result.corrected.uncorrected
    return float(found.values[0, 0]), float(found.errors[0, 0])


def numbers_of(outcome: Outcome) -> list[Any]:
    """Return all that M3 has a part in, to be compared bit for bit."""
    found = []
    for result in sorted(outcome.results, key=lambda one: (one.point.index, one.name)):
        record = Records("any", {}).of(result)
        files = {name: record.artifacts.get(name) for name in ("counts.json", "quasi.json", "readout.json")}
        metrics = [(one.key, repr(one.value), one.step) for one in record.metrics if not one.key.startswith("time/")]
        jobs = [job.record["id"] for job in result.jobs if job.record["id"]]
        text = (files["readout.json"] or b"").decode()
        for job in jobs:
            text = text.replace(job, "a job")
        found.append([metrics, files["counts.json"], files["quasi.json"], text, result.ledger])
    return found


def replayed(readout: str = "as_asked", observables: dict[str, Any] | None = None) -> Outcome:
    """Compute the latest run again, without a backend and without MLflow."""
    asked = Replay.model_validate({"kind": "replay", "observables": observables or {}, "readout": readout})
    document = point_of(()).experiment.document
    shows = (lambda _: None, lambda *_: None)
    looking = Looking("latest", Path("again").resolve(), document.tracking, document.budget, *shows)
    with Journal(Path("outputs/journal")) as journal:
        return replay(journal, asked, looking)


# --- what it is worth ---


@pytest.mark.parametrize("mode", ["raw", "sampler"])
def test_the_bias_shrinks_tenfold(vendor, mode):
    """A Bell pair reads <ZZ> = 0.607 instead of 1, a bias of 0.393; M3 leaves less than a tenth of it, at 5 sigma."""
    words = ("circuit=bell", *vendor, f"mode={mode}", "mode.shots=40000", "mitigation=m3", "reference=ideal")
    result = result_of(*words, "transpile.initial_layout=[0, 1]")
    read, read_error = as_read(result)
    assert abs(read - READ_ZZ) < 5 * read_error
    value, error = ev(result)
    assert 5 * error < 0.0393
    assert abs(value - 1.0) < 5 * error
    assert result.ledger.applied == ("m3",)


@pytest.mark.usefixtures("misreading_manila")
def test_the_twirled_sampler_is_corrected_by_a_twirled_calibration():
    """Twirled, each qubit misreads 0 and 1 alike: by 0.085 and 0.15, so <ZZ> reads (1 - 0.17)(1 - 0.3) = 0.581.

    The calibration is twirled as well and finds just these; M3 leaves less than a fifth of the bias of 0.419.

    Of R random flips 1/2 +- 1 / (2 sqrt(R)) are done, which shifts what each state is misread by: by a / (2 sqrt(2 R))
    for two strings, where 1 is misread by a more than 0, and the contrast c by a / (2 sqrt(R)). For R = 256 that is
    0.0041 and 0.0063 for the first qubits c = 0.83 and 0.0044 and 0.0063 for the second's 0.7: 1.0 % of the value.
    """
    words = ("mitigation=twirl", "mitigation.readout=m3", "mode.shots=32768", "transpile.initial_layout=[0, 1]")
    result = result_of(*ON_MANILA, *words, "mitigation.options.twirling.num_randomizations=256")
    read, read_error = as_read(result)
    assert abs(read - 0.581) < 5 * (read_error**2 + 0.026**2 / 256) ** 0.5
    value, error = ev(result)
    within = 5 * (error**2 + 0.0103**2) ** 0.5
    assert within < 0.0838
    assert abs(value - 1.0) < within
    assert TWIRLED in result.notes
    (readout,) = result.readouts
    for qubit, wanted in (("0", 0.085), ("1", 0.15)):
        (_, down), (up, _) = readout["confusion"][qubit]
        shift = abs(ERRORS[int(qubit)][1] - ERRORS[int(qubit)][0]) / (2 * (2 * 256) ** 0.5)
        within = 5 * (wanted * (1 - wanted) / readout["shots_per_state"] + shift**2) ** 0.5
        assert abs(up - wanted) < within
        assert abs(down - wanted) < within
    assert result.ledger.applied == ("measure_twirling", "m3")
    assert result.ledger.ignored == {"gate_twirling": "the backend's gates have no errors to act on"}


def test_the_confusion_matrices_are_those_of_the_device(vendor):
    """Two qubits have four strings: each state is prepared in two of them, and misread as on the device (5 sigma)."""
    words = ("circuit=bell", *vendor, "mode=raw", "mode.shots=10000", "mitigation=m3")
    (readout,) = result_of(*words, "transpile.initial_layout=[2, 0]").readouts
    assert (readout["pub"], readout["shots_per_state"]) == (1, 20000)
    assert readout["confusion"].keys() == {"0", "2"}
    for qubit, matrix in readout["confusion"].items():
        for (read, state), wanted in (((1, 0), ERRORS[int(qubit)][0]), ((0, 1), ERRORS[int(qubit)][1])):
            assert abs(matrix[read][state] - wanted) < 5 * (wanted * (1 - wanted) / 20000) ** 0.5


def test_probabilities_are_those_of_the_state(vendor):
    """A Bell pair reads 00 with 0.5 * (0.98 * 0.95 + 0.15 * 0.25) = 0.484 and 11 with 0.319: distance 0.197 from ideal.

    Corrected, all but 0.02 of it is gone; the counts stay as they were measured.
    """
    words = ("circuit=bell", *vendor, "mode=raw", "mode.shots=40000", "mitigation=m3", "reference=ideal")
    result = result_of(*words, "transpile.initial_layout=[0, 1]")
    assert result.counts is not None
    assert result.corrected is not None
    (joint,), (quasi,) = result.counts.joint, result.corrected.quasi
    assert abs(joint["00"] / 40000 - 0.48425) < 5 * 0.0025
    assert abs(joint["11"] / 40000 - 0.31925) < 5 * 0.0025
    assert abs(quasi["00"] - 0.5) < 0.02
    assert abs(quasi["11"] - 0.5) < 0.02
    assert sum(quasi.values()) == pytest.approx(1.0, abs=1e-5)
    assert result.comparison.total_variation[0] < 0.02
    assert result.comparison.p_success[0] > 0.98
    assert result.comparison.hellinger[0] > 0.98
    # What mthree calls the overhead is at most that of the whole readout: the squared one-norm of its inverse.
    inverse = [np.linalg.inv([[1 - up, down], [up, 1 - down]]) for up, down in ERRORS[:2]]
    most = np.prod([np.abs(one).sum(axis=0).max() ** 2 for one in inverse])
    assert 1.0 < result.corrected.overhead[0] < 1.1 * most


def test_standard_errors_are_those_of_the_spread():
    """Of 500 repetitions with their own calibrations the spread is the mean standard error, within 10 % (3 sigma).

    The spread of 500 is known to 1 / sqrt(2 * 499) = 3.2 %. mthree's own bound, sqrt(overhead / shots), is above.
    """
    rng = np.random.default_rng(7)
    circuit = QuantumCircuit(2)
    circuit.ry(1.0, 0)
    circuit.cx(0, 1)
    circuit.measure_all()
    # cos(1/2)^2 = 0.770 of 00, the rest 11
    true = np.array([np.cos(0.5) ** 2, 0, 0, np.sin(0.5) ** 2])
    one, other = (np.array([[1 - up, down], [up, 1 - down]]) for up, down in ERRORS[:2])
    reads = np.kron(other, one)
    strings = balanced_strings(2).astype(int)
    observables = {"zz": SparsePauliOp("ZZ"), "sum": SparsePauliOp(["ZI", "IZ", "II"], [0.5, -2.0, 1.0])}
    values, errors, bounds = [], [], []
    for _ in range(500):
        calibration = Counts(
            (("readout", 2),), tuple(_drawn(rng, reads[:, first + 2 * second]) for first, second in strings)
        )
        readout = measured_readout(calibration, (0, 1), strings)
        counts = Counts((("meas", 2),), (_drawn(rng, reads @ true),))
        found = M3(circuit, readout.errors, readout.shots).applied(
            counts, observables, expectations_from_counts(counts, observables, circuit)
        )
        values.append(found.expectations.values[0])
        errors.append(found.expectations.errors[0])
        bounds.append((found.corrected.overhead[0] / 400) ** 0.5)
    assert np.std(values, axis=0, ddof=1) == pytest.approx(np.mean(errors, axis=0), rel=0.1)
    # <ZZ> = 1; <ZI> = <IZ> = cos(1): 0.5 c - 2 c + 1 = 1 - 1.5 * 0.5403
    wanted = np.array([1.0, 1 - 1.5 * np.cos(1.0)])
    assert (np.abs(np.mean(values, axis=0) - wanted) < 5 * np.mean(errors, axis=0) / 500**0.5 + 0.003).all()
    assert np.mean(bounds) > np.mean(errors, axis=0)[0]


def _drawn(rng: np.random.Generator, probabilities: np.ndarray, shots: int = 400) -> dict[str, int]:
    drawn = rng.multinomial(shots, probabilities)
    return {format(index, "02b"): int(count) for index, count in enumerate(drawn) if count}


def test_a_qubit_misread_as_often_as_not_fails_its_task():
    """There is nothing to correct from: refused as a failed result, not shown uncorrected."""
    circuit = QuantumCircuit(1)
    circuit.measure_all()
    calibration = Counts((("readout", 1),), ({"0": 5, "1": 5}, {"0": 5, "1": 5}))
    readout = measured_readout(calibration, (0,), np.array([[0], [1]]))
    counts = Counts((("meas", 1),), ({"0": 3},))
    with pytest.raises(JobError, match="bit 0, which was misread as often as not"):
        M3(circuit, readout.errors, 10).applied(counts, {}, expectations_from_counts(counts, {}, circuit))


# --- the plan ---


def test_a_sweep_is_one_job_with_one_calibration():
    """Six points of one circuit: one PUB of six sets, and one of four strings for two qubits."""
    words = [*circuit_file("tilted", TILTED), "backend=fake_manila", "mode=raw", "mitigation=m3"]
    plan = plan_of(*([*words, f"+circuit.parameter_values.theta={index}"] for index in range(6)))
    (job,) = plan.jobs
    assert [pub.values.shape for pub in job.submission.pubs] == [(6, 1), (4, 2)]
    assert job.calibrated == plan.tasks[0].program.lowered.used
    assert job.asked == job.submission.pubs[:1]
    assert spans_of(job) == (Span(0, 0, 6),)
    assert [place.job for task in plan.tasks for place in task.places] == [0] * 6


def test_a_calibration_is_balanced():
    """Each qubit is in 0 in half of the strings, each pair in each of its four states in a quarter; 5 qubits take 8."""
    for qubits, length in ((1, 2), (2, 4), (3, 4), (4, 8), (5, 8), (7, 8), (8, 16)):
        strings = balanced_strings(qubits)
        assert strings.shape == (length, qubits)
        assert (strings.sum(axis=0) == length / 2).all()
        pairs = strings.T @ strings
        assert (pairs[~np.eye(qubits, dtype=bool)] == length / 4).all()


def test_both_states_are_prepared_by_equal_pulses():
    """0 and 1 differ by an angle alone: the circuit is sx, rz, sx on each qubit, whatever the state."""
    (job,) = plan_of((*ON_MANILA, "mode=raw", "mitigation=m3")).jobs
    pub = job.submission.pubs[-1]
    assert pub.circuit.count_ops()["sx"] == 4
    assert "x" not in pub.circuit.count_ops()
    assert prepared(pub).tolist() == balanced_strings(2).tolist()


def test_programs_on_other_qubits_share_one_calibration_of_all(tmp_path):
    """On a device that is not cut down to active qubits, a job of circuits on 2 and 3 qubits calibrates their union."""
    with rehearsal(tmp_path):
        words = ("circuit=ghz", "backend=rehearsal", "mode=raw", "mitigation=m3")
        places = (
            ("circuit.params.num_qubits=2", "transpile.initial_layout=[4,3]"),
            ("transpile.initial_layout=[0,1,2]",),
        )
        plan = plan_of(*((*words, "circuit.params.num_qubits=3", *place) for place in places))
    (job,) = plan.jobs
    assert job.calibrated == (0, 1, 2, 3, 4)
    assert [len(pub.values) for pub in job.submission.pubs] == [1, 1, 8]


def test_sets_spread_over_jobs_have_their_jobs_own_calibration():
    """Of five sets in jobs of two at most, each job measures the readout for itself, and all are corrected."""
    words = [*circuit_file("tilted", TILTED, "'zz': 'ZZ'"), "backend=fake_manila", "mode=raw", "mitigation=m3"]
    values = ["+circuit.parameter_values.theta={linspace: [0, 1, 5]}", "backend.limits.parameter_sets=2"]
    result = result_of(*words, *values, "mode.shots=4096")
    assert len(result.jobs) == 3
    assert [readout["job"] for readout in result.readouts] == [job.record["id"] for job in result.jobs]
    assert len({id(job.calibration) for job in result.jobs}) == 3
    assert result.expectations is not None
    assert (np.abs(result.expectations.values[:, 0] - 1.0) < 5 * result.expectations.errors[:, 0] + 0.05).all()


def test_those_that_ask_for_m3_and_those_that_do_not_are_jobs_apart():
    """What is measured for M3 neither costs nor fails a task that did not ask for it."""
    plan = plan_of(*((*ON_MANILA, "mode=raw", f"mitigation={kind}") for kind in ("none", "m3")))
    assert [len(job.submission.pubs) for job in plan.jobs] == [1, 2]


def test_the_calibration_rides_along_with_every_part(monkeypatch):
    """Where a job of a simulator fails and is tried in halves, each half measures the readout; a set fails alone."""
    run = AerSimulator.run

    def fragile(self: Any, circuits: Any, *words: Any, **options: Any) -> Any:
        binds = options.get("parameter_binds", [{}])
        if any(0.3 in values for bind in binds for values in bind.values()):
            raise RuntimeError("0.3 is too warm")
        return run(self, circuits, *words, **options)

    words = [*circuit_file("tilted", TILTED, "'zz': 'ZZ'"), "mode=raw", "backend=fake_manila", "mitigation=m3"]
    with monkeypatch.context() as patch:
        patch.setattr(AerSimulator, "run", fragile)
        first = outcome_of((*words, "+circuit.parameter_values.theta=[0.1, 0.2, 0.3, 0.4]", "mode.shots=2048"))
    result = only(first)
    assert result.missing == (2,)
    assert result.error == "RuntimeError: 0.3 is too warm (of 1 of 4 parameter sets)"
    assert len(result.readouts) == 2  # 0.1 with 0.2, and 0.4
    assert result.corrected is not None
    assert [bool(quasi) for quasi in result.corrected.quasi] == [True, True, False, True]
    assert numbers_of(replayed()) == numbers_of(first)


def test_parts_of_a_job_keep_its_calibration():
    """Whatever parameter sets are run of a job, its last PUB is run as a whole."""
    words = [*circuit_file("tilted", TILTED), "backend=fake_manila", "mode=raw", "mitigation=m3"]
    (job,) = plan_of([*words, "+circuit.parameter_values.theta={linspace: [0, 1, 5]}"]).jobs
    part = part_of(job, (Span(0, 1, 3),))
    assert [pub.values.shape for pub in part.submission.pubs] == [(2, 1), (4, 2)]
    assert part.calibrated == job.calibrated


def test_a_packed_plan_knows_what_was_calibrated():
    """What another process makes of the pack measures, reads and tells the same."""
    plan = plan_of((*ON_MANILA, "mode=sampler", "mitigation=m3"))
    again = unpacked(packed(plan), {task.point.index: task.point for task in plan.tasks}, away)
    assert again.jobs[0].calibrated == plan.jobs[0].calibrated
    assert again.tasks[0].ledger == plan.tasks[0].ledger
    assert prepared(again.jobs[0].submission.pubs[-1]).tolist() == balanced_strings(2).tolist()


def test_m3_is_part_of_what_a_task_is():
    """A task with M3 is another one than the same without: neither takes the other's results."""
    keys = [task_keys(plan_of((*ON_MANILA, "mode=raw", f"mitigation={kind}"))) for kind in ("none", "m3")]
    assert keys[0] != keys[1]


# --- the price ---


def test_a_job_is_expected_to_take_its_calibration_too(vendor):
    """100 shots of one set and of four strings: 500 executions, 2 s + 500 * 350 us."""
    (job,) = plan_of(("circuit=bell", *vendor, "mode=raw", "mode.shots=100", "mitigation=m3")).jobs
    assert job.expected_s == pytest.approx(expected_s(500))


def test_the_price_of_a_task_holds_its_share_of_the_calibration():
    """Alone in its job, a task costs all of it: 2 s + 5 * 100 * 350 us = 2.175 s."""
    words = (*ON_MANILA, "mode=raw", "mode.shots=100", "mitigation=m3", "reference=ideal")
    effect = result_of(*words).comparison.effect
    assert effect is not None
    assert effect.cost_s == pytest.approx([2.175])


def test_limits_leave_room_for_the_calibration():
    """Of 1,000 executions a job, 400 are the calibration's: 6 sets of 100 shots fit, of 12 it takes two jobs."""
    words = [*circuit_file("tilted", TILTED), "backend=fake_manila", "mode=raw", "mode.shots=100", "mitigation=m3"]
    words += ["+circuit.parameter_values.theta={linspace: [0, 1, 12]}"]
    plan = plan_of([*words, "backend.limits.executions=1000"])
    assert [len(job.asked[0].values) for job in plan.jobs] == [6, 6]
    refused = plan_of([*words, "backend.limits.executions=450"]).refusals[0].error
    assert str(refused.mistakes[0]) == (
        "backend.limits.executions: given 500 of a single parameter set and the readout calibration (m3); allowed: at "
        "most 450 a job; remedy: fewer shots, or another limit"
    )


# --- again ---


def test_a_replay_computes_m3_again():
    """The same numbers from raw results alone; as measured and by the device's calibration where that is asked for."""
    first = outcome_of((*ON_MANILA, "mode=raw", "mitigation=m3", "reference=ideal", "mode.shots=4096"))
    assert numbers_of(replayed()) == numbers_of(first)
    plain = only(replayed("as_measured"))
    assert ev(plain) == as_read(only(first))
    assert plain.corrected is None
    assert plain.ledger.applied == ()
    assert plain.ledger.ignored == {"m3": "counts are taken as they were measured"}
    undone = only(replayed("calibration"))
    assert undone.ledger.applied == ("readout (calibration)",)
    assert undone.ledger.ignored == {"m3": "the readout errors of the device's calibration are undone instead"}
    assert abs(ev(undone)[0] - ev(only(first))[0]) < 5 * ev(only(first))[1]


def test_a_replay_corrects_other_observables():
    """What is asked for later is corrected as well: <IZ> of a Bell pair is 0."""
    outcome_of((*ON_MANILA, "mode=raw", "mitigation=m3", "mode.shots=4096"))
    result = only(replayed(observables={"one": "IZ", "zz": "ZZ"}))
    assert result.expectations is not None
    assert result.expectations.names == ("one", "zz")
    assert abs(ev(result)[0]) < 5 * ev(result)[1]


def test_a_run_cut_short_ends_as_if_nothing_had_happened(monkeypatch):
    """Ctrl-C between two jobs: the same command runs the second, and all numbers are those of an undisturbed run."""
    words = [*circuit_file("tilted", TILTED, "'zz': 'ZZ'"), "backend=fake_manila", "mode=raw", "mitigation=m3"]
    words += ["+circuit.parameter_values.theta=[0.1, 0.2, 0.3, 0.4]", "backend.limits.parameter_sets=2"]
    undisturbed = outcome_of([*words, "resume=never"])
    run, calls = AerSimulator.run, []

    def interrupted(self: Any, *given: Any, **options: Any) -> Any:
        calls.append(self)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return run(self, *given, **options)

    with monkeypatch.context() as patch:
        patch.setattr(AerSimulator, "run", interrupted)
        assert outcome_of([*words, "resume=never"]).exit_code == 130
    again = outcome_of(words)
    assert again.continued
    assert numbers_of(again) == numbers_of(undisturbed)


def test_results_of_an_equal_task_are_taken_with_their_correction():
    """`reuse=true` corrects what the other run has measured by what it has calibrated."""
    words = (*ON_MANILA, "mode=raw", "mitigation=m3")
    first = only(outcome_of(words))
    taken = only(outcome_of((*words, "reuse=true")))
    assert taken.reused_from
    assert ev(taken) == ev(first)
    assert taken.readouts == first.readouts


# --- ledgers ---


@pytest.mark.parametrize("mode", ["raw", "sampler"])
@pytest.mark.parametrize("backend", ["fake_manila", "aer_noisy", "fake_sherbrooke"])
def test_applied_on_noisy_simulators(backend, mode):
    """Both counting modes, on devices cut down to their active qubits."""
    (task,) = plan_of(("circuit=bell", f"backend={backend}", f"mode={mode}", "mitigation=m3")).tasks
    assert (task.ledger.requested, task.ledger.applied, task.ledger.ignored) == ("m3", ("m3",), {})
    assert task.ledger.resolved["m3"] == {"calibration": "balanced", "distance": 2}


@pytest.mark.parametrize("mode", ["raw", "sampler"])
def test_ignored_on_ideal_aer(mode):
    """Without noise there is nothing to measure: no calibration is run, and M3 is ignored with the reason."""
    result = result_of("circuit=bell", f"mode={mode}", "mitigation=m3")
    assert (result.ledger.applied, result.ledger.ignored) == ((), {"m3": NO_NOISE})
    assert (result.corrected, result.readouts) == (None, ())
    assert len(plan_of(("circuit=bell", f"mode={mode}", "mitigation=m3")).jobs[0].submission.pubs) == 1


@pytest.mark.parametrize("mode", ["raw", "sampler"])
def test_ignored_where_nothing_was_misread(mode):
    """A vendor's device may have noise; where its calibration shows none, M3 is ignored, and says so."""
    vendor = ("backend=vendor", "backend.source=qiskit.providers.basic_provider:BasicSimulator")
    result = result_of("circuit=bell", *vendor, f"mode={mode}", "mitigation=m3")
    assert result.ledger.applied == ()
    assert result.ledger.ignored == {"m3": "no qubit was misread in the calibration"}
    assert result.corrected is None
    assert len(result.readouts) == 1


def test_the_rehearsal_measures_in_the_same_jobs(tmp_path):
    """Raw and sampler in one batch on IBM's protocol: a job each, its calibration in it, and both corrected."""
    words = ("experiment=raw_versus_primitive", "~tasks.estimator", "backend=rehearsal", "session=batch")
    with rehearsal(tmp_path):
        outcome = outcome_of((*words, "mitigation=m3", "tasks.raw.mode.shots=4096", "tasks.sampler.mode.shots=4096"))
    assert sorted(result.name for result in outcome.results) == ["raw", "sampler"]
    for result in outcome.results:
        assert result.state == "done", result.error
        assert result.ledger.applied == ("m3",)
        (job,) = result.jobs
        assert [readout["job"] for readout in result.readouts] == [job.record["id"]]
        assert abs(ev(result)[0] - 1.0) < 0.05
        assert as_read(result)[0] < 0.95
    assert len({result.jobs[0].record["session_id"] for result in outcome.results}) == 1
    assert numbers_of(replayed()) == numbers_of(outcome)


def test_a_snapshot_misreads_as_its_device_did():
    """The backend of a recorded run is corrected as the device itself: by what the run measures."""
    outcome_of((*ON_MANILA, "mode=raw", "mode.shots=64"))
    result = result_of("circuit=bell", "backend=snapshot", "backend.run=results", "mode=sampler", "mitigation=m3")
    assert result.ledger.applied == ("m3",)
    assert abs(ev(result)[0] - 1.0) < 5 * ev(result)[1] + 0.01


def test_what_steers_the_circuit_is_not_corrected():
    """Teleported: two bits steer corrections and are taken as read, the last one is corrected; both are said."""
    words = ("circuit=dynamic_teleport", "backend=fake_sherbrooke", "mode=sampler", "mitigation=m3", "mode.shots=4096")
    plan = plan_of(words)
    assert len(plan.jobs[0].calibrated) == 1
    result = result_of(*words)
    assert "measured bits that steer the circuit are not corrected" in result.notes
    assert "2 of 3 bits are no final measurements and are not corrected" in result.notes
    assert result.corrected is not None
    assert sum(result.corrected.quasi[0].values()) == pytest.approx(1.0, abs=1e-5)


def test_what_is_told_of_a_corrected_task():
    """Metrics of both values, the overhead, quasi-probabilities and confusion matrices; counts stay as measured."""
    result = result_of(*ON_MANILA, "mode=raw", "mitigation=m3", "reference=ideal")
    record = Records("any", {}).of(result)
    metrics = {metric.key: metric.value for metric in record.metrics}
    names = [name.removeprefix("ev/") for name in metrics if name.startswith("ev/")]
    assert names
    for name in names:
        assert metrics[f"ev_as_measured/{name}"] != metrics[f"ev/{name}"]
        assert metrics[f"std_as_measured/{name}"] < metrics[f"std/{name}"]
    assert metrics["readout/overhead"] > 1
    assert metrics["fidelity/hellinger_as_measured"] < metrics["fidelity/hellinger"]
    assert metrics["p_success_as_measured"] < metrics["p_success"]
    assert metrics["distance/total_variation_as_measured"] > metrics["distance/total_variation"]
    (joint,) = json.loads(record.artifacts["counts.json"])
    assert sum(joint["meas"].values()) == 1024
    (quasi,) = json.loads(record.artifacts["quasi.json"])
    assert set(quasi) <= {"00", "01", "10", "11"}
    (readout,) = json.loads(record.artifacts["readout.json"])
    assert readout.keys() == {"job", "pub", "shots_per_state", "confusion"}
    assert record.tags["qrt.mitigation_applied"] == "m3"
    row = json.loads(record.artifacts["results.json"])["rows"][0]
    assert row["ev_as_measured"] == metrics[f"ev_as_measured/{row['observable']}"]


def test_a_shared_calibration_is_told():
    """Points of one job share their calibration, and with it a part of their errors."""
    words = [*circuit_file("tilted", TILTED, "'zz': 'ZZ'"), "backend=fake_manila", "mode=raw", "mitigation=m3"]
    outcome = outcome_of(*([*words, f"+circuit.parameter_values.theta={index}"] for index in range(3)))
    for result in outcome.results:
        assert "readout calibration (M3) shared with 2 other parameter sets of the job" in result.notes


# --- refusals ---


def mistake(*words: str) -> str:
    """Return what the only mistake of a command is told as."""
    with pytest.raises(ConfigError) as caught:
        outcome_of(words)
    (found,) = caught.value.mistakes
    return str(found)


ESTIMATES = (
    "m3 in mode=estimator, whose results are expectation values; allowed: m3 for counts: mode=raw and mode=sampler"
)
UNPROCESSED = "in mode=raw, which is unprocessed; remedy:"
READOUT = "mitigation.readout"
TWIRLING = "mitigation.options.twirling.enable_measure"
GIVEN = "mitigation.options: given ['twirling'];"
REFUSED = {
    "estimator": (["mode=estimator", "mitigation=m3"], f"mitigation: given {ESTIMATES}; remedy: mitigation=trex"),
    "estimator, by its field": (
        ["mode=estimator", "mitigation=zne", "mitigation.readout=m3"],
        f"mitigation.readout: given {ESTIMATES}; remedy: mitigation=trex",
    ),
    "raw with anything else": (
        ["mode=raw", "mitigation=twirl"],
        (
            f"mitigation: given twirl; allowed: none or m3 {UNPROCESSED} mitigation=none, or mode=sampler or "
            "mode=estimator"
        ),
    ),
    "raw with m3 and options": (
        ["mode=raw", "mitigation=m3", f"{TWIRLING}=true"],
        f"{GIVEN} allowed: nothing {UNPROCESSED} leave mitigation.options out, or mode=sampler",
    ),
    "not by its name": (
        ["mode=raw", "mitigation.readout=m3"],
        f"{READOUT}: given m3 with mitigation=none, which stands for none; allowed: as_measured; remedy: mitigation=m3",
    ),
    "the name without it": (
        ["mitigation=m3", "mitigation.readout=as_measured"],
        f"{READOUT}: given as_measured with mitigation=m3; allowed: m3; remedy: mitigation=none",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_before_anything_is_opened(case):
    """M3 is for counts, by its name; raw takes nothing else."""
    words, told = REFUSED[case]
    assert mistake(*words) == told


def test_refused_without_a_final_measurement():
    """A circuit whose only bit is measured before its end has nothing that M3 could correct."""
    lines = "circuit = QuantumCircuit(1, 1)\ncircuit.measure(0, 0)\ncircuit.h(0)"
    assert mistake(*circuit_file("early", lines), "backend=fake_manila", "mitigation=m3") == (
        "mitigation.readout: given m3, for a circuit of which no bit is the outcome of a final measurement; allowed: "
        "m3 for circuits that measure at their end; remedy: mitigation=none"
    )


def test_refused_where_a_job_cannot_hold_the_calibration(vendor):
    """A device that takes four circuits at once cannot take a circuit and four strings."""
    vendor[-1] = "backend.source=acme_m3:small"
    assert mistake("circuit=bell", *vendor, "mode=raw", "mitigation=m3") == (
        "mitigation.readout: given m3, of which a job has 5 circuits; allowed: at most 4 circuits a job on this "
        "backend; remedy: mitigation=none, or fewer qubits"
    )


def test_refused_where_a_qubit_cannot_be_rotated(vendor):
    """A device without any rotation cannot prepare 0 and 1 by equal pulses."""
    vendor[-1] = "backend.source=acme_m3:classical"
    lines = "circuit = QuantumCircuit(2)\ncircuit.x(0)\ncircuit.cx(0, 1)"
    told = mistake(*circuit_file("classical", lines), *vendor, "mode=raw", "mitigation=m3")
    assert told.startswith("mitigation.readout: given m3 on acme_misreading, which cannot run its calibration (")
    assert told.endswith("allowed: m3 on devices that can rotate a qubit; remedy: mitigation=none")


def test_a_circuit_of_the_devices_own_gates_is_corrected():
    """`transpile=none` takes the circuit as it is; its calibration is lowered to the qubits that it measures."""
    lines = "circuit = QuantumCircuit(5, 1)\ncircuit.x(3)\ncircuit.measure(3, 0)"
    words = [*circuit_file("flipped", lines, "'z': 'IZIII'"), "backend=fake_manila", "transpile=none", "mode=raw"]
    plan = plan_of([*words, "mitigation=m3"])
    assert plan.jobs[0].calibrated == (3,)
    result = result_of(*words, "mitigation=m3", "mode.shots=8192")
    assert abs(ev(result)[0] + 1.0) < 5 * ev(result)[1] + 0.005
    assert replace(result.ledger, resolved={}).applied == ("m3",)
