"""Keeps the queue moving: steps it, simulates what has started, jumps the virtual clock; knows asyncio.

All state belongs to the event loop; only simulations run in a thread of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from qrt_runner.rehearsal.queueing import Queue
from qrt_runner.rehearsal.refusals import PROGRAM_FAILED

if TYPE_CHECKING:
    from collections.abc import Callable

    from qrt_runner.rehearsal.clock import Clock
    from qrt_runner.rehearsal.faults import Faults
    from qrt_runner.rehearsal.records import Job
    from qrt_runner.rehearsal.settings import Settings
    from qrt_runner.rehearsal.store import Store

_QUIET_S: Final = 0.02
"""A virtual queue is jumped over when somebody who waits has done nothing else for so long."""

_AHEAD: Final = "ahead_s"


@dataclass(frozen=True)
class Outcome:
    """What one job gave."""

    result: str
    """JSON, as the client's decoder reads it."""

    executions: int
    usage_s: float


class Programs(Protocol):
    """What can run jobs: `programs.Programs`, which is imported late because Qiskit is."""

    def run(self, program: str, backend: str, params: dict[str, Any], ordinal: int, started: float) -> Outcome:
        """Run one job."""


class Engine:
    """The moving part of the service; lives as long as it does."""

    def __init__(
        self, store: Store, clock: Clock, settings: Settings, faults: Faults, open_programs: Callable[[], Programs]
    ) -> None:
        """Go on with what the store holds."""
        self.store, self.clock, self.settings = store, clock, settings
        clock.ahead_s = store.read(_AHEAD)
        self.queue = Queue(store, settings, faults)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="simulation")
        self._programs = self._pool.submit(open_programs)
        self._simulating = 0
        self._heard, self._waited_for, self._held = 0.0, False, 0
        self._wake, self._moved = asyncio.Event(), asyncio.Event()

    def hear(self, *, waits: bool) -> None:
        """Tell that a client asked something, and whether it waits: looks at a job that has not ended.

        Virtual time passes while somebody waits, and only then: whoever submits ten jobs in a row finds them in one
        queue, as he would if it took an hour.
        """
        self._heard, self._waited_for = time.monotonic(), waits
        self.move()

    def move(self) -> None:
        """Let happen what is due, so that every answer tells what is so now."""
        self.queue.step(self.clock.now())
        self._wake.set()

    def jump(self, seconds: float) -> None:
        """Let service time pass."""
        self._jump_to(self.clock.now() + seconds)

    async def settled(self, job: Job, within_s: float) -> None:
        """Wait for a job to end, but no longer than so many seconds."""
        self.hear(waits=not job.ended)
        self._held += 1
        until = time.monotonic() + within_s
        try:
            while not job.ended and (left := until - time.monotonic()) > 0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._moved.wait(), left)
        finally:
            self._held -= 1
        self._waited_for = not job.ended

    async def run(self) -> None:
        """Keep going until cancelled."""
        while True:
            self._wake.clear()
            self.queue.step(self.clock.now())
            started, self.queue.to_simulate = self.queue.to_simulate, []
            for job in started:
                self._simulate(job)
            self._moved.set()
            self._moved = asyncio.Event()
            if self.settings.virtual_clock and self._jumped():
                continue
            try:
                await asyncio.wait_for(self._wake.wait(), self._pause_s())
            except TimeoutError:
                continue

    def close(self) -> None:
        """Let go of the thread; what it simulates is simulated again by the next service on this store."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    @property
    def _waits(self) -> bool:
        return self._waited_for or self._held > 0

    def _jumped(self) -> bool:
        """Jump to the next end or start of a job, while somebody waits; not while something is computed."""
        if self._simulating or not self._waits:
            return False
        start, end = self.queue.next_start(), self.queue.next_end()
        if start is not None and (end is None or start < end):
            if time.monotonic() - self._heard < _QUIET_S:
                return False
            end = start
        if end is None:
            return False
        self._jump_to(end)
        return True

    def _jump_to(self, moment: float) -> None:
        self.clock.jump_to(moment)
        self.store.write(_AHEAD, self.clock.ahead_s)
        self.queue.step(max(moment, self.clock.now()))
        self._wake.set()

    def _pause_s(self) -> float | None:
        """Return for how long nothing will happen by itself."""
        following = self.queue.next_moment()
        if following is None:
            return None
        wait_s = max(0.0, following - self.clock.now())
        jumps = self.settings.virtual_clock and self._waits and not self._simulating
        return min(wait_s, _QUIET_S) if jumps and self.queue.next_start() is not None else wait_s

    def _simulate(self, job: Job) -> None:
        self._simulating += 1
        loop = asyncio.get_running_loop()
        params = self.store.payload(job.id)
        future = loop.run_in_executor(self._pool, self._numbers, job, params)
        future.add_done_callback(lambda done: self._simulated(job, done))

    def _numbers(self, job: Job, params: str) -> Outcome:
        """Compute in the thread what a job gives."""
        programs = self._programs.result()
        return programs.run(job.program, job.backend, json.loads(params), job.ordinal, job.started or 0.0)

    def _simulated(self, job: Job, done: asyncio.Future[Outcome]) -> None:
        self._simulating -= 1
        if done.cancelled() or job.ended:
            self._wake.set()
            return
        job.simulated = self.clock.now()
        if (error := done.exception()) is not None:
            job.reason, job.reason_code = f"{PROGRAM_FAILED.message} {error}", PROGRAM_FAILED.code
            self.store.keep_result(job.id, "".join(traceback.format_exception(error)))
        else:
            outcome = done.result()
            job.executions, job.usage_s = outcome.executions, outcome.usage_s
            self.store.keep_result(job.id, outcome.result)
        self.store.keep(job)
        self._wake.set()
