"""Starts the service as a process of its own and stops it.

The process ends with whoever started it: it reads from a pipe that closes when that process dies, however it dies.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from qrt_runner.errors import AccessError
from qrt_runner.rehearsal.account import Account, account_at
from qrt_runner.rehearsal.joining import HeldError, join
from qrt_runner.rehearsal.store import make_private

if TYPE_CHECKING:
    import http.client
    from types import TracebackType

    from qrt_runner.rehearsal.settings import Fault, Plan, Settings

_PATIENCE_S: Final = 60
_FAREWELL_S: Final = 10
_LOG: Final = "service.log"
_DIRECTLY: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""No proxy stands between us and loopback, whatever the environment says."""

_ROOT: Final = Path(__file__).parents[2]
"""Where the package lies, installed or cloned: the service imports it from there, wherever its user works."""


class Rehearsal:
    """A running service. Use it in a `with`, or call `stop`."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        """Join the service that has the folder, or start one.

        Raises:
            AccessError: Where it does not start, or one with other settings has the folder.
        """
        self.settings, self.folder = settings, folder
        self.url = ""
        """Where it answers, such as http://127.0.0.1:4321; the API lies below."""
        self.token = ""
        """The API key that it accepts."""
        self.pid = 0
        """The service's process."""
        self._process: subprocess.Popen[str] | None = None
        self._connection: http.client.HTTPConnection | None = None
        self._join_or_start()

    def __repr__(self) -> str:
        """Tell where it answers, and no secret."""
        return f"Rehearsal({self.url}, {self.folder})"

    def account(self, plan: Plan | None = None) -> Account:
        """Return how the client is pointed at it."""
        return account_at(self.url, self.token, plan or self.settings.plans[0])

    def ledger(self) -> dict[str, Any]:
        """Return what really arrived: every job and session ever accepted, and every request since the start."""
        told: dict[str, Any] = json.loads(self._ask("GET", "/control/ledger"))
        return told

    def arm(self, fault: Fault) -> None:
        """Let something go wrong."""
        self._ask("POST", "/control/faults", fault.model_dump_json())

    def lift_faults(self) -> None:
        """Let nothing go wrong any more."""
        self._ask("DELETE", "/control/faults")

    def pass_time(self, seconds: float) -> None:
        """Let service time pass."""
        self._ask("POST", "/control/time", json.dumps({"seconds": seconds}))

    def stop(self) -> None:
        """End it, or leave it to the others who use it; its store stays."""
        if self._connection is not None:
            self._connection.close()
        if self._process is None:
            return
        shared = self._is_shared()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        if shared:
            threading.Thread(target=self._process.wait, daemon=True, name="left to others").start()
        else:
            try:
                self._process.wait(_FAREWELL_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def restart(self, *, kill: bool = False) -> None:
        """End it, by force on request, and start it again on the same store, port and token."""
        assert self._process is not None, "it was joined, not started"
        if kill:
            self._process.kill()
            self._process.wait()
        self.stop()
        port = int(self.url.rpartition(":")[2])
        self._start(self.settings.model_copy(update={"port": port, "token": self.token}))

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    def _join_or_start(self) -> None:
        """Try both until one does: a service may just be starting or ending."""
        until = time.monotonic() + _PATIENCE_S
        while True:
            found = join(self.folder, self.settings)
            if found is not None:
                endpoint, self._connection = found
                self.url, self.token, self.pid = endpoint.url, endpoint.token, endpoint.pid
                return
            try:
                self._start(self.settings)
            except HeldError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)
            else:
                return

    def _start(self, settings: Settings) -> None:
        self._process = process = _process(self.folder)
        assert process.stdin is not None
        assert process.stdout is not None
        told = {"settings": settings.model_dump(), "folder": str(self.folder.resolve())}
        with contextlib.suppress(BrokenPipeError):  # if it is gone already, its log says why
            process.stdin.write(f"{json.dumps(told)}\n")
            process.stdin.flush()
        waking = threading.Timer(_PATIENCE_S, process.kill)
        waking.start()
        answer = json.loads(process.stdout.readline() or "{}")
        waking.cancel()
        if "url" not in answer:
            self.stop()
            self._process = None
            if "held" in answer:
                raise HeldError(answer["held"])
            words = " ".join((self.folder / _LOG).read_text(encoding="utf-8").split())[-500:]
            raise AccessError(f"rehearsal: the service did not start ({words})")
        self.url, self.token, self.pid = answer["url"], answer["token"], process.pid

    def _is_shared(self) -> bool:
        """Tell whether others stay with the service; one that does not answer is nobody's."""
        try:
            return int(json.loads(self._ask("GET", "/control/users"))["users"]) > 0
        except (OSError, ValueError):
            return False

    def _ask(self, method: str, path: str, body: str | None = None) -> str:
        headers = {"Authorization": f"apikey {self.token}", "Content-Type": "application/json"}
        data = None if body is None else body.encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310 -- ours, loopback
        with _DIRECTLY.open(request, timeout=_PATIENCE_S) as answer:
            return str(answer.read().decode())


def _process(folder: Path) -> subprocess.Popen[str]:
    """Start the process, which reads what it is to serve from its pipe."""
    make_private(folder)
    descriptor = os.open(folder / _LOG, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "a") as log:
        # A session of its own: Ctrl-C is for its user, who may still have sessions to close.
        return subprocess.Popen(
            [sys.executable, "-m", "qrt_runner.rehearsal", "--started-from-pipe"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
            cwd=_ROOT,
        )


def start(settings: Settings, folder: Path) -> Rehearsal:
    """Start a service on a folder, which holds its store, or join the one that has it; wait until it answers.

    Raises:
        ConfigError: Where there is no such device.
        AccessError: Where it does not start, or one with other settings has the folder.
    """
    from qrt_runner.rehearsal.devices import check_devices

    check_devices(settings.devices)
    return Rehearsal(settings, folder)


def account_of(rehearsal: Rehearsal, plan: Plan | None = None) -> Account:
    """Return the arguments and the environment that point `QiskitRuntimeService` at a rehearsal.

    Args:
        rehearsal: A running service.
        plan: Which of the account's instances; the first of the settings without it.
    """
    return rehearsal.account(plan)
