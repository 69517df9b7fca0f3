"""Jobs: submit, list, look at, cancel, delete; knows starlette."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from qrt_runner.rehearsal.clock import moment_of, stamp
from qrt_runner.rehearsal.records import Job
from qrt_runner.rehearsal.refusals import (
    BACKEND_UNKNOWN,
    JOB_UNKNOWN,
    NOT_CANCELLABLE,
    PAYLOAD_WRONG,
    SESSION_CLOSED,
    SESSION_UNKNOWN,
    RefusedError,
)
from qrt_runner.rehearsal.service import API, Service, asked, for_instance

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams
    from starlette.requests import Request

PROGRAMS: Final = ("executor", "noise-learner")
_MOST_TAGS: Final = 8
_PAGE: Final = 200
_FINAL: Final = 204


async def submit(request: Request, service: Service, instance: str) -> Response:
    """Accept a job."""
    body, devices = await asked(request), await service.devices()
    # Nothing is awaited from here on: an ordinal is given once.
    job = Job(
        id=secrets.token_hex(10),
        ordinal=len(service.store.jobs),
        instance=instance,
        backend=str(body.get("backend")),
        program=str(body.get("program_id")),
        created=service.clock.now(),
        session_id=body.get("session_id"),
        tags=list(body.get("tags", [])),
        cost_s=body.get("cost"),
        private=bool(body.get("private", False)),
        image=str(body.get("runtime") or ""),
    )
    if job.backend not in devices:
        raise RefusedError(400, BACKEND_UNKNOWN)
    _check(job, service)
    service.store.accept(job, json.dumps(body.get("params", {})))
    service.engine.queue.add(job)
    return JSONResponse({"id": job.id, "backend": job.backend, "session_id": job.session_id, "private": job.private})


async def list_jobs(request: Request, service: Service, instance: str) -> Response:
    """List jobs, the latest first unless asked otherwise."""
    query = request.query_params
    found = [job for job in service.jobs_of(instance) if _matches(job, query)]
    if query.get("sort") != "ASC":
        found.reverse()
    offset, limit = int(query.get("offset", 0)), min(int(query.get("limit", _PAGE)), _PAGE)
    page = found[offset : offset + limit]
    service.engine.hear(waits=not all(job.ended for job in page))
    return JSONResponse({"jobs": [told(job) for job in page], "count": len(found), "limit": limit, "offset": offset})


async def look(request: Request, service: Service, instance: str) -> Response:
    """Tell about one job."""
    job = _job(request, service, instance)
    await service.engine.settled(job, service.settings.hold_s)
    answer = told(job)
    if request.query_params.get("exclude_params") != "true" and not job.private:
        answer["params"] = json.loads(service.store.payload(job.id))
    return JSONResponse(answer)


async def results(request: Request, service: Service, instance: str) -> Response:
    """Give what a job gave: its numbers, or the traceback of what failed."""
    job = _job(request, service, instance)
    found = service.store.result(job.id) if job.status in ("Completed", "Failed") else None
    return Response(status_code=_FINAL) if found is None else PlainTextResponse(found, media_type="application/json")


async def logs(request: Request, service: Service, instance: str) -> Response:
    """Give the log of a job that has ended."""
    job = _job(request, service, instance)
    if not job.ended:
        raise RefusedError(404, JOB_UNKNOWN, "Its logs come when it has ended.")
    lines = [("created", job.created), ("running", job.started), ("finished", job.finished)]
    text = [f"{stamp(moment)} {what}" for what, moment in lines if moment is not None]
    return PlainTextResponse("\n".join([*text, f"{job.status} {job.reason or ''}".strip()]))


async def metrics(request: Request, service: Service, instance: str) -> Response:
    """Tell a job's times and its usage."""
    job = _job(request, service, instance)
    usage_s = job.usage_s if job.ended else 0
    usage = {"quantum_seconds": usage_s, "seconds": usage_s, "qpu_charge_time_seconds": usage_s}
    answer = {
        "timestamps": {
            "created": stamp(job.created),
            "running": stamp(job.started),
            "finished": stamp(job.finished),
        },
        "usage": usage | {"status": "complete" if job.ended else "pending"},
        "bss": {"seconds": usage_s},
        "executions": job.executions,
    }
    return JSONResponse(answer)


async def cancel(request: Request, service: Service, instance: str) -> Response:
    """Cancel a job that has not ended."""
    job = _job(request, service, instance)
    if job.ended:
        raise RefusedError(409, NOT_CANCELLABLE)
    service.engine.queue.cancel_job(job, service.clock.now())
    return Response(status_code=_FINAL)


async def update_tags(request: Request, service: Service, instance: str) -> Response:
    """Give a job other tags."""
    job = _job(request, service, instance)
    tags = (await asked(request)).get("tags", [])
    if len(tags) > _MOST_TAGS:
        raise RefusedError(400, PAYLOAD_WRONG, f"A job has at most {_MOST_TAGS} tags.")
    job.tags = list(tags)
    service.store.keep(job)
    return Response(status_code=_FINAL)


async def delete(request: Request, service: Service, instance: str) -> Response:
    """Forget a job; the ledger does not."""
    job = _job(request, service, instance)
    if not job.ended:
        service.engine.queue.cancel_job(job, service.clock.now())
    job.deleted = True
    service.store.keep(job)
    return Response(status_code=_FINAL)


def told(job: Job) -> dict[str, Any]:
    """Return a job as the API tells it, without what it runs."""
    state: dict[str, Any] = {"status": job.status}
    if job.reason is not None:
        # The reference names reason_code; the client takes either spelling.
        state |= {"reason": job.reason, "reason_code": job.reason_code}
    answer: dict[str, Any] = {
        "id": job.id,
        "backend": job.backend,
        "program": {"id": job.program},
        "state": state,
        "status": job.status,
        "created": stamp(job.created),
        "ended": stamp(job.finished),
        "cost": job.cost_s,
        "tags": job.tags,
        "runtime": job.image,
        "private": job.private,
        "usage": {"seconds": job.usage_s if job.ended else 0},
        "estimated_running_time_seconds": job.usage_s or None,
    }
    return answer if job.session_id is None else answer | {"session_id": job.session_id}


def _check(job: Job, service: Service) -> None:
    if job.program not in PROGRAMS:
        # The deprecated primitives have programs of their own, which only the service can run.
        raise RefusedError(400, PAYLOAD_WRONG, f"Program {job.program} is not rehearsed; {', '.join(PROGRAMS)} are.")
    if len(job.tags) > _MOST_TAGS:
        raise RefusedError(400, PAYLOAD_WRONG, f"A job has at most {_MOST_TAGS} tags.")
    if job.session_id is None:
        return
    session = service.store.sessions.get(job.session_id)
    if session is None or session.instance != job.instance:
        raise RefusedError(400, SESSION_UNKNOWN)
    if not session.accepting_jobs or session.state == "closed":
        raise RefusedError(400, SESSION_CLOSED)
    if session.backend != job.backend:
        raise RefusedError(400, PAYLOAD_WRONG, f"The session is on {session.backend}.")


def _job(request: Request, service: Service, instance: str) -> Job:
    job = service.store.jobs.get(request.path_params["job_id"])
    if job is None or job.deleted or job.instance != instance:
        raise RefusedError(404, JOB_UNKNOWN)
    return job


def _matches(job: Job, query: QueryParams) -> bool:
    pending = query.get("pending")
    return (
        query.get("backend") in (None, job.backend)
        and query.get("program") in (None, job.program)
        and query.get("session_id") in (None, job.session_id)
        and (pending is None or (pending == "true") != job.ended)
        and set(query.getlist("tags")) <= set(job.tags)
        and ("created_after" not in query or job.created >= moment_of(query["created_after"]))
        and ("created_before" not in query or job.created <= moment_of(query["created_before"]))
    )


_ONE: Final = f"{API}/jobs/{{job_id}}"
ROUTES: Final = [
    Route(f"{API}/jobs", for_instance(submit), methods=["POST"], name="submit"),
    Route(f"{API}/jobs", for_instance(list_jobs), methods=["GET"], name="jobs"),
    Route(_ONE, for_instance(look), methods=["GET"], name="job"),
    Route(_ONE, for_instance(delete), methods=["DELETE"], name="delete"),
    Route(f"{_ONE}/results", for_instance(results), methods=["GET"], name="results"),
    Route(f"{_ONE}/logs", for_instance(logs), methods=["GET"], name="logs"),
    Route(f"{_ONE}/metrics", for_instance(metrics), methods=["GET"], name="metrics"),
    Route(f"{_ONE}/cancel", for_instance(cancel), methods=["POST"], name="cancel"),
    Route(f"{_ONE}/tags", for_instance(update_tags), methods=["PUT"], name="tags"),
]
