"""Runs the command line and kills its own process at a chosen step: `python dying.py <orders as JSON> <words> ...`.

The product knows nothing of it: what is watched are functions of the standard library, of requests and, for the torn
line of a file and what is printed, two of ours.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import sqlite3
import sys
import threading
import time
from collections import Counter
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_seen: Counter[str] = Counter()
_orders: dict[str, Any] = {}


def die() -> None:
    """End this process at once; nothing is closed, nothing is flushed."""
    os.kill(os.getpid(), signal.SIGKILL)


def step(name: str, act: Callable[[], Any]) -> Any:
    """Take a step, and die before, amid or after it where that is ordered."""
    _seen[name] += 1
    is_meant = _orders.get("step") == name and _seen[name] == _orders.get("nth")
    when = _orders.get("when") if is_meant else None
    if when == "before":
        die()
    if when == "amid":
        threading.Thread(target=_die_soon, daemon=True).start()
    done = act()
    if when is not None:
        die()
    return done


def _die_soon() -> None:
    time.sleep(_orders["delay_s"])
    die()


class Connection(sqlite3.Connection):
    """A connection whose commits are steps, named by its file."""

    file = ""

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        """Execute a statement."""
        act = super().execute
        if statement.strip().upper() == "COMMIT" and self.file in ("journal.db", "mlflow.db"):
            return step(f"commit {self.file}", lambda: act(statement, *values))  # type: ignore[no-any-return]
        return act(statement, *values)

    def commit(self) -> None:
        """Commit."""
        act = super().commit
        step(f"commit {self.file}", act) if self.in_transaction and self.file == "mlflow.db" else act()


def watch_databases() -> None:
    """Make steps of the commits of the journal and of MLflow's store, whoever writes to it."""
    connect = sqlite3.connect

    def connected(database: Any, *given: Any, **options: Any) -> sqlite3.Connection:
        opened = connect(database, *given, **{"factory": Connection, **options})
        if isinstance(opened, Connection):
            opened.file = str(database).partition("?")[0].rpartition("/")[2]
        return opened

    sqlite3.connect = sqlite3.dbapi2.connect = connected  # type: ignore[attr-defined]


def watch_files() -> None:
    """Make steps of what files become: renamed into place, removed, brought to the disk."""
    for name in ("replace", "rename", "unlink", "fsync"):
        setattr(os, name, _as_step(name, getattr(os, name)))


def _as_step(name: str, act: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(act)
    def taken(*given: Any, **options: Any) -> Any:
        return step(name, lambda: act(*given, **options))

    return taken


def watch_requests() -> None:
    """Make steps of the requests to a service: `amid` is after it was sent, with no answer yet."""
    from requests.adapters import HTTPAdapter

    send = HTTPAdapter.send

    def sent(self: HTTPAdapter, request: Any, **how: Any) -> Any:
        return step(_asked(request), lambda: send(self, request, **how))

    HTTPAdapter.send = sent  # type: ignore[method-assign]


def _asked(request: Any) -> str:
    """Return what a request is about: the last words of its path, ids aside."""
    words = request.path_url.partition("?")[0].strip("/").split("/")
    kind = "jobs" if "jobs" in words else "sessions" if "sessions" in words else "rest"
    return f"{request.method} {kind}"


def watch_words() -> None:
    """Make steps of what is printed, and of the lines that are appended to the kept results, which may be torn."""
    from qrt_runner.launcher import saying
    from qrt_runner.tracking import keeping

    saying.say = _as_step("print", saying.say)
    append = keeping.append

    def torn(file: Path, lines: list[str]) -> None:
        if _orders.get("step") == "tear" and _seen["tear"] + 1 == _orders["nth"]:
            whole = "".join(f"\n{line}" for line in lines)
            append(file, [whole[1 : len(whole) // 2]])
            die()
        step("tear", lambda: append(file, lines))

    keeping.append = torn


def main() -> None:
    """Run the command line under orders, which are the first word; the others are the command's."""
    _orders.update(json.loads(sys.argv[1]))
    sys.argv = ["qrt_runner", *sys.argv[2:]]
    if "census" in _orders:
        atexit.register(lambda: Path(_orders["census"]).write_text(json.dumps(_seen), encoding="utf-8"))
    watch_databases()
    watch_files()
    watch_requests()
    watch_words()
    from qrt_runner.__main__ import entry

    entry()


if __name__ == "__main__":
    main()
