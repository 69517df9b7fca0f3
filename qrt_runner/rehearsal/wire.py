"""Faults on the wire, and the record of every request: one layer around the whole application; knows ASGI."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from starlette.routing import Match

from qrt_runner.rehearsal.refusals import Error, answer_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.routing import Route
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from qrt_runner.rehearsal.service import Service
    from qrt_runner.rehearsal.settings import Fault

_WIRE: Final = ("lost", "dropped", "status", "slow", "truncated")
_REMEMBERED: Final = 10_000
_FAULT: Final = Error(1000, "API Internal error.", "Retry the action.")


class Wire:
    """The application as it is heard through a bad line."""

    def __init__(self, app: ASGIApp, service: Service, routes: Sequence[Route]) -> None:
        """Stand between the server and the application."""
        self._app, self._service, self._routes = app, service, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        operation = self._operation(scope)
        fault = self._service.faults.strike(lambda fault: fault.kind in _WIRE and fault.on == operation)
        heard = {"method": scope["method"], "path": scope["path"], "operation": operation, "status": 0}
        heard["fault"] = None if fault is None else fault.kind
        self._service.heard.append(heard)
        del self._service.heard[:-_REMEMBERED]

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                heard["status"] = message["status"]
            await send(message)

        if fault is None:
            await self._app(scope, receive, noting)
        else:
            await self._answer_badly(fault, scope, receive, noting, send)

    async def _answer_badly(self, fault: Fault, scope: Scope, receive: Receive, noting: Send, send: Send) -> None:
        if fault.kind == "dropped" or (fault.kind == "status" and not fault.accepted):
            # The request is read first: a client that is still sending would meet another error.
            await _read(receive)
            answer: list[Message] = []
        else:
            answer = await self._answer(scope, receive)
        if fault.kind == "status":
            headers = {} if fault.retry_after_s is None else {"Retry-After": f"{fault.retry_after_s:g}"}
            await answer_of(fault.status, _FAULT, headers=headers)(scope, receive, noting)
        elif fault.kind == "slow":
            await asyncio.sleep(fault.delay_s)
            await _send_all(answer, noting)
        elif fault.kind == "truncated":
            await _send_half(answer, noting)
            _hang_up(send, at_once=False)
        else:
            _hang_up(send, at_once=True)

    async def _answer(self, scope: Scope, receive: Receive) -> list[Message]:
        """Do a request's work and keep the answer back."""
        answer: list[Message] = []

        async def keep(message: Message) -> None:
            answer.append(message)

        await self._app(scope, receive, keep)
        return answer

    def _operation(self, scope: Scope) -> str | None:
        matching = (route.name for route in self._routes if route.matches(scope)[0] is Match.FULL)
        return next(matching, None)


async def _read(receive: Receive) -> None:
    while (await receive()).get("more_body", False):
        pass


async def _send_all(answer: list[Message], send: Send) -> None:
    for message in answer:
        await send(message)


async def _send_half(answer: list[Message], send: Send) -> None:
    """Promise the whole body and send half of it."""
    body = b"".join(message.get("body", b"") for message in answer[1:])
    await send(answer[0])
    await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})


def _hang_up(send: Any, *, at_once: bool) -> None:
    """Close the connection under the server's hands.

    ASGI knows no such thing. uvicorn gives a bound method of the request's cycle, which holds the transport.
    """
    transport = send.__self__.transport
    if at_once:
        transport.abort()
    else:
        transport.close()
