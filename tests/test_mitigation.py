"""What mitigation was asked for, what acted, what could not, and what it is worth."""

from __future__ import annotations

from math import hypot
from typing import TYPE_CHECKING

import pytest
from composing import circuit_file, outcome_of, plan_of, result_of

from qrt_runner.errors import ConfigError

if TYPE_CHECKING:
    from qrt_runner.results import Ledger, TaskResult

NO_NOISE = "the backend has no noise to act on"
NO_PAIRS = "the circuit has no two-qubit gate to act on"
NO_IDLING = "there is no idle time that is noisy and long enough for a sequence"

GHZ = ("circuit=ghz", "backend=fake_manila")
FLIPPED = ("flipped", "circuit = QuantumCircuit(2)\ncircuit.x([0, 1])", "'zz': 'ZZ'")
"""|11>, where <ZZ> = 1 and nothing but readout stands in the way: no two-qubit gate, no idle time."""

LADDER = (
    "ladder",
    "circuit = QuantumCircuit(2)\ncircuit.x([0, 1])\nfor _ in range(20):\n    circuit.cx(0, 1)\n    circuit.barrier()",
    "'zz': 'ZZ'",
)
"""|11> after 20 CX, which is |11> again: <ZZ> = 1, and gate noise stands in the way too."""


def ledger_of(*overrides: str) -> Ledger:
    """Return the ledger of one experiment; nothing is run."""
    (task,) = plan_of(overrides).tasks
    return task.ledger


def mistakes_in(*overrides: str) -> list[str]:
    """Return what an experiment is refused with, one text for each mistake."""
    with pytest.raises(ConfigError) as caught:
        outcome_of(overrides)
    return [str(mistake) for mistake in caught.value.mistakes]


def told_by(*overrides: str) -> str:
    """Return what the only mistake of an experiment is told as."""
    (told,) = mistakes_in(*overrides)
    return told


# Ledgers

EVEN = {"measure_twirling": "the backend misreads 0 and 1 alike already"}
APPLIED = {
    ("estimator", "none"): (),
    ("estimator", "level_0"): (),
    ("estimator", "level_1"): ("measure_twirling", "trex"),
    ("estimator", "level_2"): ("gate_twirling", "measure_twirling", "trex", "zne"),
    ("estimator", "dd"): ("dd",),
    ("estimator", "twirl"): ("gate_twirling",),
    ("estimator", "trex"): ("measure_twirling", "trex"),
    ("estimator", "zne"): ("zne",),
    ("estimator", "pea"): ("gate_twirling", "pea"),
    ("estimator", "pec"): ("gate_twirling", "pec"),
    ("sampler", "none"): (),
    ("sampler", "level_0"): (),
    ("sampler", "dd"): ("dd",),
    ("sampler", "twirl"): ("gate_twirling",),
}


@pytest.mark.parametrize(("mode", "kind"), APPLIED)
def test_applied_on_a_noisy_device(mode, kind):
    """On Manila a GHZ circuit idles, entangles and misreads: everything asked for acts, and nothing else.

    But 0 and 1 are misread alike: without TREX, which rests on it, nothing is changed by twirling measurements.
    """
    ledger = ledger_of(*GHZ, f"mode={mode}", f"mitigation={kind}")
    assert ledger.requested == kind
    assert ledger.applied == APPLIED[mode, kind]
    assert ledger.ignored == (EVEN if kind in ("twirl", "pea", "pec") else {})


@pytest.mark.parametrize(("mode", "kind"), [key for key, names in APPLIED.items() if names and key[1] != "dd"])
def test_ignored_on_ideal_aer(mode, kind):
    """On ideal Aer all that is asked for is ignored, each technique with the reason."""
    ledger = ledger_of("circuit=ghz", f"mode={mode}", f"mitigation={kind}")
    assert ledger.applied == ()
    twirled = EVEN if kind in ("twirl", "pea", "pec") else {}
    assert ledger.ignored == dict.fromkeys((*APPLIED[mode, kind], *twirled), NO_NOISE)


def test_raw_has_an_empty_ledger():
    """In raw mode nothing was asked for and nothing sent."""
    ledger = ledger_of(*GHZ, "mode=raw")
    assert (ledger.requested, ledger.resolved, ledger.applied, ledger.ignored) == ("none", {}, (), {})


def test_without_two_qubit_gates_gate_techniques_are_ignored():
    """ZNE and gate twirling have nothing to fold or twirl without a two-qubit gate; TREX acts all the same."""
    ledger = ledger_of(*circuit_file(*FLIPPED), "backend=fake_manila", "mode=estimator", "mitigation=level_2")
    assert ledger.applied == ("measure_twirling", "trex")
    assert ledger.ignored == {"gate_twirling": NO_PAIRS, "zne": NO_PAIRS}


@pytest.mark.parametrize("mode", ["sampler", "estimator"])
def test_dd_is_ignored_where_nothing_idles(mode):
    """Two qubits flipped at the same time never idle: decoupling is ignored with that reason."""
    ledger = ledger_of(*circuit_file(*FLIPPED), "backend=fake_manila", f"mode={mode}", "mitigation=dd")
    assert ledger.applied == ()
    assert ledger.ignored == {"dd": NO_IDLING}


@pytest.mark.parametrize("sequence", ["XX", "XpXm", "XY4"])
def test_every_decoupling_sequence_is_applied(sequence):
    """Each of the runtime's sequences puts pulses into the idle time of a GHZ chain."""
    chosen = ["circuit=ghz", "circuit.params.num_qubits=5", "backend=fake_fez", "mitigation=dd"]
    chosen += [f"mitigation.options.dynamical_decoupling.sequence_type={sequence}"]
    assert ledger_of(*chosen).applied == ("dd",)


def test_what_is_ignored_reaches_the_result():
    """A result carries its ledger: what was requested, applied and ignored."""
    ledger = result_of("mode=estimator", "mitigation=trex").ledger
    assert (ledger.requested, ledger.applied) == ("trex", ())
    assert ledger.ignored == {"measure_twirling": NO_NOISE, "trex": NO_NOISE}


# Refusals


def test_dd_on_ideal_aer_is_refused():
    """Decoupling needs durations, which ideal Aer does not have: refused with a device as remedy."""
    assert told_by("mitigation=dd") == (
        "mitigation: given dd on aer, which cannot be scheduled (Duration of h on qubits [0] is not found.); allowed: "
        "dynamical decoupling on backends that know the durations of their gates; remedy: mitigation=none, or a device "
        "such as backend=fake_fez"
    )


@pytest.mark.parametrize(
    ("kind", "names"), [("dd", "dd"), ("twirl", "gate_twirling, measure_twirling")], ids=["dd", "twirl"]
)
@pytest.mark.parametrize("backend", ["aer", "fake_manila"])
def test_mitigation_of_control_flow_is_refused(backend, kind, names):
    """A circuit with control flow is refused decoupling and twirling."""
    assert told_by("circuit=dynamic_teleport", f"backend={backend}", f"mitigation={kind}") == (
        f"mitigation: given {names} for a circuit with control flow; allowed: none for circuits with control flow; "
        "remedy: mitigation=none"
    )


def test_zne_with_too_few_noise_factors_is_refused():
    """A quadratic through two points is refused before anything runs."""
    zne = "mitigation.options.resilience.zne"
    chosen = ["mode=estimator", "mitigation=zne", f"{zne}.noise_factors=[1,3]"]
    assert told_by(*chosen, f"{zne}.extrapolator=polynomial_degree_2") == (
        f"{zne}.noise_factors: given 2 noise factors for the extrapolator polynomial_degree_2; allowed: at least 3; "
        "remedy: give more noise factors, or another resilience.zne.extrapolator"
    )


def test_all_mistakes_in_options_are_told_at_once():
    """The runtime's own option models judge every knob, and our path stands in front of each verdict."""
    path = "mitigation.options.twirling"
    told = mistakes_in("mitigation=custom", f"{path}.num_randomizations=0", f"{path}.strategy=all_of_them")
    assert [one.partition(":")[0] for one in told] == [f"{path}.num_randomizations", f"{path}.strategy"]


# What is sent


@pytest.mark.parametrize("kind", ["none", "level_0", "dd", "twirl", "trex", "zne"])
def test_without_a_level_the_estimator_is_sent_level_0(kind):
    """The Estimator's own default is level 1: without a level in the config 0 is sent, and recorded with the job."""
    result = result_of(*GHZ, "mode=estimator", f"mitigation={kind}", "mode.shots=256")
    assert result.jobs[0].record["options"]["resilience_level"] == 0


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_level_is_sent_as_it_is(level):
    """`mitigation=level_n` sends resilience level n."""
    result = result_of(*GHZ, "mode=estimator", f"mitigation=level_{level}", "mode.shots=256")
    assert result.jobs[0].record["options"]["resilience_level"] == level


def test_noise_factors_reach_the_estimator():
    """Four noise factors in the config are four amplified expectation values in the result."""
    chosen = [*GHZ, "mode=estimator", "mitigation=zne", "mode.shots=256"]
    result = result_of(*chosen, "mitigation.options.resilience.zne.noise_factors=[1,1.5,2,3]")
    assert result.jobs[0].record["options"]["resilience"]["zne"]["noise_factors"] == [1, 1.5, 2, 3]
    assert result.expectations.details["evs_noise_factors"].shape == (1, 2, 4)


@pytest.mark.parametrize(("extrapolator", "count"), [("linear", 1), ("[linear]", 1), ("[linear,exponential]", 2)])
@pytest.mark.parametrize("sets", [0, 1, 2])
def test_extrapolations_keep_their_axes(sets, extrapolator, count):
    """Extrapolated values have the axes (sets, observables, extrapolators, points), with free parameters or without."""
    angle = "Parameter('theta')" if sets else "0.3"
    lines = f"circuit = QuantumCircuit(2)\ncircuit.ry({angle}, 0)\ncircuit.cx(0, 1)"
    chosen = circuit_file("pair", lines, "'zz': 'ZZ', 'z': 'IZ', 'xx': 'XX'")
    chosen += [f"+circuit.parameter_values.theta={[0.3, 0.6][:sets]}"] if sets else []
    chosen += ["backend=fake_manila", "mode=estimator", "mode.shots=256", "mitigation=zne"]
    result = result_of(*chosen, f"mitigation.options.resilience.zne.extrapolator={extrapolator}")
    assert any(note.startswith("standard errors are those of the fit to zero noise alone") for note in result.notes)
    found = result.expectations
    assert found.details["evs_noise_factors"].shape == (sets or 1, 3, 3)
    assert found.details["evs_extrapolated"].shape == (sets or 1, 3, count, 4)  # at 0 and at the three noise factors


@pytest.mark.parametrize("mode", ["sampler", "estimator"])
def test_randomizations_reach_the_primitive(mode):
    """`num_randomizations` of the config is what the primitive is sent."""
    chosen = [*GHZ, f"mode={mode}", "mitigation=twirl", "mitigation.options.twirling.num_randomizations=5"]
    (job,) = plan_of(chosen).jobs
    assert job.submission.options.twirling.num_randomizations == 5
    result = result_of(*chosen, "mode.shots=1000")
    assert result.ledger.resolved["twirling"]["num_randomizations"] == 5


def test_resolved_shows_what_a_level_means():
    """The ledger holds every knob as the platform resolves it: level 2 is TREX, both twirlings and ZNE by folding."""
    resolved = ledger_of(*GHZ, "mode=estimator", "mitigation=level_2").resolved
    assert resolved["resilience"]["measure_mitigation"] is True
    assert resolved["resilience"]["zne_mitigation"] is True
    assert resolved["resilience"]["zne"]["amplifier"] == "gate_folding"
    assert resolved["twirling"] | {"enable_gates": True, "enable_measure": True} == resolved["twirling"]


def test_an_override_takes_a_part_out_of_a_level():
    """Level 2 without ZNE keeps its other techniques."""
    chosen = [*GHZ, "mode=estimator", "mitigation=level_2", "mitigation.options.resilience.zne_mitigation=false"]
    assert ledger_of(*chosen).applied == ("gate_twirling", "measure_twirling", "trex")


# What it is worth


def bias_and_error(result: TaskResult) -> tuple[float, float]:
    """Return how far <ZZ> is from 1, and its standard error."""
    return abs(1 - result.expectations.values[0, 0]), float(result.expectations.errors[0, 0])


def test_trex_undoes_readout_errors():
    """On Manila |11> is misread by several percent; TREX brings <ZZ> back to 1 within 4 standard errors."""
    chosen = [*circuit_file(*FLIPPED), "backend=fake_manila", "mode=estimator", "mode.shots=8192"]
    before, error_before = bias_and_error(result_of(*chosen))
    after, error_after = bias_and_error(result_of(*chosen, "mitigation=trex"))
    assert before - after > 5 * hypot(error_before, error_after)
    assert after < 4 * error_after


def test_zne_undoes_gate_errors():
    """After 20 CX on Manila, extrapolation to zero noise takes a part of the bias away, readout aside."""
    chosen = [*circuit_file(*LADDER), "backend=fake_manila", "mode=estimator", "mode.shots=8192"]
    before, error_before = bias_and_error(result_of(*chosen))
    after, error_after = bias_and_error(result_of(*chosen, "mitigation=zne"))
    assert before - after > 5 * hypot(error_before, error_after)


def test_zne_and_trex_together_undo_both():
    """After 20 CX on Manila, TREX leaves the gates' bias and level 2, with ZNE, none beyond 4 standard errors."""
    chosen = [*circuit_file(*LADDER), "backend=fake_manila", "mode=estimator", "mode.shots=8192"]
    trex, error_trex = bias_and_error(result_of(*chosen, "mitigation=level_1"))
    both, error_both = bias_and_error(result_of(*chosen, "mitigation=level_2"))
    assert trex > 8 * error_trex
    assert both < 4 * error_both
    assert trex - both > 3 * hypot(error_trex, error_both)


def test_a_device_without_rz_is_refused_before_the_run(command):
    """The estimator writes its basis changes in rz, which ten old fake devices do not have."""
    ended = command("backend=fake", "backend.name=fake_almaden", "mode=estimator", "tracking=off")
    assert ended.code == 2
    assert "fake_almaden, which has no rz gate" in ended.err
    assert command("backend=fake", "backend.name=fake_almaden", "mode=sampler", "tracking=off").code == 0
