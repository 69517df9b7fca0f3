"""Reaches sessions and batches that are open already, and tells a service's refusals; knows runtime."""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal

from qrt_runner.errors import AccessError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qrt_runner.backends import Device


def attached(wanted: str, backend: Any) -> Any:
    """Return an open session or batch by its id.

    Raises:
        AccessError: Where there is none, it is open on another backend, or takes no more jobs.
    """
    with refusals_told(f"session.id: {wanted}", "the id of an open session or batch"):
        place = from_id(wanted, backend.service)
        details = place.details() or {}
    told = str(details.get("backend_name") or backend.name)
    if told != backend.name:
        raise AccessError(f"session.id: {wanted} is open on {told}, not on {backend.name}; remedy: backend.name={told}")
    if not details.get("accepting_jobs", True):
        raise AccessError(f"session.id: {wanted} takes no more jobs ({details.get('state')}); remedy: session.id=null")
    return place


def kind_of(place: Any) -> Literal["batch", "dedicated"]:
    """Return which kind of group the client holds."""
    from qiskit_ibm_runtime import Batch

    return "batch" if isinstance(place, Batch) else "dedicated"


def from_id(group: str, service: Any) -> Any:
    """Return a session or batch; the client has a class for each, and refuses the other's ids."""
    from qiskit_ibm_runtime import Batch, Session
    from qiskit_ibm_runtime.exceptions import IBMInputValueError

    try:
        return Session.from_id(group, service)
    except IBMInputValueError as error:
        try:
            return Batch.from_id(group, service)
        except IBMInputValueError:
            raise error from None


def close_session(group: str, device: Device) -> None:
    """Close a session or batch that another command opened; one that the service does not know any more is closed."""
    from qiskit_ibm_runtime.exceptions import IBMInputValueError

    from qrt_runner.backends.patience import patiently

    with suppress(IBMInputValueError):
        patiently(from_id(group, device.backend.service).close)


@contextmanager
def refusals_told(what: str, remedy: str) -> Iterator[None]:
    """Turn what the client raises into an error that says what was asked for, and what to do.

    Raises:
        AccessError: Caused by what the client raised.
    """
    from qiskit_ibm_runtime.api.exceptions import RequestsApiError
    from qiskit_ibm_runtime.exceptions import IBMError
    from requests import RequestException

    try:
        yield
    except (IBMError, RequestsApiError, RequestException, ValueError) as error:
        if may_be_open(error):
            msg = f"{what}: the service gave no answer ({words_of(error)}), so it may be open without jobs"
            raise AccessError(f"{msg}; remedy: try again") from error
        raise AccessError(f"{what} was refused: {words_of(error)}; remedy: {remedy}") from error


def may_be_open(error: BaseException) -> bool:
    """Tell whether the service may have opened a group in spite of an error of the client."""
    from qrt_runner.backends.answers import answer_of

    answer = answer_of(error)
    return answer is not None and answer.may_have_acted


def may_pass(error: BaseException) -> bool:
    """Tell whether the service has certainly opened nothing, and may do so later, as where it asks to wait."""
    from qrt_runner.backends.answers import answer_of

    answer = answer_of(error)
    return answer is not None and answer.passes and not answer.may_have_acted


def words_of(error: Exception) -> str:
    """Return what the service says, without the JSON around it."""
    text = " ".join(str(error).split())
    said = re.findall(r'"(?:message|solution)":\s*"([^"]+)"', text)
    return " ".join(said).rstrip(".") if said else f"{type(error).__name__}: {text[:300]}"
