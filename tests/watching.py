"""A rehearsal service that commands join, and what its ledger has gained since a test began."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from composing import point_of
from qiskit_ibm_runtime import QiskitRuntimeService

from qrt_runner.backends.rehearsing import _settings
from qrt_runner.rehearsal import Rehearsal, account_of, start
from qrt_runner.rehearsal.settings import Operation

if TYPE_CHECKING:
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
