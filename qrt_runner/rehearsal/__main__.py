"""`python -m qrt_runner.rehearsal`: serves in the foreground and prints how a Qiskit program uses it."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from qrt_runner.errors import QrtError
from qrt_runner.postponing import postpone_learning
from qrt_runner.rehearsal.account import account_at
from qrt_runner.rehearsal.joining import HeldError
from qrt_runner.rehearsal.serving import HOST, serve
from qrt_runner.rehearsal.settings import Settings


def main() -> int:
    """Serve, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m qrt_runner.rehearsal", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(".rehearsal"), help="where jobs and sessions are kept")
    parser.add_argument(
        "--settings", type=Path, help="JSON file with settings: devices, plans, queue_wait_s, faults ..."
    )
    parser.add_argument("--port", type=int, help="port on 127.0.0.1; any free one without it")
    parser.add_argument("--started-from-pipe", action="store_true", help=argparse.SUPPRESS)
    words = parser.parse_args()
    postpone_learning()
    try:
        if words.started_from_pipe:
            _serve_from_pipe()
        else:
            _serve_in_foreground(words)
    except (QrtError, ValidationError) as error:
        sys.stderr.write(f"{error}\n")
        return getattr(error, "exit_code", 2)
    except KeyboardInterrupt:
        return 130
    return 0


def _serve_in_foreground(words: argparse.Namespace) -> None:
    given: dict[str, Any] = {"idle_s": None}
    if words.settings is not None:
        given |= json.loads(words.settings.read_text(encoding="utf-8"))
    if words.port is not None:
        given["port"] = words.port
    settings = Settings.model_validate(given)

    def ready(port: int, token: str) -> None:
        account = account_at(f"http://{HOST}:{port}", token, settings.plans[0])
        _say(account.shown())

    from qrt_runner.rehearsal.devices import check_devices

    check_devices(settings.devices)
    serve(settings, words.folder, ready)


def _serve_from_pipe() -> None:
    """Serve for the process at the other end of the pipe, until it closes it or dies."""
    told = json.loads(sys.stdin.readline())
    ended = asyncio.Event()

    def ready(port: int, token: str) -> None:
        _say(json.dumps({"url": f"http://{HOST}:{port}", "token": token}))
        loop = asyncio.get_running_loop()

        def wait() -> None:
            sys.stdin.read()
            loop.call_soon_threadsafe(ended.set)

        threading.Thread(target=wait, daemon=True, name="other end of the pipe").start()

    try:
        serve(Settings.model_validate(told["settings"]), Path(told["folder"]), ready, ended)
    except HeldError as error:
        _say(json.dumps({"held": str(error)}))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # Not sys.exit: it would wait for a simulation to end, which the next service on this store runs again anyway.
    os._exit(code)
