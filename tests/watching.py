"""A rehearsal service that commands join, and what its ledger has gained since a test began."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from composing import point_of
from qiskit_ibm_runtime import QiskitRuntimeService

from qrt_runner.backends.rehearsing import _settings
from qrt_runner.rehearsal import Rehearsal, account_of, start
from qrt_runner.rehearsal.settings import Operation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_OF_CLIENTS = get_args(Operation)
QUIET = ("tracking=off", "tracking.plots=false")


@dataclass(frozen=True)
class Watched:
    """A service, and what its ledger has gained since."""

    running: Rehearsal
    before: dict[str, int]

    @property
    def words(self) -> list[str]:
        """Overrides of a command that is to use it."""
        return ["backend=rehearsal", f"backend.store={self.running.folder}", *QUIET]

    def jobs(self) -> list[dict[str, Any]]:
        """Jobs accepted since, the first first."""
        return self._gained("jobs")

    def sessions(self) -> list[dict[str, Any]]:
        """Sessions and batches opened since, the first first."""
        return self._gained("sessions")

    def asked(self) -> list[str]:
        """What clients have asked since: names of operations, in order."""
        return [request["operation"] for request in self._gained("requests") if request["operation"] in _OF_CLIENTS]

    def jobs_in(self) -> list[int]:
        """How many jobs each session opened since has had."""
        ids = [job["session_id"] for job in self.jobs()]
        return [ids.count(session["id"]) for session in self.sessions()]

    def takes_jobs(self) -> list[bool]:
        """Whether each session opened since still takes jobs."""
        return [session["accepting_jobs"] for session in self.sessions()]

    def client(self) -> QiskitRuntimeService:
        """Return the real client, on it."""
        account = account_of(self.running)
        with account.in_force():
            return QiskitRuntimeService(**account.arguments)

    def _gained(self, what: str) -> list[dict[str, Any]]:
        return list(self.running.ledger()[what][self.before[what] :])


def rehearsal(folder: Path, *words: str) -> Rehearsal:
    """Start the service that commands with these words ask for: they join it, which spares the seconds of a start."""
    section = point_of(["backend=rehearsal", *words]).experiment.document.backend
    return start(_settings(section), folder)


def watched(running: Rehearsal) -> Watched:
    """Return a service from now on."""
    ledger = running.ledger()
    return Watched(running, {what: len(ledger[what]) for what in ("jobs", "sessions", "requests")})


@contextmanager
def begun(*words: str) -> Iterator[subprocess.Popen[str]]:
    """Start the command line as a process, and see that it is gone afterwards."""
    line = [sys.executable, "-m", "qrt_runner", *words]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        try:
            yield started
        finally:
            started.kill()


def wait_until(holds: Callable[[], object], started: subprocess.Popen[str]) -> None:
    """Wait until something holds, as long as the process lives."""
    for _ in range(1200):
        if holds():
            return
        assert started.poll() is None, started.communicate()
        time.sleep(0.05)
    raise AssertionError("it never did")
