"""The real client on the rehearsal: account, devices, programs, jobs."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_ibm_runtime import Executor, QiskitRuntimeService, QuantumProgram, SamplerV2
from qiskit_ibm_runtime.exceptions import (
    IBMRuntimeError,
    RuntimeJobFailureError,
)
from qiskit_ibm_runtime.executor_estimator import Estimator
from qiskit_ibm_runtime.executor_sampler import Sampler
from qiskit_ibm_runtime.noise_learner_v3 import NoiseLearnerV3
from rehearsing import bell, client_of, rehearsal_with, submitted
from samplomatic.transpiler import generate_boxing_pass_manager

from qrt_runner.rehearsal import account_of
from qrt_runner.rehearsal.devices import open_devices
from qrt_runner.rehearsal.lines import Draw, Noise, chances_of_one, lines_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qrt_runner.rehearsal import Rehearsal


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """A service with a small and a large device."""
    folder = tmp_path_factory.mktemp("rehearsal")
    with rehearsal_with(folder, devices=("fake_manila", "fake_sherbrooke")) as running:
        yield running


@pytest.fixture(scope="module")
def service(rehearsal) -> QiskitRuntimeService:
    """The client, on the premium plan."""
    return client_of(rehearsal)


@pytest.fixture(scope="module")
def manila(service) -> Any:
    """The small device."""
    return service.backend("fake_manila")


def test_the_account_has_an_instance_for_each_plan(service) -> None:
    """As the search and the catalog tell it."""
    assert [(one["name"], one["plan"]) for one in service.instances()] == [
        ("rehearsal-premium", "premium"),
        ("rehearsal-open", "open"),
    ]
    assert service.channel == "ibm_quantum_platform"


def test_an_instance_may_be_named_or_left_to_the_client(rehearsal) -> None:
    """By its name, and by the plans preferred."""
    arguments = {**account_of(rehearsal).arguments}
    arguments["instance"] = "rehearsal-open"
    assert QiskitRuntimeService(**arguments).active_instance().endswith("open::")
    arguments["instance"] = "auto"
    chosen = QiskitRuntimeService(**arguments, plans_preference=["premium"])
    assert chosen.backend("fake_manila")._instance.endswith("premium::")  # noqa: SLF001 -- there is no public way


def test_the_environment_is_in_force_only_while_a_client_is_made(rehearsal, monkeypatch) -> None:
    """Else another service's key would go to the rehearsal; and the client goes on without it."""
    for name in account_of(rehearsal).environment:
        monkeypatch.delenv(name)
    monkeypatch.setenv("IAM_URL", "theirs")
    account = account_of(rehearsal)
    with account.in_force():
        service = QiskitRuntimeService(**account.arguments)
    assert (os.environ["IAM_URL"], "GLOBAL_SEARCH_URL" in os.environ) == ("theirs", False)
    backend = service.backend("fake_manila")
    assert submitted(backend, backend).result()[0].data.meas.num_shots == 100


def test_devices_are_listed_and_filtered(service) -> None:
    """The mocks of dry runs are left out."""
    assert [backend.name for backend in service.backends()] == ["fake_manila", "fake_sherbrooke"]
    assert [backend.name for backend in service.backends(min_num_qubits=100)] == ["fake_sherbrooke"]
    assert len(service.backends(simulator=False, operational=True, dynamic_circuits=True)) == 2
    assert service.backends(filters=lambda backend: backend.num_qubits < 6)[0].name == "fake_manila"


def test_the_least_busy_device_is_the_one_without_jobs(service) -> None:
    """Both are free, and the first that fits is taken."""
    assert service.least_busy(min_num_qubits=20).name == "fake_sherbrooke"
    assert service.least_busy(operational=True).status().pending_jobs == 0


def test_a_device_tells_its_snapshot(manila) -> None:
    """Configuration, calibration, status and target are those of the runtime's fake device."""
    from qiskit_ibm_runtime.fake_provider import FakeManilaV2

    assert manila.configuration().n_qubits == 5
    assert manila.properties().t1(0) == FakeManilaV2().properties().t1(0)
    assert manila.properties(datetime=datetime.now(tz=UTC)).readout_error(2) > 0
    assert (manila.status().operational, manila.status().status_msg) == (True, "active")
    theirs = FakeManilaV2().target
    assert manila.target["cx"][0, 1].error == theirs["cx"][0, 1].error
    assert set(manila.target.operation_names) >= {"cx", "sx", "rz", "x", "measure", "if_else"}


def test_the_estimator_runs_on_a_large_device(service) -> None:
    """The client measures all 127 qubits; 124 of them are alone. TREX (level 1) brings ZZI closer to 1."""
    backend = service.backend("fake_sherbrooke")
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    isa = generate_preset_pass_manager(optimization_level=1, backend=backend, seed_transpiler=1).run(circuit)
    pub = (isa, SparsePauliOp("ZZI").apply_layout(isa.layout))
    raw, mitigated = (
        float(Estimator(mode=backend, options={"resilience_level": level}).run([pub]).result()[0].data.evs)
        for level in (0, 1)
    )
    assert 0.8 < raw < 0.95
    assert raw < mitigated < 1.05


def test_the_executor_runs_plain_circuits(manila) -> None:
    """With parameters: rx(pi) flips the qubit, the read error takes a few percent of it."""
    angle = Parameter("angle")
    circuit = QuantumCircuit(1, 1)
    circuit.rx(angle, 0)
    circuit.measure(0, 0)
    isa = generate_preset_pass_manager(optimization_level=1, backend=manila).run(circuit)
    program = QuantumProgram(shots=500)
    program.append_circuit_item(isa, circuit_arguments=np.array([[0.0], [np.pi]]))
    bits = Executor(mode=manila).run(program).result()[0]["c"]
    assert bits.shape == (2, 500, 1)
    assert bits.mean(axis=(1, 2)) == pytest.approx([0, 1], abs=0.1)


def test_sampling_a_parameter_sweep_keeps_its_shape(manila) -> None:
    """A PUB of shape (2, 3) gives a bit array of that shape; qubit 0 is found in 1 with sin^2(angle/2)."""
    angle = Parameter("angle")
    circuit = QuantumCircuit(2)
    circuit.ry(angle, 0)
    circuit.cx(0, 1)
    circuit.measure_all()
    isa = generate_preset_pass_manager(optimization_level=1, backend=manila, seed_transpiler=1).run(circuit)
    values = np.linspace(0, np.pi, 6).reshape(2, 3)
    data = Sampler(mode=manila).run([(isa, values[..., None])], shots=200).result()[0].data.meas
    assert data.shape == (2, 3)
    ones = data.slice_bits([0]).bitcount().mean(axis=-1)
    assert ones == pytest.approx(np.sin(values / 2) ** 2, abs=0.15)


def test_a_dry_run_gives_random_numbers_of_the_right_shape(manila) -> None:
    """On the mock of the device, as the client asks for it."""
    job = Sampler(mode=manila).run([bell(manila)], shots=400, dry_run=True)
    counts = job.result()[0].data.meas.get_counts()
    assert job.backend().name == "mock_manila"
    assert min(counts.get(bits, 0) for bits in ("00", "01", "10", "11")) > 50


def test_dynamic_circuits_run(manila) -> None:
    """A measured one flips the other qubit back: both end in 0, up to noise."""
    circuit = QuantumCircuit(2, 2)
    circuit.x(0)
    circuit.x(1)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.measure(1, 1)
    isa = generate_preset_pass_manager(optimization_level=1, backend=manila, seed_transpiler=1).run(circuit)
    counts = Sampler(mode=manila).run([isa], shots=300).result()[0].data.c.get_counts()
    assert counts["01"] > 230


def test_the_noise_learner_tells_the_noise_that_is_simulated(manila) -> None:
    """The rates of a layer reproduce the twirled channel of its gate; those of a readout its flips."""
    circuit = QuantumCircuit(2, 2)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    isa = generate_preset_pass_manager(optimization_level=0, initial_layout=[0, 1], backend=manila).run(circuit)
    boxed = generate_boxing_pass_manager().run(isa)
    layers = [layer for layer in boxed if layer.operation.name == "box"]
    gate, readout = NoiseLearnerV3(mode=manila).run(layers).result().to_pauli_lindblad_maps()
    # Average gate infidelity of 2 qubits: 4/5 of the process infidelity, which the rates add up to to first order.
    assert 0.8 * gate.rates.sum() == pytest.approx(manila.target["cx"][0, 1].error, rel=0.1)
    flips = [manila.properties().readout_error(qubit) for qubit in (0, 1)]
    assert sorted((1 - np.exp(-2 * readout.rates)) / 2) == pytest.approx(sorted(flips))


def test_the_deprecated_primitives_are_not_rehearsed(manila) -> None:
    """Their programs run on the service only; the client's own error says so."""
    with (
        pytest.warns(DeprecationWarning, match="SamplerV2"),
        pytest.raises(IBMRuntimeError, match="sampler is not rehearsed"),
    ):
        SamplerV2(mode=manila).run([bell(manila)])


def test_what_the_memory_cannot_hold_fails_with_the_reason(service) -> None:
    """60 coupled qubits of the large device; 60 that nothing couples run."""
    backend = service.backend("fake_sherbrooke")
    coupled, alone = QuantumCircuit(60), QuantumCircuit(60)
    coupled.h(0)
    for qubit in range(59):
        coupled.cx(qubit, qubit + 1)
        alone.x(qubit)
    pass_manager = generate_preset_pass_manager(optimization_level=1, backend=backend, seed_transpiler=1)
    for circuit in (coupled, alone):
        circuit.measure_all()
    with pytest.raises(RuntimeJobFailureError, match="60 coupled qubits do not fit into the memory"):
        Sampler(mode=backend).run([pass_manager.run(coupled)], shots=10).result()
    assert Sampler(mode=backend).run([pass_manager.run(alone)], shots=10).result()[0].data.meas.num_bits == 60


def test_usage_follows_the_published_formula(manila) -> None:
    """2 s and 350 µs for each of 1,000 executions: 2.35 s; and no less in service time."""
    job = submitted(manila, manila, shots=1000)
    job.result()
    assert job.usage() == pytest.approx(2.35)
    times = {name: datetime.fromisoformat(text) for name, text in job.metrics()["timestamps"].items()}
    assert times["finished"] - times["running"] >= timedelta(seconds=2.3499)


def test_jobs_are_listed_by_tag_session_time_and_state(service, manila) -> None:
    """The latest first; a page at a time."""
    before = datetime.now(tz=UTC)
    ids = [submitted(manila, manila, tags=("listed", str(place))).job_id() for place in range(3)]
    service.job(ids[-1]).result()
    assert [job.job_id() for job in service.jobs(job_tags=["listed"])] == ids[::-1]
    assert [job.job_id() for job in service.jobs(job_tags=["listed", "1"])] == [ids[1]]
    assert [job.job_id() for job in service.jobs(job_tags=["listed"], limit=1, skip=1)] == [ids[1]]
    assert [job.job_id() for job in service.jobs(job_tags=["listed"], descending=False, created_after=before)] == ids
    assert service.jobs(job_tags=["listed"], created_before=before - timedelta(hours=1)) == []
    assert service.jobs(job_tags=["listed"], pending=True) == []
    assert len(service.jobs(limit=None)) >= 3


def test_tags_are_changed_and_jobs_deleted(service, manila, rehearsal) -> None:
    """A deleted job stays in the ledger."""
    job = submitted(manila, manila, tags=("old",))
    job.result()
    assert job.update_tags(["new"]) == ["new"]
    service.delete_job(job.job_id())
    assert service.jobs(job_tags=["new"]) == []
    assert [entry["deleted"] for entry in rehearsal.ledger()["jobs"] if entry["id"] == job.job_id()] == [True]


def test_logs_and_inputs_are_told(service, manila) -> None:
    """When the job has ended."""
    job = submitted(manila, manila)
    job.result()
    assert "Completed" in job.logs()
    assert service.job(job.job_id()).inputs["schema_version"] == "v2.0"


def test_equal_seeds_give_equal_numbers(tmp_path) -> None:
    """On two services that meet the same jobs in the same order."""
    counts = []
    for name in ("one", "two"):
        with rehearsal_with(tmp_path / name) as rehearsal:
            backend = client_of(rehearsal).backend("fake_manila")
            counts.append([submitted(backend, backend).result()[0].data.meas.get_counts() for _ in range(2)])
    assert counts[0] == counts[1]
    assert counts[0][0] != counts[0][1]


def test_the_noise_of_lone_qubits_is_aers() -> None:
    """The fast way for qubits that nothing couples gives what Aer's own density matrix and readout error give."""
    device = open_devices(["fake_manila"])["fake_manila"]
    circuit = QuantumCircuit(5, 1)
    for gate in ("sx", "x", "sx", "id"):
        getattr(circuit, gate)(2)
        circuit.rz(0.7, 2)
    lone = QuantumCircuit(1)
    for instruction in circuit.data:
        lone.append(instruction.operation, [0])
    lone.save_density_matrix()
    rho = np.asarray(device.simulator((2,)).run(lone).result().data()["density_matrix"])
    noise = Noise(device, 2)
    expected = rho[0, 0].real * noise.readout[0, 1] + rho[1, 1].real * noise.readout[1, 1]
    circuit.measure(2, 0)
    draw = Draw({}, 1, 1, np.random.default_rng(1))
    assert chances_of_one(lines_of(circuit)[2], noise, draw) == pytest.approx([expected], abs=1e-9)
    assert 0.01 < expected < 0.99


def test_qubits_that_something_couples_are_not_alone() -> None:
    """Neither by a gate, nor by a bit that something else reads or writes."""
    circuit = QuantumCircuit(4, 3)
    circuit.x(0)
    circuit.cx(0, 1)
    circuit.measure(range(3), range(3))
    with circuit.if_test((circuit.clbits[2], 1)):
        circuit.x(3)
    assert list(lines_of(circuit)) == []
