"""IBM Cloud's side: token exchange, search for instances, catalog of plans; knows starlette."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from qrt_runner.rehearsal.refusals import PATH_UNKNOWN, RefusedError
from qrt_runner.rehearsal.service import CATALOG, IAM, SEARCH, Service, for_account

if TYPE_CHECKING:
    from starlette.requests import Request

_PRICING: Final = {"open": "free", "premium": "subscription"}


async def exchange(request: Request) -> Response:
    """Give a bearer token for an API key."""
    service: Service = request.app.state.service
    # Starlette would want one more library to read a form.
    form = parse_qs((await request.body()).decode())
    granted = service.access.grant(form.get("apikey", [""])[0])
    if granted is None:
        told = {"errorCode": "BXNIM0415E", "errorMessage": "Provided API key could not be found."}
        return JSONResponse(told, status_code=401)
    return JSONResponse(granted)


async def search(_: Request, service: Service) -> Response:
    """List the account's instances."""
    items = [_item(crn, plan) for crn, plan in service.access.instances.items()]
    return JSONResponse({"items": items, "limit": 100})


async def catalog(request: Request, _: Service) -> Response:
    """Tell the name and the pricing of a plan."""
    plan = request.path_params["plan"]
    if plan not in _PRICING:
        raise RefusedError(404, PATH_UNKNOWN)
    entry = {
        "id": plan,
        "name": plan,
        "overview_ui": {"en": {"display_name": plan.capitalize()}},
        "metadata": {"pricing": {"type": _PRICING[plan]}},
    }
    return JSONResponse(entry)


def _item(crn: str, plan: str) -> dict[str, Any]:
    return {
        "crn": crn,
        "name": f"rehearsal-{plan}",
        "service_plan_unique_id": plan,
        # The client leaves out instances that have no extensions.
        "doc": {"extensions": {"backends": ["ANY"]}},
        "tags": [],
    }


ROUTES: Final = [
    Route(f"{IAM}/identity/token", exchange, methods=["POST"], name="token"),
    Route(f"{SEARCH}/v3/resources/search", for_account(search), methods=["POST"], name="search"),
    Route(f"{CATALOG}/{{plan}}", for_account(catalog), methods=["GET"], name="catalog"),
]
