"""Starts the rehearsal service, opens a backend on it, and stops it with the process; knows runtime.

What is opened is a backend of IBM Quantum's client, with another URL and account: nobody else sees a difference.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from qrt_runner.backends.connection import bound
from qrt_runner.backends.device import Device
from qrt_runner.backends.patience import looked_up, patiently
from qrt_runner.backends.simulators import fake_class
from qrt_runner.config import state_folder
from qrt_runner.errors import AccessError, QrtError, refuse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qiskit_ibm_runtime import IBMBackend

    from qrt_runner import config
    from qrt_runner.rehearsal import Settings


_HOLD_S: Final = 1.0
"""How long the service may hold back its answer for a job to end; the client would ask only every half second."""


def open_rehearsal(section: config.Rehearsal) -> Device:
    """Start a rehearsal service, or join the one that has the same store, and open its device.

    Raises:
        ConfigError: Where there is no such device, or a fault that is none.
        AccessError: Where the service does not start.
    """
    settings = _settings(section)
    fake_class(section.name)
    try:
        backend = patiently(lambda: _opened(section, settings))
    except QrtError:
        raise
    except Exception as error:
        # With faults asked for, the client may meet any of them already here.
        told = " ".join(str(error).split())[:300]
        msg = f"backend: the rehearsal refused ({type(error).__name__}: {told}); remedy: other backend.faults"
        raise AccessError(msg) from error
    return Device(backend.name, backend, "ibm", noisy=True, reads_evenly=True)


def _opened(section: config.Rehearsal, settings: Settings) -> IBMBackend:
    """Start or join the service and open its device; after one that was just ending, the next try starts another."""
    from qiskit_ibm_runtime import QiskitRuntimeService

    from qrt_runner.rehearsal import account_of, start

    running = start(settings, _folder(section, settings))
    atexit.register(running.stop)
    account = account_of(running)
    with account.in_force(), _without_advice():
        service = QiskitRuntimeService(**account.arguments)
        bound(service)
        return looked_up(service, lambda: service.backend(section.name), section.name)


@contextmanager
def _without_advice() -> Iterator[None]:
    """Keep the client from telling that it uses the token given instead of a saved account."""
    logger = logging.getLogger("qiskit_ibm_runtime.qiskit_runtime_service")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _settings(section: config.Rehearsal) -> Settings:
    from qrt_runner.rehearsal import Settings

    try:
        return Settings(
            devices=(section.name,),
            plans=(section.plan,),
            queue_wait_s=section.queue_wait_s,
            parallel_jobs=section.parallel_jobs,
            interactive_ttl_s=section.interactive_timeout_s,
            virtual_clock=section.virtual_clock,
            seed=section.seed,
            hold_s=_HOLD_S,
            faults=tuple(section.faults),  # type: ignore[arg-type]  # judged by the settings themselves
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        allowed = "faults as `qrt_runner.rehearsal.Fault` describes them"
        raise refuse(f"backend.{place}", first["msg"], allowed, "backend.faults=[]") from error


def _folder(section: config.Rehearsal, settings: Settings) -> Path:
    """Return the folder of the store: one for each set of settings, so that they do not get into each other's way."""
    if section.store is not None:
        return Path(section.store)
    name = hashlib.sha256(settings.model_dump_json().encode()).hexdigest()[:12]
    return state_folder() / "rehearsal" / name
