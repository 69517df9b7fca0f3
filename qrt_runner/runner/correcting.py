"""Corrects counts for the readout errors that their job has measured; knows the modules above it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.analysis import expectations_from_counts
from qrt_runner.analysis.m3 import M3, MeasuredReadout, measured_readout
from qrt_runner.plan import prepared, read_bits
from qrt_runner.results import Counts, PubResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qrt_runner.plan import Job, PlannedTask
    from qrt_runner.results import JobResult, Ledger

M3_NAME: Final = "m3"
_NEVER_MISREAD: Final = "no qubit was misread in the calibration"

Tell = Callable[[Counts, "PlannedTask", "MeasuredReadout | None"], PubResult]
"""Works out what the counts of a PUB tell that a task has a share in; raises a JobError where that cannot be done."""


def as_measured(counts: Counts, task: PlannedTask) -> PubResult:
    """Return counts as they are, and the expectation values that they tell."""
    return PubResult(counts, expectations_from_counts(counts, task.logical.observables, task.logical.circuit))


def as_asked(counts: Counts, task: PlannedTask, readout: MeasuredReadout | None) -> PubResult:
    """Return counts, and expectation values that are corrected where their job has measured the readout for it.

    Raises:
        JobError: Where they cannot be corrected.
    """
    found = as_measured(counts, task)
    if readout is None:
        return found
    assert found.expectations is not None
    errors = {bit: readout.errors[qubit] for bit, qubit in read_bits(task.program).items()}
    return M3(task.logical.circuit, errors, readout.shots).applied(counts, task.logical.observables, found.expectations)


def readout_of(job: Job, result: JobResult) -> MeasuredReadout | None:
    """Return how the qubits of a job were misread; None where the job has not measured it."""
    if result.calibration is None:
        return None
    return measured_readout(result.calibration, job.calibrated, prepared(job.submission.pubs[-1]))


def told(job: Job, result: JobResult, readout: MeasuredReadout) -> dict[str, Any]:
    """Return what `readout.json` has of a job."""
    return {"job": result.record["id"], "pub": len(job.asked), **readout.told()}


def with_outcome(ledger: Ledger, readouts: Sequence[MeasuredReadout]) -> Ledger:
    """Return a ledger in which M3 does not count as applied where there was nothing to correct."""
    if M3_NAME not in ledger.applied or not readouts or any(readout.acts for readout in readouts):
        return ledger
    return without_m3(ledger, _NEVER_MISREAD)


def without_m3(ledger: Ledger, why: str) -> Ledger:
    """Return a ledger in which M3 is ignored, if it was to be applied."""
    if M3_NAME not in ledger.applied:
        return ledger
    applied = tuple(name for name in ledger.applied if name != M3_NAME)
    return replace(ledger, applied=applied, ignored={**ledger.ignored, M3_NAME: why})


def corrections(task: PlannedTask, jobs: Sequence[JobResult]) -> Iterator[str]:
    """Tell what M3 has corrected, and what it has not."""
    yield "expectation values and fidelities are corrected (M3) for readout errors; counts are as measured"
    if (task.ledger.resolved.get("twirling") or {}).get("enable_measure"):
        yield "standard errors do not hold what the finite number of readout randomizations adds (twirling)"
    circuit, bits = task.logical.circuit, read_bits(task.program)
    if circuit.has_control_flow_op():
        yield "measured bits that steer the circuit are not corrected"
    if left := sum(bit not in bits for bit in range(circuit.num_clbits)):
        yield f"{left} of {circuit.num_clbits} bits are no final measurements and are not corrected"
    others = sum(span.stop - span.start for job in jobs for span in job.spans) - len(task.logical.sets.values)
    if others > 0:
        yield f"readout calibration (M3) shared with {others} other parameter sets of the job"
