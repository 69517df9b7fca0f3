"""What a config may say, what is told where it is wrong, and what makes two requests equal."""

from __future__ import annotations

import copy
import math
import re
import shlex
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from qiskit_ibm_runtime.options_models import EstimatorOptions, SamplerOptions

from qrt_runner import SHIPPED
from qrt_runner.config import Estimator, Experiment, File, Linspace, Random, fingerprint, parse, secrets_in_overrides
from qrt_runner.config.values import VALUES_ALLOWED
from qrt_runner.errors import ConfigError
from qrt_runner.launcher.containers import as_container, attempted, data_of
from qrt_runner.mitigation import judge_options
from qrt_runner.tracking import KeptRun, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

CONF = SHIPPED / "conf"
OPTIONS = "mitigation.options"
PAULI_STRINGS = (
    "a Pauli string such as ZZII (letters I, X, Y, Z; the rightmost is qubit 0) or a mapping of Pauli strings of one "
    "width to coefficients"
)
ESTIMATOR_OPTIONS = (
    "default_precision, default_shots, dynamical_decoupling, environment, execution, experimental, "
    "max_execution_time, resilience, resilience_level, simulator, twirling"
)
SAMPLER_OPTIONS = (
    "default_shots, dynamical_decoupling, environment, execution, experimental, max_execution_time, simulator, twirling"
)
TOKEN = "q7Zk0-made-up-token-of-nobody"
HUGE = pytest.param(10**400, id="10**400")


# --- composing and refusing ---------------------------------------------------------------------------------------


@cache
def _composed(overrides: tuple[str, ...]) -> dict[str, Any]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        return data_of(attempted(partial(as_container, compose("config", list(overrides)), resolve=True)))


def composed(*overrides: str) -> dict[str, Any]:
    """Compose the shipped config as the command line does, what is mandatory and missing left out."""
    return copy.deepcopy(_composed(overrides))


def parsed(*overrides: str) -> Experiment:
    """Parse a composed config, judged by IBM's own option models."""
    return parse(composed(*overrides), judge_options)


def refused(data: Mapping[str, Any]) -> ConfigError:
    """Return the error that a config is refused with."""
    with pytest.raises(ConfigError) as caught:
        parse(data, judge_options)
    return caught.value


def mistakes(*overrides: str) -> list[str]:
    """Return the lines below the error's head, for a command line."""
    return [str(mistake) for mistake in refused(composed(*overrides)).mistakes]


def with_value(path: str, value: object, *overrides: str) -> dict[str, Any]:
    """Return a composed config in which one value is what YAML, but no override, can say."""
    data = composed(*overrides)
    *sections, key = path.split(".")
    here = data
    for section in sections:
        here = here[section]
    here[key] = value
    return data


# --- what a config is made of -------------------------------------------------------------------------------------


def test_the_default_config_is_one_task() -> None:
    """A Bell pair on ideal Aer, sampled, no session, no mitigation: the task `main`."""
    experiment = parsed()
    assert list(experiment.tasks) == ["main"]
    task = experiment.tasks["main"]
    kinds = (experiment.document.backend.kind, task.mode.kind, task.session.kind, task.mitigation.kind)
    assert (task.circuit.name, *kinds) == ("bell", "aer", "sampler", "none", "none")


def test_what_is_null_among_the_options_is_left_to_the_platform() -> None:
    """`mitigation=zne` sends one switch and nothing else."""
    experiment = parsed("mode=estimator", "mitigation=zne")
    assert experiment.tasks["main"].mitigation.options == {"resilience": {"zne_mitigation": True}}


def test_an_experiment_is_frozen() -> None:
    """What was asked for cannot change under way."""
    with pytest.raises(ValueError, match="frozen"):
        parsed().document.name = "other"  # type: ignore[misc]


def test_an_observable_is_a_mapping_of_pauli_strings_to_coefficients() -> None:
    """A single Pauli string has the coefficient 1."""
    experiment = parsed("+circuit.observables={zz: ZZ, mixed: {XX: 1, IZ: -0.5}}")
    assert experiment.document.circuit.observables == {"zz": {"ZZ": 1.0}, "mixed": {"XX": 1.0, "IZ": -0.5}}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("0.5", 0.5),
        ("1", 1.0),
        ("[0, 1.5]", [0.0, 1.5]),
        ("[[0, 1], [2, 3]]", [[0.0, 1.0], [2.0, 3.0]]),
        ("{linspace: [0, 3.14, 50]}", Linspace(linspace=[0.0, 3.14, 50.0])),
        ("{file: values.csv}", File(file="values.csv")),
        (
            "{random: {count: 3, low: 0, high: 1, seed: 7}}",
            Random.model_validate({"random": {"count": 3, "low": 0.0, "high": 1.0, "seed": 7}}),
        ),
    ],
)
def test_each_form_of_parameter_values_is_known_by_its_shape(written: str, meant: object) -> None:
    """A number, a list, a list of lists, linspace, random and file."""
    circuit = parsed(f"+circuit.parameter_values.theta={written}").document.circuit
    assert circuit.parameter_values == {"theta": meant}


def test_broadcast_may_stand_among_the_values() -> None:
    """`parameter_values.broadcast=product` is taken for what it says, and is no parameter."""
    circuit = parsed("+circuit.parameter_values={a: [0, 1], b: [2, 3], broadcast: product}").document.circuit
    assert (circuit.broadcast, list(circuit.parameter_values)) == ("product", ["a", "b"])


def test_precision_may_be_given_instead_of_shots() -> None:
    """The estimator has both fields; a precision that is given is used."""
    mode = parsed("mode=estimator", "mode.precision=0.02").tasks["main"].mode
    assert isinstance(mode, Estimator)
    assert (mode.shots, mode.precision) == (4096, 0.02)


# --- what is told where a config is wrong -------------------------------------------------------------------------


def test_the_error_counts_its_mistakes_and_says_that_nothing_was_run() -> None:
    """One line of head, one line for each mistake, in the order of the config."""
    told = str(refused(composed("+mode.shot=3", "mode.shots=abc", "backend.threads=-1")))
    assert told == (
        "The config has 3 mistakes; nothing was run.\n"
        "  backend.threads: given -1; allowed: a whole number (at least 0); remedy: backend.threads=2\n"
        "  mode.shots: given 'abc'; allowed: a whole number (at least 1); remedy: mode.shots=1024\n"
        "  mode.shot: given the unknown key with 3; allowed: kind, shots; remedy: did you mean mode.shots?"
    )


def test_a_single_mistake_is_told_in_the_singular() -> None:
    """`1 mistake`, not `1 mistakes`."""
    assert str(refused(composed("mode.shots=0"))).startswith("The config has 1 mistake; nothing was run.\n")


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (
            ["+mode.shot=3"],
            "mode.shot: given the unknown key with 3; allowed: kind, shots; remedy: did you mean mode.shots?",
        ),
        (
            ["+frequency=3"],
            (
                "frequency: given the unknown key with 3; allowed: action, backend, budget, circuit, journal, "
                "mitigation, mode, name, overview, progress, reference, resume, reuse, run, runs, seed, session, "
                "sweep, tasks, tracking, transpile; remedy: leave frequency out"
            ),
        ),
        (
            ["+circuit.param.n=3"],
            (
                "circuit.param: given an unknown key; allowed: broadcast, clifford, measure, name, observables, "
                "parameter_values, params, source; remedy: did you mean circuit.params?"
            ),
        ),
        (
            ["+mode.precision=0.1"],
            "mode.precision: given the unknown key with 0.1; allowed: kind, shots; remedy: leave mode.precision out",
        ),
        (
            ["mode.shots=abc"],
            "mode.shots: given 'abc'; allowed: a whole number (at least 1); remedy: mode.shots=1024",
        ),
        (["mode.shots=0"], "mode.shots: given 0; allowed: a whole number (at least 1); remedy: mode.shots=1024"),
        (["mode.shots=1.5"], "mode.shots: given 1.5; allowed: a whole number (at least 1); remedy: mode.shots=1024"),
        (["mode.shots=true"], "mode.shots: given true; allowed: a whole number (at least 1); remedy: mode.shots=1024"),
        (
            ["mode=estimator", "mode.precision=2"],
            "mode.precision: given 2; allowed: a number (above 0, below 1) or null; remedy: mode.precision=0.01",
        ),
        (
            ["transpile.optimization_level=4"],
            (
                "transpile.optimization_level: given 4; allowed: a whole number (at least 0, at most 3); "
                "remedy: transpile.optimization_level=2"
            ),
        ),
        (
            ["circuit.broadcast=zap"],
            "circuit.broadcast: given 'zap'; allowed: zip, product; remedy: circuit.broadcast=zip",
        ),
        (
            ["backend.method=stabiliser"],
            (
                "backend.method: given 'stabiliser'; allowed: automatic, statevector, density_matrix, stabilizer, "
                "extended_stabilizer, matrix_product_state; remedy: backend.method=stabilizer"
            ),
        ),
        (
            ["tracking.plots=3"],
            (
                "tracking.plots: given 3; allowed: true or false, or auto: figures of a single experiment, none of the "
                "points of a sweep; remedy: tracking.plots=auto"
            ),
        ),
        (
            ["mode.kind=samler"],
            (
                "mode.kind: given 'samler'; allowed: raw, sampler, estimator; "
                "remedy: choose one of the group: mode=<option>"
            ),
        ),
        (
            ["backend.kind=qpu"],
            (
                "backend.kind: given 'qpu'; allowed: aer, aer_noisy, fake, ibm, rehearsal, snapshot, vendor; "
                "remedy: choose one of the group: backend=<option>"
            ),
        ),
        (
            ["circuit=file"],
            (
                "circuit.source: given nothing; allowed: A `.qasm`, `.qasm2`, `.qasm3`, `.qpy` or `.py` file, looked "
                "up in the working directory and then as shipped; remedy: circuit.source=my.qasm"
            ),
        ),
        (
            ["backend=fake"],
            (
                "backend.name: given nothing; allowed: Name of the fake device, such as `fake_manila`; "
                "remedy: backend.name=fake_manila"
            ),
        ),
        (["~mode.shots"], "mode.shots: given nothing; allowed: a whole number (at least 1); remedy: mode.shots=1024"),
        (
            ["mode=raw", "mitigation=zne"],
            (
                "mitigation: given zne; allowed: none or m3 in mode=raw, which is unprocessed; "
                "remedy: mitigation=none, or mode=sampler or mode=estimator"
            ),
        ),
        (
            ["mode=raw", f"{OPTIONS}.twirling.enable_gates=true"],
            (
                "mitigation.options: given ['twirling']; allowed: nothing in mode=raw, which is unprocessed; "
                "remedy: leave mitigation.options out, or mode=sampler"
            ),
        ),
        *(
            (
                [f"mitigation={kind}"],
                (
                    f"mitigation: given {kind}; allowed: none, level_0, dd, twirl, suppression, m3, custom in "
                    "mode=sampler, whose results are counts; remedy: mode=estimator, or mitigation=twirl"
                ),
            )
            for kind in ("level_1", "level_2", "trex", "zne")
        ),
    ],
)
def test_a_mistake_is_told_by_its_path(overrides: list[str], line: str) -> None:
    """Path as typed, what was given, what is allowed, and the remedy."""
    assert mistakes(*overrides) == [line]


@pytest.mark.parametrize("override", ["circuit.name=5", "name=''", "backend.name=''", "circuit.name=true"])
def test_where_text_is_wanted_the_error_says_so(override: str) -> None:
    """A field's description alone does not tell what would have been allowed."""
    (mistake,) = refused(composed(override)).mistakes
    assert mistake.path == override.partition("=")[0]
    assert "text" in mistake.allowed


def test_a_wrong_seed_is_told_once() -> None:
    """`transpile.seed` follows `seed` by interpolation; the user has made one mistake, not two."""
    assert mistakes("seed=-1") == [
        "seed: given -1; allowed: a whole number (at least 0, below 4294967296) or null; remedy: seed=42"
    ]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("ZQ", "'ZQ'"),
        ("zz", "'zz'"),
        ("''", "''"),
        ("{ZZ: 1, Z: 2}", "{'ZZ': 1, 'Z': 2}"),
        ("{ZZ: abc}", "{'ZZ': 'abc'}"),
        ("{ZZ: true}", "{'ZZ': True}"),
        ("{}", "{}"),
        ("[ZZ]", "['ZZ']"),
        ("null", "null"),
    ],
)
def test_what_is_no_observable_is_refused(written: str, shown: str) -> None:
    """Unknown letters, mixed widths, and coefficients that are no numbers."""
    (mistake,) = refused(composed(f"+circuit.observables={{a: {written}}}")).mistakes
    assert (mistake.path, mistake.given, mistake.allowed) == ("circuit.observables.a", shown, PAULI_STRINGS)


@pytest.mark.parametrize("coefficient", [math.nan, math.inf, HUGE])
def test_a_coefficient_is_a_finite_number(coefficient: float) -> None:
    """What YAML or a large exponent can say, but no expectation value can be multiplied with."""
    error = refused(with_value("circuit.observables", {"a": {"ZZ": coefficient}}))
    assert [mistake.path for mistake in error.mistakes] == ["circuit.observables.a"]


def test_a_name_that_is_no_metric_name_is_told_as_such() -> None:
    """`a b` is the mistake, not the Pauli string that stands there."""
    (mistake,) = refused(with_value("circuit.observables", {"a b": "ZZ"})).mistakes
    assert mistake.path == "circuit.observables.a b"
    assert mistake.allowed != PAULI_STRINGS
    assert mistake.given != "'ZZ'"


@pytest.mark.parametrize(
    "written", ["true", "null", "abc", "[]", "{}", "{steps: 3}", "{linspace: [0, 1, 3], file: a.csv}"]
)
def test_what_has_none_of_the_forms_of_values_is_told_all_forms(written: str) -> None:
    """One mistake, not one for each form."""
    (mistake,) = refused(composed(f"+circuit.parameter_values.theta={written}")).mistakes
    assert (mistake.path, mistake.allowed) == ("circuit.parameter_values.theta", VALUES_ALLOWED)


@pytest.mark.parametrize(
    ("written", "paths"),
    [
        ("[1, a]", ["1"]),
        ("[[1], []]", ["1"]),
        ("{linspace: [0, 1]}", ["linspace"]),
        ("{linspace: [0, 1, x]}", ["linspace.2"]),
        ("{random: {count: 3, low: 0}}", ["random.high", "random.seed"]),
        ("{random: {count: 0, low: a, high: 1, seed: 1}}", ["random.count", "random.low"]),
        ("{file: 3}", ["file"]),
    ],
)
def test_a_mistake_inside_a_form_of_values_is_told_by_its_place(written: str, paths: list[str]) -> None:
    """And says what is allowed there instead of pointing elsewhere."""
    error = refused(composed(f"+circuit.parameter_values.theta={written}"))
    assert [mistake.path for mistake in error.mistakes] == [f"circuit.parameter_values.theta.{path}" for path in paths]
    assert "what the README shows" not in str(error)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, HUGE])
def test_a_parameter_value_is_a_finite_number(number: float) -> None:
    """An angle of nan or inf gives numbers that look measured, so it must not reach a backend."""
    error = refused(with_value("circuit.parameter_values", {"theta": number}))
    assert [mistake.path for mistake in error.mistakes] == ["circuit.parameter_values.theta"]


@pytest.mark.parametrize(
    ("form", "place"),
    [
        ([0.5, math.nan], "1"),
        ([[0.5], [math.nan]], "1.0"),
        ({"linspace": [0, 1, math.inf]}, "linspace.2"),
        ({"random": {"count": 1, "low": 0.0, "high": math.inf, "seed": 1}}, "random.high"),
    ],
)
def test_in_every_form_a_value_is_a_finite_number(form: object, place: str) -> None:
    """Told by its place in the form."""
    error = refused(with_value("circuit.parameter_values", {"theta": form}))
    assert [mistake.path for mistake in error.mistakes] == [f"circuit.parameter_values.theta.{place}"]


@pytest.mark.parametrize("measure", ["sometimes", "[]", "3", "true"])
def test_measure_is_a_word_or_a_list_of_qubits(measure: str) -> None:
    """`auto`, `never`, or which qubits."""
    (mistake,) = refused(composed(f"circuit.measure={measure}")).mistakes
    assert mistake.path == "circuit.measure"
    assert all(word in mistake.allowed for word in ("auto", "never", "qubits"))


def test_binary_data_is_refused_where_it_stands() -> None:
    """YAML can write `!!binary`; no field can take it."""
    error = refused(with_value("circuit.params", {"n": b"abc"}))
    assert [mistake.path for mistake in error.mistakes] == ["circuit.params.n"]


@pytest.mark.parametrize("kind", [None, 3, [], {}])
def test_a_kind_is_a_word(kind: object) -> None:
    """Whatever else stands there is told with the kinds there are."""
    error = refused(with_value("mode.kind", kind))
    (told,) = [mistake for mistake in error.mistakes if mistake.path == "mode.kind"]
    assert told.allowed == "raw, sampler, estimator"


@pytest.mark.parametrize("section", ["circuit", "backend", "mode", "session", "mitigation", "tracking", "tasks"])
@pytest.mark.parametrize("value", [None, [1]])
def test_a_section_that_is_no_mapping_is_refused_by_its_name(section: str, value: object) -> None:
    """And says that a mapping is wanted, or which kinds there are."""
    error = refused(with_value(section, value))
    assert {mistake.path for mistake in error.mistakes} <= {section, f"{section}.kind"}
    assert "what the README shows" not in str(error)


def test_an_empty_config_lists_everything_that_is_missing() -> None:
    """All at once, each with a remedy; what came later may be missing in the configs of earlier runs."""
    paths = [mistake.path for mistake in refused({}).mistakes]
    assert sorted(paths) == sorted({*composed()} - {"progress"})


# --- IBM's own options --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (
            ["mode=estimator", f"+{OPTIONS}.default_shots=100"],
            "mitigation.options.default_shots: given 100; allowed: what mode.shots says; remedy: set mode.shots",
        ),
        (
            ["mode=estimator", f"+{OPTIONS}.default_precision=0.1"],
            (
                "mitigation.options.default_precision: given 0.1; allowed: what mode.precision says; "
                "remedy: set mode.precision"
            ),
        ),
        (
            [f"+{OPTIONS}.simulator.seed_simulator=3"],
            "mitigation.options.simulator.seed_simulator: given 3; allowed: what seed says; remedy: set seed",
        ),
        (
            ["mode=estimator", f"+{OPTIONS}.resilience.zne.noise_factor=[1,2]"],
            (
                "mitigation.options.resilience.zne.noise_factor: given the unknown key with [1, 2]; allowed: "
                "amplifier, extrapolated_noise_factors, extrapolator, noise_factors; "
                "remedy: did you mean mitigation.options.resilience.zne.noise_factors?"
            ),
        ),
        (
            ["mode=estimator", f"+{OPTIONS}.frequency=1"],
            (
                f"mitigation.options.frequency: given the unknown key with 1; allowed: {ESTIMATOR_OPTIONS}; "
                "remedy: leave it out"
            ),
        ),
        (
            [f"{OPTIONS}.resilience_level=1"],
            (
                f"mitigation.options.resilience_level: given the unknown key with 1; allowed: {SAMPLER_OPTIONS}; "
                "remedy: leave it out"
            ),
        ),
        (
            ["mitigation=dd", f"{OPTIONS}.dynamical_decoupling.sequence_type=YYY"],
            (
                "mitigation.options.dynamical_decoupling.sequence_type: given 'YYY'; allowed: 'XX', 'XpXm' or 'XY4'; "
                "remedy: leave it null for the platform's default"
            ),
        ),
        (
            ["mode=estimator", "mitigation=zne", f"{OPTIONS}.resilience.zne.extrapolator=double_exponential"],
            (
                "mitigation.options.resilience.zne.noise_factors: given 3 noise factors for the extrapolator "
                "double_exponential; allowed: at least 4; remedy: give more noise factors, or another "
                "resilience.zne.extrapolator"
            ),
        ),
        (
            [
                "mode=estimator",
                "mitigation=level_2",
                f"{OPTIONS}.resilience.zne.noise_factors=[1,2]",
                f"{OPTIONS}.resilience.zne.extrapolator=[linear,polynomial_degree_2]",
            ],
            (
                "mitigation.options.resilience.zne.noise_factors: given 2 noise factors for the extrapolator "
                "polynomial_degree_2; allowed: at least 3; remedy: give more noise factors, or another "
                "resilience.zne.extrapolator"
            ),
        ),
        (
            [f"{OPTIONS}.execution.meas_type=kerneled"],
            (
                "mitigation.options.execution.meas_type: given kerneled; allowed: classified, because counts are "
                "recorded; remedy: leave it null"
            ),
        ),
    ],
)
def test_options_are_judged_by_the_runtimes_own_models(overrides: list[str], line: str) -> None:
    """With our path in front, before anything runs."""
    assert mistakes(*overrides) == [line]


def test_an_option_that_no_member_of_a_union_takes_is_told_once() -> None:
    """A noise factor below 1 is one mistake, although `noise_factors` may also be the word `auto`."""
    error = refused(
        composed("mode=estimator", "mitigation=zne", f"{OPTIONS}.resilience.zne.noise_factors=[1,0.5]")
    ).mistakes
    assert [(mistake.path, mistake.given) for mistake in error] == [
        ("mitigation.options.resilience.zne.noise_factors.1", "0.5")
    ]


@pytest.mark.parametrize("key", ["zne-factors", "1", "a b"])
def test_an_unknown_option_is_told_whatever_its_name(key: str) -> None:
    """Also where the name could not be that of a Python field."""
    (mistake,) = refused(with_value(OPTIONS, {key: 3}, "mode=estimator")).mistakes
    assert (mistake.path, mistake.given) == (f"mitigation.options.{key}", "the unknown key with 3")


def test_options_and_other_mistakes_are_told_together() -> None:
    """The option models' verdict does not hide the rest, nor the other way round."""
    found = mistakes("mode=estimator", "mode.shots=0", f"{OPTIONS}.twirling.group=abc", f"+{OPTIONS}.frequency=1")
    assert [line.partition(":")[0] for line in found] == [
        "mode.shots",
        "mitigation.options.twirling.group",
        "mitigation.options.frequency",
    ]


def test_every_knob_of_the_runtimes_models_can_be_set_by_override() -> None:
    """`conf/mitigation/options/unset.yaml` has exactly the models' fields, so that none needs a plus sign.

    Those that the config has a place of its own for are left out, and the noise models that YAML cannot write.
    """
    elsewhere = {
        "default_shots",
        "default_precision",
        "simulator.seed_simulator",
        "environment.max_execution_time",
        "simulator.layer_noise_model",
        "resilience.layer_noise_model",
    }
    wanted = {*fields_of(EstimatorOptions), *fields_of(SamplerOptions)} - elsewhere
    unset = yaml.safe_load((CONF / "mitigation" / "options" / "unset.yaml").read_text(encoding="utf-8"))
    assert dict(leaves(unset)) == dict.fromkeys(wanted)


def fields_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Give the dotted name of every field of a model, its inner models' included."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from fields_of(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def leaves(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Give dotted name and value of every leaf of a mapping."""
    for key, value in data.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


# --- several tasks ------------------------------------------------------------------------------------------------

RAW = {"kind": "raw", "shots": 100}
ESTIMATED = {"kind": "estimator", "shots": 200, "precision": None}


def test_a_task_takes_from_the_top_level_what_it_leaves_out() -> None:
    """Its own mode, everybody's circuit."""
    tasks = {
        "first": {"mode": RAW},
        "second": {"mode": ESTIMATED, "mitigation": {"kind": "level_1", "readout": "as_measured", "options": {}}},
    }
    experiment = parse(with_value("tasks", tasks, "circuit=ghz"), judge_options)
    found = {name: (task.circuit.name, task.mode.kind, task.mitigation.kind) for name, task in experiment.tasks.items()}
    assert found == {"first": ("ghz", "raw", "none"), "second": ("ghz", "estimator", "level_1")}


def test_tasks_keep_the_order_in_which_they_are_written() -> None:
    """Tables and MLflow show them in that order."""
    tasks = {name: {"mode": RAW} for name in ("c", "a", "b")}
    assert list(parse(with_value("tasks", tasks)).tasks) == ["c", "a", "b"]


@pytest.mark.parametrize(
    ("task", "line"),
    [
        (
            {"mode": {"kind": "raw", "shots": 0}},
            "tasks.raw.mode.shots: given 0; allowed: a whole number (at least 1); remedy: tasks.raw.mode.shots=1024",
        ),
        (
            {"mode": {"kind": "raw", "shots": 1, "shot": 2}},
            (
                "tasks.raw.mode.shot: given the unknown key with 2; allowed: kind, shots; "
                "remedy: did you mean tasks.raw.mode.shots?"
            ),
        ),
        (
            {"moed": 3},
            (
                "tasks.raw.moed: given the unknown key with 3; allowed: circuit, mitigation, mode, session; "
                "remedy: did you mean tasks.raw.mode?"
            ),
        ),
        (
            {"mode": {"kind": "rw", "shots": 1}},
            (
                "tasks.raw.mode.kind: given 'rw'; allowed: raw, sampler, estimator; "
                "remedy: choose one of the group: tasks.raw.mode=<option>"
            ),
        ),
        (
            {"mode": RAW, "mitigation": {"kind": "zne", "readout": "as_measured", "options": {}}},
            (
                "tasks.raw.mitigation: given zne; allowed: none or m3 in mode=raw, which is unprocessed; "
                "remedy: tasks.raw.mitigation=none, or mode=sampler or mode=estimator"
            ),
        ),
        (
            {
                "mode": ESTIMATED,
                "mitigation": {"kind": "custom", "readout": "as_measured", "options": {"resilience_level": 3}},
            },
            (
                "tasks.raw.mitigation.options.resilience_level: given 3; allowed: 0, 1 or 2; "
                "remedy: leave it null for the platform's default"
            ),
        ),
    ],
)
def test_a_mistake_in_a_task_is_told_by_the_tasks_path(task: dict[str, Any], line: str) -> None:
    """With the same words as at the top level."""
    assert [str(mistake) for mistake in refused(with_value("tasks", {"raw": task})).mistakes] == [line]


def test_what_a_task_inherits_is_judged_with_its_own_mode() -> None:
    """Top-level ZNE suits the estimator but not the raw task; the path is where the user wrote it."""
    data = with_value("tasks", {"raw": {"mode": RAW}, "est": {"mode": ESTIMATED}}, "mode=estimator", "mitigation=zne")
    assert [mistake.path for mistake in refused(data).mistakes] == ["mitigation"]


# --- fingerprints -------------------------------------------------------------------------------------------------


def fingerprint_of(*overrides: str) -> str:
    """Return the fingerprint of the only task."""
    return fingerprint(parsed("circuit=ghz", "mode=estimator", *overrides), "main")


@pytest.mark.parametrize(
    "override",
    ["tracking=off", "name=other", "tracking.plots=false", "run=latest", "seed=42", "sweep.on_invalid=skip"],
)
def test_equal_requests_have_equal_fingerprints(override: str) -> None:
    """Wherever they are logged and whatever they are called."""
    assert fingerprint_of(override) == fingerprint_of()


@pytest.mark.parametrize(
    "override",
    [
        "mode.shots=4097",
        "mode.precision=0.01",
        "circuit.params.num_qubits=4",
        "+circuit.observables={zzz: ZZZ}",
        "+circuit.parameter_values.theta=0.5",
        "seed=43",
        "backend=fake_manila",
        "backend.method=statevector",
        "mitigation=level_1",
        "mitigation.options.twirling.enable_gates=true",
        "transpile.optimization_level=3",
        "reference=ideal",
        "circuit.clifford=true",
    ],
)
def test_another_request_has_another_fingerprint(override: str) -> None:
    """Whatever could change a number."""
    assert fingerprint_of(override) != fingerprint_of()


def test_a_tasks_fingerprint_does_not_depend_on_its_neighbours() -> None:
    """The same task alone and in company is the same request."""
    data = with_value("tasks", {"a": {"mode": RAW}, "b": {"mode": ESTIMATED}})
    assert fingerprint(parse(data), "a") == fingerprint(parse(composed("mode=raw", "mode.shots=100")), "main")


# --- credentials --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "override",
    [
        f"+backend.token={TOKEN}",
        f"backend.arguments.api_key={TOKEN}",
        f"+backend.arguments.apiKey={TOKEN}",
        f"+backend.arguments.accessToken={TOKEN}",
        f"++backend.arguments.password={TOKEN}",
        f"+backend.arguments={{device: qpu1, auth_token: {TOKEN}}}",
        f"tracking.uri=http://me:{TOKEN}@mlflow.example",
    ],
)
def test_a_credential_in_an_override_is_refused_without_being_shown(override: str) -> None:
    """Before Hydra can write it anywhere."""
    (mistake,) = secrets_in_overrides([override])
    assert mistake.given == "a credential (not shown)"
    assert TOKEN not in str(mistake)


@pytest.mark.parametrize("path", ["circuit.params.token", "circuit.params.api_key", "backend.password"])
def test_a_credential_in_a_config_is_refused_without_being_shown(path: str) -> None:
    """By its path, with the place where credentials belong."""
    data = composed()
    section, _, key = path.rpartition(".")
    (data["circuit"]["params"] if "params" in section else data["backend"])[key] = TOKEN
    assert str(refused(data)) == (
        "The config has 1 mistake; nothing was run.\n"
        f"  {path}: given a credential (not shown); allowed: no credentials in a config; remedy: set QISKIT_IBM_TOKEN "
        "in the environment or save an account with QiskitRuntimeService.save_account"
    )


def test_a_credential_in_a_list_is_found() -> None:
    """At any depth."""
    error = refused(with_value("circuit.params", {"accounts": [{"name": "a", "token": TOKEN}]}))
    assert [mistake.path for mistake in error.mistakes] == ["circuit.params.accounts.0.token"]


def test_a_password_in_an_address_is_refused_without_being_shown() -> None:
    """`tracking.uri` is logged, so it must hold none."""
    error = refused(composed(f"tracking.uri=https://me:{TOKEN}@mlflow.example/path"))
    assert [mistake.path for mistake in error.mistakes] == ["tracking.uri"]
    assert TOKEN not in str(error)


def test_the_value_of_the_token_variable_is_refused_wherever_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its value, whatever the field is called, also inside a longer text and in an override."""
    monkeypatch.setenv("QISKIT_IBM_TOKEN", TOKEN)
    error = refused(composed(f"name=my-{TOKEN}-experiment"))
    assert [mistake.path for mistake in error.mistakes] == ["name"]
    assert TOKEN not in str(error)
    assert [mistake.path for mistake in secrets_in_overrides([f"name={TOKEN}"])] == ["name"]


@pytest.mark.parametrize(
    "override",
    ["circuit.params.secret='\"0110\"'", "backend.account=mine", "tracking.uri=http://mlflow.example:5000/a@b"],
)
def test_what_is_no_credential_is_let_through(override: str) -> None:
    """The secret of Bernstein and Vazirani is the experiment; an account's name is not its key."""
    assert secrets_in_overrides([override]) == []


def test_the_secret_bit_string_is_no_credential() -> None:
    """`circuit=bernstein_vazirani` parses with its own secret."""
    circuit = parsed("circuit=bernstein_vazirani").document.circuit
    assert circuit.params == {"secret": "1011"}


# --- every conf file ----------------------------------------------------------------------------------------------

FILES = sorted(path.relative_to(CONF).with_suffix("").as_posix() for path in CONF.rglob("*.yaml"))
MANDATORY = {
    "circuit/file": ["circuit.source=my.qasm"],
    "backend/fake": ["backend.name=fake_torino"],
    "backend/ibm": ["backend.name=ibm_fez"],
    "backend/snapshot": ["backend.run=latest"],
    "backend/vendor": ["backend.source=my_provider:get_backend"],
    "mitigation/level_1": ["mode=estimator"],
    "mitigation/level_2": ["mode=estimator"],
    "mitigation/suppression_trex": ["mode=estimator"],
    "mitigation/strong": ["mode=estimator"],
    "mitigation/pea": ["mode=estimator"],
    "mitigation/pec": ["mode=estimator"],
    "mitigation/trex": ["mode=estimator"],
    "mitigation/zne": ["mode=estimator"],
    "reference/twin": ["backend=fake_manila"],
    "reference/value": ["+reference.values={zz: 1.0}"],
}
"""What else an option needs."""

WITHOUT_COMMAND = {"config", "mitigation/options/unset"}


def commands_of(name: str) -> list[list[str]]:
    """Return the command lines in a conf file's comment header, as a shell splits them."""
    header = re.match(r"(#.*\n)*", (CONF / f"{name}.yaml").read_text(encoding="utf-8"))
    assert header is not None
    lines = [line.removeprefix("# ") for line in header.group().splitlines()]
    return [shlex.split(line)[3:] for line in lines if line.startswith("python -m qrt_runner")]


def first_point_of(words: Sequence[str]) -> list[str]:
    """Return the overrides of a command line; where it sweeps, those of its first point."""
    overrides = OverridesParser.create().parse_overrides([word for word in words if not word.startswith("-")])
    return [
        f"{override.key_or_group}={next(iter(override.sweep_string_iterator()))}"
        if override.is_sweep_override()
        else str(override.input_line)
        for override in overrides
    ]


@pytest.fixture
def _recorded() -> None:
    """A run was recorded before in the working directory, with the calibration of its backend."""
    calibration = b'{"backend": "acme", "qubits": {"0": []}, "gates": []}'
    record = Record("0-main", "before", "FINISHED", {}, {}, (), {"calibration.json": calibration})
    kept = KeptRun(Path("outputs/before"), "before", "acme", "before", grouped=False, folders=True, started_ms=0)
    kept.begin()
    kept.keep([record])


@pytest.mark.usefixtures("_recorded")
@pytest.mark.parametrize("name", FILES)
def test_every_conf_file_composes_and_parses(name: str) -> None:
    """Every option of every group, with what it needs and nothing else."""
    group, _, option = name.partition("/") if name.startswith("experiment/") else name.rpartition("/")
    chosen = [f"{group}={option}"] if group else []
    assert isinstance(parsed(*chosen, *MANDATORY.get(name, [])), Experiment)


@pytest.mark.usefixtures("_recorded")
@pytest.mark.parametrize("name", sorted({*FILES} - WITHOUT_COMMAND))
def test_every_conf_file_starts_with_a_command_that_composes(name: str) -> None:
    """What its header tells to type is right, and is about the file."""
    commands = commands_of(name)
    assert commands
    for words in commands:
        assert isinstance(parsed(*first_point_of(words)), Experiment)


@pytest.mark.parametrize("name", sorted({*FILES} - WITHOUT_COMMAND))
def test_every_conf_file_starts_with_a_sentence(name: str) -> None:
    """The question that it answers, or what it does."""
    lines = (CONF / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    first = lines[1] if lines[0] == "# @package _global_" else lines[0]
    assert re.fullmatch(r"# [A-Z].*[.?:=].*", first)


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("experiment/")])
def test_a_preset_is_a_global_package_and_overrides_nothing_optionally(name: str) -> None:
    """`# @package _global_` is ignored anywhere but in the first line."""
    text = (CONF / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.startswith("# @package _global_\n")
    assert "optional" not in text


# --- whatever else may be written ---------------------------------------------------------------------------------

BASES = (
    (),
    ("circuit=h2", "mode=estimator", "mitigation=zne", "backend=ibm_least_busy"),
    ("experiment=raw_versus_primitive",),
    ("circuit=efficient_su2", "backend=vendor", "mode=raw"),
)
KEYS = st.sampled_from(["kind", "shots", "options", "mode", "theta", "linspace", "random", "ZZ", "x"]) | st.text(
    min_size=1, max_size=4
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["raw", "sampler", "estimator", "zne", "auto", "ZZ", "", 10**400])
    | st.text(max_size=6)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)


def places(data: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Give the path of every key of a mapping."""
    for key, value in data.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from places(value, (*above, key))


@st.composite
def mutated(draw: Callable[..., Any]) -> dict[str, Any]:
    """Draw a config in which up to four places are replaced, removed or joined by an unknown key."""
    data = composed(*draw(st.sampled_from(BASES)))
    for _ in range(draw(st.integers(1, 4))):
        everywhere = list(places(data))
        if not everywhere:
            break
        *above, key = draw(st.sampled_from(everywhere))
        section: Any = data
        for step in above:
            section = section[step]
        match draw(st.sampled_from(["replace", "remove", "add"])):
            case "replace":
                section[key] = draw(VALUES)
            case "remove":
                del section[key]
            case "add":
                section[draw(KEYS)] = draw(VALUES)
    return data


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(mutated())
def test_whatever_is_written_a_config_is_parsed_or_refused(data: dict[str, Any]) -> None:
    """Never anything but an experiment or a ConfigError with a path for every mistake."""
    judged = verdict(data)
    if isinstance(judged, ConfigError):
        assert judged.mistakes
        assert all(mistake.path and mistake.allowed for mistake in judged.mistakes)
    else:
        assert all(len(fingerprint(judged, name)) == 64 for name in judged.tasks)


def verdict(data: Mapping[str, Any]) -> Experiment | ConfigError:
    """Return what a config is parsed to, or refused with."""
    try:
        return parse(data, judge_options)
    except ConfigError as error:
        return error


def test_the_conf_folder_is_the_shipped_one() -> None:
    """In a clone, the tests judge the files of the clone."""
    assert Path(__file__).parents[1] / "conf" == CONF
