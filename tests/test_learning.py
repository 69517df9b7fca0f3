"""Learned noise: that it is the injected noise, that PEA and PEC undo it, and that no learning is paid twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from math import exp, log, pi
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from composing import circuit_file, outcome_of, plan_of, result_of
from pydantic import TypeAdapter
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel as ErrorModel
from qiskit_aer.noise import PauliLindbladError, depolarizing_error
from qiskit_ibm_runtime.options_models import EstimatorOptions
from watching import Watched, rehearsal, watched

from qrt_runner.backends import Device, open_device
from qrt_runner.config import Backend
from qrt_runner.errors import ConfigError
from qrt_runner.mitigation import LearnerOptions
from qrt_runner.modes import LEARNER_MODE, Pub, Submission, mode_named
from qrt_runner.noise import NoiseModel as Learned
from qrt_runner.noise import model_of, plain
from qrt_runner.plan import packed, unpacked
from qrt_runner.rehearsal import Fault
from qrt_runner.tracking.metrics import metrics_of_task

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from qrt_runner.noise import LayerNoise
    from qrt_runner.rehearsal import Rehearsal
    from qrt_runner.results import TaskResult

GATES = ["id", "rz", "sx", "x", "cx"]
SHORT = ("mitigation.learning.num_randomizations=4", "mitigation.learning.layer_pair_depths=[0,8]")
"""Learning that takes a fraction of a second; enough to tell that there is noise."""

LADDER = (
    "ladder",
    "circuit = QuantumCircuit(2)\ncircuit.x([0, 1])\nfor _ in range(20):\n    circuit.cx(0, 1)\n    circuit.barrier()",
    "'zz': 'ZZ'",
)
"""|11> after 20 CX, which is |11> again: <ZZ> = 1, and gate noise stands in the way."""


def known(error: Any) -> Device:
    """Return a simulator of two qubits with this noise after each CX, and with no other."""
    noise = ErrorModel(basis_gates=GATES)
    noise.add_all_qubit_quantum_error(error, ["cx"])
    simulator = AerSimulator(noise_model=noise, basis_gates=GATES, coupling_map=[[0, 1], [1, 0]], n_qubits=2)
    return Device("known", simulator, "simulator", noisy=True)


def ladder(pairs: int = 10) -> QuantumCircuit:
    """Return |11>, and pairs of CX, each of which is a layer of its own."""
    circuit = QuantumCircuit(2)
    circuit.x([0, 1])
    for _ in range(2 * pairs):
        circuit.cx(0, 1)
        circuit.barrier()
    return circuit


def run(mode: str, submission: Submission) -> Any:
    """Run a job of one PUB and return what it gave."""
    way = mode_named(mode)
    return way.read(submission, way.fetch(submission, way.submit(submission)))[0]


def learner_options(device: Device, seed: int, **numbers: Any) -> LearnerOptions:
    """Return what the learner is asked by these numbers."""
    return LearnerOptions(
        backend_kind="aer",
        backend=device.name,
        simulated=True,
        calibration="",
        strategy="active-accum",
        group="pauli",
        max_layers=9,
        learner={"simulator": {"seed_simulator": seed}, **numbers},
    )


def learned(device: Device, seed: int, **numbers: Any) -> LayerNoise:
    """Learn the noise of the ladder's only layer."""
    options = learner_options(device, seed, **numbers)
    pub = Pub(ladder(1), np.empty((1, 0)), {})
    (layer,) = run(LEARNER_MODE, Submission(device, device.backend, (pub,), 128, seed, options)).noise
    return layer


def rates_of(device: Device, seeds: range, **numbers: Any) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Return the generators, the mean of their rates over learnings, and its standard errors."""
    found = [learned(device, seed, **numbers) for seed in seeds]
    by_name = [dict(zip(one.generators, one.rates, strict=True)) for one in found]
    names = tuple(sorted(by_name[0]))
    rates = np.array([[one[name] for name in names] for one in by_name])
    return names, rates.mean(axis=0), rates.std(axis=0, ddof=1) / np.sqrt(len(rates))


# The learned noise is the injected noise


NUMBERS: Mapping[str, Any] = {"num_randomizations": 16, "shots_per_randomization": 64, "layer_pair_depths": [0, 2, 6]}


def check_depolarizing(seeds: range, **numbers: Any) -> None:
    """A depolarizing channel shrinks each of the 15 Paulis to 1-p.

    Each Pauli anticommutes with 8 of the 15 generators, all of one rate r, so that exp(-2*8*r) = 1-p. With p = 0.1 that
    is r = -log(0.9)/16 = 0.00659.
    """
    rate = -log(0.9) / 16
    names, mean, error = rates_of(known(depolarizing_error(0.1, 2)), seeds, **numbers)
    assert len(names) == 15
    # 15 comparisons, of which pairs are equal by symmetry; Student's t of 5 errors at 4 degrees of freedom is 0.7 %.
    assert (abs(mean - rate) < 5 * error).all(), (names, mean, error)
    assert mean.sum() == pytest.approx(15 * rate, rel=0.1)


def test_depolarizing_noise_is_learned():
    """All 15 rates are those of the injected channel within their errors, and their sum within a tenth."""
    check_depolarizing(range(5), **NUMBERS)


@pytest.mark.slow
def test_depolarizing_noise_is_learned_by_the_defaults():
    """As above, by the runtime's own numbers of depths, randomizations and shots."""
    check_depolarizing(range(6))


def test_single_generators_are_learned():
    """ZI and IX with rates 0.02 and 0.01 are found; what was not injected has next to none.

    CX leaves Z on its control and X on its target as they are, so that their rates can be told from all others. The
    control is qubit 0, the rightmost letter.
    """
    injected = {"IZ": 0.02, "XI": 0.01}
    device = known(PauliLindbladError([*injected], [*injected.values()]))
    names, mean, error = rates_of(device, range(4), **NUMBERS)
    for name, rate, one in zip(names, mean, error, strict=True):
        if name in injected:
            assert abs(rate - injected[name]) < 5 * one, (name, rate, one)
        else:
            # Rates are never negative, so that noise of the learning itself leaves a little.
            assert rate < 0.002, (name, rate)


# PEA and PEC undo it


def options_of(shots: int, resilience: Any) -> EstimatorOptions:
    """Return an Estimator's options, with many randomizations."""
    return EstimatorOptions(
        resilience_level=0,
        default_shots=shots,
        resilience=resilience,
        twirling={"num_randomizations": shots // 32, "shots_per_randomization": 32},
        simulator={"seed_simulator": 11},
    )


def bias(device: Device, noise: LayerNoise | None, shots: int = 8192, **resilience: Any) -> tuple[float, float]:
    """Return how far <ZZ> of the ladder is off 1, and its standard error."""
    pub = Pub(ladder(), np.empty((1, 0)), {"zz": SparsePauliOp("ZZ")})
    model = None if noise is None else Learned("known", (noise,))
    options = options_of(shots, resilience)
    found = run("estimator", Submission(device, device.backend, (pub,), shots, 11, options, noise=model)).expectations
    return abs(1.0 - float(found.values[0, 0])), float(found.errors[0, 0])


PEC = {"pec_mitigation": True}
PEA = {"zne_mitigation": True, "zne": {"amplifier": "pea", "noise_factors": [1, 2, 3], "extrapolator": "exponential"}}


@pytest.mark.parametrize("resilience", [PEC, PEA], ids=["pec", "pea"])
def test_pec_and_pea_reduce_the_bias_to_a_fifth(resilience):
    """20 CX with 2 % depolarizing leave 0.98^20 = 0.668 of <ZZ>: of the bias of 0.332 less than a fifth is left."""
    device = known(depolarizing_error(0.02, 2))
    bare, error = bias(device, None)
    assert abs(bare - (1 - 0.98**20)) < 5 * error
    noise = learned(device, 3, **NUMBERS)
    left, spread = bias(device, noise, **resilience)
    assert left < bare / 5
    assert left < 4 * spread


def test_local_noise_is_not_doubled():
    """In local mode the runtime would simulate the learned noise beside the simulator's: at noise gain 1 there is one.

    PEC that keeps all noise has a gamma of 1 and gives what the bare ladder gives, 0.98^20 = 0.668 and not 0.668^2.
    """
    device = known(depolarizing_error(0.02, 2))
    kept, error = bias(device, learned(device, 3, **NUMBERS), pec_mitigation=True, pec={"noise_gain": 1.0})
    assert abs(kept - (1 - 0.98**20)) < 5 * error


@pytest.mark.slow
@pytest.mark.parametrize("resilience", [PEC, PEA], ids=["pec", "pea"])
def test_with_the_learners_defaults_the_bias_goes_to_a_tenth(resilience):
    """As above with the runtime's own numbers and 65536 shots, over the whole ladder."""
    device = known(depolarizing_error(0.02, 2))
    noise = learned(device, 3)
    left, spread = bias(device, noise, shots=65536, **resilience)
    assert left < 0.332 / 10
    assert left < 4 * spread


@pytest.mark.slow
def test_layers_beside_idle_qubits_are_undone_where_they_are():
    """A GHZ state, and eight CX that undo each other, with other noise on each pair: every bias goes to nothing.

    Errors Z of the control and X of the target have rates 0.01 and 0.004 on the pair (0,1), 0.03 and 0.012 on (1,2).
    Each Z flips XXX and each X flips a ZZ, which shrink by exp(-2 * rate) for each CX that comes upon them: XXX loses a
    third. Noise that was taken for another pair's, or for the idle qubit's, would leave biases of that order.
    """
    noise = ErrorModel(basis_gates=GATES)
    for pair, rates in {(0, 1): [0.01, 0.004], (1, 2): [0.03, 0.012]}.items():
        noise.add_quantum_error(PauliLindbladError(["IZ", "XI"], rates), ["cx"], list(pair))
    simulator = AerSimulator(noise_model=noise, basis_gates=GATES, coupling_map=[[0, 1], [1, 2]], n_qubits=3)
    device = Device("known", simulator, "simulator", noisy=True)
    circuit = QuantumCircuit(3)
    circuit.rz(pi / 2, 0)
    circuit.sx(0)
    circuit.rz(pi / 2, 0)
    for pair in [(0, 1), (1, 2), *2 * [(1, 2), (0, 1), (0, 1), (1, 2)]]:
        circuit.cx(*pair)
        circuit.barrier()
    observables = {name: SparsePauliOp(name) for name in ("IZZ", "ZZI", "XXX")}
    pub = Pub(circuit, np.empty((1, 0)), observables)
    asked = learner_options(device, 3, num_randomizations=32, layer_pair_depths=[0, 2, 6])
    layers = run(LEARNER_MODE, Submission(device, simulator, (pub,), 128, 3, asked)).noise
    assert sorted(str(one.layer) for one in layers) == ["cx(0,1)", "cx(0,1) beside 2", "cx(1,2) beside 0"]
    for resilience in (PEC, PEA):
        given = Submission(device, simulator, (pub,), 16384, 5, options_of(16384, resilience))
        found = run("estimator", replace(given, noise=Learned("known", layers))).expectations
        # The platform's errors are those of shots or fit alone, and hold nothing of those of the learned rates.
        assert (abs(found.values[0] - 1) < 0.06).all(), found


# Through the whole command


def task_of(*overrides: str) -> TaskResult:
    """Run the ladder on the noise of Manila, and return its result."""
    given = (*circuit_file(*LADDER), "backend=fake_manila", "mode=estimator", *SHORT, *overrides)
    return result_of(*given)


def test_one_word_learns_and_mitigates():
    """The learner's job stands behind the task's own, and the ledger names what was applied; the overhead is a metric.

    20 layers, each with gamma = exp(2 * the sum of its rates).
    """
    result = task_of("mitigation=pec")
    assert result.ledger.applied == ("gate_twirling", "pec")
    assert [job.record["mode"] for job in result.jobs] == ["estimator", "learner"]
    assert result.noise is not None
    assert [str(one.layer) for one in result.noise.layers] == ["cx(3,4)"]
    assert any(note.startswith("noise model learned at") for note in result.notes)
    metrics = {metric.key: metric.value for metric in metrics_of_task(result)}
    assert metrics["mitigation/gamma2"] == pytest.approx(exp(2 * 20 * 2 * sum(result.noise.layers[0].rates)))


def test_what_was_learned_is_an_artifact_with_a_figure(command):
    """`noise_model.json` has qubits, gates and rates, and gives the model again."""
    words = [*circuit_file(*LADDER), "backend=fake_manila", "mode=estimator", "mitigation=pec", *SHORT]
    words += ["tracking=off", "tracking.plots=true"]
    ended = command(*words)
    assert ended.code == 0, ended.err
    (file,) = Path("outputs").glob("**/noise_model.json")
    written = json.loads(file.read_text(encoding="utf-8"))
    model = model_of(written)
    assert json.loads(json.dumps(plain(model))) == written
    assert written["layers"][0]["layer"]["gates"] == [["cx", [3, 4]]]
    assert len(model.layers[0].rates) == 15
    assert (file.parent / "plots" / "noise_model.png").read_bytes().startswith(b"\x89PNG")


def test_pea_and_pec_share_what_is_learned():
    """A sweep over both learns once: three jobs, the learner first."""
    base = (*circuit_file(*LADDER), "backend=fake_manila", "mode=estimator", *SHORT)
    plan = plan_of((*base, "mitigation=pec"), (*base, "mitigation=pea"))
    assert [(job.mode, job.needs) for job in plan.jobs] == [("learner", None), ("estimator", 0), ("estimator", 0)]
    assert [task.places[0].job for task in plan.tasks] == [1, 2]


def test_circuits_on_the_same_qubits_are_learned_together():
    """The layers of two circuits are one job's, each layer once."""
    other = circuit_file("other", LADDER[1].replace("cx(0, 1)", "cx(1, 0)"), LADDER[2])
    base = ("backend=fake_manila", "mode=estimator", "mitigation=pec", "transpile.initial_layout=[3,4]", *SHORT)
    outcome = outcome_of((*circuit_file(*LADDER), *base), (*other, *base))
    models = [result.noise for result in outcome.results]
    assert [len(model.layers) for model in models if model is not None] == [2, 2]


@pytest.mark.parametrize("kind", ["pec", "pea"])
def test_nothing_is_learned_where_there_is_no_noise(kind):
    """On the ideal simulator PEC and PEA are ignored, and nothing is submitted for them."""
    plan = plan_of((*circuit_file(*LADDER), "mode=estimator", f"mitigation={kind}"))
    (task,) = plan.tasks
    assert [job.mode for job in plan.jobs] == ["estimator"]
    assert (task.ledger.applied, task.ledger.ignored[kind]) == ((), "the backend has no noise to act on")
    assert task.ledger.resolved["resilience"]["pec_mitigation"] is False
    assert task.ledger.resolved["resilience"]["zne_mitigation"] is False


def test_nothing_is_learned_without_two_qubit_gates():
    """There is no layer: PEC is ignored, and twirling measurements changes nothing of what is misread evenly."""
    flipped = circuit_file("flipped", "circuit = QuantumCircuit(2)\ncircuit.x([0, 1])", "'zz': 'ZZ'")
    result = result_of(*flipped, "backend=fake_manila", "mode=estimator", "mitigation=pec")
    assert result.ledger.applied == ()
    assert result.ledger.ignored["measure_twirling"] == "the backend misreads 0 and 1 alike already"
    assert result.ledger.ignored["pec"] == "the circuit has no two-qubit gate to act on"
    assert [job.record["mode"] for job in result.jobs] == ["estimator"]


# Reuse


def test_a_model_is_used_again_while_it_is_valid():
    """The same layers on the same calibration: the second task learns nothing, and says from where its model is."""
    first = task_of("mitigation=pec")
    again = task_of("mitigation=pea")
    assert again.ledger.applied == ("gate_twirling", "pea")
    assert [job.record["mode"] for job in again.jobs] == ["estimator"]
    assert first.noise is not None
    assert again.noise is not None
    assert (again.noise.origin, again.noise.layers) == ("kept", first.noise.layers)
    assert any(note.startswith(f"noise model reused from run {again.noise.run}") for note in again.notes)


def test_other_learning_is_done_anew():
    """Asked for, too old, by another seed, with other numbers, or on another device."""
    given = (*circuit_file(*LADDER), "backend=fake_manila", "mode=estimator", "mitigation=pec", *SHORT)
    outcome_of(given)
    changes = (
        "mitigation.noise_model=learn",
        "mitigation.learning.max_age_s=0",
        "seed=7",
        "mitigation.learning.shots_per_randomization=64",
        "backend.name=fake_quito",
    )
    modes = {change: plan_of((*given, change)).jobs[0].mode for change in ("name=same", *changes)}
    assert modes == {"name=same": "estimator", **dict.fromkeys(changes, LEARNER_MODE)}


def test_another_calibration_is_learned_anew(monkeypatch):
    """What was learned before the backend was calibrated is not used."""
    given = (*circuit_file(*LADDER), "backend=fake_manila", "mode=estimator", "mitigation=pec", *SHORT)
    outcome_of(given)
    calibration = Device.calibration

    def later(self: Device, qubits: Any) -> Any:
        return {**(calibration(self, qubits) or {}), "last_update": "later"}

    monkeypatch.setattr(Device, "calibration", later)
    assert plan_of(given).jobs[0].mode == LEARNER_MODE


def test_learning_that_fails_here_fails_its_tasks_once(monkeypatch):
    """A simulation that fails is tried again in halves; what has no model is not."""
    monkeypatch.setattr("qrt_runner.modes.learning._layers", lambda _: {})
    asked = (*circuit_file(*LADDER), "backend=fake_manila", "mode=estimator", "mitigation=pec", *SHORT)
    (result,) = outcome_of(asked).results
    assert result.state == "failed"
    assert result.error.startswith("its noise model could not be learned: ")
    assert [job.record["mode"] for job in result.jobs] == ["estimator", "learner"]


SIMULATOR = """
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, depolarizing_error


def get_backend(error):
    noise = NoiseModel()
    noise.add_all_qubit_quantum_error(depolarizing_error(error, 2), ["cx"])
    return AerSimulator(noise_model=noise)
"""


def test_another_noise_is_learned_anew(tmp_path, monkeypatch):
    """A vendor's simulator has one name, no calibration, and more qubits than the circuit, whatever its noise is."""
    (tmp_path / "acme_noise.py").write_text(SIMULATOR, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    given = (*circuit_file(*LADDER), "backend=vendor", "backend.source=acme_noise:get_backend", "mode=estimator")
    given = (*given, "mitigation=pec", *SHORT)
    assert result_of(*given, "+backend.arguments.error=0.02").noise is not None
    modes = {error: plan_of((*given, f"+backend.arguments.error={error}")).jobs[0].mode for error in (0.02, 0.1)}
    assert modes == {0.02: "estimator", 0.1: LEARNER_MODE}


def test_a_stored_plan_has_learners_and_models():
    """What is learned first, for whom, and what was learned before: another process submits the same."""
    given = (*circuit_file(*LADDER), "backend=fake_manila", "mode=estimator", "mitigation=pec", *SHORT)
    for needs, jobs in ((0, 2), (None, 1)):
        plan = plan_of(given)
        again = unpacked(packed(plan), {0: plan.tasks[0].point}, reopened)
        assert len(again.jobs) == jobs
        first, last = again.jobs[0], again.jobs[-1]
        assert (last.needs, last.submission.noise) == (needs, plan.jobs[-1].submission.noise)
        assert (first.mode, first.submission.qubits) == (plan.jobs[0].mode, (3, 4))
        assert first.submission.options == plan.jobs[0].submission.options
        outcome_of(given)


def reopened(section: str, _: Any) -> Device:
    """Open a device again by its section."""
    return open_device(TypeAdapter(Backend).validate_json(section))


def test_the_model_of_a_run_is_used_as_asked():
    """`run:<id>` takes what that run has learned, and a later run what that one was given."""
    first = task_of("mitigation=pec")
    again = task_of("mitigation=pec", "mitigation.noise_model=run:latest", "seed=3")
    third = task_of("mitigation=pec", "mitigation.noise_model=run:latest", "seed=4")
    for one in (again, third):
        assert one.noise is not None
        assert first.noise is not None
        assert (one.noise.origin, one.noise.layers) == ("run", first.noise.layers)
        assert [job.record["mode"] for job in one.jobs] == ["estimator"]


def test_a_model_that_does_not_fit_is_refused():
    """Before anything is submitted, with what it lacks, or of which backend it is."""
    task_of("mitigation=pec")
    asked = (*circuit_file(*LADDER), "mode=estimator", "mitigation=pec", "mitigation.noise_model=run:latest")
    remedy = "remedy: mitigation.noise_model=auto, which learns what is not known"
    assert mistakes_in(*asked, "backend=fake_manila", "transpile.initial_layout=[0,1]") == [
        "mitigation.noise_model: given run:latest, whose model lacks cx(0,1); allowed: all layers; it has cx(3,4); "
        + remedy
    ]
    assert mistakes_in(*asked, "backend=fake", "backend.name=fake_quito") == [
        "mitigation.noise_model: given run:latest, whose model is of fake_manila; allowed: models of fake_quito; "
        + remedy
    ]


def test_a_run_without_a_model_is_refused():
    """One that is not there, and one that learned nothing."""
    asked = (*circuit_file(*LADDER), "backend=fake_manila", "mode=estimator", "mitigation=pec")
    (told,) = mistakes_in(*asked, "mitigation.noise_model=run:latest")
    assert told.startswith("mitigation.noise_model: given run:latest; allowed: ")
    outcome_of(("circuit=bell",))
    (told,) = mistakes_in(*asked, "mitigation.noise_model=run:latest")
    assert told == (
        "mitigation.noise_model: given run:latest, which has no noise model; allowed: a run with mitigation=pea or "
        "pec; remedy: mitigation.noise_model=auto"
    )


def mistakes_in(*overrides: str) -> list[str]:
    """Return what an experiment is refused with, one text for each mistake."""
    with pytest.raises(ConfigError) as caught:
        outcome_of(overrides)
    return [str(mistake) for mistake in caught.value.mistakes]


# Refusals


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (
            ("mode=sampler", "mitigation=pec"),
            (
                "mitigation: given pec; allowed: none, level_0, dd, twirl, suppression, m3, custom in mode=sampler, "
                "whose results are counts; remedy: mode=estimator, or mitigation=twirl"
            ),
        ),
        (
            ("mode=raw", "mitigation=pea"),
            (
                "mitigation: given pea; allowed: none or m3 in mode=raw, which is unprocessed; "
                "remedy: mitigation=none, or mode=sampler or mode=estimator"
            ),
        ),
        (
            ("mode=estimator", "mitigation=pec", "mitigation.options.resilience.zne_mitigation=true"),
            (
                "mitigation.options.resilience.zne_mitigation: given true beside PEC; allowed: one of ZNE and PEC; "
                "remedy: set one to false"
            ),
        ),
        (
            ("mode=estimator", "mitigation=pea", "mitigation.options.resilience.zne.noise_factors=[1]"),
            "mitigation.options.resilience.zne.noise_factors",
        ),
        (
            ("mode=estimator", "mitigation=pea", "backend=ibm", "backend.name=x", "backend.use_fractional_gates=true"),
            (
                "backend.use_fractional_gates: given true beside PEA; allowed: false with PEA; remedy: "
                "backend.use_fractional_gates=false"
            ),
        ),
        (
            ("mode=estimator", "mitigation=pec", "mitigation.noise_model=old"),
            (
                "mitigation.noise_model: given 'old'; allowed: auto (one learned before while it is valid, else "
                "learned), learn (always), or run:<id> (what that run had); remedy: mitigation.noise_model=auto"
            ),
        ),
        (
            ("mode=estimator", "mitigation=pec", "mitigation.learning.layer_pair_depths=[4]"),
            (
                "mitigation.learning.layer_pair_depths: given [4]; allowed: null, or a list of at least two different "
                "depths >= 0: how often a layer is repeated, in pairs; remedy: mitigation.learning.layer_pair_depths="
                "[0, 1, 2, 4, 16, 32]"
            ),
        ),
        (
            (
                "circuit=ghz",
                "mode=estimator",
                "mitigation=pec",
                "backend=fake_manila",
                "mitigation.learning.max_layers=1",
            ),
            "mitigation.learning.max_layers: given 1, for circuits with 2 distinct layers: ",
        ),
    ],
)
def test_refused(overrides, told):
    """Before anything runs, each with the remedy."""
    assert mistakes_in(*overrides)[0].startswith(told)


# On a service


@pytest.fixture(scope="module")
def premium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """The service that `backend=rehearsal` asks for."""
    with rehearsal(tmp_path_factory.mktemp("premium")) as running:
        yield running


@pytest.fixture
def service(premium) -> Iterator[Watched]:
    """The service, from now on."""
    yield watched(premium)
    premium.lift_faults()


def words_for(service: Watched, *more: str) -> list[str]:
    """Return the command that mitigates the ladder there."""
    return [*service.words, *circuit_file(*LADDER), "mode=estimator", "mitigation=pec", *SHORT, *more]


@pytest.mark.parametrize(
    ("asked", "kind"), [("auto", "dedicated"), pytest.param("batch", "batch", marks=pytest.mark.slow)]
)
def test_learner_and_task_share_one_group(service, command, asked, kind):
    """Two jobs in one session or batch, the learner's first, and the group is closed."""
    ended = command(*words_for(service, f"session={asked}", "mitigation.noise_model=learn"))
    assert ended.code == 0, ended.err
    assert (service.jobs_in(), service.takes_jobs()) == ([2], [False])
    (file,) = Path("outputs").glob("**/jobs.json")
    jobs = json.loads(file.read_text(encoding="utf-8"))
    assert [job["id"] for job in reversed(jobs)] == [job["id"] for job in service.jobs()]
    assert {job["session_kind"] for job in jobs} == {kind}


def test_without_a_group_the_learner_goes_first(service, command):
    """Both queue by themselves, the task's job behind its learner's."""
    assert command(*words_for(service, "session=none", "mitigation.noise_model=learn")).code == 0
    learner, task = service.jobs()
    assert (learner["session_id"], task["session_id"]) == (None, None)
    assert learner["finished"] <= task["created"]


def test_a_learner_that_fails_fails_its_tasks(service, command):
    """The task's job is never submitted, and its result says why."""
    service.running.arm(Fault(kind="job_fails", on="submit"))
    ended = command(*words_for(service, "session=batch", "mitigation.noise_model=learn"))
    assert ended.code == 1
    assert (len(service.jobs()), service.takes_jobs()) == (1, [False])
    assert "its noise model could not be learned: " in ended.out


@pytest.mark.parametrize("when", ["before", pytest.param("after", marks=pytest.mark.slow)])
def test_a_command_that_is_killed_between_the_jobs_pays_no_learning_twice(service, command, when):
    """Killed when the task's job is sent, or right after: the next command has two jobs on the service in the end."""
    words = words_for(service, "session=batch", "mitigation.noise_model=learn")
    orders = json.dumps({"step": "POST jobs", "nth": 2, "when": when})
    line = [sys.executable, str(Path(__file__).parent / "dying.py"), orders, *words]
    died = subprocess.run(line, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert died.returncode == -9, died.stderr
    ended = command(*words)
    assert ended.code == 0, ended.err
    assert "carried on with run" in ended.out
    assert len(service.jobs()) == 2
    assert not any(service.takes_jobs())


def test_the_budget_is_asked_again_when_the_overhead_is_known(service, command):
    """PEC's 3.4 s become some 5 by gamma^2: with the 5.4 s of the learning they were within 9.5 s, and are not now."""
    words = words_for(service, "session=batch", "mitigation.noise_model=learn")
    ended = command(*words, "budget.max_quantum_s=9.5")
    assert ended.code == 1
    assert "1 job was not submitted: budget.max_quantum_s=9.5" in ended.err
    assert (len(service.jobs()), service.takes_jobs()) == (1, [False])
    assert command(*words).code == 0
    assert len(service.jobs()) == 2


def test_submitting_only_leaves_what_has_to_wait(service, command):
    """`action=submit` submits the learner and says what is left; the same command carries on with what was learned."""
    words = words_for(service, "session=batch", "mitigation.noise_model=learn")
    service.running.arm(Fault(kind="maintenance"))
    ended = command(*words, "action=submit")
    assert ended.code == 0, ended.err
    assert "1 job was not submitted: the noise that is needed is not learned yet" in ended.err
    assert (len(service.jobs()), service.takes_jobs()) == (1, [False])
    service.running.lift_faults()
    assert command(*words).code == 0
    assert len(service.jobs()) == 2


@pytest.mark.parametrize("command", [True, False])
def test_the_noise_learner_is_imported_when_it_is_needed(command):
    """Commands import it not with the runtime, of which it would double the time; libraries meet no such change."""
    lines = (
        "import sys, qrt_runner.postponing",
        "qrt_runner.postponing.postpone_learning()" if command else "",
        "import qiskit_ibm_runtime.executor_noise_learner",
        f"assert ('qiskit_noise_learning' in sys.modules) is {not command}",
        "import qiskit_noise_learning",
        "assert qiskit_noise_learning.protocols",
    )
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
