"""What a platform gave is bytes, and the numbers computed from them are those that the platform itself computes."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
import zlib
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.primitives import BitArray
from qiskit.providers.basic_provider import BasicSimulator
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime.api.exceptions import RequestsApiError
from qiskit_ibm_runtime.fake_provider import FakeManilaV2
from qiskit_ibm_runtime.fake_provider.local_runtime_job import LocalRuntimeJob
from qiskit_ibm_runtime.options_models import EstimatorOptions, SamplerOptions
from qiskit_ibm_runtime.results import QuantumProgramResult
from rehearsing import client_of, rehearsal_with

from qrt_runner.backends import Device
from qrt_runner.errors import JobError
from qrt_runner.modes import Pub, RawResult, Submission, executor_results, mode_named
from qrt_runner.modes.executor_results import executor_result, program_result
from qrt_runner.modes.raw_results import counts_written, expectations_written
from qrt_runner.rehearsal import Fault
from qrt_runner.results import Counts, Expectations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qrt_runner.backends.device import Where
    from qrt_runner.rehearsal import Rehearsal
    from qrt_runner.results import PubResult

ZZ_AND_X = {"zz": SparsePauliOp("ZZ"), "x_sum": SparsePauliOp(["IX", "XI"], [0.3, -0.7])}
FEW = {"num_randomizations": 4}
TWIRL = {"enable_gates": True, "enable_measure": True, **FEW}
ZNE = {"zne_mitigation": True, "zne": {"noise_factors": [1, 2, 3]}}
MITIGATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "sampler": ("sampler", {}),
    "sampler-dd": ("sampler", {"dynamical_decoupling": {"enable": True}}),
    "sampler-twirl": ("sampler", {"twirling": TWIRL}),
    "estimator": ("estimator", {"resilience_level": 0}),
    "estimator-level_1": ("estimator", {"resilience_level": 1, "twirling": FEW}),
    "estimator-level_2": ("estimator", {"resilience_level": 2, "twirling": FEW}),
    "estimator-trex": (
        "estimator",
        {"resilience_level": 0, "resilience": {"measure_mitigation": True}, "twirling": FEW},
    ),
    "estimator-zne": ("estimator", {"resilience_level": 0, "resilience": ZNE}),
    "estimator-dd": ("estimator", {"resilience_level": 0, "dynamical_decoupling": {"enable": True}}),
    "estimator-twirl": ("estimator", {"resilience_level": 0, "twirling": TWIRL}),
}
"""Mode and options of each mitigation."""


@cache
def manila() -> AerSimulator:
    """Return Manila, simulated with its noise."""
    return AerSimulator.from_backend(FakeManilaV2())


def rotated(*, measured: bool) -> QuantumCircuit:
    """Return a circuit of Manila's own gates with two parameters."""
    circuit = QuantumCircuit(2, 2 if measured else 0)
    circuit.sx(0)
    circuit.rz(Parameter("a"), 0)
    circuit.sx(0)
    circuit.cx(0, 1)
    circuit.rz(Parameter("b"), 1)
    circuit.sx(1)
    if measured:
        circuit.measure([0, 1], [0, 1])
    return circuit


def pubs_of(mode: str) -> tuple[Pub, ...]:
    """Return a PUB of three parameter sets and one without parameters."""
    circuit = rotated(measured=mode != "estimator")
    values = np.array([[0.1, 0.2], [1.3, -0.4], [2.5, 0.6]])
    observables = ZZ_AND_X if mode == "estimator" else {}
    return Pub(circuit, values, observables), Pub(circuit.assign_parameters([0.5, 0.25]), np.empty((1, 0)), observables)


def options_of(mode: str, **options: Any) -> Any:
    """Return the option model of a primitive, with a seed; none for raw mode."""
    if mode == "raw":
        return None
    model = EstimatorOptions if mode == "estimator" else SamplerOptions
    return model(default_shots=200, simulator={"seed_simulator": 11}, **options)


def asked(mode: str, backend: Any, where: Where = "simulator", **options: Any) -> Submission:
    """Return a submission of two PUBs."""
    device = Device("asked", backend, where, noisy=True)
    return Submission(device, backend, pubs_of(mode), 200, seed=11, options=options_of(mode, **options))


def left_of(submission: Submission) -> Submission:
    """Return what is left of a submission a year later: circuits, values and observables."""
    return replace(submission, device=None, runs_on=None, options=None, place=None, shots=0, seed=None)


def arrays_of(result: Any) -> list[dict[str, tuple[str, tuple[int, ...], bytes]]]:
    """Return every array of a primitive's result as bytes, to be compared bit for bit."""
    found = [
        {name: data.array if isinstance(data, BitArray) else np.asarray(data) for name, data in pub.data.items()}
        for pub in result
    ]
    return [{name: (array.dtype.str, array.shape, array.tobytes()) for name, array in pub.items()} for pub in found]


def numbers_of(pubs: list[PubResult]) -> list[Any]:
    """Return all numbers of PUB results, arrays as bytes."""
    return [pub.counts or _bytes_of(pub.expectations) for pub in pubs]


def _bytes_of(found: Expectations) -> Any:
    details = {name: array.tobytes() for name, array in found.details.items()}
    return found.names, found.values.tobytes(), found.errors.tobytes(), details


# The runtime's local mode


@pytest.mark.parametrize("chosen", MITIGATIONS)
def test_a_local_result_is_read_as_the_runtime_reads_it(chosen):
    """Bit for bit, whatever the mitigation, with and without parameters."""
    mode, options = MITIGATIONS[chosen]
    submission = asked(mode, manila(), **options)
    job = mode_named(mode).submit(submission)
    raw = mode_named(mode).fetch(submission, job)
    assert raw.kind == "executor"
    assert arrays_of(program_result(raw.content)) == arrays_of(job.result())


@pytest.mark.parametrize("chosen", ["sampler-twirl", "estimator-level_1"])
def test_reading_needs_no_backend_and_may_be_repeated(chosen):
    """Circuits, values and names of observables are enough; reading uses nothing up."""
    mode, options = MITIGATIONS[chosen]
    submission = asked(mode, manila(), **options)
    raw = mode_named(mode).fetch(submission, mode_named(mode).submit(submission))
    first = mode_named(mode).read(left_of(submission), raw)
    assert numbers_of(first) == numbers_of(mode_named(mode).read(submission, raw))
    sizes = [len(pub.counts.joint if pub.counts else pub.expectations.values) for pub in first]
    assert sizes == [3, 1]


def test_control_flow_is_read_by_registers():
    """A measured 1 flips the other qubit: both registers read 1, in 50 of 50 shots."""
    circuit = QuantumCircuit(2)
    circuit.add_register(*QuantumCircuit(0, 1).cregs)
    circuit.x(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.measure_all()
    simulator = AerSimulator()
    device = Device("aer", simulator, "simulator", noisy=False)
    options = SamplerOptions(default_shots=50)
    submission = Submission(device, simulator, (Pub(circuit, np.empty((1, 0)), {}),), 50, seed=None, options=options)
    sampler = mode_named("sampler")
    (pub,) = sampler.read(left_of(submission), sampler.fetch(submission, sampler.submit(submission)))
    assert pub.counts.by_register() == [{"c": {"1": 50}, "meas": {"11": 50}}]


def test_metadata_of_a_circuit_may_be_anything():
    """What JSON cannot hold is described; the counts are there."""
    submission = asked("sampler", manila())
    submission.pubs[0].circuit.metadata = {"who": {1}, "when": 2, ("a", "b"): 3, "nothing": float("nan")}
    sampler = mode_named("sampler")
    raw = sampler.fetch(submission, sampler.submit(submission))
    assert '{"who": "{1}", "when": 2, "nothing": NaN}' in raw.content.decode()
    assert sampler.read(submission, raw)[0].counts.shots() == [200, 200, 200]


def local_job(result: QuantumProgramResult) -> LocalRuntimeJob:
    """Return a job of the runtime's local mode that gives this result."""
    job = LocalRuntimeJob(lambda **_: result, None, "executor", None)
    job._submit()  # noqa: SLF001 - as the runtime's local service does
    return job


def test_all_that_a_program_result_holds_comes_back():
    """Arrays of any type and shape, and nested values, NaN and infinities among them."""
    arrays = {
        "bits": np.array([[True, False, True]] * 3)[:, ::2],
        "none": np.empty((2, 0, 3), dtype=bool),
        "big": np.arange(6, dtype=">f8").reshape(2, 3).T,
        "signs": np.array(7, dtype=np.uint8),
        "phases": np.array([1j, np.nan]),
    }
    kept = {"scale": np.float64(0.1), "count": np.int64(3), "odd": [float("inf"), (1, None, True)], "at": np.eye(2)}
    given = QuantumProgramResult([dict(arrays)], passthrough_data=kept)
    found = program_result(executor_result(local_job(given)).content)
    assert {name: array.dtype.newbyteorder("<") for name, array in arrays.items()} == {
        name: array.dtype for name, array in found[0].items()
    }
    assert all(np.array_equal(found[0][name], array, equal_nan=name == "phases") for name, array in arrays.items())
    assert np.array_equal(found.passthrough_data.pop("at"), np.eye(2))
    assert found.passthrough_data == {"scale": 0.1, "count": 3, "odd": [float("inf"), [1, None, True]]}


def test_what_the_schema_has_no_place_for_is_refused():
    """Rather than left out."""
    job = local_job(QuantumProgramResult([], passthrough_data={"noise": {1, 2}}))
    with pytest.raises(JobError, match="result cannot be stored: Object of type set is not JSON serializable"):
        executor_result(job)


# IBM's service


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """A service with one small device."""
    with rehearsal_with(tmp_path_factory.mktemp("rehearsal")) as running:
        yield running


@pytest.fixture(scope="module")
def backend(rehearsal) -> Any:
    """Its device, by the real client."""
    return client_of(rehearsal).backend("fake_manila")


@pytest.mark.parametrize("chosen", ["raw", "sampler-twirl", "estimator-level_2"])
def test_a_result_of_the_service_is_its_own_text(backend, chosen):
    """The client reads the same numbers from it, and a job found again by its id gives it again."""
    mode, options = MITIGATIONS.get(chosen, (chosen, {}))
    submission = asked(mode, backend, "ibm", **options)
    job = mode_named(mode).submit(submission)
    raw = mode_named(mode).fetch(submission, job)
    assert json.loads(raw.content)["schema_version"] == "v2.0"
    assert mode_named(mode).fetch(submission, backend.service.job(job.job_id())) == raw
    if mode == "raw":
        assert all(
            np.array_equal(ours["c"], theirs["c"])
            for ours, theirs in zip(program_result(raw.content), job.result(), strict=True)
        )
    else:
        assert arrays_of(program_result(raw.content)) == arrays_of(job.result())
    assert len(mode_named(mode).read(left_of(submission), raw)) == 2


def test_a_result_that_breaks_off_can_be_asked_for_again(rehearsal, backend):
    """The client notices that bytes are missing which were promised."""
    submission = asked("sampler", backend, "ibm")
    job = mode_named("sampler").submit(submission)
    whole = mode_named("sampler").fetch(submission, job)
    rehearsal.arm(Fault(kind="truncated", on="results"))
    with pytest.raises(RequestsApiError):
        mode_named("sampler").fetch(submission, job)
    assert mode_named("sampler").fetch(submission, job) == whole


@pytest.mark.parametrize("share", [0, 0.5])
def test_half_a_text_is_not_taken_for_a_result(backend, monkeypatch, share):
    """Where the client does not notice, as behind a proxy that promises less, we do."""
    submission = asked("sampler", backend, "ibm")
    job = mode_named("sampler").submit(submission)
    whole = mode_named("sampler").fetch(submission, job).content.decode()
    part = whole[: int(share * len(whole))]
    monkeypatch.setattr(job._api_client, "job_results", lambda **_: part)  # noqa: SLF001 - the client's way to the service
    with pytest.raises(json.JSONDecodeError, match=f"the result of job {job.job_id()} breaks off: line 1 column "):
        mode_named("sampler").fetch(submission, job)


# Everything else: `BackendV2.run`, and Qiskit's own primitives on vendors' devices


@pytest.mark.parametrize("backend", [AerSimulator, FakeManilaV2])
def test_raw_counts_are_those_of_the_backend(backend):
    """Set by set, in the order of the PUBs."""
    submission = asked("raw", backend())
    raw = mode_named("raw")
    job = raw.submit(submission)
    found = raw.fetch(submission, job)
    assert found.kind == "counts"
    counts = [pub.counts for pub in raw.read(left_of(submission), found)]
    assert [one.registers for one in counts] == [(("c", 2),)] * 2
    assert [joint for one in counts for joint in one.joint] == [dict(job.result().get_counts(at)) for at in range(4)]


def test_raw_mode_on_aer_does_not_import_the_runtime():
    """It takes about a second to import."""
    line = "import sys, qrt_runner.modes.raw; print('qiskit_ibm_runtime' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, check=True, text=True)
    assert done.stdout == "False\n"


def test_counts_of_a_vendor():
    """As Qiskit's own Sampler gives them."""
    submission = asked("sampler", BasicSimulator(), "vendor")
    sampler = mode_named("sampler")
    job = sampler.submit(submission)
    found = sampler.fetch(submission, job)
    assert found.kind == "counts"
    swept, single = (pub.counts for pub in sampler.read(left_of(submission), found))
    assert list(swept.joint) == [job.result()[0].data.c.get_counts(at) for at in range(3)]
    assert list(single.joint) == [job.result()[1].data.c.get_counts()]


def test_expectation_values_of_a_vendor():
    """As Qiskit's own Estimator gives them: observables first, then sets."""
    submission = asked("estimator", BasicSimulator(), "vendor")
    estimator = mode_named("estimator")
    job = estimator.submit(submission)
    found = estimator.fetch(submission, job)
    assert found.kind == "expectations"
    swept, single = (pub.expectations for pub in estimator.read(left_of(submission), found))
    assert swept.names == single.names == ("zz", "x_sum")
    assert np.array_equal(swept.values, job.result()[0].data.evs.T)
    assert np.array_equal(swept.errors, job.result()[0].data.stds.T)
    assert np.array_equal(single.values, [job.result()[1].data.evs])


def test_no_expectation_value_changes_on_the_way():
    """NaN, infinities and -0.0 come back bit for bit, in arrays of their own shape."""
    values = np.array([[np.nan, -0.0], [np.inf, 1 / 3], [-np.inf, 5e-324]])
    given = Expectations(("a", "b"), values, -values, {"evs_extrapolated": values.reshape(3, 2, 1)})
    (pub,) = mode_named("estimator").read(submission_of(3), expectations_written([given]))
    assert _bytes_of(pub.expectations) == _bytes_of(given)
    assert pub.expectations.details["evs_extrapolated"].shape == (3, 2, 1)
    pub.expectations.values[0, 0] = 1.0


def submission_of(sets: int) -> Submission:
    """Return what is left of a submission of one PUB with so many parameter sets."""
    circuit = QuantumCircuit(1, 1)
    circuit.rx(Parameter("a"), 0)
    pub = Pub(circuit, np.zeros((sets, 1)), {})
    return Submission(None, None, (pub,), 0, seed=None)


def many_counts(sets: int) -> Counts:
    """Return counts of 16 outcomes for each of so many parameter sets."""
    joint = {format(outcome, "04b"): 64 + outcome for outcome in range(16)}
    return Counts((("a", 1), ("b", 3)), (joint,) * sets)


def test_counts_of_many_sets_take_no_time():
    """10,000 parameter sets are written and read within a second, and are the same."""
    given = many_counts(10_000)
    since = time.perf_counter()
    (pub,) = mode_named("raw").read(submission_of(10_000), counts_written([given]))
    assert time.perf_counter() - since < 1
    assert pub.counts == given


# What cannot be read


def test_a_kind_that_a_mode_does_not_know_is_refused():
    """Its name is told, and those that the mode reads."""
    with pytest.raises(JobError) as told:
        mode_named("sampler").read(submission_of(1), RawResult(b"", "expectations"))
    assert str(told.value) == "the stored result is of kind expectations, and this mode reads executor, counts only"


@pytest.fixture(scope="module")
def sampled() -> RawResult:
    """The result of a Sampler's job with one PUB of one parameter set."""
    circuit = rotated(measured=True).assign_parameters([0.5, 0.25])
    bits = {"c": np.zeros((200, circuit.num_clbits), dtype=bool)}
    told = {"post_processor": {"version": "v0.1", "twirling": False, "meas_type": "classified", "shots": 200}}
    result = QuantumProgramResult([bits], passthrough_data={**told, "post_processor": told["post_processor"]})
    result.passthrough_data["post_processor"]["options"] = {}
    result._semantic_role = "sampler_v2"  # noqa: SLF001 - as the runtime's Sampler marks it
    return executor_result(local_job(result))


def with_data(text: bytes, data: bytes) -> bytes:
    """Return the text of a result with the bytes of its first array replaced."""
    changed = json.loads(text)
    changed["data"][0]["results"]["c"]["data"] = base64.b64encode(data).decode()
    return json.dumps(changed).encode()


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "half of it": lambda text: text[: len(text) // 2],
    "no text": lambda text: b"\xff" + text,
    "no object": lambda _: b"[1, 2]",
    "no end of nesting": lambda _: b"[" * 100_000,
    "another schema": lambda text: text.replace(b'"v2.0"', b'"v9.0"'),
    "no schema": lambda text: text.replace(b'"schema_version"', b'"version"'),
    "no base64": lambda text: text.replace(b'"data": "', b'"data": "\xc3\xa4'),
    "no zlib": lambda text: with_data(text, b"abc"),
    "a missing register": lambda text: text.replace(b'"c": {', b'"d": {'),
    "a missing array": lambda text: with_data(text, zlib.compress(b"")),
    "no PUB": lambda text: json.dumps({**json.loads(text), "data": []}).encode(),
}


def test_an_undamaged_result_is_read(sampled):
    """The one that the following tests damage: 200 times 00."""
    (pub,) = mode_named("sampler").read(asked_once(), sampled)
    assert pub.counts.joint == ({"00": 200},)


def asked_once() -> Submission:
    """Return what is left of a submission of one PUB without parameters."""
    return replace(submission_of(1), pubs=pubs_of("sampler")[1:])


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_text_of_the_runtime_is_refused(sampled, damage):
    """Whatever the damage, in a message of our own."""
    damaged = replace(sampled, content=DAMAGES[damage](sampled.content))
    with pytest.raises(
        JobError, match=rf"^the stored result \({len(damaged.content):,} bytes of kind executor\) is dam"
    ):
        mode_named("sampler").read(asked_once(), damaged)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"pubs": [{}]}', b'{"pubs": [1]}', b'{"pubs": []}', b"\xff"])
@pytest.mark.parametrize(("mode", "kind"), [("raw", "counts"), ("estimator", "expectations")])
def test_damaged_numbers_are_refused(mode, kind, content):
    """As above."""
    with pytest.raises(JobError, match=rf"bytes of kind {kind}\) is damaged or was written by another version: "):
        mode_named(mode).read(submission_of(1), RawResult(content, kind))


def test_counts_of_another_submission_are_refused():
    """Two parameter sets are not three."""
    with pytest.raises(JobError, match=r"it holds PUBs of \[2\] parameter sets, submitted were \[3\]"):
        mode_named("raw").read(submission_of(3), counts_written([many_counts(2)]))


def test_a_small_text_cannot_fill_the_memory(sampled, monkeypatch):
    """What unpacks to more than the limit is refused before it is unpacked; 64 MiB of zeros are 64 KiB of text."""
    monkeypatch.setattr(executor_results, "_MOST_BYTES", 1 << 20)
    bomb = replace(sampled, content=with_data(sampled.content, zlib.compress(bytes(1 << 26))))
    with pytest.raises(JobError, match="its arrays unpack to more than 1,048,576 bytes"):
        mode_named("sampler").read(asked_once(), bomb)
