"""The transpilation cache: which circuits share an entry, what comes back, and what becomes of damage and crowds."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import time
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from composing import point_of, result_of
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import AnnotatedOperation, ControlModifier, Gate, InverseModifier, Parameter, ParameterVector
from qiskit.circuit.classical import expr, types
from qiskit.circuit.library import IntegerComparatorGate, PauliEvolutionGate, QFTGate, RZGate, XGate
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import Clifford, SparsePauliOp
from qiskit.transpiler import InstructionProperties, Target
from qiskit_ibm_runtime.options_models import NoiseLearnerV3Options

from qrt_runner import SHIPPED
from qrt_runner.backends import Device, open_device
from qrt_runner.circuits import open_circuit
from qrt_runner.config import Transpile, fingerprint
from qrt_runner.mitigation import LearnerOptions
from qrt_runner.mitigation.remembering import remember
from qrt_runner.noise import Layer, LayerNoise, NoiseModel
from qrt_runner.transpilation import lower
from qrt_runner.transpilation.cache import Cache, Entry, cache_folder
from qrt_runner.transpilation.canonical import Canon, digest
from qrt_runner.transpilation.entries import renamed
from qrt_runner.transpilation.identity import identify

DEFAULT = Transpile(
    kind="preset",
    optimization_level=2,
    seed=42,
    initial_layout=None,
    layout_method=None,
    routing_method=None,
    cache=True,
    cache_limit_mib=512,
)
SHIPPED_CIRCUITS = sorted(file.stem for file in (SHIPPED / "conf" / "circuit").glob("*.yaml") if file.stem != "file")


def with_expressions() -> QuantumCircuit:
    """Angles from single parameters, from a vector of more than ten elements, and from sums and products of both."""
    angles, scale, phase = ParameterVector("angle", 12), Parameter("scale"), Parameter("phase")
    circuit = QuantumCircuit(3, name="expressions", metadata={"made": "today"}, global_phase=0.25)
    for index in range(12):
        circuit.ry(angles[index], index % 3)
    circuit.cx(0, 1)
    circuit.rz(2 * angles[11] + scale * phase.sin() - angles[2] / 3, 1)
    circuit.cx(1, 2)
    circuit.rx(phase, 2)
    return circuit


def with_custom_gates() -> QuantumCircuit:
    """Gates made of circuits, one of them without a name, controlled and repeated."""
    angle = Parameter("angle")
    unnamed, named = QuantumCircuit(2), QuantumCircuit(2, name="block")
    unnamed.h(0)
    unnamed.rz(angle, 1)
    unnamed.cx(0, 1)
    named.append(unnamed.to_gate(), [1, 0])
    named.sx(0)
    circuit = QuantumCircuit(3, 1, name="custom")
    for first, second in pairwise(range(3)):
        circuit.append(named.to_gate(), [first, second])
    circuit.append(unnamed.to_gate(label="shown").control(1, ctrl_state=0), [0, 1, 2])
    circuit.append(named.to_gate().inverse(), [0, 2])
    circuit.barrier(0, 1, label="here")
    circuit.measure(0, 0)
    return circuit


def with_library_gates() -> QuantumCircuit:
    """What the library calls by class: a time evolution, a comparator, a transform, a unitary, modifiers."""
    circuit = QuantumCircuit(4, name="library")
    circuit.append(PauliEvolutionGate(SparsePauliOp(["XX", "ZZ"], [0.5, 1]), time=Parameter("time")), [0, 1])
    circuit.append(IntegerComparatorGate(2, 1), [0, 1, 2])
    circuit.append(QFTGate(3), [1, 2, 3])
    circuit.unitary(np.array([[0, 1j], [1j, 0]]), 0)
    circuit.append(Clifford(XGate()), [1])
    circuit.append(AnnotatedOperation(QFTGate(2), [InverseModifier(), ControlModifier(1)]), [1, 2, 3])
    circuit.cx(0, 3, ctrl_state=0)
    return circuit


def with_control_flow() -> QuantumCircuit:
    """Branches and loops on bits, registers and real-time variables, with parameters inside."""
    angle = ParameterVector("angle", 2)
    circuit = QuantumCircuit(QuantumRegister(3, "data"), ClassicalRegister(2, "out"), name="flow")
    circuit.h(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)) as otherwise:
        circuit.rx(angle[1], 1)
    with otherwise:
        circuit.x(2)
    count = circuit.add_var("count", expr.lift(3, types.Uint(4)))
    circuit.store(count, expr.bit_xor(count, expr.lift(5, types.Uint(4))))
    with circuit.switch(expr.bit_and(count, 7)) as case:
        with case(1, 2):
            circuit.ry(angle[0], 0)
        with case(case.DEFAULT):
            inner = circuit.add_var("inner", expr.lift(True))  # noqa: FBT003 - a value of the quantum program
            with circuit.if_test(inner):
                circuit.h(2)
    with circuit.for_loop(range(3)):
        circuit.cx(0, 1)
    circuit.measure(1, 1)
    return circuit


OWN = (with_expressions, with_custom_gates, with_library_gates, with_control_flow)


def shipped(name: str) -> QuantumCircuit:
    """Open a shipped circuit as it is by default."""
    task = point_of([f"circuit={name}"]).experiment.tasks["main"]
    return open_circuit(task.circuit, task.mode.kind).circuit


def device(name: str) -> Device:
    """Open a backend by the name of its option."""
    return open_device(point_of([f"backend={name}"]).experiment.document.backend)


def around(target: Target, where: str = "vendor") -> Device:
    """Return a device with a target of one's own."""
    backend = GenericBackendV2(2, seed=1)
    return Device("own", backend, where, noisy=True, gates=target)


def key(circuit: QuantumCircuit, target: Target, section: Transpile = DEFAULT) -> str:
    """Return the key of a lowered circuit, which must have one."""
    identity = identify(circuit, target, section)
    assert identity is not None
    return identity.key


def entries() -> list[Path]:
    """Return the files in the cache, whatever they are."""
    return sorted(cache_folder().iterdir()) if cache_folder().exists() else []


def in_process(function: str, *, wait: bool = True, **settings: str) -> subprocess.Popen[str]:
    """Start one of the functions below in a process of its own, in this working directory."""
    line = [sys.executable, "-c", f"import test_transpilation_cache as tests; tests.{function}()"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]), **settings}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = subprocess.Popen(line, env=environment, **pipes)  # type: ignore[call-overload]
    if wait:
        started.wait()
    return started


def written(started: subprocess.Popen[str]) -> dict[str, str]:
    """Return what a process wrote as JSON."""
    out, err = started.communicate()
    assert started.returncode == 0, err
    return json.loads(out)


def tell_keys() -> None:
    """Write the keys of all circuits, and of targets; how many circuits were made before must not matter."""
    for _ in range(int(os.environ["PYTHONHASHSEED"])):
        QuantumCircuit(1)
    circuits = {name: shipped(name) for name in SHIPPED_CIRCUITS} | {make.__name__: make() for make in OWN}
    targets = {name: device(name).target for name in ("aer", "fake_fez", "fake_manila")}
    keys = {name: key(circuit, targets["fake_manila"]) for name, circuit in circuits.items()}
    keys |= {name: key(circuits["bell"], target) for name, target in targets.items()}
    sys.stdout.write(json.dumps(keys))


def tell_lowered() -> None:
    """Write how circuits are lowered, and whether they came from the cache."""
    told = {}
    for name in ("bell", "efficient_su2", "qft", "tfim"):
        lowered = lower(shipped(name), device("fake_sherbrooke"), DEFAULT)
        told[name] = digest((Canon().circuit(lowered.isa), lowered.layout, lowered.used))
        told[f"{name} cached"] = lowered.cached
    sys.stdout.write(json.dumps(told))


def lower_without_room() -> None:
    """Lower where no file may get larger than 100 bytes, as on a full disk, and write whether it was cached."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    lowered = [lower(shipped("ghz"), device("fake_manila"), DEFAULT) for _ in range(2)]
    sys.stdout.write(json.dumps([found.cached for found in lowered]))


# --- keys ---------------------------------------------------------------------------------------------------------


def test_equal_requests_have_equal_keys_in_every_process():
    """Other identities of parameters, another order in hash tables, and other counters in names change nothing."""
    first, second, third = (written(in_process("tell_keys", PYTHONHASHSEED=seed)) for seed in ("1", "20", "300"))
    assert first == second == third
    assert len(set(first.values())) == len(first) - 1  # the Bell circuit on fake_manila is in it twice


def test_name_and_metadata_are_not_part_of_the_key():
    """They are the caller's own, and come back as such."""
    named = shipped("ghz")
    named.name, named.metadata = "mine", {"by": object()}
    target = device("fake_manila").target
    assert key(named, target) == key(shipped("ghz"), target)


def base(angle: float = 0.5, *, name: str = "c", phase: float = 0.0, parameter: str = "theta", qubit: int = 1):
    """Return a circuit in which each argument is one property."""
    circuit = QuantumCircuit(QuantumRegister(3, "q"), ClassicalRegister(1, name), global_phase=phase)
    circuit.rx(angle, 0)
    circuit.ry(Parameter(parameter), 0)
    circuit.cx(0, qubit)
    circuit.measure(0, 0)
    return circuit


def subclass(angle: float) -> Gate:
    """Return a gate of a class of its own, which holds an angle in its definition only."""

    class Own(Gate):
        def _define(self) -> None:
            self.definition = QuantumCircuit(1)
            self.definition.rx(angle, 0)

    return Own("own", 1, [])


def holding(gate: Gate) -> QuantumCircuit:
    """Return a circuit of one gate."""
    circuit = QuantumCircuit(gate.num_qubits)
    circuit.append(gate, range(gate.num_qubits))
    return circuit


def rotated(expression) -> QuantumCircuit:
    """Return a circuit of one rotation by an expression of two parameters."""
    circuit = QuantumCircuit(1)
    circuit.rz(expression(Parameter("a"), Parameter("b")), 0)
    return circuit


def defined(angle: float) -> QuantumCircuit:
    """Return a circuit of one custom gate with an angle in its definition."""
    inside = QuantumCircuit(1, name="gate")
    inside.rx(angle, 0)
    return holding(inside.to_gate())


def branching(value: int, angle: float) -> QuantumCircuit:
    """Return a circuit with a condition and an angle in its branch."""
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], value)):
        circuit.rx(angle, 0)
    return circuit


DIFFERENT = {
    "angle": (base(), base(np.nextafter(0.5, 1))),
    "register": (base(), base(name="d")),
    "phase": (base(), base(phase=1e-300)),
    "parameter": (base(), base(parameter="phi")),
    "qubit": (base(), base(qubit=2)),
    "expression": (rotated(lambda a, b: a - b), rotated(lambda a, b: b - a)),
    "coefficient": (rotated(lambda a, b: a + b / 3), rotated(lambda a, b: a + b * np.nextafter(1 / 3, 1))),
    "constant": (rotated(lambda a, _: (2 * a).bind({a: 1.5})), rotated(lambda a, _: (2 * a).bind({a: 2.5}))),
    "vector": (rotated(lambda *_: ParameterVector("v", 3)[1]), rotated(lambda *_: ParameterVector("v", 4)[1])),
    "element": (rotated(lambda *_: ParameterVector("v", 3)[1]), rotated(lambda *_: Parameter("v[1]"))),
    "definition": (defined(0.5), defined(0.6)),
    "class": (holding(subclass(0.5)), holding(subclass(0.6))),
    "comparator": (holding(IntegerComparatorGate(3, 1)), holding(IntegerComparatorGate(3, 2))),
    "evolution": tuple(holding(PauliEvolutionGate(SparsePauliOp(word))) for word in ("XX", "XZ")),
    "condition": (branching(1, 0.5), branching(0, 0.5)),
    "branch": (branching(1, 0.5), branching(1, 0.6)),
    "label": (holding(XGate()), holding(XGate(label="flip"))),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_another_circuit_has_another_key(name):
    """Whatever differs, were it the last bit of an angle or what a library gate keeps beside its parameters."""
    target = device("fake_manila").target
    assert len({key(circuit, target) for circuit in DIFFERENT[name]}) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"optimization_level": 3},
        {"seed": 7},
        {"initial_layout": [0, 1, 2]},
        {"layout_method": "dense"},
        {"routing_method": "basic"},
    ],
    ids=str,
)
def test_another_option_has_another_key(change):
    """Every option of the transpiler is part of the key."""
    target = device("fake_manila").target
    assert key(base(), target, DEFAULT.model_copy(update=change)) != key(base(), target)


def small_target(error: float = 0.01, duration: float = 3e-8, bound: float = 3.0, dt: float = 1e-9, t1: float = 1e-4):
    """Return a target of two qubits in which each argument is one property."""
    properties = GenericBackendV2(2, seed=1).target.qubit_properties
    properties[1].t1 = t1
    target = Target(num_qubits=2, dt=dt, qubit_properties=properties)
    places = {(qubit,): InstructionProperties(duration, error) for qubit in range(2)}
    target.add_instruction(RZGate(Parameter("angle")), places, angle_bounds=[(0, bound)])
    return target


@pytest.mark.parametrize("change", [{"error": 0.011}, {"duration": 3.1e-8}, {"bound": 2.9}, {"dt": 2e-9}, {"t1": 2e-4}])
def test_another_target_has_another_key(change):
    """A target counts by its content: a new calibration is a new target."""
    assert key(holding(XGate()), small_target(**change)) != key(holding(XGate()), small_target())
    assert key(holding(XGate()), small_target()) == key(holding(XGate()), small_target())


def test_another_version_has_another_key(monkeypatch):
    """An update of a package that takes part in transpiling starts anew."""
    target = device("fake_manila").target
    before = key(base(), target)
    monkeypatch.setattr("qrt_runner.transpilation.identity.versions", lambda: {"qiskit": "99.0"})
    assert key(base(), target) != before


def test_what_cannot_be_told_has_no_key():
    """A gate with an object of its own among its parameters might be any gate."""
    circuit = QuantumCircuit(1)
    gate = Gate("own", 1, [])
    gate.params = [0.5]
    gate._params = [object()]  # noqa: SLF001 - no public way leads there, which is why it is unknown
    circuit.append(gate, [0], copy=False)
    assert identify(circuit, device("fake_manila").target, DEFAULT) is None


def test_the_cache_is_not_part_of_a_requests_fingerprint():
    """Results do not depend on it."""
    asked = [point_of(["mode=raw", *words]).experiment for words in ([], ["transpile.cache=false"])]
    assert len({fingerprint(experiment, "main") for experiment in asked}) == 1


# --- hits ---------------------------------------------------------------------------------------------------------


def check_what_comes_back(make, place: Device) -> None:
    """Lower a circuit twice, and once more one made anew: all the same, but for the last one's own names.

    Nothing is transpiled twice: Qiskit may choose differently among gates of equal cost, for all its seed.
    """
    circuit, again = make(), make()
    again.name, again.metadata = "again", {"made": "later"}
    first, second, anew = (lower(asked, place, DEFAULT) for asked in (circuit, circuit, again))
    assert [(lowered.cached, lowered.seconds > 0) for lowered in (first, second, anew)] == [
        (False, True),
        (True, False),
        (True, False),
    ]
    assert second.isa == first.isa
    assert second.circuit == first.circuit
    assert list(second.isa.parameters) == list(first.isa.parameters) == list(circuit.parameters)
    assert list(anew.isa.parameters) == list(again.parameters)
    assert set(anew.isa.iter_declared_vars()) == set(again.iter_declared_vars())
    for lowered in (second, anew):
        assert (lowered.layout, lowered.used) == (first.layout, first.used)
        assert digest(Canon().circuit(lowered.isa)) == digest(Canon().circuit(first.isa))
        assert digest(Canon().circuit(lowered.circuit)) == digest(Canon().circuit(first.circuit))
    assert (second.isa.name, second.isa.metadata) == (first.isa.name, first.isa.metadata)
    assert (anew.isa.name, anew.isa.metadata) == ("again", {"made": "later"})


@pytest.mark.parametrize("name", SHIPPED_CIRCUITS)
def test_a_hit_is_what_transpiling_gives(name):
    """Operations, layout, active qubits and the very parameters of the caller, for every shipped circuit."""
    check_what_comes_back(lambda: shipped(name), device("fake_sherbrooke"))


@pytest.mark.parametrize("make", OWN)
@pytest.mark.parametrize("name", ["fake_sherbrooke", "aer"])
def test_a_hit_is_what_transpiling_gives_for_anything_qiskit_has(make, name):
    """Expressions, custom and library gates, control flow and real-time variables; also on the ideal simulator."""
    check_what_comes_back(make, device(name))


def test_results_from_the_cache_are_the_results():
    """A seeded experiment gives the same numbers from a cached circuit, and says that no time went into transpiling."""
    asked = ("circuit=efficient_su2", "backend=fake_manila", "mode=estimator", "mode.shots=500", "seed=11")
    values = f"circuit.parameter_values={{theta: {[0.1 * index for index in range(16)]}}}"
    words = (*asked, "circuit.params.num_qubits=4", "circuit.params.reps=1", values)
    first, second = result_of(*words), result_of(*words)
    assert first.transpile_s > 0
    assert second.transpile_s == 0
    assert first.expectations is not None
    assert second.expectations is not None
    assert first.expectations.values.tolist() == second.expectations.values.tolist()


def test_identities_are_replaced_wherever_they_stand():
    """Of 16 bytes each, side by side and among others, also where one is exchanged for another."""
    one, two, three = bytes(range(16)), bytes(range(1, 17)), b"\xff" * 16
    body = b"head" + one + two + b"\x00\x01" + one + b"tail"
    assert renamed(body, {one: two, two: three}) == b"head" + two + three + b"\x00\x01" + two + b"tail"


@pytest.mark.parametrize("change", [{"seed": None}, {"cache": False}, {"kind": "none"}], ids=str)
def test_nothing_is_kept_where_nothing_is_to_be(change):
    """A null seed asks for fresh randomness; an ISA circuit has nothing to be kept; and the cache can be off."""
    circuit = QuantumCircuit(1)
    circuit.x(0)
    section = DEFAULT.model_copy(update=change)
    found = [lower(circuit, device("fake_manila"), section) for _ in range(2)]
    assert not any(lowered.cached for lowered in found)
    assert entries() == []


class Flip(Gate):
    """A gate of a vendor, which QPY would give back as a plain one."""

    def __init__(self) -> None:
        """One qubit, no parameters."""
        super().__init__("flip", 1, [])


def test_a_vendors_own_gates_are_not_kept():
    """Their class would be lost, and the vendor may ask for it."""
    target = Target(num_qubits=1)
    target.add_instruction(Flip(), {(0,): None})
    found = [lower(holding(Flip()), around(target), DEFAULT) for _ in range(2)]
    assert [lowered.cached for lowered in found] == [False, False]
    assert {type(lowered.isa.data[0].operation) for lowered in found} == {Flip}
    assert entries() == []


# --- damage and crowds --------------------------------------------------------------------------------------------


DAMAGE = {
    "empty": lambda _: b"",
    "cut off": lambda content: content[:-100],
    "one bit": lambda content: content[:-50] + bytes([content[-50] ^ 1]) + content[-49:],
    "something else": lambda _: b"\xff\xfe" * 300,
    "longer": lambda content: content + b"more",
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_entry_is_transpiled_anew(name):
    """It is no error, and it is replaced by a good one."""
    lower(shipped("ghz"), device("fake_manila"), DEFAULT)
    [file] = entries()
    file.write_bytes(DAMAGE[name](file.read_bytes()))
    found = [lower(shipped("ghz"), device("fake_manila"), DEFAULT) for _ in range(2)]
    assert [lowered.cached for lowered in found] == [False, True]
    assert found[0].isa == found[1].isa
    assert entries() == [file]


def test_a_circuit_that_cannot_be_read_is_transpiled_anew():
    """An entry is whole, but Qiskit cannot read what is in it, or reads something else."""
    circuit, place = shipped("ghz"), device("fake_manila")
    lower(circuit, place, DEFAULT)
    name, cache = key(circuit, place.target), Cache(cache_folder(), 512)
    kept = cache.read(name)
    assert kept is not None
    other = {**kept.header["summary"], "layout": [0, 1, 2]}
    for changed in (
        Entry(kept.header, zlib.compress(b"QISKIT and more")),
        Entry({**kept.header, "summary": other}, kept.body),
    ):
        cache.write(name, changed)
        assert not lower(circuit, place, DEFAULT).cached
        assert lower(circuit, place, DEFAULT).cached


def test_an_entry_of_another_circuit_is_not_believed():
    """A file under the wrong name goes."""
    lower(shipped("h2"), device("fake_manila"), DEFAULT)
    [of_h2] = entries()
    lower(shipped("ghz"), device("fake_manila"), DEFAULT)
    [of_ghz] = set(entries()) - {of_h2}
    of_ghz.write_bytes(of_h2.read_bytes())
    assert not lower(shipped("ghz"), device("fake_manila"), DEFAULT).cached


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(monkeypatch, tmp_path, capfd):
    """A file stands where the folder should be: every circuit is transpiled, without a word."""
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("QRT_CACHE_DIR", str(tmp_path / "taken"))
    assert not any(lower(shipped("ghz"), device("fake_manila"), DEFAULT).cached for _ in range(2))
    assert capfd.readouterr().err == ""


def test_a_full_disk_costs_nothing_but_time():
    """What cannot be written whole leaves nothing behind."""
    assert written(in_process("lower_without_room")) == [False, False]
    assert entries() == []


def test_processes_share_the_cache():
    """Four lower the same circuits at once: all get the same, and one entry for each circuit is left."""
    started = [in_process("tell_lowered", wait=False) for _ in range(4)]
    found = [written(process) for process in started]
    names = [name for name in found[0] if "cached" not in name]
    assert all(told[name] == found[0][name] for told in found for name in names)
    assert len(entries()) == len(names)
    again = written(in_process("tell_lowered"))
    assert all(again[f"{name} cached"] and again[name] == found[0][name] for name in names)


# --- size ---------------------------------------------------------------------------------------------------------


def test_the_least_recently_used_entries_go(tmp_path):
    """Of five entries of 0.3 MiB, 1 MiB holds three: those that were written or read last."""
    cache = Cache(tmp_path / "cache", 1)
    for number, name in enumerate("abcde"):
        cache.write(name, Entry({}, bytes(300_000)))
        os.utime(cache.folder / f"{name}.transpiled", (number, number))
    assert cache.read("a") is not None
    cache.trim()
    assert {name for name in "abcde" if cache.read(name)} == {"a", "d", "e"}


def test_the_cache_stays_within_its_limit(tmp_path):
    """Written to by keys as they are, 1 MiB holds no more than a few entries beyond that, however many there were."""
    cache = Cache(tmp_path / "cache", 1)
    for number in range(300):
        cache.write(hashlib.sha256(bytes([number % 256, number // 256])).hexdigest(), Entry({}, bytes(20_000)))
    amount = cache.amount()
    assert 0.5 < amount.mib < 2.5
    assert amount.entries < 130


def test_an_entry_beyond_the_limit_is_not_kept(tmp_path):
    """It would push out everything else."""
    cache = Cache(tmp_path / "cache", 1)
    cache.write("a", Entry({}, bytes(10)))
    cache.write("0", Entry({}, bytes(2**20)))
    assert cache.read("0") is None
    assert cache.read("a") == Entry({}, bytes(10))


def test_what_a_killed_process_left_is_removed(tmp_path):
    """Once it is an hour old; before that somebody may be writing it."""
    cache = Cache(tmp_path, 1)
    for name, age_s in (("old", 4000), ("new", 10)):
        file = tmp_path / f"{name}.unfinished"
        file.write_bytes(b"half")
        os.utime(file, (time.time() - age_s,) * 2)
    cache.trim()
    assert [file.name for file in tmp_path.iterdir()] == ["new.unfinished"]


# --- where it is, and the command ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "folder"),
    [
        ({"QRT_CACHE_DIR": "/somewhere"}, "/somewhere/transpiled"),
        ({"XDG_CACHE_HOME": "/caches"}, "/caches/qrt_runner/transpiled"),
        ({"HOME": "/someone"}, "/someone/.cache/qrt_runner/transpiled"),
    ],
    ids=str,
)
@pytest.mark.skipif(sys.platform != "linux", reason="macOS and Windows have other places for a user's caches")
def test_the_cache_is_where_caches_are(monkeypatch, settings, folder):
    """QRT_CACHE_DIR wins, then the platform's custom."""
    for name in ("QRT_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert str(cache_folder()) == folder


def test_the_command_shows_the_cache_and_clears_it(command):
    """`action=cache` says where it is and how much is in it; with `action.clear=true` it is empty afterwards."""
    for name in ("ghz", "bell"):
        lower(shipped(name), device("fake_manila"), DEFAULT)
    (cache_folder() / "mine.txt").write_text("not an entry")
    place = re.escape(str(cache_folder()))
    shown = command("action=cache")
    assert shown.code == 0
    told = shown.out.splitlines()
    assert re.fullmatch(rf"transpiled circuits: {place}: 2 entries, 0\.\d MiB of at most 512 MiB", told[0])
    cleared = command("action=cache", "action.clear=true")
    told = cleared.out.splitlines()
    assert re.fullmatch(rf"transpiled circuits: removed 2 entries, 0\.\d MiB from {place}", told[0])
    assert [file.name for file in entries()] == ["mine.txt"]
    assert "0 entries, 0.0 MiB" in command("action=cache").out


def test_learned_noise_models_are_shown_and_cleared_too(command):
    """One that is kept is one entry until it is cleared."""
    layer = LayerNoise(Layer((0, 1), (("cx", (0, 1)),), "pauli"), ("ZZ",), (0.01,))
    device = {"backend_kind": "ibm", "backend": "ibm_fez", "simulated": False, "calibration": "", "group": "pauli"}
    asked = LearnerOptions(**device, strategy="active-accum", max_layers=20, learner=NoiseLearnerV3Options())
    remember(NoiseModel("ibm_fez", (layer,)), asked, "a run")
    told = command("action=cache").out.splitlines()
    assert re.fullmatch(r"learned noise models: \S+noise_models: 1 entry, 0\.0 MiB", told[1])
    assert "learned noise models: removed 1 entry" in command("action=cache", "action.clear=true").out
    assert "noise_models: 0 entries" in command("action=cache").out


def test_the_command_imports_nothing_heavy(process):
    """Looking at the cache takes neither qiskit nor MLflow."""
    ended = process("action=cache", env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"})
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in ended.err.splitlines()}
    assert ended.code == 0
    assert not imported & {"qiskit", "qiskit_aer", "qiskit_ibm_runtime", "mlflow", "numpy"}


def test_only_the_cache_can_be_cleared(command):
    """`clear` belongs to that action alone."""
    ended = command("action.clear=true")
    assert ended.code == 2
    assert "action.clear: given the unknown key with true; allowed: kind" in ended.err
