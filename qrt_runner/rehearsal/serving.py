"""Runs the service in this process; knows starlette and uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final

import uvicorn
from filelock import FileLock, Timeout
from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from qrt_runner.errors import AccessError
from qrt_runner.rehearsal import account_routes, control_routes, device_routes, job_routes, session_routes
from qrt_runner.rehearsal.access import Access
from qrt_runner.rehearsal.clock import Clock
from qrt_runner.rehearsal.engine import Engine, Programs
from qrt_runner.rehearsal.faults import Faults
from qrt_runner.rehearsal.joining import Endpoint, HeldError, announced
from qrt_runner.rehearsal.refusals import PATH_UNKNOWN, RefusedError, answer_of
from qrt_runner.rehearsal.service import Service
from qrt_runner.rehearsal.store import Store, make_private
from qrt_runner.rehearsal.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from qrt_runner.rehearsal.devices import Snapshot
    from qrt_runner.rehearsal.settings import Settings

HOST: Final = "127.0.0.1"
"""The service is never bound to another address."""

_ROUTES: Final = [
    *account_routes.ROUTES,
    *job_routes.ROUTES,
    *session_routes.ROUTES,
    *device_routes.ROUTES,
    *control_routes.ROUTES,
]


Ready = Callable[[int, str], None]
"""What is called with port and token when requests are answered."""


def serve(settings: Settings, folder: Path, ready: Ready, ended: asyncio.Event | None = None) -> None:
    """Serve until told to end, by a signal, by `ended`, or after the idle time.

    Args:
        settings: What the service is like.
        folder: Where its store lies.
        ready: Called when requests are answered.
        ended: Ends the service when it is set.

    Raises:
        AccessError: Where another service has the folder, or another program the port.
    """
    token = settings.token or secrets.token_urlsafe(32)
    with _held(folder), contextlib.closing(Store(folder)) as store, _bound(settings.port) as listening:
        port = listening.getsockname()[1]
        service = _service(settings, store, token)
        with announced(folder, Endpoint(f"http://{HOST}:{port}", token, os.getpid(), settings)):
            asyncio.run(_serve(service, listening, lambda: ready(port, token), ended))


async def _serve(
    service: Service, listening: socket.socket, ready: Callable[[], None], ended: asyncio.Event | None
) -> None:
    app = Starlette(routes=_ROUTES, exception_handlers={HTTPException: _unknown, RefusedError: _refused})
    app.state.service = service
    wire = Wire(app, service, _ROUTES)
    server = _Server(
        uvicorn.Config(
            wire, log_config=None, access_log=False, lifespan="off", ws="none", http="h11", timeout_graceful_shutdown=1
        )
    )
    server.ready = ready
    moving = asyncio.create_task(service.engine.run())
    watching = asyncio.create_task(_watch(service, server, ended))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await asyncio.wait([serving, moving], return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await serving
    watching.cancel()
    service.engine.close()
    if moving.done():
        moving.result()
    moving.cancel()


class _Server(uvicorn.Server):
    """Tells when it answers."""

    ready: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and tell."""
        await super().startup(sockets)
        self.ready()


def _service(settings: Settings, store: Store, token: str) -> Service:
    opened: Future[dict[str, Snapshot]] = Future()

    def open_programs() -> Programs:
        """Import what simulates, in the simulation's thread, while requests are already answered."""
        try:
            from qrt_runner.rehearsal.devices import open_devices

            devices = open_devices(settings.devices)
        except BaseException as error:
            opened.set_exception(error)
            raise
        opened.set_result(devices)
        from qrt_runner.rehearsal import programs

        return programs.Programs(devices, settings.seed)

    clock, faults = Clock(), Faults(settings.faults)
    engine = Engine(store, clock, settings, faults, open_programs)
    return Service(settings, Access(settings, token), store, clock, faults, engine, opened)


async def _watch(service: Service, server: uvicorn.Server, ended: asyncio.Event | None) -> None:
    """End the server when it is told to and nobody else stays, or when nobody asked anything for the idle time."""
    heard, since = 0, time.monotonic()
    while True:
        await asyncio.sleep(0.1)
        if (now_heard := server.server_state.total_requests) != heard:
            heard, since = now_heard, time.monotonic()
        idle_s = service.settings.idle_s
        left = ended is not None and ended.is_set() and service.users == 0
        if left or (idle_s is not None and time.monotonic() - since > idle_s):
            server.should_exit = True
            return


async def _unknown(_: Request, error: Exception) -> Response:
    """Answer what is outside the API."""
    assert isinstance(error, HTTPException)
    return answer_of(error.status_code, PATH_UNKNOWN)


async def _refused(_: Request, error: Exception) -> Response:
    """Answer what an endpoint refuses."""
    assert isinstance(error, RefusedError)
    return error.answer()


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Keep other services out of the folder."""
    make_private(folder)
    try:
        with FileLock(folder / "lock", timeout=0, mode=0o600):
            yield
    except Timeout as error:
        msg = f"rehearsal: another service has {folder}; remedy: stop it, or name another folder"
        raise HeldError(msg) from error


@contextlib.contextmanager
def _bound(port: int) -> Iterator[socket.socket]:
    """Listen on the loopback address alone."""
    # asyncio switches Nagle's algorithm off only where the protocol is named; on, it costs 40 ms for each answer.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, port))
        except OSError as error:
            raise AccessError(f"rehearsal: port {port} cannot be had ({error}); remedy: port 0, for any") from error
        yield listening
