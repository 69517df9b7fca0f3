"""Merges what tasks ask for into as few jobs as the limits allow; knows the modules above it.

Parameter sets of equal programs and observables become one broadcast PUB, in the order of their values; PUBs for which
all else is equal become one job. The order in which points were written never matters: a job draws its random numbers
in the order of its parameter sets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from qrt_runner.plan.costs import expected_s
from qrt_runner.plan.grouping import grouped
from qrt_runner.plan.learning import with_learners
from qrt_runner.plan.records import Job, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from qrt_runner.config import Limits, Session
    from qrt_runner.modes import Pub, Submission
    from qrt_runner.plan.calibrating import Calibrating
    from qrt_runner.plan.costs import SetCost
    from qrt_runner.plan.learning import Learning
    from qrt_runner.plan.records import Group

_MIB = 2**20


@dataclass(frozen=True, eq=False)
class Wanted:
    """What one task wants to be submitted."""

    number: int
    """Index of the task in the plan."""

    mode: str
    template: Submission
    """The job it would be by itself: one PUB with the task's own parameter sets."""

    job_key: str
    """Equal for what may go into one job, its session group aside."""

    pub_key: str
    """Equal for what may go into one PUB; its order is that of the PUBs in a job."""

    tie_key: Callable[[], str]
    """Orders equal parameter sets of several tasks; asked only where there are some."""

    cost: SetCost
    sets_at_once: float
    """How many of its sets fit into one job."""

    limits: Limits
    session: Session
    group_key: str
    """Equal for what shares a session group; empty where there is none."""

    calibrating: Calibrating | None = None
    """Of which qubits its job measures the readout, and how; None where it does not ask for M3."""

    learning: Learning | None = None
    """Where its noise model is from, where its mitigation needs one."""

    @property
    def values(self) -> np.ndarray:
        """Its parameter values, shape (sets, parameters)."""
        return self.template.pubs[0].values

    @property
    def calibrated(self) -> tuple[int, ...]:
        """The qubits whose readout its job measures for it."""
        return self.calibrating.qubits if self.calibrating is not None else ()


@dataclass(frozen=True, eq=False)
class _Chunk:
    """Parameter sets of one PUB that go into one job."""

    like: Wanted
    values: np.ndarray
    owners: np.ndarray
    """Shape (sets, 2): index of the task, index of the set in the task."""


def merged(wanted: Sequence[Wanted]) -> tuple[list[Job], list[Group], list[list[Place]]]:
    """Return the jobs, in the order of their first points, their groups, and the places of each task.

    Jobs that learn the noise of others come first.
    """
    packed: list[list[_Chunk]] = []
    by_job = sorted(wanted, key=lambda one: (one.group_key, one.job_key, one.pub_key))
    for _, tasks in groupby(by_job, key=lambda one: (one.group_key, one.job_key)):
        packed += _packed(
            chunk for _, same in groupby(tasks, key=lambda one: one.pub_key) for chunk in _chunks([*same])
        )
    packed.sort(key=lambda chunks: min(int(chunk.owners[:, 0].min()) for chunk in chunks))
    jobs = [_job(index, chunks) for index, chunks in enumerate(packed)]
    first = [chunks[0].like for chunks in packed]
    jobs, users = with_learners(jobs, [(one.group_key, one.learning) for one in first])
    first = [*(first[user] for user in users), *first]
    jobs, groups = grouped(jobs, [one.group_key for one in first], [one.session for one in first])
    return jobs, groups, _places(packed, len(wanted), len(users))


def _chunks(tasks: Sequence[Wanted]) -> Iterator[_Chunk]:
    """Bring the sets of all tasks of a PUB into the order of their values, and cut them into what fits a job."""
    first = tasks[0]
    values, owners, order = _ordered(tasks)
    if len(tasks) > 1 and not (np.diff(values[order], axis=0) != 0).any(axis=1).all():
        values, owners, order = _ordered(sorted(tasks, key=lambda one: (one.tie_key(), one.number)))
    # A circuit without parameters has no axis to broadcast along: every set of it is a PUB of its own.
    pieces = math.ceil(len(order) / first.sets_at_once) if values.shape[1] else len(order)
    for rows in np.array_split(order, max(pieces, 1)):
        yield _Chunk(first, values[rows], owners[rows])


def _ordered(tasks: Sequence[Wanted]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return all sets, their owners, and the order of their values, in which equal ones stay as they are."""
    values = np.concatenate([one.values for one in tasks])
    owners = np.concatenate([_owners(one) for one in tasks])
    return values, owners, np.lexsort(values.T[::-1]) if values.shape[1] else np.arange(len(values))


def _owners(one: Wanted) -> np.ndarray:
    sets = len(one.values)
    return np.stack([np.full(sets, one.number), np.arange(sets)], axis=1)


def _packed(chunks: Iterable[_Chunk]) -> list[list[_Chunk]]:
    """Fill jobs one after the other, each until the next PUB would exceed a limit."""
    jobs: list[list[_Chunk]] = []
    load, qubits = np.zeros(5), set[int]()
    for chunk in chunks:
        added, together = _load(chunk), qubits.union(chunk.like.calibrated)
        if jobs and (load + added + _beside(chunk.like, together) <= _most(chunk.like.limits)).all():
            jobs[-1].append(chunk)
            load, qubits = load + added, together
        else:
            jobs.append([chunk])
            load, qubits = added, {*chunk.like.calibrated}
    return jobs


def _beside(like: Wanted, qubits: AbstractSet[int]) -> np.ndarray:
    """Return what calibrations add to a job, as `_load`; PUBs and sets are limited of those asked for.

    M3's is one of the qubits that are measured; TREX's is the same for all, and no task has both.
    """
    if not qubits or like.calibrating is None:
        return np.array([0, 0, like.cost.trex.executions if like.cost.trex is not None else 0, 0, 0], dtype=float)
    beside = like.calibrating.of(tuple(sorted(qubits))).beside
    return np.array([0, 0, beside.executions, beside.payload_bytes / _MIB, beside.memory_bytes / _MIB], dtype=float)


def _load(chunk: _Chunk) -> np.ndarray:
    """Return what a chunk adds to a job: PUBs, parameter sets, executions, MiB sent, MiB of memory."""
    cost, sets = chunk.like.cost, len(chunk.values)
    sent = (cost.fixed_payload_bytes + sets * cost.payload_bytes) / _MIB
    return np.array([1, sets, sets * cost.executions, sent, sets * cost.memory_bytes / _MIB], dtype=float)


def _most(limits: Limits) -> np.ndarray:
    """Return the limits in the order of `_load`."""
    given = (limits.pubs, limits.parameter_sets, limits.executions, limits.payload_mib, limits.memory_mib)
    return np.array([math.inf if limit is None else limit for limit in given])


def _job(index: int, chunks: Sequence[_Chunk]) -> Job:
    first = chunks[0].like
    pubs = tuple(_pub(chunk) for chunk in chunks)
    loads = [chunk.like.cost.load(len(chunk.values)) for chunk in chunks]
    qubits = tuple(sorted({qubit for chunk in chunks for qubit in chunk.like.calibrated}))
    if qubits and first.calibrating is not None:
        calibration = first.calibrating.of(qubits)
        pubs = (*pubs, calibration.pub)
        loads.append(calibration.cost.load(len(calibration.pub.values)))
    # What is simulated here costs no quantum time.
    is_free = first.template.device.where == "simulator"
    template = replace(first.template, pubs=pubs)
    job = Job(index, first.mode, template, calibrated=qubits, loads=tuple(loads), trex=first.cost.trex)
    return job if is_free else replace(job, expected_s=expected_s(job.executions))


def _pub(chunk: _Chunk) -> Pub:
    return replace(chunk.like.template.pubs[0], values=chunk.values)


def _places(packed: Sequence[Sequence[_Chunk]], tasks: int, before: int) -> list[list[Place]]:
    """Return where each task's numbers are, with so many jobs before those that are packed."""
    places: list[list[Place]] = [[] for _ in range(tasks)]
    for job, chunks in enumerate(packed, before):
        for pub, chunk in enumerate(chunks):
            # Rows of one task side by side, without disturbing their order.
            rows = np.argsort(chunk.owners[:, 0], kind="stable")
            numbers = chunk.owners[rows, 0]
            for own in np.split(rows, np.flatnonzero(np.diff(numbers)) + 1):
                places[int(chunk.owners[own[0], 0])].append(Place(job, pub, own, chunk.owners[own, 1]))
    return places
