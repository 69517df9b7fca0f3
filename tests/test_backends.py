"""Every kind of backend opens, simulates what it should and refuses what it cannot."""

from __future__ import annotations

import re
import sys
from math import cos, sin, sqrt
from typing import TYPE_CHECKING

import numpy as np
import pytest
from composing import circuit_file, outcome_of, plan_of, point_of, result_of
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime import fake_provider
from scipy.stats import chi2

from qrt_runner.backends import fake_names, open_device
from qrt_runner.errors import AccessError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import ModuleType

    from conftest import Ended

METHODS = ["automatic", "statevector", "density_matrix", "stabilizer", "extended_stabilizer", "matrix_product_state"]
MODES = ["raw", "sampler", "estimator"]
ONE_IN_MILLION = 1e-6
"""Level of the chi-square tests below: their bounds hold but once in a million seeds."""

PROVIDER = '''
from qiskit.providers.basic_provider import BasicSimulator

RUNS = []


class Spy(BasicSimulator):
    """A vendor's device whose runs are counted."""

    def run(self, run_input, **options):
        RUNS.append(options["shots"])
        return super().run(run_input, **options)


class Desk:
    """A provider object, as vendors have them."""

    @staticmethod
    def spy():
        return Spy()


def get_backend(name="spy", broken=False):
    if broken:
        raise RuntimeError("the key has expired")
    backend = Spy()
    backend.name = name
    return backend


def get_number():
    return 3


def get_mps():
    from qiskit_aer import AerSimulator

    return AerSimulator(method="matrix_product_state")


def get_sherbrooke():
    from qiskit_ibm_runtime.fake_provider import FakeSherbrooke

    return FakeSherbrooke()


NOT_A_FUNCTION = 3
'''


@pytest.fixture
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Return the module of a vendor's provider that lies in the working directory."""
    (tmp_path / "acme_provider.py").write_text(PROVIDER, encoding="utf-8")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    import acme_provider

    yield acme_provider
    sys.modules.pop("acme_provider")


def told_by(*overrides: str) -> str:
    """Return what the only mistake of an experiment is told as."""
    with pytest.raises(ConfigError) as caught:
        outcome_of(overrides)
    (mistake,) = caught.value.mistakes
    return str(mistake)


def chi_square(one: Mapping[str, int], other: Mapping[str, int]) -> tuple[float, float]:
    """Return the chi-square statistic of two equally large samples, sum (a - b)^2 / (a + b), and its bound."""
    assert sum(one.values()) == sum(other.values())
    outcomes = one.keys() | other.keys()
    statistic = sum((one.get(x, 0) - other.get(x, 0)) ** 2 / (one.get(x, 0) + other.get(x, 0)) for x in outcomes)
    return statistic, float(chi2.isf(ONE_IN_MILLION, len(outcomes) - 1))


# Ideal Aer


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", METHODS)
def test_aer_runs_every_method(method, mode):
    """A Bell pair gives <ZZ> = 1 by each of Aer's methods in each mode."""
    result = result_of(f"backend.method={method}", f"mode={mode}")
    assert result.expectations.values[0, 0] == 1.0


def test_aer_gets_its_settings():
    """Method, precision and threads reach the simulator that runs the circuit."""
    plan = plan_of(["backend.method=density_matrix", "backend.precision=single", "backend.threads=1"])
    options = plan.jobs[0].submission.runs_on.options
    assert (options.method, options.precision, options.max_parallel_threads) == ("density_matrix", "single", 1)


def test_aer_in_single_precision():
    """Single precision keeps the H2 energy's diagonal part within 4 standard errors of -1.817166 hartree."""
    result = result_of("backend.precision=single", "backend.threads=1", "circuit=h2", "mode.shots=4096")
    assert abs(result.expectations.values[0, 0] + 1.817166) < 4 * 0.00276


@pytest.mark.parametrize("mode", MODES)
def test_ghz_of_100_qubits_by_stabilizers(mode):
    """A GHZ state of 100 qubits runs through the stabilizer method, both ends agreeing in every shot."""
    chosen = ["backend.method=stabilizer", "circuit=ghz", "circuit.params.num_qubits=100", f"mode={mode}"]
    result = result_of(*chosen, "mode.shots=256")
    assert (result.expectations.values == 1.0).all()
    if mode != "estimator":
        assert set(result.counts.joint[0]) == {"0" * 100, "1" * 100}


def test_ghz_of_100_qubits_without_naming_a_method():
    """Aer finds the stabilizer method by itself where the circuit is Clifford."""
    result = result_of("circuit=ghz", "circuit.params.num_qubits=100", "mode=estimator", "mode.shots=256")
    assert result.expectations.values.tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize("mode", ["sampler", "estimator"])
def test_ising_chain_of_50_qubits_by_matrix_product_states(mode):
    """One Trotter step on 50 spins gives their mean <Z>, worked out by hand in the light cone of each spin.

    RX(a) RZZ(b) RX(a) on |0...0> with a = -h dt, b = -2 J dt gives cos^2 a - sin^2 a <Y>, where RZZ leaves of <Y> the
    share cos b at the two ends and cos^2 b - sin^2 b cos^2 a inside. Spins further than two apart are independent, so
    the variance of the mean is at most 5 times that of 50 independent ones.
    """
    chosen = ["circuit=tfim", "circuit.params.num_qubits=50", "circuit.params.steps=1", "circuit.params.dt=0.2"]
    result = result_of("backend.method=matrix_product_state", *chosen, f"mode={mode}", "mode.shots=1024")
    a, b = -0.2, -0.4
    end = cos(a) ** 2 - sin(a) ** 2 * cos(b)
    inside = cos(a) ** 2 - sin(a) ** 2 * (cos(b) ** 2 - sin(b) ** 2 * cos(a) ** 2)
    exact = (2 * end + 48 * inside) / 50
    at_most = sqrt(5 * (1 - exact**2) / (50 * 1024))
    assert abs(result.expectations.values[0, 0] - exact) < 4 * at_most


def test_stabilizer_is_refused_where_the_circuit_is_not_clifford():
    """The stabilizer method is refused for a non-Clifford circuit before anything runs."""
    assert told_by("backend.method=stabilizer", "circuit=tfim") == (
        "backend.method: given stabilizer, for a circuit that is not Clifford on aer; allowed: stabilizer for Clifford "
        "circuits only; remedy: backend.method=automatic"
    )


@pytest.mark.parametrize("circuit", ["h2", "dynamic_teleport"])
def test_stabilizer_is_refused_for_angles_and_control_flow_too(circuit):
    """A parameter set or a branch that is not Clifford is refused before anything runs, not by a failed job."""
    assert told_by("backend.method=stabilizer", f"circuit={circuit}").startswith("backend.method: given stabilizer")


def test_stabilizer_takes_a_parametrised_circuit_at_clifford_angles():
    """H2 at theta = 0 is the Hartree-Fock state, -1.836968 hartree, which stabilizers can hold."""
    result = result_of("backend.method=stabilizer", "circuit=h2", "circuit.parameter_values.theta=0")
    assert result.expectations.values[0, 0] == pytest.approx(-1.836968, abs=1e-6)


# What does not fit

NEEDED = 2.0**60 * 16 / 2**50
"""Memory of 2^60 complex amplitudes of 16 bytes, in PiB: 16,384, told as 2e+04."""


def test_60_noisy_qubits_are_refused_with_their_memory():
    """60 active qubits on a fake device are refused with the memory needed, the memory there is, and two remedies."""
    told = told_by("backend=fake_sherbrooke", "circuit=ghz", "circuit.params.num_qubits=60")
    assert re.fullmatch(
        rf"backend: given a circuit with 60 active qubits, which needs {re.escape(f'{NEEDED:.0e}')} PiB of memory by "
        r"method automatic; allowed: what fits into [\d.]+ [MGT]iB; remedy: backend=aer_noisy "
        r"backend\.name=fake_sherbrooke backend\.method=matrix_product_state \(low entanglement\), or fewer qubits",
        told,
    )


def test_60_ideal_qubits_are_refused_with_their_memory():
    """60 qubits of a non-Clifford circuit are refused on Aer, with the methods that need less."""
    told = told_by("circuit=tfim", "circuit.params.num_qubits=60", "circuit.params.steps=1")
    assert re.fullmatch(
        rf"backend: given a circuit with 60 active qubits, which needs {re.escape(f'{NEEDED:.0e}')} PiB of memory by "
        r"method automatic; allowed: what fits into [\d.]+ [MGT]iB; remedy: backend\.method=matrix_product_state "
        r"\(low entanglement\), backend\.method=stabilizer \(Clifford circuits\), or fewer qubits",
        told,
    )


def test_a_density_matrix_needs_the_square():
    """A density matrix of 25 qubits in single precision needs 8 * 2^50 bytes, 8 PiB."""
    chosen = ["backend.method=density_matrix", "backend.precision=single"]
    assert "which needs 8 PiB of memory by method density_matrix" in told_by(
        *chosen, "circuit=tfim", "circuit.params.num_qubits=25", "circuit.params.steps=1"
    )


def test_the_remedy_for_60_noisy_qubits_runs():
    """What the refusal of 60 qubits recommends does run: noisy matrix product states."""
    result = result_of(
        "backend=aer_noisy",
        "backend.name=fake_sherbrooke",
        "backend.method=matrix_product_state",
        "circuit=ghz",
        "circuit.params.num_qubits=60",
        "mode=raw",
        "mode.shots=2",
    )
    assert result.counts.shots() == [2]


def test_too_many_qubits_for_the_device():
    """A circuit wider than the device is refused with both widths."""
    assert told_by("backend=fake_manila", "circuit=ghz", "circuit.params.num_qubits=6") == (
        "circuit: given a circuit of 6 qubits for fake_manila; allowed: at most 5 qubits; remedy: fewer qubits, or a "
        "larger backend"
    )


# Fake devices

UNCOUPLED = ["fake_kyoto"]
"""Devices whose snapshot gives every two-qubit gate an error of 1: no pair of theirs is correlated."""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", ["automatic", "statevector", "density_matrix", "matrix_product_state"])
def test_aer_noisy_runs_every_general_method(method, mode):
    """Each general method brings Manila's readout noise into <ZZ> of a Bell pair: below 1, above 0.8."""
    result = result_of("backend=aer_noisy", f"backend.method={method}", f"mode={mode}")
    assert 0.8 < result.expectations.values[0, 0] < 0.99
    assert result.backend == "aer_noisy(fake_manila)"


@pytest.mark.parametrize("name", fake_names())
def test_every_fake_device_runs_a_bell_pair(name):
    """The fake device opens by its name and runs a Bell pair, which its noise leaves correlated."""
    chosen = ["backend=fake", f"backend.name={name}"]
    device = open_device(point_of(chosen).experiment.document.backend)
    if device.num_qubits < 2:
        pytest.skip(f"{name} has {device.num_qubits} qubit")
    result = result_of(*chosen, "mode=raw", "mode.shots=512")
    assert result.counts.shots() == [512]
    assert result.backend == name
    if name not in UNCOUPLED:
        assert 0.4 < result.expectations.values[0, 0] < 1


def test_all_fake_devices_of_the_runtime_are_offered():
    """What is offered by name is exactly what the runtime's own provider lists."""
    assert fake_names() == sorted({backend.name for backend in fake_provider.FakeProviderForBackendV2().backends()})


def test_an_unknown_fake_device_is_told_with_all_names():
    """An unknown name is refused with every name there is and the nearest one."""
    told = told_by("backend=fake", "backend.name=fake_manilla")
    assert told == (
        f"backend.name: given fake_manilla; allowed: {', '.join(fake_names())}; remedy: backend.name=fake_manila"
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("name", "layout"), [("fake_sherbrooke", [18, 14, 0]), ("fake_fez", [143, 136, 123]), ("fake_torino", [4, 16, 23])]
)
def test_a_large_device_is_simulated_on_its_active_qubits(name, layout, mode):
    """Of 127 to 156 qubits the 3 that the layout names are simulated, in every mode, each on its own place."""
    chosen = ["backend=fake", f"backend.name={name}", "circuit=ghz", f"transpile.initial_layout={layout}"]
    (program,) = plan_of([*chosen, f"mode={mode}"]).programs
    assert program.runs_on.num_qubits == 3
    assert [program.lowered.used[place] for place in program.lowered.layout] == layout
    assert result_of(*chosen, f"mode={mode}").expectations.values[0, 0] > 0.6


@pytest.mark.parametrize("name", ["fake_sherbrooke", "fake_fez"])
def test_restricted_simulation_gives_the_whole_devices_counts(name):
    """GHZ counts on the active qubits and on the whole simulated device come from one distribution (chi-square)."""
    layout = {"fake_sherbrooke": [18, 14, 0], "fake_fez": [143, 136, 123]}[name]
    chosen = [f"backend={name}", "circuit=ghz", f"transpile.initial_layout={layout}", "mode=raw", "mode.shots=20000"]
    (program,) = plan_of(chosen).programs
    whole = AerSimulator.from_backend(program.device.backend, method="density_matrix")
    expected = whole.run(program.lowered.isa, shots=20_000, seed_simulator=4242).result().get_counts()
    statistic, bound = chi_square(result_of(*chosen).counts.joint[0], expected)
    assert statistic < bound


@pytest.mark.parametrize("mode", MODES)
def test_observables_follow_a_permuted_layout(mode):
    """Under the layout [18, 14, 0] of Sherbrooke <Z> is -1 on the flipped qubit 0 and +1 on the others, up to noise."""
    flipped = circuit_file(
        "flipped", "circuit = QuantumCircuit(3)\ncircuit.x(0)", "'z_0': 'IIZ', 'z_1': 'IZI', 'z_2': 'ZII'"
    )
    result = result_of(*flipped, "backend=fake_sherbrooke", "transpile.initial_layout=[18,14,0]", f"mode={mode}")
    assert np.sign(result.expectations.values).tolist() == [[-1, 1, 1]]
    assert (abs(result.expectations.values) > 0.8).all()


def test_calibration_is_that_of_the_used_qubits():
    """The calibration holds the properties of the two qubits used and of the gates between them, nothing else."""
    found = result_of("backend=fake_sherbrooke", "transpile.initial_layout=[18,14]").calibration
    assert sorted(found["qubits"]) == ["14", "18"]
    assert {tuple(sorted(gate["qubits"])) for gate in found["gates"]} == {(14,), (18,), (14, 18)}


def test_ideal_aer_has_no_calibration():
    """A simulator without properties records no calibration rather than an invented one."""
    assert result_of().calibration is None


# Other vendors


@pytest.mark.parametrize("mode", MODES)
def test_a_vendors_backend_goes_through_its_own_run(provider, mode):
    """In every mode the circuits reach the vendor's `run`, with the shots asked for, and no simulation of ours."""
    result = result_of("backend=vendor", "backend.source=acme_provider:get_backend", f"mode={mode}", "mode.shots=1000")
    assert provider.RUNS == [1000]
    assert (result.expectations.values == 1.0).all()
    assert result.backend == "spy"


@pytest.mark.parametrize("mode", MODES)
def test_a_vendors_backend_takes_parameter_sets(provider, mode):
    """Three parameter sets of H2 keep <ZZ> = -1 on a vendor's backend, in order and in every mode."""
    chosen = ["backend=vendor", "backend.source=acme_provider:get_backend", f"mode={mode}", "circuit=h2"]
    result = result_of(*chosen, "circuit.parameter_values.theta=[0,1,2]")
    column = result.expectations.names.index("zz")
    assert result.expectations.values[:, column].tolist() == [-1.0, -1.0, -1.0]
    diagonal = result.expectations.values[:, result.expectations.names.index("energy_diagonal")]
    assert abs(diagonal - (-1.041093 - 0.795875 * np.cos([0, 1, 2]))).max() < 4 * 0.8 / np.sqrt(1024)
    assert provider.RUNS


def test_a_vendors_backend_by_attribute_path(provider):
    """The callable may lie inside a class: module:Class.method."""
    assert result_of("backend=vendor", "backend.source=acme_provider:Desk.spy", "mode=raw").state == "done"
    assert provider.RUNS == [1024]


def test_a_vendors_backend_by_entry_point(provider, tmp_path):
    """A provider that announces itself in the entry point group is opened by its short name."""
    folder = tmp_path / "acme_provider-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-provider\nVersion: 1.0\n", encoding="utf-8")
    points = "[qrt_runner.backends]\nacme = acme_provider:get_backend\n"
    (folder / "entry_points.txt").write_text(points, encoding="utf-8")
    assert result_of("backend=vendor", "backend.source=acme", "mode=raw").backend == "spy"
    assert provider.RUNS == [1024]
    told = told_by("backend=vendor", "backend.source=akme")
    assert told == "backend.source: given akme; allowed: acme, module:callable; remedy: backend.source=acme"


def test_a_vendors_callable_gets_keyword_arguments(provider):
    """What stands under `backend.arguments` reaches the callable by name."""
    chosen = ["backend=vendor", "backend.source=acme_provider:get_backend", "+backend.arguments.name=qpu1"]
    assert result_of(*chosen, "mode=raw").backend == "qpu1"
    assert provider.RUNS


def test_a_vendors_name_is_as_configured(provider):
    """`backend.name` is what tables and MLflow call a vendor's backend."""
    chosen = ["backend=vendor", "backend.source=acme_provider:get_backend", "backend.name=ours", "mode=raw"]
    assert result_of(*chosen).backend == "ours"
    assert provider.RUNS


@pytest.mark.usefixtures("provider")
def test_a_vendors_callable_must_return_a_backend():
    """A callable that returns something else is refused by what it returned."""
    assert told_by("backend=vendor", "backend.source=acme_provider:get_number") == (
        "backend.source: given acme_provider:get_number, which returned int; allowed: a callable that returns a "
        "BackendV2; remedy: return one"
    )


@pytest.mark.usefixtures("provider")
@pytest.mark.parametrize(
    ("source", "given"),
    [
        (
            "acme_provider:nothing",
            "acme_provider:nothing, which cannot be imported (module 'acme_provider' has no attribute 'nothing')",
        ),
        ("akme:get", "akme:get, which cannot be imported (No module named 'akme')"),
        ("acme_provider:NOT_A_FUNCTION", "acme_provider:NOT_A_FUNCTION, which is not callable"),
    ],
)
def test_a_vendors_source_must_be_there(source, given):
    """A source that cannot be imported or called is refused with the reason."""
    assert told_by("backend=vendor", f"backend.source={source}").startswith(f"backend.source: given {given}; allowed:")


@pytest.mark.usefixtures("provider")
def test_a_vendor_that_refuses_ends_with_3(command: Callable[..., Ended]):
    """A callable that raises is an access error: its own words on stderr, no traceback, exit code 3."""
    ended = command(
        "tracking=off", "backend=vendor", "backend.source=acme_provider:get_backend", "+backend.arguments.broken=true"
    )
    assert ended.code == 3
    assert ended.err == ("backend.source: acme_provider:get_backend refused with RuntimeError: the key has expired\n")


@pytest.mark.usefixtures("provider")
def test_mitigation_on_a_vendors_backend_is_refused():
    """The runtime's mitigation cannot run on another vendor's backend and is refused, not ignored."""
    assert told_by("backend=vendor", "backend.source=acme_provider:get_backend", "mitigation=twirl") == (
        "mitigation: given gate_twirling, measure_twirling on spy; allowed: none: the runtime's mitigation runs on "
        "IBM's backends and on simulators; remedy: mitigation=none"
    )


@pytest.mark.usefixtures("provider")
def test_runtime_options_on_a_vendors_backend_are_refused():
    """An option of the runtime that a vendor's backend will never see is refused, not silently dropped."""
    chosen = ["backend=vendor", "backend.source=acme_provider:get_backend", "mitigation=custom"]
    assert told_by(*chosen, "mitigation.options.execution.init_qubits=false").startswith("mitigation")


def test_a_vendors_job_records_no_runtime_options(provider):
    """The options recorded for a vendor's job are those applied: none of the runtime's."""
    result = result_of("backend=vendor", "backend.source=acme_provider:get_backend", "mode=sampler")
    assert provider.RUNS == [1024]
    assert "twirling" not in result.jobs[0].record["options"]


@pytest.mark.usefixtures("provider")
def test_a_vendors_aer_keeps_its_own_method():
    """An AerSimulator opened by a callable is judged by its own method: 50 spins fit into matrix product states."""
    chosen = ["circuit=tfim", "circuit.params.num_qubits=50", "circuit.params.steps=1", "mode=raw", "mode.shots=4"]
    assert result_of("backend=vendor", "backend.source=acme_provider:get_mps", *chosen).counts.shots() == [4]


@pytest.mark.usefixtures("provider")
def test_a_vendors_calibration_is_that_of_the_used_qubits():
    """Also where nothing is restricted, the calibration holds the properties of the used qubits only."""
    chosen = ["backend=vendor", "backend.source=acme_provider:get_sherbrooke", "mode=raw", "mode.shots=16"]
    found = result_of(*chosen, "transpile.initial_layout=[18,14]").calibration
    assert sorted(found["qubits"]) == ["14", "18"]


# IBM Quantum


def test_without_an_account_the_remedy_is_told(process: Callable[..., Ended]):
    """Without any account the command ends with 3 and says how to come by one."""
    ended = process("tracking=off", "backend=ibm", "backend.name=ibm_fez")
    assert ended.code == 3
    assert ended.err.startswith("backend.account: given no account; none is found (")
    assert ended.err.endswith(
        "; remedy: set QISKIT_IBM_TOKEN and QISKIT_IBM_INSTANCE in the environment, or save one with "
        "QiskitRuntimeService.save_account\n"
    )


def test_an_unknown_saved_account_is_told_by_its_name():
    """A saved account that is not there is refused by the name given."""
    with pytest.raises(AccessError, match=r"^backend\.account: given account 'nobody'; none is found \("):
        plan_of(["backend=ibm", "backend.name=ibm_fez", "backend.account=nobody"])
