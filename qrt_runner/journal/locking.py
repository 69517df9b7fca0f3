"""Locks that the system lets go of when a process dies, however it dies; knows filelock.

Whoever takes the lock of a run, or looks whether it is taken, does so behind a gate that lets one process in at a time:
otherwise two that only look would take each other for holders.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from qrt_runner.errors import JournalError
from qrt_runner.journal.archive import make_private
from qrt_runner.journal.places import gate_file, lock_file
from qrt_runner.journal.troubles import AGAIN, told, trouble

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from filelock import BaseFileLock

_WAIT_S: Final = 60.0
_POLL_S: Final = 0.002


class HeldError(JournalError):
    """Another process works at the run."""


@contextmanager
def gate(folder: Path) -> Iterator[None]:
    """Keep other processes out of what takes a moment only.

    Raises:
        JournalError: Where another process is in it for a minute, or nothing may be written.
    """
    file = gate_file(folder)
    make_private(file.parent)
    lock = _lock(file, _WAIT_S)
    if not _took(lock, file):
        what = f"has been kept locked by another process for {_WAIT_S:.0f} s"
        raise trouble(file, what, f"wait for that process or end it, {AGAIN}")
    try:
        yield
    finally:
        lock.release()


@contextmanager
def run_held(folder: Path, run_id: str) -> Iterator[None]:
    """Hold a run, so that no other process works at it.

    Raises:
        HeldError: Where another process, or this one, does.
    """
    file = lock_file(folder, run_id)
    lock = _lock(file)
    with gate(folder):
        free = _took(lock, file)
    if not free:
        raise HeldError(f"run={run_id}: another process is at work on it; remedy: wait for it or end it, {AGAIN}")
    try:
        yield
    finally:
        lock.release()


def is_held(folder: Path, run_id: str) -> bool:
    """Tell whether a living process works at a run."""
    return run_id in held_among(folder, [run_id])


def held_among(folder: Path, run_ids: Collection[str]) -> set[str]:
    """Return those of some runs that living processes work at."""
    locked = [run_id for run_id in run_ids if lock_file(folder, run_id).exists()]
    if not locked:
        return set()
    with gate(folder):
        return {run_id for run_id in locked if not _is_free(lock_file(folder, run_id))}


def _is_free(file: Path) -> bool:
    lock = _lock(file)
    free = _took(lock, file)
    lock.release()
    return free


def _lock(file: Path, wait_s: float = 0.0) -> BaseFileLock:
    from filelock import FileLock

    return FileLock(file, timeout=wait_s, mode=0o600)


def _took(lock: BaseFileLock, file: Path) -> bool:
    """Take a lock, and tell whether it could be had."""
    from filelock import Timeout

    with told(file):
        try:
            lock.acquire(poll_interval=_POLL_S)
        except Timeout:
            return False
    return True
