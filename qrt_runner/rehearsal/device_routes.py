"""Devices, usage and workloads; knows starlette."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from qrt_runner.rehearsal.clock import moment_of, stamp
from qrt_runner.rehearsal.refusals import BACKEND_UNKNOWN, RefusedError
from qrt_runner.rehearsal.service import API, Service, for_instance
from qrt_runner.rehearsal.usage import instance_usage_s, session_usage_s

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams
    from starlette.requests import Request

    from qrt_runner.rehearsal.devices import Snapshot
    from qrt_runner.rehearsal.records import Job, Session

_PERIOD_S: Final = 28 * 86400
_STATUS: Final = {
    "Queued": "pending",
    "Running": "in_progress",
    "Completed": "completed",
    "Cancelled": "canceled",
    "Failed": "failed",
    "open": "pending",
    "inactive": "pending",
    "active": "in_progress",
    "closed": "completed",
}


async def list_devices(request: Request, service: Service, _: str) -> Response:
    """List the devices; the mocks only when they are asked for."""
    mocks = "include_mocks" in request.query_params
    devices = (await service.devices()).values()
    return JSONResponse({"devices": [_entry(one, service) for one in devices if mocks or not one.mock]})


async def configuration(request: Request, service: Service, _: str) -> Response:
    """Tell a device's configuration."""
    return JSONResponse((await _device(request, service)).configuration)


async def properties(request: Request, service: Service, _: str) -> Response:
    """Tell a device's calibration: that of its snapshot, whatever day is asked for."""
    return JSONResponse((await _device(request, service)).properties)


async def status(request: Request, service: Service, _: str) -> Response:
    """Tell whether a device is up, and how many jobs it has."""
    device = await _device(request, service)
    down = service.faults.in_maintenance(device.name)
    answer = {
        "backend_version": device.configuration["backend_version"],
        "state": not down,
        "status": "maintenance" if down else "active",
        "message": "maintenance" if down else "available",
        "length_queue": service.engine.queue.waiting(device.name),
    }
    return JSONResponse(answer)


async def usage(_: Request, service: Service, instance: str) -> Response:
    """Tell what an instance has used in the last 28 days of service time."""
    now = service.clock.now()
    consumed = instance_usage_s(instance, service.store.sessions.values(), service.store.jobs.values(), now)
    plan = service.access.instances[instance]
    answer: dict[str, Any] = {
        "instance_id": instance,
        "plan_id": plan,
        "usage_consumed_seconds": consumed,
        "usage_period": {"start_time": stamp(now - _PERIOD_S), "end_time": stamp(now)},
        "usage_limit_reached": False,
    }
    if plan == "open":
        # Only told, as the client warns of it; that the real service keeps jobs waiting then is not rehearsed.
        limit_s = service.settings.open_limit_s
        answer |= {"usage_limit_seconds": limit_s, "usage_limit_reached": consumed >= limit_s}
    return JSONResponse(answer)


async def workloads(request: Request, service: Service, instance: str) -> Response:
    """List jobs outside sessions, sessions and batches.

    Query and status words are the reference's; of the answer the reference shows no example, its form is assumed.
    """
    now = service.clock.now()
    jobs = service.jobs_of(instance)
    found = [_alone(job) for job in jobs if job.session_id is None]
    found += [_group(one, session_usage_s(one, jobs, now)) for one in service.sessions_of(instance)]
    chosen = [one for one in found if _matches(one, request.query_params)]
    chosen.sort(key=lambda one: str(one["created_at"]), reverse=request.query_params.get("sort") == "-createdAt")
    page = chosen[: int(request.query_params.get("limit", 10))]
    return JSONResponse({"workloads": page, "total_count": len(chosen)})


def _alone(job: Job) -> dict[str, Any]:
    told = {"id": job.id, "mode": "job", "status": _STATUS[job.status], "created_at": stamp(job.created)}
    return told | {"backend": job.backend, "usage_seconds": job.usage_s, "tags": job.tags}


def _group(session: Session, usage_s: float) -> dict[str, Any]:
    mode = "session" if session.mode == "dedicated" else "batch"
    told = {"id": session.id, "mode": mode, "status": _STATUS[session.state], "created_at": stamp(session.created)}
    return told | {"backend": session.backend, "usage_seconds": usage_s, "tags": []}


def _matches(workload: dict[str, Any], query: QueryParams) -> bool:
    created = moment_of(workload["created_at"])
    return (
        query.get("mode") in (None, workload["mode"])
        and query.get("backend") in (None, workload["backend"])
        and (not query.getlist("status") or workload["status"] in query.getlist("status"))
        and set(query.getlist("tags")) <= set(workload["tags"])
        and (query.get("search") or "") in " ".join([workload["id"], *workload["tags"]])
        and ("created_after" not in query or created >= moment_of(query["created_after"]))
        and ("created_before" not in query or created <= moment_of(query["created_before"]))
    )


async def _device(request: Request, service: Service) -> Snapshot:
    devices = await service.devices()
    name = request.path_params["name"]
    if name not in devices:
        raise RefusedError(404, BACKEND_UNKNOWN)
    return devices[name]


def _entry(device: Snapshot, service: Service) -> dict[str, Any]:
    down = service.faults.in_maintenance(device.name)
    entry = {
        "name": device.name,
        "status": {"name": "offline", "reason": "maintenance"} if down else {"name": "online", "reason": "available"},
        "queue_length": service.engine.queue.waiting(device.name),
        "qubits": device.configuration["n_qubits"],
        "is_simulator": False,
        "processor_type": device.configuration.get("processor_type"),
    }
    return entry | {"class": "mock"} if device.mock else entry


_ONE: Final = f"{API}/backends/{{name}}"
ROUTES: Final = [
    Route(f"{API}/backends", for_instance(list_devices), methods=["GET"], name="backends"),
    Route(f"{_ONE}/configuration", for_instance(configuration), methods=["GET"], name="configuration"),
    Route(f"{_ONE}/properties", for_instance(properties), methods=["GET"], name="properties"),
    Route(f"{_ONE}/status", for_instance(status), methods=["GET"], name="status"),
    Route(f"{API}/instances/usage", for_instance(usage), methods=["GET"], name="usage"),
    Route(f"{API}/workloads", for_instance(workloads), methods=["GET"], name="workloads"),
]
