"""The rehearsal's own routes: what really arrived, faults, passing time; knows starlette."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from qrt_runner.rehearsal.joining import STAY
from qrt_runner.rehearsal.refusals import PAYLOAD_WRONG, RefusedError
from qrt_runner.rehearsal.service import CONTROL, Service, asked, for_account
from qrt_runner.rehearsal.settings import Fault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request


async def ledger(_: Request, service: Service) -> Response:
    """Tell every job and session that was ever accepted, and every request."""
    answer: dict[str, Any] = {
        "now": service.clock.now(),
        "jobs": [asdict(job) for job in service.store.jobs.values()],
        "sessions": [asdict(session) for session in service.store.sessions.values()],
        "requests": service.heard,
    }
    return JSONResponse(answer)


async def arm(request: Request, service: Service) -> Response:
    """Arm one more fault."""
    try:
        fault = Fault.model_validate_json(await request.body())
    except ValidationError as error:
        raise RefusedError(400, PAYLOAD_WRONG, str(error)) from error
    if fault.kind == "expired":
        service.access.expire()
    else:
        service.faults.arm(fault)
    return Response(status_code=204)


async def lift(_: Request, service: Service) -> Response:
    """Lift every fault."""
    service.faults.clear()
    return Response(status_code=204)


async def pass_time(request: Request, service: Service) -> Response:
    """Let service time pass."""
    try:
        seconds = float((await asked(request))["seconds"])
    except (ValueError, KeyError, TypeError) as error:
        raise RefusedError(400, PAYLOAD_WRONG, "Say how many seconds.") from error
    service.engine.jump(seconds)
    return JSONResponse({"now": service.clock.now()})


async def users(_: Request, service: Service) -> Response:
    """Tell how many stay."""
    return JSONResponse({"users": service.users})


async def stay(_: Request, service: Service) -> Response:
    """Count one more user, as long as the connection lasts."""

    async def lasts() -> AsyncIterator[bytes]:
        service.users += 1
        try:
            yield b" "
            await asyncio.Event().wait()  # for ever: Starlette ends the stream with the connection
        finally:
            service.users -= 1

    return StreamingResponse(lasts())


ROUTES: Final = [
    Route(STAY, for_account(stay), methods=["GET"], name="stay"),
    Route(f"{CONTROL}/users", for_account(users), methods=["GET"], name="users"),
    Route(f"{CONTROL}/ledger", for_account(ledger), methods=["GET"], name="ledger"),
    Route(f"{CONTROL}/faults", for_account(arm), methods=["POST"], name="arm"),
    Route(f"{CONTROL}/faults", for_account(lift), methods=["DELETE"], name="lift"),
    Route(f"{CONTROL}/time", for_account(pass_time), methods=["POST"], name="pass_time"),
]
