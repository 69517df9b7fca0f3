"""A compiled plan is packed before anything is submitted; what is made of the pack gives the same numbers, anywhere."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from composing import circuit_file, plan_of, point_of
from qiskit_ibm_runtime.fake_provider import FakeManilaV2

from qrt_runner.backends import Device
from qrt_runner.config import fingerprint
from qrt_runner.errors import AccessError, CircuitError, JournalError, QrtError
from qrt_runner.modes import mode_named
from qrt_runner.plan import (
    away,
    packed,
    parts,
    programs,
    reopened_device,
    request_key,
    stored_points,
    task_keys,
    unpacked,
)
from qrt_runner.results import JobResult, Span
from qrt_runner.runner.scattering import scatter
from qrt_runner.tracking.tables import as_json

if TYPE_CHECKING:
    from qrt_runner.config import Backend
    from qrt_runner.plan import StoredDevice

TURN = "circuit = QuantumCircuit(2)\ncircuit.ry(Parameter('theta'), 0)\ncircuit.cx(0, 1)"
TWO = (
    "circuit = QuantumCircuit(2)\ncircuit.ry(Parameter('theta'), 0)\ncircuit.rz(Parameter('phi'), 1)\ncircuit.cx(0, 1)"
)
SHOTS = "mode.shots=64"
CASES = {
    "raw, ideal": [["mode=raw"]],
    "sampler, ideal": [["mode=sampler"]],
    "estimator, ideal": [["mode=estimator", SHOTS]],
    "raw, noisy": [["mode=raw", "backend=fake_manila"]],
    "sampler, noisy": [["mode=sampler", "backend=fake_manila", "mitigation=twirl"]],
    "estimator, noisy": [["mode=estimator", "backend=fake_manila", SHOTS]],
    "m3": [["mode=raw", "backend=fake_manila", "mitigation=m3"]],
    "m3, many sets": [
        [
            *("turn", "+circuit.parameter_values.theta={linspace:[0,3,7]}", "backend.limits.parameter_sets=3"),
            *("mode=sampler", "backend=fake_manila", "mitigation=twirl", "mitigation.readout=m3"),
        ]
    ],
    "raw, 5 of 127 qubits": [["circuit=ghz", "mode=raw", "backend=fake_sherbrooke"]],
    "estimator, 2 of 127 qubits": [["mode=estimator", "backend=fake_sherbrooke", SHOTS]],
    "several tasks": [["experiment=raw_versus_primitive", "backend=fake_manila"]],
    "two parameters": [
        ["turn2", f"+circuit.parameter_values.theta={theta}", f"+circuit.parameter_values.phi={phi}", SHOTS, mode]
        for theta, phi, mode in ((0.1, 0.2, "mode=estimator"), (0.3, 0.0, "mode=estimator"), (0.3, 0.2, "mode=raw"))
    ],
    "many sets": [["turn", "+circuit.parameter_values.theta={linspace:[0,3,7]}", "backend.limits.parameter_sets=3"]],
    "reference": [["circuit=ghz", "reference=ideal"], ["reference=ideal", "mode=estimator", SHOTS]],
    "known values": [["reference=value", "+reference.values={zz: 1}", "mode=estimator", SHOTS]],
    "projected": [["circuit=efficient_su2", "circuit.clifford=true", "reference=ideal", "mode=estimator", SHOTS]],
    "zne": [["mode=estimator", "mitigation=zne", "backend=fake_manila", SHOTS]],
    "control flow": [["circuit=dynamic_teleport", "backend=fake_sherbrooke"]],
    "observables": [["+circuit.observables={a:ZI,b:{ZZ:0.5,XX:-1.25}}", "mode=estimator", SHOTS]],
}


@pytest.fixture(scope="module", params=CASES)
def plan(request, tmp_path_factory):
    """Return a compiled plan."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("plan"))
        files = {
            "turn": circuit_file("turn", TURN, "'zz': 'ZZ', 'z': 'IZ'"),
            "turn2": circuit_file("turn2", TWO, "'zz': 'ZZ'"),
        }
        points = ([word for given in words for word in files.get(given, [given])] for words in CASES[request.param])
        return plan_of(*points)


@pytest.fixture(scope="module")
def results(plan):
    """Return what its jobs give."""
    return ran(plan)


def restored(plan, opened=reopened_device):
    """Return a plan made of nothing but what it was packed into."""
    files = packed(plan)
    return unpacked(files, stored_points(files), opened)


def turning(values):
    """Return the plan of a sweep over an angle, in mode=estimator."""
    chosen = [*circuit_file("turn", TURN, "'zz': 'ZZ', 'z': 'IZ'"), "mode=estimator", SHOTS]
    return plan_of(*([*chosen, f"+circuit.parameter_values.theta={value}"] for value in values))


def ran(plan):
    """Return what each job gives."""
    results = []
    for job in plan.jobs:
        mode, sent = mode_named(job.mode), job.submission
        pubs = tuple(mode.read(sent, mode.fetch(sent, mode.submit(sent))))
        spans = tuple(Span(number, 0, len(pub.values)) for number, pub in enumerate(job.asked))
        record = {"id": str(job.index), "session_id": "none", "session_kind": "none", "backend": sent.device.name}
        result = JobResult(job.index, "done", pubs[: len(spans)], spans, record, 0.0, 0.0, 0.0)
        results.append(replace(result, calibration=pubs[-1].counts if job.calibrated else None))
    return results


def plain(value):
    """Return anything that a plan or a result holds as text, floats to the last bit."""
    if isinstance(value, np.ndarray):
        return [value.shape, value.dtype.str, value.tobytes().hex()]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return value if isinstance(value, int | float | str | None) else repr(value)


def told(plan):
    """Return all that a plan holds, circuits compared by Qiskit and told by name, points by their requests."""
    return [
        [plain((one.sizes, one.lowered.used, one.lowered.layout, one.lowered.seconds)) for one in plan.programs],
        [plain((one.index, one.mode, one.group, one.expected_s, one.loads)) for one in plan.jobs],
        [plain((one.submission.shots, one.submission.seed)) for one in plan.jobs],
        [plain([(pub.values, dict(pub.observables)) for pub in one.submission.pubs]) for one in plan.jobs],
        [(one.name, fingerprint(one.point.experiment, one.name), one.point.config_yaml()) for one in plan.tasks],
        [plain((one.logical.sets, one.logical.notes, dict(one.logical.observables))) for one in plan.tasks],
        [plain((one.ledger, one.reference, one.places, one.price)) for one in plan.tasks],
        [plain((one.index, one.asked, one.device.name, one.jobs, one.reason)) for one in plan.groups],
    ]


def circuits_of(plan):
    """Return the circuits of a plan in the order of its programs, jobs and tasks."""
    held = [(one.circuit, one.lowered.isa, one.lowered.circuit) for one in plan.programs]
    sent = [pub.circuit for job in plan.jobs for pub in job.submission.pubs]
    return [*(circuit for three in held for circuit in three), *sent, *(task.logical.circuit for task in plan.tasks)]


def places_of(plan):
    """Return which of the things that a plan shares are one and the same, as the place where each is met first."""
    things = [*circuits_of(plan), *(one.device for one in plan.programs), *(one.runs_on for one in plan.programs)]
    for job in plan.jobs:
        things += [job.submission.device, job.submission.runs_on]
        things += [pub.observables for pub in job.submission.pubs]
        things += [job.submission.options] if job.submission.options is not None else []
    for task in plan.tasks:
        things += [task.program, task.logical.observables, task.ledger, task.point]
    return [[id(thing) for thing in things].index(id(thing)) for thing in things]


# The round trip


def test_a_restored_plan_holds_the_same(plan):
    """Circuits, options, numbers and requests are equal, and what the plan shares is shared again."""
    again = restored(plan)
    assert told(again) == told(plan)
    assert circuits_of(again) == circuits_of(plan)
    assert [one.submission.options for one in again.jobs] == [one.submission.options for one in plan.jobs]
    assert [one.point.experiment for one in again.tasks] == [one.point.experiment for one in plan.tasks]
    assert places_of(again) == places_of(plan)


def test_a_restored_plan_gives_the_same_results(plan, results):
    """Run with the seeds of the original, it gives the same counts and numbers, bit for bit."""
    assert plain(ran(restored(plan))) == plain(results)


def test_results_are_read_without_any_backend(plan, results):
    """What was measured becomes the same results of tasks by a plan without backends."""
    bare = restored(plan, away)
    assert {job.submission.runs_on for job in bare.jobs} == {None}
    kept = ("state", "backend", "counts", "expectations", "comparison", "parameter_values", "ledger", "sizes", "notes")
    kept = (*kept, "corrected", "readouts")
    for given, wanted in zip(scatter(bare, results), scatter(plan, results), strict=True):
        for one, other in zip(given, wanted, strict=True):
            assert [plain(getattr(one, name)) for name in kept] == [plain(getattr(other, name)) for name in kept]
            assert one.files.keys() == other.files.keys()
            assert one.files["circuit/isa.txt"] == other.files["circuit/isa.txt"]


def test_a_calibration_is_not_asked_for_again(monkeypatch):
    """What `calibration.json` shows is as it was when the plan was packed, whatever the device says later."""
    plan = plan_of(["backend=fake_manila"])
    files = packed(plan)
    monkeypatch.setattr(Device, "calibration", lambda *_: pytest.fail("asked again"))
    (program,) = unpacked(files, stored_points(files), reopened_device).programs
    assert as_json(program.calibration) == as_json(plan.programs[0].calibration)


def test_points_that_failed_are_restored_with_their_mistakes():
    """A circuit file that cannot be loaded fails its point alone, also in another process."""
    Path("broken.qasm").write_text("OPENQASM 3.0;\nqubit q\n", encoding="utf-8")
    plan = plan_of(["circuit=bell"], ["circuit=file", "circuit.source=broken.qasm"])
    (refusal,) = restored(plan).refusals
    assert refusal.point.index == 1
    assert type(refusal.error) is CircuitError
    assert refusal.error.mistakes == plan.refusals[0].error.mistakes


def test_a_plan_of_refused_points_only_is_restored():
    """There is nothing to run then, and all to tell."""
    Path("broken.qasm").write_text("OPENQASM 3.0;\nqubit q\n", encoding="utf-8")
    again = restored(plan_of(["circuit=file", "circuit.source=broken.qasm"]))
    assert (again.jobs, again.tasks, len(again.refusals)) == ((), (), 1)


def test_options_mean_what_they_meant():
    """Where the runtime's defaults are others by then, the options are still those that were planned."""
    files = packed(turning([1]))
    content = json.loads(files["plan.json"])
    content["options"][0]["meant"]["dynamical_decoupling"]["sequence_type"] = "XpXm"
    files["plan.json"] = json.dumps(content).encode()
    (job,) = unpacked(files, stored_points(files), away).jobs
    assert job.submission.options.dynamical_decoupling.sequence_type == "XpXm"
    assert job.submission.options.default_shots == 64


# Devices


def test_each_device_is_opened_once_and_only_as_told():
    """The caller opens, by the backend's section of the config, and may leave a device alone."""
    plan = plan_of(["backend=fake_manila"], ["mode=raw"], ["backend=fake_manila", "mode=raw"])
    files, asked = packed(plan), []

    def opened(section: str, stored: StoredDevice) -> Device:
        asked.append((json.loads(section)["kind"], stored.name, stored.jobs))
        return reopened_device(section, stored) if stored.name == "fake_manila" else away(section, stored)

    again = unpacked(files, stored_points(files), opened)
    assert asked == [("fake", "fake_manila", (0, 2)), ("aer", "aer", (1,))]
    assert [job.submission.runs_on is None for job in again.jobs] == [False, True, False]


@pytest.fixture
def least_busy(monkeypatch):
    """Return a plan of two jobs in a batch on IBM Quantum, where the service has chosen the backend."""

    def opened(section: Backend) -> Device:
        return Device("ibm_lisbon", FakeManilaV2(), "ibm", noisy=True, section=section.model_dump_json())

    monkeypatch.setattr(programs, "open_device", opened)
    return plan_of(*(["backend=ibm_least_busy", "session=batch", f"mode={mode}"] for mode in ("raw", "sampler")))


def test_the_backend_that_was_chosen_is_kept(least_busy):
    """Circuits were lowered to the one that was the least busy then, and its section names it from now on."""
    assert json.loads(least_busy.jobs[0].submission.device.section)["name"] is None
    again = restored(least_busy, away)
    device = again.jobs[0].submission.device
    assert (device.name, device.where, json.loads(device.section)["name"]) == ("ibm_lisbon", "ibm", "ibm_lisbon")
    assert told(again) == told(least_busy)
    assert again.groups[0].device is device


def test_another_device_than_the_stored_one_is_refused(least_busy, monkeypatch):
    """Circuits lowered to one backend are not submitted to another."""
    monkeypatch.setattr("qrt_runner.plan.restoring.reopened", lambda _: Device("ibm_porto", None, "ibm", noisy=True))
    with pytest.raises(AccessError) as caught:
        restored(least_busy)
    assert str(caught.value) == (
        "backend: given ibm_porto, for circuits that were lowered to ibm_lisbon; "
        "remedy: run the command anew with resume=never"
    )


# What cannot be kept, and what is damaged

MINE = """
from qiskit import QuantumCircuit
from qiskit.circuit import Gate


class Mine(Gate):
    def __init__(self):
        super().__init__("sx", 1, [])


def build():
    circuit = QuantumCircuit(1)
    circuit.append(Mine(), [0])
    return circuit
"""


def test_gates_that_do_not_come_back_are_not_submitted():
    """A gate of somebody's own would come back as another one: results can be read by it, jobs not submitted."""
    Path("mine.py").write_text(MINE, encoding="utf-8")
    plan = plan_of(["circuit=file", "circuit.source=mine.py", "transpile=none", "mode=raw", "backend=fake_manila"])
    assert restored(plan, away).tasks[0].program.lowered.used == (0,)
    with pytest.raises(
        JournalError, match=r"given .*, with gates that QPY does not give back as they were; .*resume=never"
    ):
        restored(plan)


def test_a_circuit_that_qpy_cannot_say_is_refused_before_it_is_submitted():
    """What cannot be kept could not be interpreted later."""
    chosen = circuit_file("odd", "circuit = QuantumCircuit(1, metadata={'by': object()})\ncircuit.h(0)")
    with pytest.raises(QrtError, match=r"circuit: given one that cannot be kept as QPY \(TypeError.*allowed.*remedy"):
        packed(plan_of([*chosen, "mode=raw"]))


@pytest.fixture(scope="module")
def files():
    """Return what a plan was packed into."""
    return packed(plan_of(["circuit=ghz", "reference=ideal"]))


@pytest.mark.parametrize("part", [parts.PLAN, parts.CIRCUITS, parts.ARRAYS, parts.POINTS])
@pytest.mark.parametrize("damage", ["missing", "cut", "empty", "garbled"])
def test_a_damaged_part_is_named(files, part, damage):
    """Whatever has happened to it, one clean error says which part it is and what can be done."""
    content = files[part]
    harmed = {"cut": content[: len(content) // 2], "empty": b"", "garbled": bytes(reversed(content))}
    given = {name: harmed.get(damage) if name == part else kept for name, kept in files.items()}
    given = {name: kept for name, kept in given.items() if kept is not None}
    with pytest.raises(JournalError) as caught:
        unpacked(given, stored_points(given), away)
    word = "missing" if damage == "missing" else "damaged"
    assert str(caught.value).startswith(f"The stored plan cannot be read: {part} is {word}")
    assert str(caught.value).endswith("or run the command anew with resume=never")


def test_numbers_that_do_not_belong_together_are_damage(files):
    """Arrays of another plan have other lengths."""
    with pytest.raises(JournalError, match=r"arrays\.npz is damaged"):
        unpacked({**files, parts.ARRAYS: packed(turning([1, 2]))[parts.ARRAYS]}, stored_points(files), away)


def test_a_part_has_a_largest_size(files, monkeypatch):
    """QPY from elsewhere is not read whatever its size, and none is written that would not be read again."""
    monkeypatch.setattr(parts, "MOST_MIB", len(files[parts.CIRCUITS]) / 2**20 - 1e-6)
    with pytest.raises(JournalError, match=r"circuits.qpy of a stored plan: given 0 MiB; allowed: at most .* MiB"):
        parts.circuits_in(files)
    with pytest.raises(JournalError, match="of a stored plan: given"):
        packed(plan_of(["circuit=ghz"]))


def test_a_small_archive_of_large_arrays_is_not_unpacked(monkeypatch):
    """Zeros compress a thousandfold."""
    stream = io.BytesIO()
    np.savez_compressed(stream, sets=np.zeros(2**20))
    monkeypatch.setattr(parts, "MOST_MIB", 1)
    with pytest.raises(JournalError, match=r"arrays.npz of a stored plan: given 8 MiB; allowed: at most 1 MiB"):
        parts.arrays_in({parts.ARRAYS: stream.getvalue()})


def test_a_plan_of_another_format_is_refused(files):
    """It says which version can go on."""
    content = json.loads(files[parts.PLAN]) | {"format": 99, "version": "9.1"}
    with pytest.raises(
        JournalError, match=r"given format 99, written by qrt_runner 9.1; allowed: 1; remedy: go on with"
    ):
        unpacked({**files, parts.PLAN: json.dumps(content).encode()}, {}, away)


def test_a_config_that_this_version_does_not_know_is_told(files):
    """A plan may have been stored by another version."""
    line = json.loads(files[parts.POINTS])
    line["document"]["seed"] = "soon"
    with pytest.raises(JournalError, match=r"a config of it does not fit this version.*seed: given 'soon'"):
        stored_points({parts.POINTS: json.dumps(line).encode()})


def as_before(line):
    """Return a line of points.jsonl as it was written before circuits could be projected and runs be compared."""
    document = line["document"]
    document.pop("runs", None)
    if document.get("overview") is None:
        document.pop("overview", None)
    for sections in (document, *document.get("tasks", {}).values()):
        (sections.get("circuit") or {}).pop("clifford", None)
        for name in ("readout", "noise_model", "learning"):
            (sections.get("mitigation") or {}).pop(name, None)
    if "reference" in document:
        document["reference"] = {"kind": document["reference"]["kind"], "max_qubits": 20}
    return line


@pytest.mark.parametrize(
    "points",
    [
        [["circuit=ghz", "reference=ideal"]],
        [["circuit=ghz", "reference=none"], ["circuit=bell", "reference=ideal"], ["circuit=bell", "reference=none"]],
        [["experiment=raw_versus_primitive", "+circuit@tasks.raw.circuit=ghz"]],
    ],
    ids=["one", "a sweep", "tasks"],
)
def test_a_plan_of_the_former_version_is_read(points):
    """Circuits without the word are not projected, what has no reference has none, exact values are asked for."""
    plan = plan_of(*points)
    files = packed(plan)
    lines = [as_before(json.loads(line)) for line in files[parts.POINTS].decode().splitlines()]
    files[parts.POINTS] = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
    again = unpacked(files, stored_points(files), away)
    assert len(again.tasks) == len(plan.tasks)
    for one, other in zip(plan.tasks, again.tasks, strict=True):
        assert other.point.experiment == one.point.experiment
    assert task_keys(again) == task_keys(plan)


# Identity


def test_equal_tasks_have_equal_keys_in_every_process(plan):
    """Circuits are told by what they hold, not by the random names that QPY keeps."""
    assert task_keys(restored(plan, away)) == task_keys(plan)


def test_tasks_are_told_apart_by_content():
    """Another value, and another circuit in a file of the same name, are another task; another point is not."""
    before = task_keys(turning([1, 2, 1]))
    assert before[0] == before[2] != before[1]
    circuit_file("turn", TURN.replace("cx", "cz"), "'zz': 'ZZ', 'z': 'IZ'")
    words = ["circuit=file", "circuit.name=turn", "circuit.source=turn.py", "mode=estimator", SHOTS]
    (after,) = task_keys(plan_of([*words, "+circuit.parameter_values.theta=1"]))
    assert after != before[0]


def test_observables_of_a_circuit_file_are_content():
    """The config does not say which they are."""
    words = [*circuit_file("one", "circuit = QuantumCircuit(1)\ncircuit.h(0)", "'a': 'Z'"), "mode=estimator", SHOTS]
    before = task_keys(plan_of(words))
    circuit_file("one", "circuit = QuantumCircuit(1)\ncircuit.h(0)", "'a': 'X'")
    assert task_keys(plan_of(words)) != before


def key_of(points, name="bell"):
    """Return the key of a command that asks for these points, in this order."""
    return request_key([replace(point, index=index) for index, point in enumerate(points)], name)


def test_equal_commands_have_equal_keys():
    """Where results are logged does not matter; what is run, and in which order, does."""
    one, other = point_of(["mode=raw"]), point_of(["mode=sampler"])
    elsewhere = point_of(["mode=sampler", "tracking=mlflow", "tracking.uri=sqlite:///other.db"])
    assert key_of([one, other]) == key_of([one, elsewhere])
    different = [[one, other], [other, one], [one], [point_of(["mode=raw", "seed=8"])]]
    assert len({*map(key_of, different), key_of([one], "other")}) == 5


def test_an_edited_file_is_another_command():
    """Before anything is compiled, circuit files and files of values are told by what they hold."""
    words = [*circuit_file("turn", TURN, "'zz': 'ZZ'"), "+circuit.parameter_values.theta={file: angles.csv}"]
    points, keys = [point_of(words)], []
    for angles in ("1\n2\n", "1\n3\n"):
        Path("angles.csv").write_text(angles, encoding="utf-8")
        keys += [key_of(points), key_of(points)]
    circuit_file("turn", TURN, "'zz': 'XX'")
    keys += [key_of(points)]
    Path("angles.csv").unlink()
    keys += [key_of(points)]
    assert [keys.index(key) for key in keys] == [0, 0, 2, 2, 4, 5]
