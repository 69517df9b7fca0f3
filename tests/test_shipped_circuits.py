"""Every shipped circuit gives the numbers its docstring promises, and its config fits its signature."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import math
import re
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from qiskit import qasm2, qasm3, qpy
from qiskit.primitives import StatevectorSampler
from qiskit.quantum_info import Operator, SparsePauliOp, Statevector
from qiskit_aer import AerSimulator
from scipy.linalg import expm

import qrt_runner.launcher  # noqa: F401 - brings the resolvers that configs use

if TYPE_CHECKING:
    from types import ModuleType

    from qiskit import QuantumCircuit

ROOT = Path(__file__).parents[1]
DATA = Path(__file__).parent / "data"
CONFIGS = sorted((ROOT / "conf" / "circuit").glob("*.yaml"))
NAMES = sorted(path.stem for path in (ROOT / "circuits").glob("*.py"))
FIELDS = ["name", "source", "params", "parameter_values", "broadcast", "observables", "measure", "clifford"]
MEASURING = {"bernstein_vazirani": {"data"}, "dynamic_teleport": {"crz", "crx", "bob"}}
EXACT = 1e-12


def load(path: Path) -> ModuleType:
    """Import a circuit file by its path, under a name that shadows nothing."""
    spec = importlib.util.spec_from_file_location(f"shipped_circuit_{path.stem}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shipped(name: str, **params: object) -> tuple[QuantumCircuit, dict[str, SparsePauliOp]]:
    """Build a shipped circuit and its observables; `params` override those of its config."""
    module = load(ROOT / "circuits" / f"{name}.py")
    params = {**config(name)["params"], **params}
    wanted = inspect.signature(module.observables).parameters
    circuit = module.build(**params)
    observables = module.observables(**{key: value for key, value in params.items() if key in wanted})
    return circuit, {key: pauli_sum(value) for key, value in observables.items()}


def config(name: str) -> dict[str, Any]:
    """Read a circuit's config, resolved as in a counting mode."""
    section = OmegaConf.load(ROOT / "conf" / "circuit" / f"{name}.yaml")
    whole = OmegaConf.create({"mode": {"kind": "sampler"}, "circuit": section})
    return OmegaConf.to_container(whole, resolve=True)["circuit"]


def pauli_sum(observable: str | dict[str, float] | SparsePauliOp) -> SparsePauliOp:
    """Bring the three forms of an observable to one."""
    return (
        SparsePauliOp.from_list(list(observable.items())) if isinstance(observable, dict) else SparsePauliOp(observable)
    )


def expectations(
    circuit: QuantumCircuit, observables: dict[str, SparsePauliOp], values: dict[str, Any] | None = None
) -> dict[str, float]:
    """Return exact expectation values of a circuit, its final measurements taken off."""
    bound = circuit.assign_parameters(by_element(values or {}))
    state = Statevector(bound.remove_final_measurements(inplace=False))
    return {name: state.expectation_value(observable).real for name, observable in observables.items()}


def by_element(values: dict[str, Any]) -> dict[str, float]:
    """Spell vectors out as `theta[0]`, `theta[1]`, ...: Qiskit knows no vector by its bare name."""
    vectors = {
        f"{key}[{index}]": item
        for key, value in values.items()
        if isinstance(value, list)
        for index, item in enumerate(value)
    }
    return {**vectors, **{key: value for key, value in values.items() if not isinstance(value, list)}}


# --- what each circuit promises -----------------------------------------------------------------------------------


def test_bell_is_perfectly_correlated_in_both_bases() -> None:
    """<ZZ> = <XX> = 1 for (|00> + |11>)/sqrt(2)."""
    assert expectations(*shipped("bell")) == pytest.approx({"zz": 1, "xx": 1}, abs=EXACT)


@pytest.mark.parametrize("num_qubits", [2, 3, 6])
def test_ghz_has_agreeing_ends_and_a_coherent_parity(num_qubits: int) -> None:
    """<Z..Z on the ends> = <X..X> = 1 for every length."""
    found = expectations(*shipped("ghz", num_qubits=num_qubits))
    assert found == pytest.approx({"zz_ends": 1, "parity_x": 1}, abs=EXACT)


def test_qft_of_five_on_four_qubits_by_hand() -> None:
    """5/16 of a turn on qubit 0, doubled from qubit to qubit: cosines of 112.5, 225, 450 and 900 degrees."""
    found = expectations(*shipped("qft", num_qubits=4, value=5))
    by_hand = {"x_0": -0.3826834323650898, "x_1": -math.sqrt(0.5), "x_2": 0, "x_3": -1, "z_parity": 0}
    assert found == pytest.approx(by_hand, abs=EXACT)


@pytest.mark.parametrize(("num_qubits", "value"), [(1, 1), (3, 0), (3, 6), (5, 19)])
def test_qft_follows_its_closed_form(num_qubits: int, value: int) -> None:
    """<X_j> = cos(2 pi value / 2^(n-j)); on one qubit Z..Z is Z_0 and also 0."""
    found = expectations(*shipped("qft", num_qubits=num_qubits, value=value))
    closed = {f"x_{j}": math.cos(2 * math.pi * value / 2 ** (num_qubits - j)) for j in range(num_qubits)}
    assert found == pytest.approx({**closed, "z_parity": 0}, abs=EXACT)


def test_qft_is_the_discrete_fourier_transform() -> None:
    """The amplitudes are exp(2 pi i value k / 2^n) / 2^(n/2), in order: the swaps are there."""
    circuit, _ = shipped("qft", num_qubits=3, value=3)
    assert np.allclose(Statevector(circuit).data, np.exp(2j * np.pi * 3 * np.arange(8) / 8) / math.sqrt(8))


@pytest.mark.parametrize("value", [-1, 16])
def test_qft_refuses_a_value_that_does_not_fit(value: int) -> None:
    """Four qubits hold 0 to 15."""
    with pytest.raises(ValueError, match=re.escape(f"value must be in [0, 16) for num_qubits=4, given {value}")):
        shipped("qft", num_qubits=4, value=value)


@pytest.mark.parametrize("secret", ["1011", "0110", "1", "000", 1011])
def test_bernstein_vazirani_reads_its_secret_in_every_shot(secret: str | int) -> None:
    """The register `data` holds the secret, rightmost character qubit 0, in all of 100 shots."""
    circuit, _ = shipped("bernstein_vazirani", secret=secret)
    result = StatevectorSampler(seed=1).run([circuit], shots=100).result()
    assert result[0].data.data.get_counts() == {str(secret): 100}


def test_bernstein_vazirani_signs_follow_the_bits_from_the_right() -> None:
    """Secret 1011 has bits 1, 1, 0, 1 on qubits 0 to 3, so Z is -1, -1, +1, -1."""
    found = expectations(*shipped("bernstein_vazirani", secret="1011"))
    assert found == pytest.approx({"z_0": -1, "z_1": -1, "z_2": 1, "z_3": -1}, abs=EXACT)


@pytest.mark.parametrize("secret", ["", "12", "1 0", 1012, 1.5])
def test_bernstein_vazirani_refuses_what_is_not_a_bit_string(secret: object) -> None:
    """The error names what was given, and how to quote it, since 1011 typed bare is a number."""
    with pytest.raises(ValueError, match=rf"bit string such as \"1011\", given {secret!r}"):
        shipped("bernstein_vazirani", secret=secret)


def test_h2_reaches_the_ground_state_at_its_shipped_angle() -> None:
    """The energy is the lowest eigenvalue of the Hamiltonian, -1.857275 hartree."""
    circuit, observables = shipped("h2")
    found = expectations(circuit, observables, config("h2")["parameter_values"])
    assert found["energy"] == pytest.approx(-1.857275030202381, abs=1e-6)
    assert found["energy"] == pytest.approx(np.linalg.eigvalsh(observables["energy"].to_matrix())[0], abs=EXACT)
    assert found["zz"] == pytest.approx(-1, abs=EXACT)


@pytest.mark.parametrize("theta", [-2.0, 0.0, 0.7])
def test_h2_energy_follows_its_closed_form(theta: float) -> None:
    """E(theta) = a - 2 c cos(theta) + g sin(theta), its diagonal part without the last term."""
    found = expectations(*shipped("h2"), {"theta": theta})
    diagonal = -1.052373245772859 + 0.01128010425623538 - 2 * 0.39793742484318045 * math.cos(theta)
    energy = diagonal + 0.18093119978423156 * math.sin(theta)
    assert found == pytest.approx({"energy": energy, "energy_diagonal": diagonal, "zz": -1}, abs=EXACT)


def test_qaoa_cuts_three_of_four_edges_of_the_ring() -> None:
    """At gamma = pi/4, beta = pi/8 each edge of the ring is cut with probability 3/4."""
    found = expectations(*shipped("qaoa_maxcut"), config("qaoa_maxcut")["parameter_values"])
    assert found == pytest.approx({"cut": 3}, abs=EXACT)


def test_no_angles_of_one_layer_cut_more_of_the_ring() -> None:
    """On a grid over all angles the closed form 4 (1/2 + sin(4 beta) sin(2 gamma)/4) holds, and never exceeds 3."""
    circuit, observables = shipped("qaoa_maxcut")
    for gamma in np.linspace(0, math.pi, 9):
        for beta in np.linspace(0, math.pi / 2, 9):
            found = expectations(circuit, observables, {"gamma": [gamma], "beta": [beta]})["cut"]
            assert found == pytest.approx(2 + math.sin(4 * beta) * math.sin(2 * gamma), abs=1e-10)
            assert found <= 3 + EXACT


def test_cut_counts_weights_and_repeated_edges() -> None:
    """The partition {0, 2} | {1} of edges 0-1 (weight 2.5), 1-2 (1) and again 1-2 (1) cuts 4.5; nothing cut is 0."""
    _, observables = shipped("qaoa_maxcut", graph=[[0, 1, 2.5], [1, 2], [2, 1]])
    cut = observables["cut"]
    assert Statevector.from_label("101").expectation_value(cut) == pytest.approx(4.5, abs=EXACT)
    assert Statevector.from_label("111").expectation_value(cut) == pytest.approx(0, abs=EXACT)


def test_qaoa_applies_its_unitaries_to_a_weighted_graph() -> None:
    """Two layers equal exp(-i beta B) exp(-i gamma C) on |+++>, by matrix exponentials, up to a phase."""
    graph, gamma, beta = [[0, 1, 0.7], [1, 2]], [0.4, 1.1], [0.9, 0.3]
    circuit, observables = shipped("qaoa_maxcut", graph=graph, p=2)
    cost = observables["cut"].to_matrix()
    mixer = SparsePauliOp(["IIX", "IXI", "XII"]).to_matrix()
    state = np.full(8, 8**-0.5)
    for cost_angle, mixer_angle in zip(gamma, beta, strict=True):
        state = expm(-1j * mixer_angle * mixer) @ expm(-1j * cost_angle * cost) @ state
    assert Statevector(circuit.assign_parameters(by_element({"gamma": gamma, "beta": beta}))).equiv(Statevector(state))


@pytest.mark.parametrize("edge", [[0], [1, 1], [-1, 0], [0, 1, 1.0, 2], [0, 0.5]])
def test_qaoa_refuses_what_is_not_an_edge(edge: list[float]) -> None:
    """The error shows the edge and the two forms that are allowed."""
    with pytest.raises(
        ValueError, match=re.escape(f"[u, v] or [u, v, weight] between two nodes 0, 1, ...; given {edge}")
    ):
        shipped("qaoa_maxcut", graph=[[0, 1], edge])


def tfim_error(steps: int, total_time: float) -> tuple[float, float]:
    """Return the distance of a Trotter evolution from the exact state, and its bound, for 4 spins, J = 1, h = 0.8.

    The bound is T dt^2 (|[X,[X,ZZ]]|/24 + |[ZZ,[ZZ,X]]|/12) with X the field and ZZ the coupling part of H: Childs et
    al., PRX 11, 011020 (2021), for a second-order formula whose outer factor is the field.
    """
    dt = total_time / steps
    circuit, observables = shipped("tfim", num_qubits=4, steps=steps, dt=dt, J=1.0, h=0.8)
    hamiltonian = observables["energy"].to_matrix()
    coupling = np.diag(np.diag(hamiltonian))
    field = hamiltonian - coupling
    exact = expm(-1j * hamiltonian * total_time)[:, 0]
    inner, outer = nested_commutator(coupling, field), nested_commutator(field, coupling)
    return (
        float(np.linalg.norm(Statevector(circuit).data - exact)),
        total_time * dt**2 * (float(np.linalg.norm(outer, 2)) / 24 + float(np.linalg.norm(inner, 2)) / 12),
    )


def nested_commutator(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return [a, [a, b]]."""
    first = a @ b - b @ a
    return a @ first - first @ a


@pytest.mark.parametrize("steps", [4, 8, 16, 32])
def test_tfim_stays_within_the_trotter_bound(steps: int) -> None:
    """The state is as near to exp(-i H T)|0000> as the commutator bound of a second-order formula says."""
    distance, bound = tfim_error(steps, total_time=1.0)
    assert 0 < distance <= bound


def test_tfim_error_falls_with_the_square_of_the_step() -> None:
    """Halving dt at a fixed time T quarters the error, as second order must; first order would halve it."""
    errors = [tfim_error(steps, total_time=1.0)[0] for steps in (8, 16, 32, 64)]
    assert [coarse / fine for coarse, fine in pairwise(errors)] == pytest.approx([4, 4, 4], rel=0.02)


def test_tfim_observables_match_exact_evolution() -> None:
    """With 64 steps every mean agrees with exact evolution to 2 |O| times the bound on the state."""
    circuit, observables = shipped("tfim", num_qubits=4, steps=64, dt=1 / 64, J=1.0, h=0.8)
    exact = Statevector.from_int(0, 16).evolve(Operator(expm(-1j * observables["energy"].to_matrix())))
    _, bound = tfim_error(64, total_time=1.0)
    for name, found in expectations(circuit, observables).items():
        norm = sum(abs(observables[name].coeffs))
        assert found == pytest.approx(exact.expectation_value(observables[name]).real, abs=2 * norm * bound)
    assert exact.expectation_value(observables["energy"]).real == pytest.approx(-3, abs=1e-10)


def test_tfim_without_coupling_precesses() -> None:
    """At J = 0 each spin turns about X: <Z> = cos(2 h t), <ZZ> its square, <X> = 0, and no Trotter error."""
    found = expectations(*shipped("tfim", num_qubits=3, steps=5, dt=0.1, J=0.0, h=0.6))
    turned = math.cos(2 * 0.6 * 0.5)
    assert found == pytest.approx({"z_mean": turned, "zz_chain": turned**2, "x_mean": 0, "energy": 0}, abs=EXACT)


def test_tfim_energy_is_the_hamiltonian() -> None:
    """For two spins H = -J ZZ - h (XI + IX), term by term."""
    _, observables = shipped("tfim", num_qubits=2, J=1.5, h=0.5)
    by_hand = SparsePauliOp.from_list([("ZZ", -1.5), ("XI", -0.5), ("IX", -0.5)])
    assert Operator(observables["energy"]) == Operator(by_hand)


def test_teleportation_by_feed_forward_returns_bob_to_zero() -> None:
    """In 4,000 shots on Aer `bob` is always 0, and each of the four Bell outcomes comes up about 1,000 times."""
    circuit, _ = shipped("dynamic_teleport", theta=1.1, phi=0.7, deferred=False)
    assert [register.name for register in circuit.cregs] == ["crz", "crx", "bob"]
    counts = AerSimulator().run(circuit, shots=4000, seed_simulator=7).result().get_counts()
    assert set(counts) == {"0 0 0", "0 0 1", "0 1 0", "0 1 1"}
    five_sigma = 5 * math.sqrt(4000 * 0.25 * 0.75)
    assert all(abs(count - 1000) < five_sigma for count in counts.values())


def test_deferred_teleportation_needs_no_control_flow() -> None:
    """The deferred form has the one register `bob`, one measurement, always 0 on Aer, and <z_bob> = 1."""
    circuit, observables = shipped("dynamic_teleport", theta=1.1, phi=0.7, deferred=True)
    assert [register.name for register in circuit.cregs] == ["bob"]
    assert not circuit.has_control_flow_op()
    assert circuit.count_ops()["measure"] == 1
    assert AerSimulator().run(circuit, shots=500, seed_simulator=7).result().get_counts() == {"0": 500}
    assert expectations(circuit, observables) == pytest.approx({"z_bob": 1}, abs=EXACT)


def test_efficient_su2_at_zero_and_at_pi_over_two_by_hand() -> None:
    """All angles 0 leave |00>; without entangling layer, RY(pi/2) then RZ(0) on each qubit gives |++>."""
    circuit, observables = shipped("efficient_su2", num_qubits=2, reps=0)
    zero = expectations(circuit, observables, {"theta": [0, 0, 0, 0]})
    plus = expectations(circuit, observables, {"theta": [math.pi / 2, math.pi / 2, 0, 0]})
    assert zero == pytest.approx({"z_mean": 1, "zz_chain": 1, "x_mean": 0}, abs=EXACT)
    assert plus == pytest.approx({"z_mean": 0, "zz_chain": 0, "x_mean": 1}, abs=EXACT)


def test_efficient_su2_has_the_angles_it_says() -> None:
    """`theta` is one vector of 2 * 4 * (2 + 1) = 24 angles, and the gates are plain ones."""
    circuit, _ = shipped("efficient_su2", num_qubits=4, reps=2)
    assert [parameter.name for parameter in circuit.parameters] == [f"theta[{index}]" for index in range(24)]
    assert set(circuit.count_ops()) == {"ry", "rz", "cx"}


def test_random_is_the_same_for_the_same_seed() -> None:
    """A seed fixes the circuit, another seed gives another, and no gate takes more than two qubits."""
    (first, _), (again, _), (other, _) = (shipped("random", seed=seed) for seed in (5, 5, 6))
    assert first == again
    assert first != other
    assert max(instruction.operation.num_qubits for instruction in first.data) == 2


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("ghz", {"num_qubits": 1}),
        ("efficient_su2", {"num_qubits": 1}),
        ("tfim", {"num_qubits": 1}),
        ("tfim", {"steps": 0}),
        ("qaoa_maxcut", {"p": 0}),
        ("qaoa_maxcut", {"graph": []}),
    ],
)
def test_build_refuses_what_makes_no_circuit(name: str, params: dict[str, Any]) -> None:
    """`build` itself raises a ValueError that names the parameter, before observables are asked for."""
    build = load(ROOT / "circuits" / f"{name}.py").build
    with pytest.raises(ValueError, match=next(iter(params))):
        build(**{**config(name)["params"], **params})


# --- what holds for all of them -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_circuit_file_imports_qiskit_and_the_standard_library_only(name: str) -> None:
    """Circuits belong to the user: they know nothing of this project."""
    tree = ast.parse((ROOT / "circuits" / f"{name}.py").read_text())
    plain = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {module.partition(".")[0] for module in plain | named} <= {"qiskit"} | sys.stdlib_module_names


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_annotated_and_have_no_default(name: str) -> None:
    """Defaults live in conf/; `observables` asks for a subset of what `build` takes."""
    module = load(ROOT / "circuits" / f"{name}.py")
    build, observables = (inspect.signature(f).parameters for f in (module.build, module.observables))
    for parameter in (*build.values(), *observables.values()):
        assert parameter.default is parameter.empty
        assert parameter.annotation is not parameter.empty
    assert set(observables) <= set(build)


@pytest.mark.parametrize("name", NAMES)
def test_observables_fit_the_circuit_and_one_is_diagonal(name: str) -> None:
    """Names are snake_case, widths are the circuit's, and counting modes have something to show."""
    circuit, observables = shipped(name)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", key) for key in observables)
    assert {observable.num_qubits for observable in observables.values()} == {circuit.num_qubits}
    assert any(set("".join(observable.paulis.to_labels())) <= {"I", "Z"} for observable in observables.values())


@pytest.mark.parametrize("name", NAMES)
def test_only_circuits_whose_measurement_is_their_own_measure(name: str) -> None:
    """The runner measures the others, so they bring neither a measurement nor a register."""
    circuit, _ = shipped(name)
    assert {register.name for register in circuit.cregs} == MEASURING.get(name, set())
    assert ("measure" in circuit.count_ops()) == (name in MEASURING)


@pytest.mark.parametrize("name", NAMES)
def test_shipped_values_cover_every_free_parameter(name: str) -> None:
    """`circuit=<name>` runs with one word: each free parameter, or its vector, has a value and no value is idle."""
    circuit, _ = shipped(name)
    free = {parameter.name.partition("[")[0] for parameter in circuit.parameters}
    assert set(config(name)["parameter_values"]) == free


@pytest.mark.parametrize("name", NAMES)
def test_a_circuit_survives_qpy(name: str, tmp_path: Path) -> None:
    """Written as QPY and read back, the circuit is the same: it can be cached, archived, and run by its path."""
    circuit, _ = shipped(name)
    with (tmp_path / "circuit.qpy").open("wb") as file:
        qpy.dump(circuit, file)
    with (tmp_path / "circuit.qpy").open("rb") as file:
        assert qpy.load(file) == [circuit]


def test_every_circuit_has_a_config_and_every_config_a_circuit() -> None:
    """`file` alone stands for no file of ours."""
    assert {path.stem for path in CONFIGS} == {*NAMES, "file"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_has_exactly_the_fields_of_a_circuit(path: Path) -> None:
    """Name, question, command, and all eight fields in one order."""
    name = path.stem
    question, command, *_ = path.read_text().splitlines()
    assert question.startswith("# ")
    assert "?" in question
    assert re.match(rf"# python -m qrt_runner circuit={name}( |$)", command)
    fields = config(name)
    assert list(fields) == FIELDS
    assert (fields["name"], fields["broadcast"], fields["observables"]) == (name, "zip", {})
    assert (fields["source"], fields["measure"]) == ("???" if name == "file" else f"circuits/{name}.py", "auto")
    assert fields["clifford"] is False


@pytest.mark.parametrize("name", NAMES)
def test_a_config_gives_what_build_takes(name: str) -> None:
    """The params of the config are build's, each under a comment that tells its meaning."""
    params = config(name)["params"]
    assert list(params) == list(inspect.signature(load(ROOT / "circuits" / f"{name}.py").build).parameters)
    lines = (ROOT / "conf" / "circuit" / f"{name}.yaml").read_text().splitlines()
    for key in (*params, *config(name)["parameter_values"]):
        place = next(index for index, line in enumerate(lines) if line.startswith(f"  {key}:"))
        assert lines[place - 1].startswith("  # ")


# --- the small files that other tests read ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("circuit", "registers"),
    [(qasm2.load(DATA / "bell.qasm"), ["c"]), (qasm3.load(DATA / "bell.qasm3"), [])],
    ids=["qasm2", "qasm3"],
)
def test_the_bell_files_are_bell_pairs(circuit: QuantumCircuit, registers: list[str]) -> None:
    """OpenQASM 2 with its own measurement and OpenQASM 3 without: <ZZ> = <XX> = 1."""
    assert [register.name for register in circuit.cregs] == registers
    found = expectations(circuit, {"zz": SparsePauliOp("ZZ"), "xx": SparsePauliOp("XX")})
    assert found == pytest.approx({"zz": 1, "xx": 1}, abs=EXACT)


def test_the_openqasm3_ansatz_has_one_input() -> None:
    """`input float theta` is a free parameter: <IZ> = cos(theta), <XX> = sin(theta)."""
    circuit = qasm3.load(DATA / "ansatz.qasm3")
    found = expectations(circuit, {"z": SparsePauliOp("IZ"), "xx": SparsePauliOp("XX")}, {"theta": 0.4})
    assert found == pytest.approx({"z": math.cos(0.4), "xx": math.sin(0.4)}, abs=EXACT)


def test_the_python_ansatz_has_four_qubits_and_one_parameter() -> None:
    """One layer: qubit j is the parity of the RY outcomes of qubits 0 to j, so <Z_2 Z_3> = cos(theta)."""
    module = load(DATA / "ansatz.py")
    circuit = module.build(depth=1)
    assert circuit.num_qubits == 4
    assert [parameter.name for parameter in circuit.parameters] == ["theta"]
    assert not hasattr(module, "observables")
    found = expectations(circuit, {"zz": SparsePauliOp("ZZII")}, {"theta": 0.4})
    assert found == pytest.approx({"zz": math.cos(0.4)}, abs=EXACT)
