"""What a user meets who asks for something wrong: one clean message, the right exit code, and nothing left behind."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qrt_runner.backends.fitting import memory_bytes
from qrt_runner.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Ended

CIRCUITS = (
    "bell, bernstein_vazirani, dynamic_teleport, efficient_su2, file, ghz, h2, kicked_ising, qaoa_maxcut, qft, random, "
    "tfim"
)
TOKEN = "q7Zk0-made-up-token-of-nobody"


def assert_clean(ended: Ended, *lines: str, code: int = 2) -> None:
    """Assert that a command ended with exactly these lines on stderr, nothing on stdout and nothing in MLflow."""
    assert (ended.code, ended.out) == (code, ""), ended
    assert ended.err.splitlines() == list(lines)
    assert not Path("mlflow.db").exists()
    assert not Path("mlruns").exists()


def assert_config_error(ended: Ended, *mistakes: str) -> None:
    """Assert that a command was refused with exactly these mistakes."""
    count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    assert_clean(ended, f"The config has {count}; nothing was run.", *(f"  {mistake}" for mistake in mistakes))


def only_mistake(ended: Ended) -> str:
    """Return the only mistake of a refused command, whose words are too many to be compared."""
    assert (ended.code, ended.out) == (2, ""), ended
    head, mistake = ended.err.splitlines()
    assert head == "The config has 1 mistake; nothing was run."
    assert not Path("mlflow.db").exists()
    return mistake.strip()


# --- what the config alone tells ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "remedy"), [("1e4", "10000"), ("2048.0", "2048"), ("1e-4", "1024"), ("-1e4", "1024")]
)
def test_a_whole_number_written_as_another_is_told_as_one(command, given, remedy):
    """What was meant by 1e4 is 10000; what is no number of shots at all is told an example."""
    assert f"allowed: a whole number (at least 1); remedy: mode.shots={remedy}\n" in command(f"mode.shots={given}").err


def test_an_unknown_option_lists_the_choices(command: Callable[..., Ended]) -> None:
    """With the nearest one as the remedy, where one is near."""
    assert_config_error(
        command("mode=samplr"), "mode: given 'samplr'; allowed: estimator, raw, sampler; remedy: mode=sampler"
    )


def test_an_option_like_no_other_is_told_all_of_them(command: Callable[..., Ended]) -> None:
    """Without guessing."""
    assert_config_error(
        command("circuit=zzz"),
        f"circuit: given 'zzz'; allowed: {CIRCUITS}; remedy: choose one of them: circuit=<option>",
    )


@pytest.mark.parametrize("path", ["my.qasm", "my.qasm3", "my.qpy", "my.py", "folder/my.qasm"])
def test_a_path_as_the_circuit_is_refused_with_the_remedy(command: Callable[..., Ended], path: str) -> None:
    """`circuit=file circuit.source=...` is what was meant."""
    assert_config_error(
        command(f"circuit={path}"),
        f"circuit: given '{path}'; allowed: {CIRCUITS}; remedy: circuit=file circuit.source={path}",
    )


def test_a_preset_that_is_not_there_is_refused(command: Callable[..., Ended]) -> None:
    """`experiment=typo` must not silently run the default."""
    assert_config_error(
        command("experiment=typo"),
        "experiment: given 'typo'; allowed: kicked_ising, mitigation_ladder, raw_versus_primitive; "
        "remedy: choose one of them: experiment=<option>",
    )


def test_several_mistakes_are_told_at_once(command: Callable[..., Ended]) -> None:
    """An unknown key among them, at which Hydra alone would stop."""
    assert_config_error(
        command("mode.shot=3", "mode.shots=abc", "backend.threads=-1", "mitigation=zne"),
        "backend.threads: given -1; allowed: a whole number (at least 0); remedy: backend.threads=2",
        "mode.shots: given 'abc'; allowed: a whole number (at least 1); remedy: mode.shots=1024",
        "mode.shot: given the unknown key with 3; allowed: kind, shots; remedy: did you mean mode.shots?",
        "mitigation: given zne; allowed: none, level_0, dd, twirl, suppression, m3, custom in mode=sampler, whose "
        "results are counts; remedy: mode=estimator, or mitigation=twirl",
    )


@pytest.mark.parametrize("plus", ["", "+", "++"])
def test_an_unknown_key_at_the_top_is_told_by_its_name(command: Callable[..., Ended], plus: str) -> None:
    """With and without Hydra's plus sign."""
    assert_config_error(
        command(f"{plus}seeds=3"),
        "seeds: given the unknown key with 3; allowed: action, backend, budget, circuit, journal, mitigation, mode, "
        "name, overview, progress, reference, resume, reuse, run, runs, seed, session, sweep, tasks, tracking, "
        "transpile; remedy: did you mean seed?",
    )


def test_an_unknown_param_of_the_circuit_is_told_by_its_path(command: Callable[..., Ended]) -> None:
    """`circuit.params` is an open mapping: its circuit file alone knows what it takes."""
    mistake = only_mistake(command("circuit=ghz", "circuit.params.num_qubit=3", "tracking=off"))
    assert mistake == (
        "circuit.params.num_qubit: given an unknown parameter; allowed: num_qubits; "
        "remedy: did you mean circuit.params.num_qubits?"
    )


def test_an_unknown_key_in_a_sweep_is_told_once(command: Callable[..., Ended]) -> None:
    """It is the same mistake in every point."""
    assert_config_error(
        command("-m", "mode=raw,sampler", "mode.shot=3"),
        "mode.shot: given the unknown key with 3; allowed: kind, shots; remedy: did you mean mode.shots?",
    )


def test_a_word_that_is_no_override_is_refused(command: Callable[..., Ended]) -> None:
    """In Hydra's words, with an example."""
    mistake = only_mistake(command("mode.shots"))
    assert mistake.startswith("the command line: given ")
    assert "mode.shots" in mistake
    assert mistake.endswith("; allowed: overrides as in circuit=ghz mode.shots=1024; remedy: mend that word")


def test_an_interpolation_that_leads_nowhere_is_told_by_its_place(command: Callable[..., Ended]) -> None:
    """Exit code 2 also where OmegaConf raises."""
    mistake = only_mistake(command("seed=${nowhere}"))
    assert mistake.startswith("seed: given ")
    assert "'nowhere' not found" in mistake


def test_an_interpolation_that_leads_somewhere_is_no_mistake(command: Callable[..., Ended]) -> None:
    """Typed on the command line, as in `reference.max_qubits`, which follows the number of shots here."""
    ended = command("mode.shots=20", "reference=ideal", "reference.max_qubits=${mode.shots}", "tracking=off")
    assert (ended.code, ended.err) == (0, "")


def test_what_is_mandatory_is_asked_for(command: Callable[..., Ended]) -> None:
    """`backend=fake` needs a name."""
    assert_config_error(
        command("backend=fake"),
        "backend.name: given nothing; allowed: Name of the fake device, such as `fake_manila`; "
        "remedy: backend.name=fake_manila",
    )


def test_a_mistake_in_a_task_is_told_by_the_tasks_path(command: Callable[..., Ended]) -> None:
    """As the user types it."""
    assert_config_error(
        command("experiment=raw_versus_primitive", "tasks.raw.mode.shots=0"),
        "tasks.raw.mode.shots: given 0; allowed: a whole number (at least 1); remedy: tasks.raw.mode.shots=1024",
    )


def test_an_option_that_the_runtime_does_not_know_is_told_by_its_path(command: Callable[..., Ended]) -> None:
    """Judged by IBM's models before anything runs."""
    mistake = only_mistake(command("mode=estimator", "mitigation=zne", "+mitigation.options.zne-factors=3"))
    assert mistake.startswith("mitigation.options.zne-factors: given the unknown key with 3; ")


def test_a_broken_conf_file_of_the_user_is_told_with_its_line(command: Callable[..., Ended]) -> None:
    """YAML that cannot be read, in a `conf/` of the working directory."""
    Path("conf/backend").mkdir(parents=True)
    Path("conf/backend/mine.yaml").write_text("kind: aer\nname: [\n", encoding="utf-8")
    mistake = only_mistake(command("backend=mine"))
    assert "mine.yaml" in mistake
    assert "line 3" in mistake


def test_an_unknown_key_beside_the_users_own_conf_is_told(command: Callable[..., Ended]) -> None:
    """The second look at the config sees the user's own files too."""
    Path("conf/circuit").mkdir(parents=True)
    Path("conf/circuit/mine.yaml").write_text("defaults: [bell, _self_]\nname: mine\n", encoding="utf-8")
    assert_config_error(
        command("circuit=mine", "mode.shot=3"),
        "mode.shot: given the unknown key with 3; allowed: kind, shots; remedy: did you mean mode.shots?",
    )


CONFIG_ONLY = [
    ["circuit=my.qasm"],
    ["mode.shot=3", "mode.shots=abc"],
    ["mode=raw", "mitigation=zne"],
    ["+circuit.observables={a: ZQ}"],
    ["-m", "mode.shots=0,1"],
    ["backend=ibm", f"+backend.token={TOKEN}"],
]
JUDGED = """
import sys
from hydra.core.global_hydra import GlobalHydra
from qrt_runner.__main__ import main

for words in {lines!r}:
    GlobalHydra.instance().clear()
    sys.argv = ["qrt_runner", *words]
    assert main() == 2, words
print(sorted({{"qiskit", "qiskit_aer", "qiskit_ibm_runtime", "mlflow", "matplotlib", "numpy"}} & set(sys.modules)))
"""


def test_what_the_config_alone_tells_is_told_without_qiskit_and_mlflow() -> None:
    """Option, keys, types, combinations, observables, sweeps and credentials, in a process of their own."""
    line = [sys.executable, "-c", JUDGED.format(lines=CONFIG_ONLY)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
    assert "Traceback" not in done.stderr
    assert not Path("mlflow.db").exists()


def test_a_traceback_comes_only_on_demand() -> None:
    """`HYDRA_FULL_ERROR=1` shows it, beside the same message."""
    line = [sys.executable, "-m", "qrt_runner", "mode.shots=0"]
    done = subprocess.run(
        line, capture_output=True, text=True, check=False, env={**os.environ, "HYDRA_FULL_ERROR": "1"}
    )
    assert done.returncode != 0
    assert done.stderr.startswith("Traceback (most recent call last):")
    assert "mode.shots: given 0; allowed: a whole number (at least 1); remedy: mode.shots=1024" in done.stderr


def test_the_demand_for_tracebacks_is_left_as_it_was(
    command: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hydra is told to raise; what the user has set is set again afterwards."""
    command("mode=samplr")
    assert "HYDRA_FULL_ERROR" not in os.environ
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ConfigError):
        command("mode=samplr")
    assert os.environ["HYDRA_FULL_ERROR"] == "1"


# --- credentials --------------------------------------------------------------------------------------------------

REFUSED_CREDENTIAL = (
    "given a credential (not shown); allowed: no credentials in a config; remedy: set QISKIT_IBM_TOKEN in the "
    "environment or save an account with QiskitRuntimeService.save_account"
)


def assert_nowhere(secret: str, *but: Path) -> None:
    """Assert that no file of the test's folder holds a secret, other than those that the user wrote."""
    files = [path for path in Path().rglob("*") if path.is_file() and path not in but]
    assert [path for path in files if secret.encode() in path.read_bytes()] == []


def test_a_token_on_the_command_line_is_refused_and_kept_nowhere(command: Callable[..., Ended]) -> None:
    """Neither on the screen nor in what Hydra writes."""
    ended = command("backend=ibm", "backend.name=ibm_fez", f"+backend.token={TOKEN}")
    assert_config_error(ended, f"backend.token: {REFUSED_CREDENTIAL}")
    assert_nowhere(TOKEN)


def test_a_token_in_the_users_own_conf_is_refused_and_kept_nowhere(command: Callable[..., Ended]) -> None:
    """Hydra has composed and written it by then."""
    own = Path("conf/backend/mine.yaml")
    own.parent.mkdir(parents=True)
    own.write_text(f"defaults: [ibm, _self_]\nname: ibm_fez\ntoken: {TOKEN}\n", encoding="utf-8")
    ended = command("backend=mine")
    assert_config_error(ended, f"backend.token: {REFUSED_CREDENTIAL}")
    assert_nowhere(TOKEN, own)


def test_a_token_in_a_sweep_is_kept_nowhere(command: Callable[..., Ended]) -> None:
    """Not under any point's folder either."""
    own = Path("conf/backend/mine.yaml")
    own.parent.mkdir(parents=True)
    own.write_text(f"defaults: [ibm, _self_]\nname: ibm_fez\ntoken: {TOKEN}\n", encoding="utf-8")
    ended = command("-m", "backend=mine", "mode.shots=1,2")
    assert ended.code == 2
    assert TOKEN not in ended.out + ended.err
    assert_nowhere(TOKEN, own)


def test_a_token_beside_an_interpolation_that_leads_nowhere_is_kept_nowhere(command: Callable[..., Ended]) -> None:
    """What Hydra has written is taken back whatever else is wrong."""
    own = Path("conf/backend/mine.yaml")
    own.parent.mkdir(parents=True)
    own.write_text(f"defaults: [ibm, _self_]\nname: ${{nowhere}}\ntoken: {TOKEN}\n", encoding="utf-8")
    ended = command("backend=mine")
    assert ended.code == 2
    assert TOKEN not in ended.out + ended.err
    assert_nowhere(TOKEN, own)


def test_a_token_beside_a_mistake_that_hydra_finds_is_not_shown(command: Callable[..., Ended]) -> None:
    """The second look at the config does not echo it."""
    own = Path("conf/backend/mine.yaml")
    own.parent.mkdir(parents=True)
    own.write_text(f"defaults: [ibm, _self_]\nname: ibm_fez\ntoken: {TOKEN}\n", encoding="utf-8")
    ended = command("backend=mine", "mode.shot=3")
    assert ended.code == 2
    assert TOKEN not in ended.out + ended.err
    assert_nowhere(TOKEN, own)


def test_the_value_of_the_token_variable_is_refused_in_any_field(
    command: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its value, typed or interpolated from the environment."""
    monkeypatch.setenv("QISKIT_IBM_TOKEN", TOKEN)
    assert_config_error(command(f"name={TOKEN}"), f"name: {REFUSED_CREDENTIAL}")
    assert_config_error(command("name=${oc.env:QISKIT_IBM_TOKEN}"), f"name: {REFUSED_CREDENTIAL}")
    assert_nowhere(TOKEN)


def test_a_password_in_the_address_of_the_store_is_refused(command: Callable[..., Ended]) -> None:
    """The remedy is MLflow's own variables, not IBM's."""
    ended = command(f"tracking.uri=http://me:{TOKEN}@mlflow.example")
    assert only_mistake(ended).startswith("tracking.uri: given a credential (not shown); ")
    assert TOKEN not in ended.err
    assert "MLFLOW_TRACKING_PASSWORD" in ended.err


# --- what the circuit tells ---------------------------------------------------------------------------------------


def test_a_missing_circuit_file_is_told(command: Callable[..., Ended]) -> None:
    """Nothing is recorded."""
    assert_config_error(
        command("circuit=file", "circuit.source=nope.qasm"),
        "circuit.source: given 'nope.qasm', which is no file; allowed: a file ending in .qasm, .qasm2, .qasm3, .qpy, "
        ".py; remedy: give the path of an existing file in circuit.source",
    )


@pytest.mark.parametrize(("name", "version"), [("it.qasm", "2.0"), ("it.qasm3", "3.0")])
def test_broken_openqasm_is_told_with_its_line(command: Callable[..., Ended], name: str, version: str) -> None:
    """Line 4, in OpenQASM 2 and 3."""
    register = "qreg q[1];" if version == "2.0" else "qubit q;"
    include = "qelib1.inc" if version == "2.0" else "stdgates.inc"
    Path(name).write_text(f'OPENQASM {version};\ninclude "{include}";\n{register}\nh r;\n', encoding="utf-8")
    mistake = only_mistake(command("circuit=file", f"circuit.source={name}"))
    assert mistake.startswith(f"circuit.source: given {name}, where: line 4")
    assert mistake.endswith(f"; allowed: a valid OpenQASM {version[0]} file; remedy: mend {name}")


def test_a_parameter_without_a_value_is_told(command: Callable[..., Ended]) -> None:
    """With an override that gives it one."""
    assert_config_error(
        command("circuit=h2", "~circuit.parameter_values.theta"),
        "circuit.parameter_values.theta: given nothing; allowed: a value for each free parameter; "
        "remedy: '+circuit.parameter_values.theta=0.5'",
    )


def test_a_value_without_a_parameter_is_told(command: Callable[..., Ended]) -> None:
    """With the nearest parameter."""
    assert_config_error(
        command("circuit=h2", "+circuit.parameter_values.thet=1"),
        "circuit.parameter_values.thet: given a value without a parameter; allowed: theta; "
        "remedy: did you mean circuit.parameter_values.theta?",
    )


@pytest.mark.parametrize("value", ["nan", "inf", "{linspace: [0, 1, inf]}"])
def test_an_angle_that_is_no_number_runs_nothing(command: Callable[..., Ended], value: str) -> None:
    """Aer would give counts for it that look measured."""
    mistake = only_mistake(command("circuit=h2", f"circuit.parameter_values={{theta: {value}}}", "tracking=off"))
    assert mistake.startswith("circuit.parameter_values.theta")


def test_an_observable_of_another_width_is_told(command: Callable[..., Ended]) -> None:
    """With the width of the circuit."""
    mistake = only_mistake(command("+circuit.observables={a: ZZZ}"))
    assert mistake.startswith("circuit.observables.a: given an observable over 3 qubits; allowed: ")
    assert mistake.endswith("; remedy: write 2 letters, I where nothing is measured")


def test_an_unknown_pauli_letter_is_told(command: Callable[..., Ended]) -> None:
    """With the letters there are."""
    mistake = only_mistake(command("+circuit.observables={a: ZQ}"))
    assert mistake.startswith("circuit.observables.a: given 'ZQ'; allowed: a Pauli string such as ZZII (letters I, X,")


def test_a_mode_that_cannot_do_it_is_told(command: Callable[..., Ended]) -> None:
    """XX cannot be read from counts, control flow not be estimated."""
    assert_config_error(
        command("+circuit.observables={xx: XX}"),
        "circuit.observables.xx: given an observable that counts cannot tell: it is not diagonal (X or Y in it); "
        "allowed: I and Z on measured qubits in mode=raw and mode=sampler; remedy: mode=estimator",
    )
    assert_config_error(
        command("circuit=dynamic_teleport", "circuit.params.deferred=false", "mode=estimator"),
        "circuit: given a circuit with control flow in mode=estimator; allowed: circuits without control flow; "
        "remedy: mode=sampler or mode=raw",
    )


def test_what_a_circuit_file_refuses_is_told_with_its_line(command: Callable[..., Ended]) -> None:
    """A GHZ state of one qubit."""
    mistake = only_mistake(command("circuit=ghz", "circuit.params.num_qubits=1"))
    assert "ghz.py, line " in mistake
    assert "num_qubits of a GHZ state must be at least 2, given 1" in mistake


def test_a_circuit_without_qubits_runs_nothing(command: Callable[..., Ended]) -> None:
    """It would end as a failed job."""
    Path("it.qasm").write_text("OPENQASM 2.0;\n", encoding="utf-8")
    assert only_mistake(command("circuit=file", "circuit.source=it.qasm", "tracking=off")).startswith("circuit")


def test_mistakes_of_several_tasks_are_told_at_once(command: Callable[..., Ended]) -> None:
    """An observable that suits none of the three."""
    ended = command("experiment=raw_versus_primitive", "+circuit.observables={a: ZZZ}")
    assert only_mistake(ended).startswith("circuit.observables.a: given an observable over 3 qubits")


# --- what the backend tells ---------------------------------------------------------------------------------------


def test_an_unknown_fake_device_is_told_with_the_nearest(command: Callable[..., Ended]) -> None:
    """And with all there are."""
    mistake = only_mistake(command("backend=fake", "backend.name=fake_manilla"))
    assert mistake.startswith("backend.name: given fake_manilla; allowed: fake_")
    assert ", fake_manila, " in mistake
    assert mistake.endswith("; remedy: backend.name=fake_manila")


def test_too_many_qubits_for_the_backend_are_told(command: Callable[..., Ended]) -> None:
    """Manila has 5."""
    assert_config_error(
        command("backend=fake_manila", "circuit=ghz", "circuit.params.num_qubits=6"),
        "circuit: given a circuit of 6 qubits for fake_manila; allowed: at most 5 qubits; "
        "remedy: fewer qubits, or a larger backend",
    )


def test_too_many_qubits_for_the_memory_are_told(command: Callable[..., Ended]) -> None:
    """50 qubits take 16 bytes times 2 to the 50, which is 16 PiB, and other methods take less."""
    mistake = only_mistake(command("circuit=random", "circuit.params.num_qubits=50", "circuit.params.depth=2"))
    assert mistake.startswith(
        "backend: given a circuit with 50 active qubits, which needs 16 PiB of memory by method automatic; "
        "allowed: what fits into "
    )
    assert "backend.method=matrix_product_state" in mistake


def test_a_method_that_the_circuit_does_not_suit_is_told(command: Callable[..., Ended]) -> None:
    """A transverse field is not Clifford."""
    assert_config_error(
        command("circuit=tfim", "backend.method=stabilizer"),
        "backend.method: given stabilizer, for a circuit that is not Clifford on aer; "
        "allowed: stabilizer for Clifford circuits only; remedy: backend.method=automatic",
    )


def test_a_vendor_that_cannot_be_imported_is_told(command: Callable[..., Ended]) -> None:
    """`module:callable` with a module that is not there."""
    assert_config_error(
        command("backend=vendor", "backend.source=no_such_provider:get_backend"),
        "backend.source: given no_such_provider:get_backend, which cannot be imported (No module named "
        "'no_such_provider'); allowed: module:callable; remedy: install the provider or mend the name",
    )


def test_a_vendor_that_gives_no_backend_is_told(command: Callable[..., Ended]) -> None:
    """With what it gave instead."""
    assert_config_error(
        command("backend=vendor", "backend.source=builtins:dict"),
        "backend.source: given builtins:dict, which returned dict; allowed: a callable that returns a BackendV2; "
        "remedy: return one",
    )


@pytest.mark.parametrize("backend", [["backend=ibm", "backend.name=ibm_fez"], ["backend=ibm_least_busy"]])
def test_a_missing_account_ends_with_3(command: Callable[..., Ended], backend: list[str]) -> None:
    """With the two places where credentials belong."""
    assert_clean(
        command(*backend),
        'backend.account: given no account; none is found ("Unable to find account. Please make sure an account with '
        "the channel name 'ibm_quantum_platform' is saved.\"); remedy: set QISKIT_IBM_TOKEN and QISKIT_IBM_INSTANCE "
        "in the environment, or save one with QiskitRuntimeService.save_account",
        code=3,
    )


def test_a_saved_account_that_is_not_there_ends_with_3(command: Callable[..., Ended]) -> None:
    """By its name."""
    ended = command("backend=ibm", "backend.name=ibm_fez", "backend.account=mine")
    assert (ended.code, ended.out) == (3, "")
    assert ended.err.startswith("backend.account: given account 'mine'; none is found ")
    assert len(ended.err.splitlines()) == 1


def test_a_service_out_of_reach_ends_with_3(command: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch) -> None:
    """One message, without the token in it, and nothing from the client's own logs."""
    monkeypatch.setenv("QISKIT_IBM_TOKEN", TOKEN)
    monkeypatch.setenv("IAM_URL", "http://127.0.0.1:9")
    ended = command("backend=ibm", "backend.name=ibm_fez")
    assert (ended.code, ended.out) == (3, "")
    assert len(ended.err.splitlines()) == 1
    assert ended.err.startswith("backend: IBM Quantum refused or could not be reached (")
    assert ended.err.endswith("; remedy: check the network, the account and backend.instance, then try again\n")
    assert_nowhere(TOKEN)
    assert not Path("mlflow.db").exists()


# --- sweeps -------------------------------------------------------------------------------------------------------


def test_a_sweep_with_bad_points_is_refused_as_a_whole(command: Callable[..., Ended]) -> None:
    """Each mistake once, with the points that make it."""
    assert_config_error(
        command("-m", "mode.shots=0,5,-1", "seed=1,2"),
        "points 0, 1: mode.shots: given 0; allowed: a whole number (at least 1); remedy: mode.shots=1024",
        "points 4, 5: mode.shots: given -1; allowed: a whole number (at least 1); remedy: mode.shots=1024",
    )


def test_a_sweep_whose_circuits_are_refused_names_the_points(command: Callable[..., Ended]) -> None:
    """Also where only the circuit tells; where no point is left, nothing has run by then."""
    mistake = only_mistake(command("-m", "circuit=ghz", "circuit.params.num_qubits=1", "seed=1,2", "tracking=off"))
    assert mistake.startswith("points 0, 1: circuit.params: given what ")


def test_a_sweep_leaves_bad_points_out_where_it_may(command: Callable[..., Ended]) -> None:
    """The others run, the exit code is 1, and what was left out is told."""
    ended = command("-m", "mode.shots=0,5,-1", "sweep.on_invalid=skip", "tracking=off")
    assert ended.code == 1
    assert ended.err.splitlines() == [
        "left out: point 0: mode.shots: given 0; allowed: a whole number (at least 1); remedy: mode.shots=1024",
        "left out: point 2: mode.shots: given -1; allowed: a whole number (at least 1); remedy: mode.shots=1024",
    ]
    assert "[mode.shots=5]" in ended.out


def test_a_point_that_fails_for_its_circuit_is_told_without_untruth(command: Callable[..., Ended]) -> None:
    """The others have run, so the message must not say that nothing was."""
    ended = command("-m", "circuit=ghz", "circuit.params.num_qubits=1,2", "tracking=off")
    assert ended.code == 1
    assert "[circuit.params.num_qubits=1]\n  failed: circuit.params: given what " in ended.out
    assert "num_qubits of a GHZ state must be at least 2, given 1" in ended.out
    assert "nothing was run" not in ended.out + ended.err
    assert "[circuit.params.num_qubits=2]" in ended.out


def test_a_point_left_out_for_its_width_is_told_with_its_overrides(command: Callable[..., Ended]) -> None:
    """What a backend cannot hold refuses the sweep, or is left out where that is asked for."""
    words = ("backend=fake_manila", "circuit=ghz", "circuit.params.num_qubits=6,2", "tracking=off")
    assert command("-m", *words).code == 2
    ended = command("-m", *words, "sweep.on_invalid=skip")
    assert ended.code == 1
    (line,) = ended.err.splitlines()
    assert line.startswith("left out: point 0 [circuit.params.num_qubits=6]: circuit: given a circuit of 6 qubits")


def test_a_sweep_of_bad_points_only_is_refused(command: Callable[..., Ended]) -> None:
    """There is nothing left to run."""
    ended = command("-m", "mode.shots=0,-1", "sweep.on_invalid=skip", "tracking=off")
    assert ended.code == 2
    assert "point 0: mode.shots: given 0" in ended.err


def test_an_unknown_option_in_a_sweep_is_told(command: Callable[..., Ended]) -> None:
    """Before any point runs."""
    assert_config_error(
        command("-m", "mode=raw,samplr"), "mode: given 'samplr'; allowed: estimator, raw, sampler; remedy: mode=sampler"
    )


@pytest.mark.parametrize("word", ["mode=null", "circuit=null", "backend=null"])
def test_a_group_without_an_option_is_refused(command: Callable[..., Ended], word: str) -> None:
    """Hydra's own error about it is told as a mistake, not as a traceback."""
    assert "Config group override must be a string" in only_mistake(command(word))


@pytest.mark.parametrize("word", ["name=a,b", "tracking=mlflow,off"])
def test_what_belongs_to_the_whole_run_is_not_swept(command: Callable[..., Ended], word: str) -> None:
    """Of several values only one could be true."""
    mistake = only_mistake(command("-m", word))
    assert mistake.endswith("allowed: one value for the whole sweep; remedy: one command for each")


def test_a_state_that_takes_more_than_a_quarter_of_the_memory_is_refused(command: Callable[..., Ended]) -> None:
    """Aer would end the job with success and no data, and the primitives fill that up with zeros."""
    width = int(math.log2(memory_bytes() / 16)) + 1
    ended = command("circuit=ghz", f"circuit.params.num_qubits={width}", "backend=fake_sherbrooke", "tracking=off")
    assert ended.code == 2
    assert f"{width} active qubits" in ended.err
