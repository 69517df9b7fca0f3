"""What cannot work is refused by its path, before anything is submitted; presets of combinations do what they say."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial

import pytest
from composing import circuit_file, plan_of, point_of, result_of
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from qrt_runner import SHIPPED
from qrt_runner.config.projectors import in_paulis
from qrt_runner.errors import ConfigError
from qrt_runner.launcher.containers import as_container, attempted, data_of

ZNE = "mitigation.options.resilience.zne"
DD = "mitigation.options.dynamical_decoupling"
NOISY = ["circuit=ghz", "backend=fake_manila"]
FRACTIONAL = ["backend=ibm", "backend.name=ibm_fez", "backend.use_fractional_gates=true"]
SUPPRESSION = ("dd", "gate_twirling")
READOUT = ("measure_twirling", "trex")


def mistakes_of(words: list[str]) -> tuple[str, list[tuple[str, str]]]:
    """Return when an experiment is refused, at parse time or once its circuit is known, and path and remedy."""
    try:
        point_of(words)
    except ConfigError as error:
        return "parse", [(one.path, one.remedy) for one in error.mistakes]
    (refusal,) = plan_of(words).refusals
    return "compile", [(one.path, one.remedy) for one in refusal.error.mistakes]


REFUSED = {
    "DD with control flow": (
        ["circuit=dynamic_teleport", "backend=fake_manila", "mode=sampler", "mitigation=dd"],
        ("compile", "mitigation", "mitigation=none"),
    ),
    "suppression with control flow": (
        ["circuit=dynamic_teleport", "backend=fake_manila", "mode=sampler", "mitigation=suppression"],
        ("compile", "mitigation", "mitigation=none"),
    ),
    "DD where no gate has a duration": (
        ["mode=sampler", "mitigation=dd"],
        ("compile", "mitigation", "mitigation=none, or a device such as backend=fake_fez"),
    ),
    "a projector under TREX": (
        ["mode=estimator", "mitigation=trex", "+circuit.observables={p: '0Z'}"],
        ("parse", "circuit.observables.p", "'circuit.observables.p={IZ: 0.5, ZZ: 0.5}'"),
    ),
    "a projector without TREX": (
        ["mode=estimator", "+circuit.observables={p: '+-'}"],
        ("parse", "circuit.observables.p", "'circuit.observables.p={II: 0.25, IX: -0.25, XI: 0.25, XX: -0.25}'"),
    ),
    "TREX for the sampler": (
        ["mode=sampler", "mitigation=trex"],
        ("parse", "mitigation", "mode=estimator, or mitigation=twirl"),
    ),
    "ZNE for the sampler": (
        ["mode=sampler", "mitigation=zne"],
        ("parse", "mitigation", "mode=estimator, or mitigation=twirl"),
    ),
    "a level for the sampler": (
        ["mode=sampler", "mitigation=level_2"],
        ("parse", "mitigation", "mode=estimator, or mitigation=twirl"),
    ),
    "strong for the sampler": (
        ["mode=sampler", "mitigation=strong"],
        ("parse", "mitigation", "mode=estimator, or mitigation=twirl"),
    ),
    "suppression with TREX for the sampler": (
        ["mode=sampler", "mitigation=suppression_trex"],
        ("parse", "mitigation", "mode=estimator, or mitigation=twirl"),
    ),
    "an option of the estimator for the sampler": (
        ["mode=sampler", "mitigation=custom", "mitigation.options.resilience.zne_mitigation=true"],
        ("parse", "mitigation.options.resilience", "leave it out"),
    ),
    "suppression for raw": (
        ["mode=raw", "mitigation=suppression"],
        ("parse", "mitigation", "mitigation=none, or mode=sampler or mode=estimator"),
    ),
    "an option for raw": (
        ["mode=raw", f"{DD}.enable=true"],
        ("parse", "mitigation.options", "leave mitigation.options out, or mode=sampler"),
    ),
    "a cubic through three factors": (
        ["mode=estimator", "mitigation=zne", f"{ZNE}.extrapolator=polynomial_degree_3"],
        ("parse", f"{ZNE}.noise_factors", "give more noise factors, or another resilience.zne.extrapolator"),
    ),
    "one of several extrapolators with too few": (
        ["mode=estimator", "mitigation=strong", f"{ZNE}.extrapolator=[linear,double_exponential]"],
        ("parse", f"{ZNE}.noise_factors", "give more noise factors, or another resilience.zne.extrapolator"),
    ),
    "fractional gates with gate twirling": (
        [*FRACTIONAL, "mitigation=twirl"],
        ("parse", "backend.use_fractional_gates", "backend.use_fractional_gates=false"),
    ),
    "fractional gates with the level that twirls gates": (
        [*FRACTIONAL, "mode=estimator", "mitigation=level_2"],
        ("parse", "backend.use_fractional_gates", "backend.use_fractional_gates=false"),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_work_is_refused(case):
    """At parse time, or where the circuit must be known for it, at compile time; with the path and a remedy."""
    words, (when, path, remedy) = REFUSED[case]
    assert mistakes_of(words) == (when, [(path, remedy)])


@pytest.mark.parametrize(
    "words",
    [
        ["mode=sampler", "mitigation=strong"],
        [*FRACTIONAL, "mitigation=twirl"],
        ["mode=estimator", "+circuit.observables={p: 0Z}"],
        ["mode=raw", "mitigation=suppression"],
    ],
    ids=lambda words: words[-1],
)
def test_these_are_refused_without_qiskit(words):
    """What pydantic and we can tell needs no second of imports."""
    script = (
        "import sys\nfrom qrt_runner.config import parse\nfrom qrt_runner.errors import ConfigError\n"
        "import json\ntry:\n    parse(json.load(sys.stdin))\nexcept ConfigError:\n    print('qiskit' in sys.modules)"
    )
    told = composed(words)
    done = subprocess.run([sys.executable, "-c", script], input=told, capture_output=True, check=True, text=True)
    assert done.stdout == "False\n"


def composed(words: list[str]) -> str:
    """Return a config as JSON, composed and not judged."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(version_base="1.3", config_dir=str(SHIPPED / "conf")):
        config = compose("config", words)
    return json.dumps(data_of(attempted(partial(as_container, config, resolve=True))))


def test_fractional_gates_go_with_what_twirls_none():
    """Decoupling and TREX leave gates as they are, and a level may leave gate twirling out."""
    ibm = [*FRACTIONAL, "mode=estimator"]
    for words in (["mitigation=dd"], ["mitigation=trex"]):
        assert point_of([*ibm, *words]).experiment.document.backend.use_fractional_gates
    assert point_of([*ibm, "mitigation=level_2", "mitigation.options.twirling.enable_gates=false"])


# Projectors


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("0", "{I: 0.5, Z: 0.5}"),
        ("l", "{I: 0.5, Y: -0.5}"),
        ({"1Z": 2.0, "IZ": 1.0}, "{ZZ: -1}"),
        ("ZZ", None),
        ("ZQ0", None),
        (3, None),
        ("00000", "0 is (I + Z) / 2"),
    ],
)
def test_projectors_in_paulis(given, told):
    """|1><1| Z, twice, is (IZ - ZZ): with IZ added, 2 IZ and -ZZ; worked out by hand for each letter."""
    assert in_paulis(given) == ("{IZ: 2, ZZ: -1}" if isinstance(given, dict) else told)


def test_a_projector_in_a_circuit_file_is_told_in_paulis():
    """A file's own observables are judged as those of a config are."""
    words = [*circuit_file("pair", "circuit = QuantumCircuit(2)", "'p': '0Z'"), "mode=estimator"]
    assert mistakes_of(words) == ("compile", [("pair.py: observables().p", "write {IZ: 0.5, ZZ: 0.5} in pair.py")])


# Presets of combinations

COMBINED = {
    ("sampler", "suppression"): SUPPRESSION,
    ("estimator", "suppression"): SUPPRESSION,
    ("estimator", "suppression_trex"): (*SUPPRESSION, *READOUT),
    ("estimator", "strong"): (*SUPPRESSION, *READOUT, "zne"),
}


@pytest.mark.parametrize(("mode", "kind"), COMBINED)
def test_a_combination_applies_all_that_it_names(mode, kind):
    """On a device on which a GHZ circuit idles, entangles and misreads; and it runs.

    But what is misread evenly is twirled to no effect, unless TREX rests on that.
    """
    result = result_of(*NOISY, f"mode={mode}", f"mitigation={kind}", "mode.shots=128")
    assert (result.ledger.requested, result.ledger.applied) == (kind, COMBINED[mode, kind])
    even = {"measure_twirling": "the backend misreads 0 and 1 alike already"}
    assert result.ledger.ignored == (even if kind == "suppression" else {})


@pytest.mark.parametrize("sequence", ["XX", "XpXm", "XY4"])
def test_every_sequence_of_a_combination(sequence):
    """The sequence is an override of any preset with decoupling."""
    (task,) = plan_of([*NOISY, "mode=estimator", "mitigation=strong", f"{DD}.sequence_type={sequence}"]).tasks
    assert task.ledger.resolved["dynamical_decoupling"]["sequence_type"] == sequence
    assert "dd" in task.ledger.applied


EXTRAPOLATORS = ["linear", "exponential", "double_exponential", "fallback"]
EXTRAPOLATORS += [f"polynomial_degree_{degree}" for degree in range(1, 8)]


@pytest.mark.parametrize("amplifier", ["gate_folding", "gate_folding_front", "gate_folding_back"])
def test_every_amplifier_and_extrapolator_runs(amplifier):
    """All extrapolators at once through eight noise factors; each gives a value at zero noise."""
    chosen = [*NOISY, "circuit.params.num_qubits=2", "mode=estimator", "mitigation=zne", "mode.shots=64"]
    chosen += [f"{ZNE}.amplifier={amplifier}", f"{ZNE}.extrapolator=[{','.join(EXTRAPOLATORS)}]"]
    result = result_of(*chosen, f"{ZNE}.noise_factors=[1,2,3,4,5,6,7,8]", f"{ZNE}.extrapolated_noise_factors=[0]")
    assert result.ledger.resolved["resilience"]["zne"]["amplifier"] == amplifier
    assert result.expectations.details["evs_extrapolated"].shape == (1, 2, len(EXTRAPOLATORS), 1)
