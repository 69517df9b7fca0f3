"""The queue: what starts, what ends and what expires, at which moment of service time; knows neither wire nor Aer.

After the guides on execution modes (quantum.cloud.ibm.com/docs/guides: run-jobs-session, run-jobs-batch,
max-execution-time). Two things are simpler than there: the configured wait stands for everybody else's work, so that
an active session does not keep jobs outside it waiting; and one job at a time runs outside sessions and in a dedicated
one, where the service may overlap the classical part of up to five.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from qrt_runner.rehearsal.refusals import SESSION_CLOSED, TOO_LONG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qrt_runner.rehearsal.faults import Faults
    from qrt_runner.rehearsal.records import Job, Session
    from qrt_runner.rehearsal.settings import Fault, Settings
    from qrt_runner.rehearsal.store import Store


class Event(NamedTuple):
    """Something that happens at a moment."""

    moment: float
    happens: Callable[[Any, float], None]
    to: Any
    """The job or session it happens to."""


class Queue:
    """All that waits and runs. Every method takes the moment at which it is called; nothing here looks at a clock."""

    def __init__(self, store: Store, settings: Settings, faults: Faults) -> None:
        """Go on with what the store holds."""
        self._store, self._settings, self._faults = store, settings, faults
        self._unfinished = [job for job in store.jobs.values() if not job.ended]
        self._latest = 0.0
        self.to_simulate = [job for job in self._unfinished if job.status == "Running" and job.simulated is None]
        """Jobs that have started and wait for their numbers; whoever takes them empties the list."""

    def add(self, job: Job) -> None:
        """Let a job wait for its turn."""
        self._unfinished.append(job)

    def step(self, now: float) -> None:
        """Let everything happen that is due by now, each at its own moment and in order."""
        while (event := min(self._events(), default=None, key=lambda event: event.moment)) and event.moment <= now:
            self._latest = max(self._latest, event.moment)
            event.happens(event.to, event.moment)
            self._store.keep(event.to)

    def next_moment(self) -> float | None:
        """Return when something happens next."""
        return min((event.moment for event in self._events()), default=None)

    def next_end(self) -> float | None:
        """Return when the next job ends whose numbers are there."""
        return min((event.moment for event in self._ends()), default=None)

    def next_start(self) -> float | None:
        """Return when the next job starts."""
        return min((event.moment for event in self._starts()), default=None)

    def cancel_job(self, job: Job, now: float) -> None:
        """Cancel a job that has not ended; it is charged for the seconds it ran (guide: Workload usage)."""
        ran = 0.0 if job.started is None else now - job.started
        self._end(job, now, "Cancelled", min(ran, job.usage_s) if job.simulated else ran)
        self._store.keep(job)

    def close_session(self, session: Session, now: float) -> None:
        """Take no more jobs; what is queued still runs."""
        session.accepting_jobs = False
        self._latest = max(self._latest, now)
        self._store.keep(session)

    def cancel_session(self, session: Session, now: float) -> None:
        """Close at once and cancel what is queued; what runs ends by itself."""
        for job in self._queued(session):
            self.cancel_job(job, now)
        if session.state != "closed":
            session.enter("closed", now)
        self._store.keep(session)

    def waiting(self, backend: str) -> int:
        """Return how many jobs a device still has to do."""
        return sum(job.backend == backend for job in self._unfinished)

    def _events(self) -> Iterator[Event]:
        yield from self._ends()
        yield from self._expiries()
        yield from self._starts()

    def _ends(self) -> Iterator[Event]:
        for job in self._unfinished:
            if job.simulated is not None and job.started is not None:
                takes = job.usage_s if job.cost_s is None else min(job.usage_s, job.cost_s)
                yield Event(max(job.simulated, job.started + takes), self._complete, job)

    def _starts(self) -> Iterator[Event]:
        lanes: dict[str, list[Job]] = {}
        for job in self._unfinished:
            lanes.setdefault(job.session_id or job.backend, []).append(job)
        for jobs in lanes.values():
            session = self._store.sessions.get(jobs[0].session_id or "")
            free = self._width(session) - sum(job.status == "Running" for job in jobs)
            queued = [job for job in jobs if job.status == "Queued" and not self._faults.in_maintenance(job.backend)]
            first = min((job.created for job in queued), default=0.0)
            for job in queued[: max(0, free)]:
                yield Event(max(self._due(job, session, first), self._latest), self._start, job)

    def _due(self, job: Job, session: Session | None, first: float) -> float:
        """A session waits once, as its first job does; from then on its jobs do not."""
        if session is None:
            return job.created + self._settings.queue_wait_s
        if session.state == "active":
            return job.created
        return first + self._settings.queue_wait_s

    def _width(self, session: Session | None) -> int:
        return self._settings.parallel_jobs if session is not None and session.mode == "batch" else 1

    def _expiries(self) -> Iterator[Event]:
        busy = {job.session_id for job in self._unfinished}
        for session in self._store.sessions.values():
            if session.state == "closed":
                continue
            if session.started is not None:
                yield Event(session.started + session.max_ttl_s, self._expire, session)
            if session.id not in busy:
                yield from self._rests(session)

    def _rests(self, session: Session) -> Iterator[Event]:
        """Give what becomes of a session without jobs: closed where it takes none, deactivated, or never used."""
        since = max(session.created, session.activated or 0.0, session.last_job_completed or 0.0)
        if not session.accepting_jobs:
            yield Event(max(since, self._latest), self._close, session)
        elif session.state == "active":
            yield Event(since + session.interactive_ttl_s, self._deactivate, session)
        elif session.started is None:
            yield Event(session.created + self._settings.unused_ttl_s, self._close, session)

    def _start(self, job: Job, moment: float) -> None:
        job.status, job.started = "Running", moment
        self.to_simulate.append(job)
        session = self._store.sessions.get(job.session_id or "")
        if session is None:
            return
        if session.state in ("open", "inactive"):
            session.enter("active", moment)
        session.last_job_started = moment
        self._store.keep(session)

    def _complete(self, job: Job, moment: float) -> None:
        if job.cost_s is not None and job.usage_s > job.cost_s:
            job.reason, job.reason_code = TOO_LONG.message, TOO_LONG.code
            self._end(job, moment, "Cancelled", float(job.cost_s))
        elif job.reason is None and (fault := self._strike("job_fails", job)):
            job.reason, job.reason_code = fault.reason, fault.reason_code
        if job.status == "Running":
            # A failure that is the system's is not charged (guide: Workload usage).
            failed = job.reason is not None
            self._end(job, moment, "Failed" if failed else "Completed", 0.0 if failed else job.usage_s)
        session = self._store.sessions.get(job.session_id or "")
        if session is not None and self._strike("session_dies", job):
            self._expire(session, moment)
            self._store.keep(session)

    def _strike(self, kind: str, job: Job) -> Fault | None:
        return self._faults.strike(lambda fault: fault.kind == kind and (fault.tag is None or fault.tag in job.tags))

    def _end(self, job: Job, moment: float, status: Any, usage_s: float) -> None:
        job.status, job.finished, job.usage_s = status, moment, usage_s
        self._unfinished.remove(job)
        self._latest = max(self._latest, moment)
        session = self._store.sessions.get(job.session_id or "")
        if session is not None and job.started is not None:
            session.last_job_completed = moment
            self._store.keep(session)

    def _expire(self, session: Session, moment: float) -> None:
        """End a session whose time is over: what runs ends by itself, what is queued fails."""
        for job in self._queued(session):
            job.reason, job.reason_code = SESSION_CLOSED.message, SESSION_CLOSED.code
            self._end(job, moment, "Failed", 0.0)
            self._store.keep(job)
        if session.state != "closed":
            session.enter("closed", moment)

    def _close(self, session: Session, moment: float) -> None:
        session.enter("closed", moment)

    def _deactivate(self, session: Session, moment: float) -> None:
        session.enter("inactive", moment)

    def _queued(self, session: Session) -> list[Job]:
        return [job for job in self._unfinished if job.session_id == session.id and job.status == "Queued"]
