"""What every request of the service works on, and who may make one; knows starlette."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.rehearsal.refusals import INSTANCE_UNKNOWN, PAYLOAD_WRONG, UNAUTHORIZED, RefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from concurrent.futures import Future

    from starlette.requests import Request
    from starlette.responses import Response

    from qrt_runner.rehearsal.access import Access
    from qrt_runner.rehearsal.clock import Clock
    from qrt_runner.rehearsal.devices import Snapshot
    from qrt_runner.rehearsal.engine import Engine
    from qrt_runner.rehearsal.faults import Faults
    from qrt_runner.rehearsal.records import Job, Session
    from qrt_runner.rehearsal.settings import Settings
    from qrt_runner.rehearsal.store import Store

API: Final = "/experimental/v1"
"""Path of the API. The client takes a URL as it is only where it contains the word `experimental`."""

IAM: Final = "/iam"
SEARCH: Final = "/search"
CATALOG: Final = "/catalog"
CONTROL: Final = "/control"
_LOOKED_AT: Final = (f"{API}/jobs", f"{API}/sessions")
"""Whoever only looks at these does nothing; he may be waiting."""


@dataclass
class Service:
    """All parts of one service."""

    settings: Settings
    access: Access
    store: Store
    clock: Clock
    faults: Faults
    engine: Engine
    opened: Future[dict[str, Snapshot]]
    """The devices, once they are read."""

    users: int = 0
    """How many processes stay with it beside the one that started it."""

    heard: list[dict[str, Any]] = field(default_factory=list)
    """Every request: method, path, operation, status answered (0 for none), fault that struck."""

    async def devices(self) -> dict[str, Snapshot]:
        """Return the devices; the first requests wait until they are read."""
        return await asyncio.wrap_future(self.opened)

    def jobs_of(self, instance: str) -> list[Job]:
        """Return an instance's jobs, the first first."""
        return [job for job in self.store.jobs.values() if job.instance == instance and not job.deleted]

    def sessions_of(self, instance: str) -> list[Session]:
        """Return an instance's sessions, the first first."""
        return [session for session in self.store.sessions.values() if session.instance == instance]


def for_instance(
    endpoint: Callable[[Request, Service, str], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    """Let an endpoint answer those who may ask, for the instance that they name."""

    async def answer(request: Request) -> Response:
        service: Service = request.app.state.service
        check(request, service)
        instance = _instance(request, service)
        if request.method != "GET" or not request.url.path.startswith(_LOOKED_AT):
            service.engine.hear(waits=False)
        answered = await endpoint(request, service, instance)
        service.engine.move()
        return answered

    return answer


def for_account(
    endpoint: Callable[[Request, Service], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    """Let an endpoint answer those who may ask, whatever the instance."""

    async def answer(request: Request) -> Response:
        service: Service = request.app.state.service
        check(request, service)
        answered = await endpoint(request, service)
        service.engine.move()
        return answered

    return answer


async def asked(request: Request) -> dict[str, Any]:
    """Return the JSON object that a request carries."""
    try:
        body = json.loads(await request.body())
    except ValueError as error:
        raise RefusedError(400, PAYLOAD_WRONG, "It is no JSON.") from error
    if not isinstance(body, dict):
        raise RefusedError(400, PAYLOAD_WRONG, "It is no object.")
    return body


def check(request: Request, service: Service) -> None:
    """Refuse whoever shows no good token."""
    if not service.access.accepts(request.headers.get("Authorization", "")):
        raise RefusedError(401, UNAUTHORIZED)


def _instance(request: Request, service: Service) -> str:
    """Return the instance that a request names.

    That another's instance is answered with 401 is an assumption.
    """
    instance = request.headers.get("Service-CRN", "")
    if instance not in service.access.instances:
        raise RefusedError(401, INSTANCE_UNKNOWN)
    return instance
