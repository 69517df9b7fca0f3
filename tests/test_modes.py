"""raw, sampler and estimator give the right numbers, and the same ones again."""

from __future__ import annotations

from functools import reduce
from math import cos, pi, sin, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from composing import circuit_file, plan_of, result_of
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter
from qiskit_aer import AerSimulator
from scipy.linalg import expm

from qrt_runner.backends import Device
from qrt_runner.modes import Pub, Submission, mode_named

if TYPE_CHECKING:
    from qrt_runner.results import Counts, TaskResult

MODES = ["raw", "sampler", "estimator"]
SIGMAS = 4
"""Tolerance in standard errors; a right program misses it for 1 seed in 16,000."""

ROTATION = ("rotation", "circuit = QuantumCircuit(1)\ncircuit.ry(Parameter('theta'), 0)", "'z': 'Z'")
"""RY(theta) on |0>, where <Z> = cos(theta)."""


# The same numbers again


def numbers(result: TaskResult) -> dict[str, Any]:
    """Return all measured numbers of a task as plain values, to be compared bit for bit."""
    found = result.expectations
    return {
        "counts": result.counts.joint if result.counts else None,
        "values": found.values.tobytes(),
        "errors": found.errors.tobytes(),
        "details": {name: array.tobytes() for name, array in found.details.items()},
    }


REPEATED = [
    *[[f"backend={backend}", f"mode={mode}"] for backend in ("aer", "fake_manila") for mode in MODES],
    ["backend=fake_manila", "mode=sampler", "mitigation=twirl"],
    ["backend=fake_manila", "mode=estimator", "mitigation=twirl"],
    ["backend=fake_manila", "mode=estimator", "mitigation=level_2"],
    [
        "backend=fake_manila",
        "mode=estimator",
        "mitigation=zne",
        "mitigation.options.resilience.zne.noise_factors=[1,2,3]",
    ],
]
"""Noise factors that are no odd integers fold a random subset of the gates."""


@pytest.mark.parametrize("chosen", REPEATED, ids=lambda words: "-".join(word.rpartition("=")[2] for word in words))
def test_the_same_seed_gives_the_same_numbers(chosen):
    """The same circuit and seed give the same numbers again, bit for bit; another seed gives other ones."""
    chosen = [*chosen, "circuit=random", "circuit.params.num_qubits=3", "circuit.params.depth=3"]
    first = numbers(result_of(*chosen, "seed=5"))
    assert numbers(result_of(*chosen, "seed=5")) == first
    assert numbers(result_of(*chosen, "seed=6")) != first


def test_without_a_seed_the_numbers_differ():
    """`seed=null` gives fresh randomness each time."""
    chosen = ["backend=fake_manila", "circuit=random", "seed=null", "mode.shots=4096"]
    assert numbers(result_of(*chosen)) != numbers(result_of(*chosen))


def test_parameter_sets_do_not_share_their_noise():
    """Four times the same parameter value gives four samples of their own, not four copies."""
    for mode in MODES:
        chosen = [*circuit_file(*ROTATION), f"mode={mode}", "+circuit.parameter_values.theta=[1,1,1,1]"]
        assert len(set(result_of(*chosen).expectations.values[:, 0])) == 4


# Numbers worked out by hand


def test_bell_by_the_estimator_is_exact():
    """<ZZ> = <XX> = 1 of a Bell pair: every shot has the eigenvalue +1, so there is nothing to err about."""
    found = result_of("mode=estimator").expectations
    assert found.names == ("zz", "xx")
    assert found.values.tolist() == [[1.0, 1.0]]
    assert found.errors.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("mode", ["raw", "sampler"])
def test_bell_by_counts(mode):
    """A Bell pair gives 00 and 11 only, each for half the shots within 4 standard errors."""
    result = result_of(f"mode={mode}", "mode.shots=10000")
    joint = result.counts.joint[0]
    assert set(joint) == {"00", "11"}
    assert abs(joint["00"] - 5000) < SIGMAS * sqrt(10_000) / 2
    assert result.expectations.values.tolist() == [[1.0]]


def test_counting_modes_leave_out_what_counts_cannot_tell():
    """The circuit file's <XX> is left out of counts with a note that names the remedy."""
    result = result_of("mode=raw")
    assert result.expectations.names == ("zz",)
    told = "observable xx left out: it is not diagonal (X or Y in it); mode=estimator tells it"
    assert result.notes == (told,)


@pytest.mark.parametrize("width", [2, 5])
def test_ghz_parity(width):
    """X on all qubits of a GHZ state, and Z on both its ends, are exactly 1."""
    found = result_of("circuit=ghz", f"circuit.params.num_qubits={width}", "mode=estimator").expectations
    assert dict(zip(found.names, found.values[0], strict=True)) == {"zz_ends": 1.0, "parity_x": 1.0}


def test_h2_ground_energy():
    """The Estimator finds H2's electronic ground energy, -1.857275 hartree.

    At theta = -0.2235370 the outcomes 01 and 10 come with p = sin^2(theta/2) = 0.012440 for the latter and differ in
    the diagonal energy by 4 * 0.397937; <XX> = sin(theta) = -0.221799 has the weight 0.180931. Each part has a standard
    error of 0.00276 with 4,096 shots, together 0.0039.
    """
    found = result_of("circuit=h2", "mode=estimator", "mode.shots=4096").expectations
    diagonal = 4 * 0.397937 * sqrt(0.012440 * (1 - 0.012440)) / sqrt(4096)
    exchange = 0.180931 * sqrt(1 - 0.221799**2) / sqrt(4096)
    assert abs(found.values[0, found.names.index("energy")] + 1.857275) < SIGMAS * sqrt(diagonal**2 + exchange**2)


@pytest.mark.parametrize("mode", ["raw", "sampler"])
def test_h2_diagonal_energy_by_counts(mode):
    """Counts tell the diagonal part of H2's energy, -1.817166 hartree, and the standard error that it has.

    a - 2 c cos(theta) = -1.041093 - 0.795875 * 0.975119; the error is 4 c sqrt(p (1 - p) / shots) = 0.00276.
    """
    found = result_of("circuit=h2", f"mode={mode}", "mode.shots=4096").expectations
    column = found.names.index("energy_diagonal")
    assert abs(found.values[0, column] + 1.817166) < SIGMAS * 0.00276
    assert found.errors[0, column] == pytest.approx(0.00276, rel=0.15)


def chain(letters: str, width: int) -> list[np.ndarray]:
    """Return `letters` at every place of a chain, qubit 0 rightmost."""
    single = {"I": np.eye(2), "X": np.array([[0, 1], [1, 0]]), "Z": np.diag([1, -1])}
    places = width - len(letters) + 1
    words = ["I" * (places - 1 - place) + letters + "I" * place for place in range(places)]
    return [reduce(np.kron, [single[letter] for letter in word]) for word in words]


def commutator(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return [one, other]."""
    return one @ other - other @ one


def test_tfim_against_exact_evolution():
    """A quenched Ising chain follows exp(-i H t) within the Trotter error and 4 standard errors.

    One Strang step errs by at most dt^3 (||[B,[B,A]]||/12 + ||[A,[A,B]]||/24) in norm, A the outer half steps and B the
    inner one (Childs et al., PRX 11, 011020 (2021), proposition 10); expectation values err by 2 ||O|| times that.
    """
    width, steps, dt = 4, 16, 0.0625
    field = -np.sum(chain("X", width), axis=0)
    coupling = -np.sum(chain("ZZ", width), axis=0)
    state = expm(-1j * (field + coupling) * steps * dt)[:, 0]
    inner = np.linalg.norm(commutator(coupling, commutator(coupling, field)), 2)
    outer = np.linalg.norm(commutator(field, commutator(field, coupling)), 2)
    trotter = steps * dt**3 * (inner / 12 + outer / 24)
    means = {"z_mean": chain("Z", width), "zz_chain": chain("ZZ", width), "x_mean": chain("X", width)}
    asked = ["circuit=tfim", f"circuit.params.steps={steps}", f"circuit.params.dt={dt}", "mode=estimator"]
    found = result_of(*asked, "mode.shots=20000").expectations
    for name, terms in means.items():
        exact = np.vdot(state, np.mean(terms, axis=0) @ state).real
        statistical = SIGMAS / sqrt(20_000)  # at worst: all terms of a mean fully correlated
        assert abs(found.values[0, found.names.index(name)] - exact) < 2 * trotter + statistical


def test_counts_and_estimator_agree_on_a_noisy_device():
    """On Manila raw, sampler and estimator give one noisy <ZZ>, pairwise within 4 standard errors, and it is not 1."""
    chosen = ["backend=fake_manila", "circuit=ghz", "mode.shots=8192"]
    found = [result_of(*chosen, f"mode={mode}", f"seed={seed}").expectations for seed, mode in enumerate(MODES)]
    values, errors = [one.values[0, 0] for one in found], [one.errors[0, 0] for one in found]
    for one in range(3):
        assert values[one] < 1 - 10 * errors[one]
        for other in range(one):
            assert abs(values[one] - values[other]) < SIGMAS * sqrt(errors[one] ** 2 + errors[other] ** 2)


# Registers


@pytest.mark.parametrize("mode", ["raw", "sampler"])
@pytest.mark.parametrize("backend", ["aer", "fake_manila", "fake_fez"])
def test_registers_of_teleportation_are_kept_apart(backend, mode):
    """Teleportation's Bell outcomes are even coins in registers of their own; `bob` reads 0, always or up to noise."""
    result = result_of("circuit=dynamic_teleport", f"backend={backend}", f"mode={mode}", "mode.shots=4000")
    (registers,) = result.counts.by_register()
    assert set(registers) == {"crz", "crx", "bob"}
    slack = {"aer": 0, "fake_manila": 0.1, "fake_fez": 0.05}[backend]  # readout of 0 and 1 errs differently
    for coin in ("crz", "crx"):
        assert abs(registers[coin]["0"] / 4000 - 0.5) < SIGMAS * 0.5 / sqrt(4000) + slack
    assert registers["bob"]["0"] >= 4000 * {"aer": 1, "fake_manila": 0.85, "fake_fez": 0.95}[backend]


@pytest.mark.parametrize("mode", ["raw", "sampler"])
def test_each_register_reads_its_own_bits(mode):
    """X on qubits 0 and 3 reads 01 in the first register (qubits 1, 0) and 10 in the second (qubits 3, 2)."""
    lines = """
circuit = QuantumCircuit(QuantumRegister(4), ClassicalRegister(2, 'low'), ClassicalRegister(2, 'high'))
circuit.x([0, 3])
circuit.measure([0, 1, 2, 3], [0, 1, 2, 3])
"""
    result = result_of(*circuit_file("two", lines, "'z_3': 'ZIII', 'z_2': 'IZII'"), f"mode={mode}", "mode.shots=10")
    assert result.counts.by_register() == [{"low": {"01": 10}, "high": {"10": 10}}]
    assert result.counts.joint == ({"1001": 10},)
    assert result.expectations.values.tolist() == [[-1.0, 1.0]]


@pytest.mark.parametrize("mode", ["raw", "sampler"])
def test_a_lone_classical_bit_is_counted(mode, tmp_path):
    """OpenQASM 3's `bit c;`, a classical bit outside any register, is counted like any other."""
    text = 'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[2] q;\nbit c;\nx q[0];\nc = measure q[0];\n'
    (tmp_path / "lone.qasm3").write_text(text, encoding="utf-8")
    chosen = ["circuit=file", "circuit.source=lone.qasm3", "+circuit.observables={z: IZ}", f"mode={mode}"]
    result = result_of(*chosen, "mode.shots=10")
    assert result.counts.joint == ({"1": 10},)
    assert result.expectations.values.tolist() == [[-1.0]]


# Parameter sets, shots and precision


@pytest.mark.parametrize("mode", MODES)
def test_parameter_sets_broadcast(mode):
    """Five angles from 0 to pi give <Z> = cos(theta), in their order, within 4 standard errors of each."""
    values = "'+circuit.parameter_values.theta={linspace: [0, 3.141592653589793, 5]}'".strip("'")
    result = result_of(*circuit_file(*ROTATION), values, f"mode={mode}", "mode.shots=4000")
    angles = np.array([0, pi / 4, pi / 2, 3 * pi / 4, pi])
    assert result.parameters == ("theta",)
    assert np.allclose(result.parameter_values[:, 0], angles)
    assert result.expectations.values.shape == (5, 1)
    errors = np.sin(angles) / sqrt(4000)
    assert (abs(result.expectations.values[:, 0] - np.cos(angles)) <= SIGMAS * errors + 1e-12).all()
    assert np.allclose(result.expectations.errors[:, 0], errors, rtol=0.1, atol=1e-7)


@pytest.mark.parametrize("mode", MODES)
def test_several_observables_and_parameter_sets_keep_their_places(mode):
    """Three angles and two observables give <ZI> = cos(theta) and <IZ> = -1, set by set."""
    lines = "circuit = QuantumCircuit(2)\ncircuit.x(0)\ncircuit.ry(Parameter('theta'), 1)"
    chosen = circuit_file("two_places", lines, "'z_1': 'ZI', 'z_0': 'IZ'")
    found = result_of(*chosen, "+circuit.parameter_values.theta=[0.5,1.5,2.5]", f"mode={mode}").expectations
    assert found.names == ("z_1", "z_0")
    assert found.values[:, 1].tolist() == [-1.0, -1.0, -1.0]
    for row, angle in enumerate([0.5, 1.5, 2.5]):
        assert abs(found.values[row, 0] - cos(angle)) < SIGMAS * sin(angle) / sqrt(1024)


@pytest.mark.parametrize("backend", ["aer", "fake_manila"])
def test_precision_instead_of_shots(backend):
    """With `mode.precision=0.02`, <Z> = 0 has a standard error of 0.02, from 1/0.02^2 = 2,500 shots."""
    chosen = [*circuit_file(*ROTATION), f"+circuit.parameter_values.theta={pi / 2}", f"backend={backend}"]
    result = result_of(*chosen, "mode=estimator", "mode.precision=0.02")
    assert result.jobs[0].record["shots"] == 2500
    assert result.expectations.errors[0, 0] == pytest.approx(0.02, rel=0.02)
    assert abs(result.expectations.values[0, 0]) < SIGMAS * 0.02 + (0.02 if backend == "fake_manila" else 0)


@pytest.mark.parametrize("mode", ["raw", "sampler"])
def test_shots_are_those_asked_for(mode):
    """Each parameter set gets the shots asked for."""
    chosen = [*circuit_file(*ROTATION), "+circuit.parameter_values.theta=[0.1,0.2,0.3]", f"mode={mode}"]
    assert result_of(*chosen, "mode.shots=777").counts.shots() == [777, 777, 777]


# The path that raw takes on IBM: Executor with plain circuit items, here with a local simulator


def two_ways(circuit: QuantumCircuit, values: np.ndarray, shots: int) -> tuple[Counts, Counts]:
    """Return the counts of a circuit by the Executor and by `BackendV2.run`."""
    simulator = AerSimulator()
    pubs = (Pub(circuit, values, {}),)
    on_ibm = Submission(Device("local", simulator, "ibm", noisy=False), simulator, pubs, shots, seed=11)
    here = Submission(Device("local", simulator, "simulator", noisy=False), simulator, pubs, shots, seed=12)
    raw = mode_named("raw")
    (executed,), (run,) = (raw.read(asked, raw.fetch(asked, raw.submit(asked))) for asked in (on_ibm, here))
    return executed.counts, run.counts


def test_the_executor_keeps_bit_order_and_registers():
    """X on qubit 0 of an asymmetric circuit reads 1 in the same bit by the Executor as by `run`: 01 in `b`."""
    a, b = ClassicalRegister(1, "a"), ClassicalRegister(2, "b")
    circuit = QuantumCircuit(QuantumRegister(3), a, b)
    circuit.x(0)
    circuit.measure([0, 1, 2], [b[0], b[1], a[0]])
    executed, run = two_ways(circuit, np.empty((1, 0)), 100)
    assert executed.by_register() == [{"a": {"0": 100}, "b": {"01": 100}}]
    assert executed == run


def test_the_executor_gives_the_distribution_of_run():
    """Counts of three parameter sets by the Executor and by `run` differ by no more than 4 standard errors."""
    circuit = QuantumCircuit(2, 2)
    circuit.sx(0)
    circuit.rz(Parameter("angle"), 0)
    circuit.sx(0)
    circuit.x(1)
    circuit.measure([0, 1], [0, 1])
    executed, run = two_ways(circuit, np.array([[0.0], [1.0], [pi]]), 4000)
    assert executed.registers == run.registers == (("c", 2),)
    assert executed.joint[0] == run.joint[0] == {"11": 4000}
    assert executed.joint[2] == run.joint[2] == {"10": 4000}
    share = cos(0.5) ** 2
    for joint in (executed.joint[1], run.joint[1]):
        assert abs(joint["11"] / 4000 - share) < SIGMAS * sqrt(share * (1 - share) / 4000)


def test_raw_and_sampler_of_one_circuit_share_a_program():
    """Raw and sampler run the same lowered circuit, the estimator one without measurements."""
    plan = plan_of(["mode=raw"], ["mode=sampler"], ["mode=estimator"])
    raw, sampler, estimator = (job.submission.pubs[0].circuit for job in plan.jobs)
    assert raw is sampler
    assert "measure" not in estimator.count_ops()
