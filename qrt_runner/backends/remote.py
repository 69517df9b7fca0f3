"""Backends that are not simulated here: IBM Quantum and other vendors'; knows runtime, and alone reads credentials."""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qiskit.providers import BackendV2
from qiskit.providers.exceptions import QiskitBackendNotFoundError
from qiskit_aer import AerSimulator

from qrt_runner.backends.answers import answer_of
from qrt_runner.backends.connection import bound
from qrt_runner.backends.device import Device
from qrt_runner.backends.patience import ElusiveError, looked_up, patiently
from qrt_runner.config import nearest
from qrt_runner.errors import AccessError, refuse

if TYPE_CHECKING:
    from collections.abc import Callable

    from qiskit_ibm_runtime import IBMBackend

    from qrt_runner import config

GROUP: Final = "qrt_runner.backends"
"""Entry point group in which other vendors' providers announce themselves."""


def open_ibm(section: config.Ibm) -> Device:
    """Open a backend of IBM Quantum with the account that the runtime client itself resolves.

    Raises:
        AccessError: Where there is no account, it is refused, the service is out of reach or has no such backend.
    """
    from qiskit_ibm_runtime.accounts.exceptions import AccountNotFoundError

    try:
        backend = patiently(lambda: _found(section))
    except AccountNotFoundError as error:
        raise _no_account(section, error) from error
    except QiskitBackendNotFoundError as error:
        wanted = section.name or f"a backend with {_filters(section)}"
        msg = f"backend.name: given {wanted}; the account has no such backend ({error}); remedy: name one it has"
        raise AccessError(msg) from error
    except _service_errors() as error:
        raise _refused(error) from error
    return Device(backend.name, backend, "ibm", noisy=not backend.simulator)


def open_vendor(section: config.Vendor) -> Device:
    """Open another vendor's backend.

    Raises:
        ConfigError: Where the entry point or callable is not there, or returns no `BackendV2`.
        AccessError: Where the callable itself fails.
    """
    opener = _entry_point(section.source) if ":" not in section.source else _callable(section.source)
    try:
        backend = opener(**section.arguments)
    except Exception as error:
        # Another vendor's code may raise anything; it is told as the refusal it is.
        msg = f"backend.source: {section.source} refused with {type(error).__name__}: {error}"
        raise AccessError(msg) from error
    if not isinstance(backend, BackendV2):
        given = f"{section.source}, which returned {type(backend).__name__}"
        raise refuse("backend.source", given, "a callable that returns a BackendV2", "return one")
    name = section.name or backend.name or section.source
    if isinstance(backend, AerSimulator):
        settings = {"method": backend.options.method, "precision": backend.options.precision}
        noisy = backend.options.noise_model is not None
        return Device(name, backend, "simulator", noisy, settings, method="backend.arguments.method")
    return Device(name, backend, "vendor", noisy=True)


def _found(section: config.Ibm) -> IBMBackend:
    """Open a backend once; whatever the client raises."""
    from qiskit_ibm_runtime import QiskitRuntimeService

    service = QiskitRuntimeService(name=section.account, instance=section.instance)
    bound(service)
    gates = section.use_fractional_gates
    if section.name is None:
        return looked_up(service, lambda: service.least_busy(use_fractional_gates=gates, **_filters(section)))
    return looked_up(service, lambda: service.backend(section.name, use_fractional_gates=gates), section.name)


def _filters(section: config.Ibm) -> dict[str, Any]:
    return {name: value for name, value in section.filters.model_dump().items() if value is not None}


def _no_account(section: config.Ibm, error: Exception) -> AccessError:
    given = f"account {section.account!r}" if section.account else "no account"
    return AccessError(
        f"backend.account: given {given}; none is found ({error}); remedy: set QISKIT_IBM_TOKEN and "
        "QISKIT_IBM_INSTANCE in the environment, or save one with QiskitRuntimeService.save_account"
    )


def _service_errors() -> tuple[type[Exception], ...]:
    """Return what the runtime client raises where the service refuses or cannot be reached."""
    from ibm_cloud_sdk_core import ApiException
    from qiskit_ibm_runtime.api.exceptions import RequestsApiError
    from qiskit_ibm_runtime.exceptions import IBMError
    from requests import RequestException

    return (IBMError, RequestsApiError, RequestException, ApiException, ValueError, ElusiveError)


def _refused(error: Exception) -> AccessError:
    told = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    if (answer := answer_of(error)) is not None:
        told += f"; {'no answer' if answer.status is None else answer.status}: {answer.words}"
    msg = f"backend: IBM Quantum refused or could not be reached ({told})"
    return AccessError(f"{msg}; remedy: check the network, the account and backend.instance, then try again")


def _entry_point(name: str) -> Callable[..., Any]:
    known = {point.name: point for point in entry_points(group=GROUP)}
    if name not in known:
        allowed = ", ".join([*sorted(known), "module:callable"])
        remedy = f"backend.source={nearest(name, list(known)) or 'my_provider:get_backend'}"
        raise refuse("backend.source", name, allowed, remedy)
    opener: Callable[..., Any] = known[name].load()
    return opener


def _callable(source: str) -> Callable[..., Any]:
    module_name, _, name = source.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        opener: Any = importlib.import_module(module_name)
        for part in name.split("."):
            opener = getattr(opener, part)
    except (ImportError, AttributeError, ValueError) as error:
        given = f"{source}, which cannot be imported ({error})"
        raise refuse("backend.source", given, "module:callable", "install the provider or mend the name") from error
    if not callable(opener):
        raise refuse("backend.source", f"{source}, which is not callable", "module:callable", "name a function")
    return opener  # type: ignore[no-any-return]
