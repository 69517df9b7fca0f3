"""The backend sections, told apart by their kind; knows pydantic only."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, JsonValue

from qrt_runner.config.values import Section

Method = Literal[
    "automatic", "statevector", "density_matrix", "stabilizer", "extended_stabilizer", "matrix_product_state"
]


class Limits(Section):
    """How large one job may be; what is null is not limited."""

    pubs: Annotated[int, Field(ge=1, examples=[100])] | None
    """PUBs of one job."""
    parameter_sets: Annotated[int, Field(ge=1, examples=[1000])] | None
    """Parameter sets of one job, over all its PUBs."""
    executions: Annotated[int, Field(ge=1, examples=[10_000_000])] | None
    """Circuits of one job, randomizations and measurement bases included, times their shots."""
    payload_mib: Annotated[float, Field(gt=0, examples=[50])] | None
    """What one job sends."""
    memory_mib: Annotated[float, Field(gt=0, examples=[256])] | None
    """What one job's circuits and shots take up in this process, as estimated."""


class _Limited(Section):
    """A backend whose jobs have limits."""

    limits: Limits


class _Simulated(_Limited):
    """What can be chosen on a simulator of ours."""

    method: Annotated[Method, Field(examples=["matrix_product_state"])]
    """Aer's simulation method."""
    precision: Annotated[Literal["double", "single"], Field(examples=["double"])]
    """Floating point numbers of the simulation: 16 or 8 bytes per complex amplitude."""
    threads: Annotated[int, Field(ge=0, examples=[2])]
    """Threads Aer may use; 0 for all cores."""


class Aer(_Simulated):
    """The ideal Aer simulator."""

    kind: Literal["aer"]
    name: Annotated[str, Field(min_length=1)]
    """How tables and MLflow call it."""


class AerNoisy(_Simulated):
    """Aer with the noise of a named fake device and a free choice of method."""

    kind: Literal["aer_noisy"]
    name: Annotated[str, Field(min_length=1, examples=["fake_manila"])]
    """The fake device whose noise, gates and couplings are taken."""
    noise: Literal["device", "pauli"]
    """All of its noise, or the Pauli twirl of its gate errors, without relaxation of qubits that idle."""


class Fake(_Limited):
    """A fake device of the runtime: a snapshot of a real one, simulated with its noise."""

    kind: Literal["fake"]
    name: Annotated[str, Field(min_length=1, examples=["fake_manila"])]
    """Name of the fake device, such as `fake_manila`."""


class Snapshot(_Simulated):
    """The backend of a recorded run as it was then: simulated with the noise of its calibration."""

    kind: Literal["snapshot"]
    run: Annotated[str, Field(min_length=1, examples=["latest"])]
    """A recorded run: its id, `latest`, a folder in which results are kept, or a `calibration.json`."""
    name: Annotated[str, Field(min_length=1)] | None
    """How tables and MLflow call it; null for the name of the run's backend with `_snapshot` behind it."""
    calibration: str
    """What the run recorded of its backend, as JSON; looked up by `run`."""


class Filters(Section):
    """Which of the account's backends come into question when none is named."""

    min_num_qubits: Annotated[int, Field(ge=1, examples=[100])] | None
    """At least so many qubits."""
    operational: bool | None
    """Only those that take jobs."""
    simulator: bool | None
    """Only simulators, or only devices."""
    dynamic_circuits: bool | None
    """Only those that run control flow."""


class Ibm(_Limited):
    """A backend of IBM Quantum; credentials come from the environment or the saved account only."""

    kind: Literal["ibm"]
    name: Annotated[str, Field(min_length=1, examples=["ibm_fez"])] | None
    """Name of the backend; null for the least busy one that passes the filters."""
    account: Annotated[str, Field(min_length=1)] | None
    """Name of the saved account; null for the environment or the default account."""
    instance: Annotated[str, Field(min_length=1)] | None
    """CRN or name of the service instance; null as the account has it."""
    use_fractional_gates: bool
    """Whether rzz and rx with any angle are among the backend's gates."""
    filters: Filters
    settle_s: Annotated[float, Field(ge=0, examples=[5.0])]
    """How long after a lost answer the job, or session, may still appear on the service."""


class Rehearsal(_Limited):
    """A service on this machine that behaves like IBM Quantum's."""

    kind: Literal["rehearsal"]
    name: Annotated[str, Field(min_length=1, examples=["fake_manila"])]
    """The fake device that it simulates."""
    plan: Annotated[Literal["premium", "open"], Field(examples=["premium"])]
    """Plan of the account; the open one refuses dedicated sessions."""
    queue_wait_s: Annotated[float, Field(ge=0, examples=[2.0])]
    """How long a job outside any session waits, and a session before its first job."""
    parallel_jobs: Annotated[int, Field(ge=1, examples=[5])]
    """Jobs of one batch that run at once."""
    interactive_timeout_s: Annotated[int, Field(ge=1, examples=[60])]
    """After so many seconds without a job a session lets others go first."""
    virtual_clock: bool
    """Whether queues and jobs take no real time."""
    seed: Annotated[int, Field(ge=0, lt=2**32, examples=[42])] | None
    """Seed of the simulations; null for fresh randomness."""
    store: Annotated[str, Field(min_length=1)] | None
    """Folder of its jobs and sessions; null for one of the user's own."""
    settle_s: Annotated[float, Field(ge=0, examples=[1.0])]
    """How long after a lost answer the job, or session, may still appear on the service."""
    faults: list[dict[str, JsonValue]]
    """What goes wrong."""


class Vendor(_Limited):
    """Another vendor's `BackendV2`."""

    kind: Literal["vendor"]
    name: Annotated[str, Field(min_length=1)] | None
    """How tables and MLflow call it; null for the backend's own name."""
    source: Annotated[str, Field(min_length=1, examples=["my_provider:get_backend"])]
    """An entry point of the group `qrt_runner.backends`, or `module:callable`, that returns a `BackendV2`."""
    arguments: dict[str, JsonValue]
    """Keyword arguments of that callable."""


Backend = Annotated[Aer | AerNoisy | Fake | Ibm | Rehearsal | Snapshot | Vendor, Discriminator("kind")]
