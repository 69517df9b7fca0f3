"""The backend of a recorded run, rebuilt from what was recorded of it: same noise, same numbers, own name."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from composing import circuit_file, outcome_of, plan_of, point_of, result_of
from watching import rehearsal

from qrt_runner.backends import open_device, simulator_of
from qrt_runner.backends.simulators import fake_names
from qrt_runner.config import Fake, Snapshot, fingerprint
from qrt_runner.errors import ConfigError
from qrt_runner.plan import packed, reopened_device, stored_points, unpacked
from qrt_runner.tracking import merged_calibration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qrt_runner.backends import Device
    from qrt_runner.results import TaskResult

BEFORE = "backend.run=results"
"""The run that `outcome_of` has kept last."""

SNAPSHOT = ("backend=snapshot", BEFORE)
NO_LIMITS = dict.fromkeys(("pubs", "parameter_sets", "executions", "payload_mib", "memory_mib"))
GHZ = ("circuit=ghz", "circuit.params.num_qubits=3", "mode=raw", "mode.shots=20000")
SHOTS = 40_000


def snapshot_of(calibration: Mapping[str, Any], **fields: Any) -> Device:
    """Open what was recorded of a backend."""
    given = {"kind": "snapshot", "run": "some", "name": None, "limits": NO_LIMITS, "threads": 0}
    given |= {"method": "automatic", "precision": "double", "calibration": json.dumps(calibration, default=str)}
    return open_device(Snapshot.model_validate({**given, **fields}))


def told(**properties: float) -> list[dict[str, Any]]:
    """Return properties without units, as a calibration has them."""
    return [{"name": name, "value": value, "unit": ""} for name, value in properties.items()]


def perfect(misread: Mapping[int, tuple[float, float]], **more: Any) -> dict[str, Any]:
    """Return a calibration of perfect gates, on qubits that are misread: 1 for 0, and 0 for 1."""
    names = ("prob_meas1_prep0", "prob_meas0_prep1")
    qubits = {str(qubit): told(**dict(zip(names, errors, strict=True))) for qubit, errors in misread.items()}
    gates = [
        {"qubits": [qubit], "gate": gate, "parameters": told(gate_error=0.0, gate_length=0.0)}
        for qubit in misread
        for gate in ("sx", "x", "rz")
    ]
    return {"backend": "acme", "last_update": "2026-11-02", "qubits": qubits, "gates": gates, **more}


def written(calibration: Mapping[str, Any], name: str = "calibration.json") -> str:
    """Write a calibration and return the override that names it."""
    Path(name).write_text(json.dumps(calibration), encoding="utf-8")
    return f"backend.run={name}"


def refusal(*words: str) -> str:
    """Return the only mistake of a command line, told where it is composed or where it is compiled."""
    try:
        (refused,) = plan_of(words).refusals
        error = refused.error
    except ConfigError as refused_at_once:
        error = refused_at_once
    (mistake,) = error.mistakes
    return str(mistake)


def assert_one_distribution(first: TaskResult, second: TaskResult) -> None:
    """Compare how often each outcome came: within 5 standard deviations of the difference."""
    assert first.counts is not None
    assert second.counts is not None
    one, other = first.counts.joint[0], second.counts.joint[0]
    shots, others = sum(one.values()), sum(other.values())
    for outcome in {*one, *other}:
        p, q = one.get(outcome, 0) / shots, other.get(outcome, 0) / others
        mean = (one.get(outcome, 0) + other.get(outcome, 0)) / (shots + others)
        assert abs(p - q) <= 5 * math.sqrt(mean * (1 - mean) * (1 / shots + 1 / others)), outcome


# --- the same noise ---


@pytest.mark.parametrize("words", [("backend=fake_manila",), ("backend=aer_noisy", "backend.name=fake_quito")])
def test_a_snapshot_gives_what_its_backend_gave(words):
    """A GHZ state on five qubits' worth of noise: the outcomes are of one distribution, with another seed."""
    first = result_of(*GHZ, *words, "seed=1")
    second = result_of(*GHZ, *SNAPSHOT, "seed=2")
    assert_one_distribution(first, second)
    assert second.backend == f"{first.backend}_snapshot"
    assert second.counts != first.counts


def test_a_snapshot_gives_what_a_service_gave(tmp_path):
    """What ran on a service, of which only the calibration is known here, runs on its snapshot alike."""
    with rehearsal(tmp_path / "service") as running:
        on_service = ("backend=rehearsal", f"backend.store={running.folder}")
        first = result_of(*GHZ, *on_service)
    second = result_of(*GHZ, *SNAPSHOT, "seed=2")
    assert_one_distribution(first, second)
    assert (first.backend, second.backend) == ("fake_manila", "fake_manila_snapshot")
    (job,) = second.jobs
    assert (job.record["backend"], job.quantum_s) == ("fake_manila_snapshot", 0.0)


@pytest.mark.parametrize("name", ["fake_sherbrooke", "fake_fez", "fake_manila"])
def test_the_noise_is_that_of_the_device(name):
    """Errors, relaxation and times are equal to those that Aer makes of the device itself, qubit by qubit."""
    assert name in fake_names()
    device = open_device(Fake.model_validate({"kind": "fake", "name": name, "limits": NO_LIMITS}))
    qubits = [1, 2, 3]
    made = snapshot_of(device.calibration(qubits) or {})
    ours, theirs = (simulator_of(one, qubits).options.noise_model for one in (made, device))
    assert ours == theirs
    assert made.backend.target.dt == device.backend.target.dt
    assert set(made.target.operation_names) == set(device.target.operation_names)


@pytest.mark.parametrize(
    "words",
    [
        ("mode=raw",),
        ("mode=sampler", "mitigation=twirl"),
        ("mode=estimator", "mitigation=none"),
        ("mode=estimator", "mitigation=level_2"),
    ],
    ids=" ".join,
)
def test_every_mode_runs_on_a_snapshot(words):
    """Expectation values of the Bell state are those of the device within 5 standard errors."""
    given = ("circuit=bell", "mode.shots=8192", *words)
    first = result_of(*given, "backend=fake_manila", "seed=1").expectations
    second = result_of(*given, *SNAPSHOT, "seed=2").expectations
    assert first is not None
    assert second is not None
    errors = np.hypot(first.errors, second.errors)
    assert first.names == second.names
    assert (np.abs(first.values - second.values) <= 5 * errors).all()


def test_circuits_that_follow_their_measurements_run_on_a_snapshot():
    """Control flow is recorded among the operations of a device."""
    words = ("circuit=dynamic_teleport", "mode=raw", "mode.shots=4096")
    first = result_of(*words, "backend=fake_manila", "seed=1")
    assert_one_distribution(first, result_of(*words, *SNAPSHOT, "seed=2"))


@pytest.mark.parametrize("with_operations", [True, False])
def test_qubits_are_misread_as_was_recorded(with_operations):
    """Qubit 5, flipped, reads 0 in 15 % of the shots; qubit 3, left alone, reads 1 in 2 %: one way or the other."""
    calibration = perfect({3: (0.02, 0.3), 5: (0.4, 0.15)})
    if with_operations:
        gates = {name: [[3], [5]] for name in ("sx", "x", "rz", "measure", "delay")}
        calibration["target"] = {"num_qubits": 7, "dt": None, "operations": gates}
    flipped = circuit_file("flipped", "circuit = QuantumCircuit(2)\ncircuit.x(1)")
    words = ("backend=snapshot", written(calibration), "mode=raw", f"mode.shots={SHOTS}")
    (counts,) = result_of(*flipped, *words, "transpile.initial_layout=[3,5]").counts.joint
    ups = sum(count for outcome, count in counts.items() if outcome[1] == "1") / SHOTS
    downs = sum(count for outcome, count in counts.items() if outcome[0] == "0") / SHOTS
    assert ups == pytest.approx(0.02, abs=5 * math.sqrt(0.02 * 0.98 / SHOTS))
    assert downs == pytest.approx(0.15, abs=5 * math.sqrt(0.15 * 0.85 / SHOTS))


def test_a_backend_that_misreads_alike_is_read_alike():
    """A simulated device took `readout_error` for both ways; so does its snapshot, and says so in turn."""
    first = result_of("circuit=bell", "backend=fake_manila", "mode=raw")
    (program,) = plan_of(["circuit=bell", *SNAPSHOT, "mode=raw"]).programs
    errors = program.runs_on.options.noise_model._local_readout_errors.values()  # noqa: SLF001 - Aer has no other way
    assert all(error.probabilities[0, 1] == error.probabilities[1, 0] for error in errors)
    assert first.calibration is not None
    assert program.calibration is not None
    assert first.calibration["reads_evenly"] == program.calibration["reads_evenly"] is True


def test_a_gate_as_bad_as_recorded_is_as_bad_here():
    """Edited to a depolarising error of 0.1 (average infidelity), an x leaves 1 with 0.9: p/2 = 0.1 for p = 0.2."""
    calibration = perfect({0: (0.0, 0.0)})
    for gate in calibration["gates"]:
        gate["parameters"] = told(gate_error=0.1 if gate["gate"] == "x" else 0.0)
    flipped = circuit_file("flipped", "circuit = QuantumCircuit(1)\ncircuit.x(0)")
    words = ("backend=snapshot", written(calibration), "mode=raw", f"mode.shots={SHOTS}")
    (counts,) = result_of(*flipped, *words, "transpile.optimization_level=0").counts.joint
    assert counts["1"] / SHOTS == pytest.approx(0.9, abs=5 * math.sqrt(0.09 / SHOTS))


# --- qubits ---


def test_qubits_keep_the_numbers_of_the_device():
    """What ran on qubits 14 and 18 of 127 is laid out, submitted and recorded on them."""
    first = result_of("circuit=bell", "backend=fake_sherbrooke", "transpile.initial_layout=[18,14]", "mode=raw")
    second = result_of("circuit=bell", *SNAPSHOT, "transpile.initial_layout=[18,14]", "mode=raw")
    third = result_of("circuit=bell", *SNAPSHOT, "mode=raw")
    for result in (first, second, third):
        assert result.calibration is not None
        assert sorted(result.calibration["qubits"]) == ["14", "18"]
    assert second.counts == first.counts
    assert second.backend == third.backend == "fake_sherbrooke_snapshot"


def test_an_isa_circuit_of_the_run_is_run_as_it_is():
    """The artifact `circuit/isa.qpy` of the device is an ISA circuit of its snapshot."""
    first = result_of("circuit=bell", "backend=fake_manila", "mode=raw")
    Path("isa.qpy").write_bytes(first.files["circuit/isa.qpy"])
    second = result_of("circuit=file", "circuit.source=isa.qpy", "transpile=none", *SNAPSHOT, "mode=raw")
    assert second.counts == first.counts


def test_what_does_not_fit_on_the_recorded_qubits_is_refused():
    """More qubits than the run used, and qubits that it did not use."""
    outcome_of(("circuit=bell", "backend=fake_manila", "transpile.initial_layout=[1,2]"))
    assert refusal(*GHZ, *SNAPSHOT) == (
        "circuit: given a circuit of 3 qubits for fake_manila_snapshot; allowed: at most 2 qubits; "
        "remedy: fewer qubits, or a larger backend"
    )
    assert refusal(*SNAPSHOT, "transpile.initial_layout=[0,1]") == (
        "transpile.initial_layout: given [0, 1], of which fake_manila_snapshot does not have 0; "
        "allowed: qubits 1, 2; remedy: transpile.initial_layout=null"
    )


def test_qubits_without_a_gate_between_them_take_no_pair():
    """Manila's qubits 0 and 2 are no neighbours: a run of two single qubits recorded no gate on both."""
    alone = circuit_file("alone", "circuit = QuantumCircuit(2)\ncircuit.h(0)\ncircuit.h(1)")
    outcome_of((*alone, "backend=fake_manila", "transpile.initial_layout=[0,2]", "mode=raw"))
    assert result_of(*alone, *SNAPSHOT, "mode=raw").state == "done"
    assert refusal("circuit=bell", *SNAPSHOT).startswith("transpile: given {'optimization_level': 2}, with which ")


def test_the_tasks_of_a_run_are_put_together():
    """Two tasks on other qubits of one backend: the snapshot has the qubits and gates of both."""
    bell = ("circuit=bell", "backend=fake_manila", "mode=raw")
    outcome_of((*bell, "transpile.initial_layout=[0,1]"), (*bell, "transpile.initial_layout=[1,2]"))
    second = result_of(*GHZ, *SNAPSHOT)
    assert second.calibration is not None
    assert sorted(second.calibration["qubits"]) == ["0", "1", "2"]


def test_of_two_calibrations_the_later_word_counts():
    """Qubit 3 was measured again the next day; qubit 5 was not."""
    early = perfect({3: (0.1, 0.1), 5: (0.2, 0.2)}, target={"operations": {"x": [[3], [5]]}})
    late = perfect({3: (0.3, 0.3)}, last_update="2026-11-03", target={"operations": {"x": [[3]], "rzz": None}})
    found = merged_calibration([late, early])
    assert {qubit: one[0]["value"] for qubit, one in found["qubits"].items()} == {"3": 0.3, "5": 0.2}
    assert (found["last_update"], len(found["gates"])) == ("2026-11-03", 6)
    assert found["target"]["operations"] == {"x": [[3], [5]], "rzz": None}


# --- which run ---


def test_the_latest_run_is_the_latest_of_a_backend_in_its_own_right(command):
    """The same command means the same again: a snapshot's own run is not the latest, but can be named."""
    assert command("backend=fake_manila", "tracking=off").code == 0
    words = ("backend=snapshot", "backend.run=latest", "tracking=off")
    ended = command(*words)
    assert (ended.code, "on fake_manila_snapshot," in ended.out) == (0, True), ended.err
    again = command(*words)
    assert again.out.splitlines()[:3] == ended.out.splitlines()[:3]
    plans = sorted(Path("outputs/journal/plans").glob("*.zip"), key=lambda plan: plan.stat().st_mtime_ns)
    section = point_of(["backend=snapshot", "backend.run=latest"]).experiment.document.backend
    assert isinstance(section, Snapshot)
    assert json.loads(section.calibration)["run"] == plans[0].stem
    named = command("backend=snapshot", f"backend.run={plans[-1].stem}", "tracking=off")
    assert named.out.splitlines()[:3] == ended.out.splitlines()[:3]


def test_the_journal_knows_a_run_whose_results_are_gone(command):
    """The stored plan has the calibration too, of runs that have no results yet."""
    assert command("backend=fake_manila", "tracking=off").code == 0
    (plan,) = Path("outputs/journal/plans").glob("*.zip")
    for folder in Path("outputs").glob("2*"):
        shutil.rmtree(folder)
    ended = command("backend=snapshot", f"backend.run={plan.stem}", "tracking=off")
    assert (ended.code, "on fake_manila_snapshot," in ended.out) == (0, True), ended.err


def test_a_damaged_journal_is_told(command):
    """Where only the journal knows the run, its own word about the damage and what can be done is passed on."""
    assert command("backend=fake_manila", "tracking=off").code == 0
    (plan,) = Path("outputs/journal/plans").glob("*.zip")
    for folder in Path("outputs").glob("2*"):
        shutil.rmtree(folder)
    plan.write_bytes(b"no archive")
    ended = command("backend=snapshot", f"backend.run={plan.stem}", "tracking=off")
    assert (ended.code, ended.err.startswith("journal.folder: ")) == (1, True), ended.err
    assert f"{plan.name} is damaged (" in ended.err


def test_a_run_of_which_a_file_is_gone_is_told_or_read_from_the_journal(command):
    """`latest` means the run whose file is gone; by its id the journal still tells its calibration."""
    assert command("backend=fake_manila", "tracking=off").code == 0
    (file,) = Path("outputs").rglob("calibration.json")
    file.unlink()
    ended = command("backend=snapshot", "backend.run=latest", "tracking=off")
    told = f"backend.run: given {file.parents[1]}, of which 0-main/calibration.json cannot be read (No such file"
    assert (ended.code, told in ended.err) == (2, True), ended.err
    (plan,) = Path("outputs/journal/plans").glob("*.zip")
    assert command("backend=snapshot", f"backend.run={plan.stem}", "tracking=off").code == 0


def test_snapshots_of_several_runs_are_swept_over(command):
    """Each point has the calibration of its own run: 1 is read of a 0 in none, and in all, of the shots."""
    words = circuit_file("idle", "circuit = QuantumCircuit(1)")
    for name, error in (("good", 0.0), ("bad", 1.0)):
        written(perfect({0: (error, 0.0)}), f"{name}.json")
    ended = command("-m", *words, "backend=snapshot", "backend.run=good.json,bad.json", "mode=raw", "tracking=off")
    assert (ended.code, ended.out.count("P(0) = 1\n"), ended.out.count("P(1) = 1\n")) == (0, 1, 1), ended.out


def test_other_contents_are_another_request():
    """The same path with another calibration asks for something else; with an equal one for the same."""
    words = ["backend=snapshot", written(perfect({0: (0.1, 0.1)}))]
    first = fingerprint(point_of(words).experiment, "main")
    assert fingerprint(point_of(words).experiment, "main") == first
    written(perfect({0: (0.1, 0.2)}))
    assert fingerprint(point_of(words).experiment, "main") != first


def test_a_stored_plan_needs_the_run_no_more():
    """What was planned on a snapshot is opened again from the plan alone."""
    outcome_of(("circuit=bell", "backend=fake_manila", "mode=raw"))
    plan = plan_of(["circuit=bell", *SNAPSHOT, "mode=raw"])
    parts = packed(plan)
    shutil.rmtree("results")
    again = unpacked(parts, stored_points(parts), reopened_device)
    assert again.programs[0].runs_on.options.noise_model == plan.programs[0].runs_on.options.noise_model


def test_a_replay_undoes_the_readout_errors_of_a_snapshot(command):
    """Misread one way more than the other: undone, <Z> of 0 is 1 again within its error."""
    words = circuit_file("idle", "circuit = QuantumCircuit(1)", "'z': 'Z'")
    given = ("backend=snapshot", written(perfect({0: (0.2, 0.0)})), "mode=raw", f"mode.shots={SHOTS}", "tracking=off")
    assert command(*words, *given).code == 0
    assert command("action=replay", "action.readout=calibration", "tracking=off").code == 0
    rows = [json.loads(file.read_text())["rows"][0] for file in sorted(Path("outputs").rglob("results.json"))]
    assert rows[0]["ev"] == pytest.approx(0.6, abs=5 * rows[0]["std"])
    assert rows[1]["ev"] == pytest.approx(1.0, abs=5 * rows[1]["std"])


# --- what is refused ---


def test_a_run_without_a_calibration_is_refused():
    """The ideal simulator has no noise to rebuild."""
    outcome_of(("circuit=bell", "backend=aer"))
    assert refusal("circuit=bell", *SNAPSHOT) == (
        "backend.run: given results, a run without a calibration; allowed: a run on a device, or on a simulator of "
        "one; remedy: backend=aer, which has no noise"
    )


def test_a_run_on_several_backends_is_refused():
    """Two devices are not one."""
    outcome_of(("circuit=bell", "backend=fake_manila"), ("circuit=bell", "backend=aer_noisy"))
    assert refusal("circuit=bell", *SNAPSHOT) == (
        "backend.run: given results, a run on aer_noisy(fake_manila), fake_manila; allowed: a run on one backend; "
        "remedy: backend.run=<calibration.json of one of its tasks>"
    )


def test_an_unknown_run_is_refused_with_those_there_are(command):
    """By the path that was typed."""
    ended = command("backend=snapshot", "backend.run=20260101-000000-abcdef", "tracking=off")
    assert ended.code == 2
    assert "backend.run: given 20260101-000000-abcdef; allowed: latest, the id or folder of a recorded run (none" in (
        ended.err
    )
    ended = command("backend=snapshot", "backend.run=latest", "tracking=off")
    assert "backend.run: given latest, and there is no run with a calibration; allowed: " in ended.err
    ended = command("backend=snapshot", "tracking=off")
    assert "backend.run: given nothing; allowed: A recorded run" in ended.err


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "which is not a calibration"),
        ("[]", "which is not a calibration (it holds no mapping)"),
        ("{}", "whose calibration cannot be read (KeyError: 'gates')"),
        ('{"gates": [], "qubits": {}}', "whose calibration cannot be read (there are no qubits in it)"),
        ('{"gates": [], "qubits": {"a": []}}', "whose calibration cannot be read (ValueError"),
        ('{"gates": [], "qubits": {"0": [{"name": "T1", "value": 1, "unit": "h"}]}}', "(KeyError: 'h')"),
    ],
)
def test_what_is_no_calibration_is_refused(content, why):
    """Whatever is wrong with the file, it is told by the run that was named."""
    Path("calibration.json").write_text(content, encoding="utf-8")
    line = refusal("circuit=bell", "backend=snapshot", "backend.run=calibration.json")
    assert line.startswith("backend.run: given calibration.json, ")
    assert why in line


def test_a_snapshot_is_not_called_like_the_device():
    """Nothing that was simulated is shown as measured on it."""
    words = ("backend=snapshot", written(perfect({0: (0.0, 0.0), 1: (0.0, 0.0)})))
    assert refusal(*words, "backend.name=acme") == (
        "backend.name: given acme; allowed: a name that tells it from the device, whose results these are not; "
        "remedy: backend.name=acme_snapshot"
    )
    idle = circuit_file("idle", "circuit = QuantumCircuit(1)")
    assert result_of(*idle, *words, "backend.name=mine", "mode=raw").backend == "mine"
    assert result_of(*idle, *words, "mode=raw").backend == "acme_snapshot"
