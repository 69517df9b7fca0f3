"""Sessions and batches: open, look at, close, cancel; knows starlette."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from qrt_runner.rehearsal.clock import stamp
from qrt_runner.rehearsal.records import Session
from qrt_runner.rehearsal.refusals import BACKEND_UNKNOWN, OPEN_PLAN, PAYLOAD_WRONG, SESSION_UNKNOWN, RefusedError
from qrt_runner.rehearsal.service import API, Service, asked, for_instance
from qrt_runner.rehearsal.usage import session_usage_s

if TYPE_CHECKING:
    from starlette.requests import Request

_FINAL: Final = 204


async def open_session(request: Request, service: Service, instance: str) -> Response:
    """Open a session or a batch."""
    body, devices = await asked(request), await service.devices()
    mode = body.get("mode", "dedicated")
    if mode not in ("dedicated", "batch"):
        raise RefusedError(400, PAYLOAD_WRONG, "The mode is dedicated or batch.")
    if mode == "dedicated" and service.access.instances[instance] == "open":
        raise RefusedError(400, OPEN_PLAN)
    if body.get("backend") not in devices:
        raise RefusedError(400, BACKEND_UNKNOWN)
    longest_s = service.settings.max_ttl_s
    session = Session(
        id=str(uuid.uuid4()),
        ordinal=len(service.store.sessions),
        instance=instance,
        backend=str(body["backend"]),
        mode=mode,
        created=service.clock.now(),
        max_ttl_s=min(int(body.get("max_ttl") or longest_s), longest_s),
        interactive_ttl_s=service.settings.interactive_ttl_s,
    )
    session.changes.append(("open", session.created))
    service.store.keep(session)
    return JSONResponse(told(session, service))


async def look(request: Request, service: Service, instance: str) -> Response:
    """Tell about one session."""
    return JSONResponse(told(_session(request, service, instance), service))


async def close(request: Request, service: Service, instance: str) -> Response:
    """Take no more jobs into a session."""
    session = _session(request, service, instance)
    if (await asked(request)).get("accepting_jobs") is False:
        service.engine.queue.close_session(session, service.clock.now())
    return Response(status_code=_FINAL)


async def cancel(request: Request, service: Service, instance: str) -> Response:
    """Close a session and cancel what it has queued."""
    service.engine.queue.cancel_session(_session(request, service, instance), service.clock.now())
    return Response(status_code=_FINAL)


def told(session: Session, service: Service) -> dict[str, Any]:
    """Return a session as the API tells it.

    `active_ttl` is what is left of its time, which is an assumption; the reference gives no words to it.
    """
    now = service.clock.now()
    jobs = service.jobs_of(session.instance)
    since = now if session.started is None else session.started
    return {
        "id": session.id,
        "backend_name": session.backend,
        "mode": session.mode,
        "state": session.state,
        "state_reason": None,
        "accepting_jobs": session.accepting_jobs,
        "interactive_ttl": session.interactive_ttl_s,
        "max_ttl": session.max_ttl_s,
        "active_ttl": max(0, round(session.max_ttl_s - (now - since))),
        "started_at": stamp(session.started),
        "activated_at": stamp(session.activated),
        "closed_at": stamp(session.closed),
        "last_job_started": stamp(session.last_job_started),
        "last_job_completed": stamp(session.last_job_completed),
        "elapsed_time": None if session.started is None else session_usage_s(session, jobs, now),
        "timestamps": [{"status": state, "timestamp": stamp(moment)} for state, moment in session.changes],
    }


def _session(request: Request, service: Service, instance: str) -> Session:
    session = service.store.sessions.get(request.path_params["session_id"])
    if session is None or session.instance != instance:
        raise RefusedError(404, SESSION_UNKNOWN)
    return session


_ONE: Final = f"{API}/sessions/{{session_id}}"
ROUTES: Final = [
    Route(f"{API}/sessions", for_instance(open_session), methods=["POST"], name="open_session"),
    Route(_ONE, for_instance(look), methods=["GET"], name="session"),
    Route(_ONE, for_instance(close), methods=["PATCH"], name="close_session"),
    Route(f"{_ONE}/close", for_instance(cancel), methods=["DELETE"], name="cancel_session"),
]
