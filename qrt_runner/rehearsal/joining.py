"""Lets several processes use one service: it tells where it answers, and goes on as long as somebody stays.

May know no more than the standard library and pydantic.
"""

from __future__ import annotations

import http.client
import json
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from qrt_runner.errors import AccessError
from qrt_runner.rehearsal.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STAY: Final = "/control/stay"
_FILE: Final = "endpoint.json"
_PATIENCE_S: Final = 10
_OF_ONE_START: Final = {"port", "token", "idle_s", "faults"}
"""Settings in which those who share a service may differ."""


class HeldError(AccessError):
    """The folder belongs to a service that is running."""


@dataclass(frozen=True)
class Endpoint:
    """Where a service answers."""

    url: str
    token: str = field(repr=False)
    pid: int
    settings: Settings


@contextmanager
def announced(folder: Path, endpoint: Endpoint) -> Iterator[None]:
    """Tell in the folder, to its owner alone, where the service answers."""
    told = {"url": endpoint.url, "token": endpoint.token, "pid": endpoint.pid}
    file = folder / _FILE
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as writing:
        json.dump(told | {"settings": endpoint.settings.model_dump()}, writing)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def join(folder: Path, settings: Settings) -> tuple[Endpoint, http.client.HTTPConnection] | None:
    """Stay with the service that has the folder, until the connection is closed; None where there is none.

    Raises:
        AccessError: Where there is one with other settings.
    """
    # The file may be old, half written, or the service about to end: then it is not there.
    with suppress(OSError, ValueError, KeyError, http.client.HTTPException):
        told = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        endpoint = Endpoint(told["url"], told["token"], told["pid"], Settings.model_validate(told["settings"]))
        connection = http.client.HTTPConnection(endpoint.url.removeprefix("http://"), timeout=_PATIENCE_S)
        connection.request("GET", STAY, headers={"Authorization": f"apikey {endpoint.token}"})
        if connection.getresponse().status == http.HTTPStatus.OK:
            try:
                _check_same(folder, endpoint.settings, settings)
            except AccessError:
                connection.close()
                raise
            return endpoint, connection
    return None


def _check_same(folder: Path, running: Settings, asked: Settings) -> None:
    theirs, ours = (one.model_dump(exclude=_OF_ONE_START) for one in (running, asked))
    if different := [name for name in ours if ours[name] != theirs[name]]:
        told = ", ".join(f"{name}={theirs[name]}" for name in different)
        msg = f"rehearsal: another service has {folder}, with {told}; remedy: stop it, or name another folder"
        raise AccessError(msg)
