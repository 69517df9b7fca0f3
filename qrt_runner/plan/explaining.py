"""Says of a plan what was merged, why jobs are apart, and how much is sent; knows the modules above it.

Nothing of it is noted while a plan is compiled: it is read from the plan, as whoever wonders at it would.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.plan.costs import SetCost, cost_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from qrt_runner.config import Limits
    from qrt_runner.plan.records import Job, Plan, PlannedTask

_MIB: Final = 2**20
_MOST_NAMED: Final = 4
"""So many differences of two jobs are named."""

_MOST_COMPARED: Final = 100
"""With so many earlier jobs one is compared, the latest ones: with all, it would take longer than to compile them."""

_FOLLOWING: Final = ("options.default_shots", "options.simulator.seed_simulator")
"""Options that follow from the mode and the seed, which tell them."""


@dataclass
class Explaining:
    """Lives for one plan; remembers what it was asked of its jobs."""

    plan: Plan
    costs: dict[int, list[SetCost]] = field(default_factory=dict)

    @cached_property
    def tasks(self) -> Mapping[int, list[PlannedTask]]:
        """The tasks that have a part in a job, by its index."""
        found: dict[int, list[PlannedTask]] = defaultdict(list)
        for task in self.plan.tasks:
            for index in dict.fromkeys(place.job for place in task.places):
                found[index].append(task)
        return found

    @cached_property
    def users(self) -> Mapping[int, list[int]]:
        """The indices of the jobs that need the noise of one that learns it, by the index of that."""
        found: dict[int, list[int]] = defaultdict(list)
        for job in self.plan.jobs:
            if job.needs is not None:
                found[job.needs].append(job.index)
        return found

    @cached_property
    def payloads(self) -> Mapping[int, int | None]:
        """How many bytes each job sends, by its index; None where nothing is sent, or its noise is not known yet."""
        return {job.index: _payload(job) for job in self.plan.jobs}

    def merged(self) -> Iterator[str]:
        """Tell what tasks have in common, and is done once."""
        tasks, programs = len(self.plan.tasks), len(self.plan.programs)
        if programs < tasks:
            yield f"{tasks:,} tasks run {counted(programs, 'program')}, each lowered once"
        shares = Counter((place.job, place.pub) for task in self.plan.tasks for place in task.places)
        for (index, pub), count in sorted(shares.items()):
            if count > 1:
                sets = counted(len(self.plan.jobs[index].submission.pubs[pub].values), "parameter set")
                yield f"job {index + 1}, PUB {pub + 1}: {sets} of {count:,} tasks with equal circuit and observables"
        for job in self.plan.jobs:
            if len(job.asked) > 1:
                yield f"job {job.index + 1}: {len(job.asked):,} PUBs of equal mode, options and shots"
            if job.calibrated:
                qubits = counted(len(job.calibrated), "qubit")
                yield f"job {job.index + 1}: and the readout calibration (m3) of {qubits}, in the same job"

    def split(self) -> Iterator[str]:
        """Tell of each job but the first why it is none with an earlier one."""
        told: dict[frozenset[tuple[str, str]], tuple[Job, Mapping[str, str]]] = {}
        for job in self.plan.jobs:
            users = [str(index + 1) for index in self.users.get(job.index, ())]
            if users:
                needed = f"job {users[0]} needs" if len(users) == 1 else f"jobs {', '.join(users)} need"
                yield f"job {job.index + 1}: learns the noise that {needed}"
                continue
            sign = self._sign(job)
            key = frozenset(sign.items())
            if told:
                # Of equal ones the latest, after which it stands.
                equal = told.pop(key, None)
                yield f"job {job.index + 1}: {self._why(job, sign, equal or _nearest(sign, reversed(told.values())))}"
            told[key] = job, sign

    def unknown(self) -> Iterator[str]:
        """Tell which jobs are larger than is known, as PEC multiplies their circuits by what the noise tells."""
        for job in self.plan.jobs:
            if any(load.overhead is None for load in job.loads):
                most = most_overhead(job)
                words = "by gamma squared" if most is None else f"by gamma squared, at most by {most:g}"
                yield f"job {job.index + 1}: PEC multiplies its circuits {words}, once the noise is learned"

    def beyond(self) -> Iterator[str]:
        """Tell which jobs send more than the limit, which goes by what is known of circuits before mitigation."""
        for job in self.plan.jobs:
            limit = (
                self.tasks[job.index][0].point.experiment.document.backend.limits.payload_mib
                if (job.index in self.tasks)
                else None
            )
            sent = self.payloads[job.index]
            if limit is not None and sent is not None and sent > limit * _MIB:
                yield f"job {job.index + 1} sends {sent / _MIB:.3g} MiB, over backend.limits.payload_mib={limit:g}"

    def _why(self, job: Job, sign: Mapping[str, str], near: tuple[Job, Mapping[str, str]]) -> str:
        other, nearest = near
        names = _differing(sign, nearest)
        if not names:
            return f"with job {other.index + 1} it would exceed {self._exceeded(job, other)}"
        named = [f"{name} {sign.get(name, 'unset')} instead of {nearest.get(name, 'unset')}" for name in names]
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        return f"differs from job {other.index + 1} in {', '.join(named[:_MOST_NAMED])}{more}"

    def _sign(self, job: Job) -> dict[str, str]:
        """Return all that is equal for PUBs of one job, by the names that users know."""
        task = self.tasks[job.index][0]
        asked, document = task.point.experiment.tasks[task.name], task.point.experiment.document
        options = job.submission.options
        sections = {
            "backend": document.backend.model_dump(mode="json", exclude={"limits"}),
            "mode": asked.mode.model_dump(mode="json"),
            "options": options.model_dump(mode="json") if options is not None else {},
            "mitigation": {"readout": asked.mitigation.readout},
            "seed": document.seed,
            "session group": job.group,
            "qubits": list(job.submission.qubits),
            "noise learned by job": None if job.needs is None else job.needs + 1,
        }
        return {name: value for name, value in _leaves(sections) if name not in _FOLLOWING}

    def _exceeded(self, job: Job, other: Job) -> str:
        """Return the limits that two jobs together would exceed."""
        task = self.tasks[job.index][0]
        limits: Limits = task.point.experiment.document.backend.limits
        used = [self._used(one) for one in (job, other)]
        together = {name: sum(one[name] for one in used) for name in used[0]}
        together["executions"] += job.trex.executions if job.trex is not None else 0
        names = [
            f"backend.limits.{name}={limit:g}"
            for name, limit in limits.model_dump().items()
            if isinstance(limit, int | float) and name in together and together[name] > limit
        ]
        return " and ".join(names) or "what a job holds"

    def _used(self, job: Job) -> dict[str, float]:
        """Return what a job holds, by the names of the limits."""
        costs, sets = self._costs(job), [len(pub.values) for pub in job.submission.pubs]
        asked = len(job.asked)
        return {
            "pubs": asked,
            "parameter_sets": sum(sets[:asked]),
            "executions": sum(count * cost.executions for count, cost in zip(sets, costs, strict=True)),
            "payload_mib": sum(
                cost.fixed_payload_bytes + count * cost.payload_bytes for count, cost in zip(sets, costs, strict=True)
            )
            / _MIB,
            "memory_mib": sum(count * cost.memory_bytes for count, cost in zip(sets, costs, strict=True)) / _MIB,
        }

    def _costs(self, job: Job) -> list[SetCost]:
        """Return what a parameter set of each PUB costs: the options of a job's tasks are equal."""
        if job.index not in self.costs:
            tasks = self.tasks.get(job.index, [])
            resolved = tasks[0].ledger.resolved if tasks else {}
            self.costs[job.index] = [
                cost_of(job.mode, pub.circuit, pub.observables, job.submission.shots, resolved)
                for pub in job.submission.pubs
            ]
        return self.costs[job.index]


def _payload(job: Job) -> int | None:
    if job.submission.device.where != "ibm" or job.needs is not None:
        return None
    from qrt_runner.modes.sending import sent_bytes

    return sent_bytes(job.mode, job.submission)


def most_overhead(job: Job) -> float | None:
    """Return by how much PEC multiplies the circuits of a job at most; None where nothing bounds that."""
    resilience = getattr(job.submission.options, "resilience", None)
    most = getattr(getattr(resilience, "pec", None), "max_overhead", None)
    return float(most) if isinstance(most, int | float) else None


def _nearest(sign: Mapping[str, str], told: Iterable[tuple[Job, Mapping[str, str]]]) -> tuple[Job, Mapping[str, str]]:
    """Return the earlier job that differs in the least, of equally near ones the first; the latest come first."""
    found: list[tuple[int, tuple[Job, Mapping[str, str]]]] = []
    for one in islice(told, _MOST_COMPARED):
        found.append((len(_differing(sign, one[1])), one))
        if found[-1][0] == 1:
            break
    return min(found, key=lambda one: one[0])[1]


def _differing(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """Return in what two jobs differ; of other modes nothing else is worth telling."""
    names = [name for name in dict.fromkeys((*one, *other)) if one.get(name) != other.get(name)]
    for telling in ("backend.kind", "mode.kind"):
        if telling in names:
            return [telling]
    return names


def _leaves(section: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(section, Mapping) and section:
        for name, value in section.items():
            yield from _leaves(value, f"{path}.{name}" if path else str(name))
    else:
        yield path, "unset" if section is None else str(section).lower() if isinstance(section, bool) else str(section)


def counted(count: int, what: str) -> str:
    """Return how many there are of something."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
