"""What the tests of faults share: a sweep of three jobs, how something goes wrong in it, and how it must end."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args
from urllib.error import HTTPError
from urllib.request import urlopen

from composing import point_of
from mlflow.tracking import MlflowClient
from requests.adapters import HTTPAdapter
from starlette.routing import Match

from qrt_runner.backends.connection import bound
from qrt_runner.backends.rehearsing import _settings
from qrt_runner.journal import Journal
from qrt_runner.rehearsal import Fault, account_of, account_routes, device_routes, job_routes, session_routes, start
from qrt_runner.rehearsal.settings import Operation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pytest
    from mlflow.entities import Run
    from qiskit_ibm_runtime import QiskitRuntimeService
    from requests import PreparedRequest, Response

    from qrt_runner.rehearsal import Rehearsal

MODES: Final = {"none": "raw", "batch": "sampler", "dedicated": "estimator"}
"""In which mode the jobs of each kind of session group are: so that all modes are among them."""

QUBITS: Final = (2, 3, 4)
"""One point, and one job, each."""

_MOST_COMMANDS: Final = 4
_OF_CLIENTS: Final = get_args(Operation)
_ROUTES: Final = [*account_routes.ROUTES, *job_routes.ROUTES, *session_routes.ROUTES, *device_routes.ROUTES]


@dataclass(frozen=True)
class Service:
    """A rehearsal, its client, and what its ledger has gained since."""

    running: Rehearsal
    client: QiskitRuntimeService
    before: Mapping[str, int]
    mark: str
    """Path of the last request before: the service forgets the first of very many, so they cannot be counted."""

    def words(self, session: str, *more: str) -> list[str]:
        """Return the command line of a sweep of three jobs."""
        words = ["-m", "backend=rehearsal", f"backend.store={self.running.folder}", "backend.settle_s=0.2"]
        words += ["backend.limits.pubs=1", "circuit=ghz", f"circuit.params.num_qubits={','.join(map(str, QUBITS))}"]
        words += [f"mode={MODES[session]}", "mode.shots=64", f"session={session}", "tracking.plots=false"]
        return [*words, *more]

    def jobs(self) -> list[dict[str, Any]]:
        """Jobs accepted since, the first first."""
        return self._gained("jobs")

    def sessions(self) -> list[dict[str, Any]]:
        """Sessions and batches opened since, the first first."""
        return self._gained("sessions")

    def requests(self) -> list[dict[str, Any]]:
        """What clients have asked since, in order; not what these tests ask."""
        heard = self.running.ledger()["requests"]
        (mark,) = [number for number, one in enumerate(heard) if one["path"] == self.mark]
        return [one for one in heard[mark:] if one["operation"] in _OF_CLIENTS]

    def struck(self) -> Counter[tuple[str, str]]:
        """How often which fault has struck which operation since."""
        return Counter((one["fault"], one["operation"]) for one in self.requests() if one["fault"])

    def _gained(self, what: str) -> list[dict[str, Any]]:
        return list(self.running.ledger()[what][self.before[what] :])


def started(folder: Path) -> Rehearsal:
    """Start the service that `backend=rehearsal` asks for: commands join it, which spares the seconds of a start."""
    return start(_settings(point_of(["backend=rehearsal"]).experiment.document.backend), folder)


def service_of(running: Rehearsal, client: QiskitRuntimeService) -> Service:
    """Return a service from now on."""
    mark = f"/{secrets.token_hex(8)}"
    with suppress(HTTPError):
        urlopen(running.url + mark)
    ledger = running.ledger()
    return Service(running, client, {what: len(ledger[what]) for what in ("jobs", "sessions")}, mark)


def client_of(running: Rehearsal) -> QiskitRuntimeService:
    """Return the real client, bound as a command binds it: a token that is called in is no matter to it."""
    from qiskit_ibm_runtime import QiskitRuntimeService

    account = account_of(running)
    with account.in_force():
        service = QiskitRuntimeService(**account.arguments)
    assert bound(service)
    return service


def until_done(command: Callable[..., Any], words: list[str]) -> list[Any]:
    """Give the same command until it is done, and return how each ended."""
    ended = [command(*words)]
    while ended[-1].code != 0 and len(ended) < _MOST_COMMANDS:
        ended.append(command(*words))
    return ended


def meanwhile(
    monkeypatch: pytest.MonkeyPatch, operation: str, do: Callable[[PreparedRequest], object], skip: int = 0
) -> None:
    """Do something just before the client sends a request, once.

    Args:
        monkeypatch: Puts back what is changed for it.
        operation: What the request asks for.
        do: Given the request.
        skip: How many of these requests are let pass first.
    """
    send, seen = HTTPAdapter.send, []

    def sent(self: HTTPAdapter, request: PreparedRequest, *how: Any, **named: Any) -> Response:
        if operation_of(request) == operation:
            seen.append(request)
            if len(seen) == skip + 1:
                do(request)
        return send(self, request, *how, **named)

    monkeypatch.setattr(HTTPAdapter, "send", sent)


def operation_of(request: PreparedRequest) -> str | None:
    """Return what a request asks for, as the service calls it."""
    scope = {"type": "http", "method": request.method, "path": request.path_url.partition("?")[0]}
    return next((route.name for route in _ROUTES if route.matches(scope)[0] is Match.FULL), None)


def killed_at(service: Service, operation: str, words: list[str]) -> None:
    """Give a command as a process, and kill it while it waits for the answer to a request."""
    # Not so long that the service, which ends with the tests, would be waited for.
    service.running.arm(Fault(kind="slow", on=operation, delay_s=20))
    line = [sys.executable, "-m", "qrt_runner", *words]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as started:
        try:
            while not service.struck():
                assert started.poll() is None, started.communicate()
                time.sleep(0.02)
            # A fault that does the request's work has done it when the loop of the service comes round again.
            service.running.ledger()
        finally:
            started.kill()
    service.running.lift_faults()


def check(service: Service, session: str, failed: int = 0, groups: int | None = 1) -> None:
    """See that a sweep ended as it would have without a fault.

    Args:
        service: Where it ran.
        session: What its jobs were in.
        failed: How many jobs the fault itself has ended.
        groups: How many session groups were opened; None where several may have been.
    """
    check_ledger(service, session, failed, groups)
    check_journal(session)
    check_records(service, session)


def check_ledger(service: Service, session: str, failed: int = 0, groups: int | None = 1) -> None:
    """See that the service has run each job once, in a group where it was meant for one, and that none takes jobs."""
    jobs, sessions = service.jobs(), service.sessions()
    ended = Counter(job["status"] for job in jobs)
    assert ended["Completed"] == len(QUBITS), ended
    assert sum(ended.values()) == len(QUBITS) + failed, ended
    assert all(len(job["tags"]) == 2 for job in jobs), jobs
    assert len({job["tags"][0] for job in jobs}) == 1, "one run"
    assert len({job["tags"][1] for job in jobs}) == len(jobs), "each submission has a tag of its own"
    assert not any(one["accepting_jobs"] for one in sessions), sessions
    assert list(Path(".state", "sessions").glob("*.json")) == []
    if session == "none":
        assert (sessions, {job["session_id"] for job in jobs}) == ([], {None})
    else:
        assert {one["mode"] for one in sessions} == {session}
        assert {job["session_id"] for job in jobs} <= {one["id"] for one in sessions}
        assert groups is None or len(sessions) == groups, sessions


def check_journal(session: str) -> None:
    """See that the journal has one run, which is recorded, with a result of every job and nothing under way."""
    with Journal(Path("outputs/journal")) as journal:
        (run,) = journal.runs()
        submissions = journal.submissions(run.id)
        assert run.state == "recorded", run
        assert [task.state for task in journal.tasks(run.id)] == ["recorded"] * len(QUBITS)
        assert [job.state for job in journal.jobs(run.id)] == ["done"] * len(QUBITS)
        assert {one.state for one in submissions} <= {"done", "failed"}, submissions
        done = [one for one in submissions if one.state == "done"]
        assert sorted(one.job for one in done) == list(range(len(QUBITS)))
        assert [one.state for one in journal.groups(run.id)] == ([] if session == "none" else ["done"])


def check_records(service: Service, session: str) -> None:
    """See that MLflow has one parent and one run for each task, with just what the service gives for its job."""
    # Not earlier: to open a fresh store here takes seconds, which the command spares.
    store = MlflowClient(tracking_uri=f"sqlite:///{Path.cwd()}/mlflow.db")
    (experiment,) = store.search_experiments(filter_string="name = 'qrt_runner'")
    runs = store.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if "qrt.task" not in run.data.tags]
    tasks = [run for run in runs if "qrt.task" in run.data.tags]
    assert {run.info.status for run in runs} == {"FINISHED"}, [(one.info.status, one.data.tags) for one in runs]
    assert {run.data.tags["mlflow.parentRunId"] for run in tasks} == {parent.info.run_id}
    assert sorted(run.data.tags["qrt.point"] for run in tasks) == ["0", "1", "2"]
    jobs = {job["id"]: job for job in service.jobs() if job["status"] == "Completed"}
    assert sorted(run.data.tags["qrt.job_ids"] for run in tasks) == sorted(jobs)
    for run in tasks:
        job = jobs[run.data.tags["qrt.job_ids"]]
        assert run.data.tags["qrt.session_id"] == (job["session_id"] or "none")
        assert run.data.tags["qrt.session_kind"] == session
        recorded = _recorded(run, store)
        assert recorded == _given(service.client, job["id"], run.data.params["mode"])
        if session != "dedicated":
            assert {len(outcome) for outcome in recorded} == {int(run.data.params["circuit.params.num_qubits"])}


def _recorded(run: Run, store: MlflowClient) -> dict[str, float]:
    """Return the numbers of a task's run in MLflow: counts by outcome, or expectation values by observable."""
    if run.data.params["mode"] == "estimator":
        return {key: value for key, value in run.data.metrics.items() if key.startswith(("ev/", "std/"))}
    file = store.download_artifacts(run.info.run_id, "counts.json")
    (registers,) = json.loads(Path(file).read_text(encoding="utf-8"))
    return dict(registers["meas"])


def _given(client: QiskitRuntimeService, job_id: str, mode: str) -> dict[str, float]:
    """Return the same numbers as the client itself reads them from the service."""
    (item,) = client.job(job_id).result()
    if mode == "raw":
        return dict(Counter("".join(str(int(bit)) for bit in reversed(shot)) for shot in item["meas"]))
    if mode == "sampler":
        return dict(item.data.meas.get_counts())
    names = ("zz_ends", "parity_x")
    told = {f"ev/{name}": float(value) for name, value in zip(names, item.data.evs, strict=True)}
    return told | {f"std/{name}": float(value) for name, value in zip(names, item.data.stds, strict=True)}
