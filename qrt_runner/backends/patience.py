"""Opens a backend in spite of a service that gives no answer for a moment; knows tenacity."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from tenacity import Retrying, before_sleep_log, stop_before_delay, wait_random_exponential

from qrt_runner.backends.answers import answer_of
from qrt_runner.backends.connection import devices_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from qiskit_ibm_runtime import QiskitRuntimeService
    from tenacity import RetryCallState

    T = TypeVar("T")

_PATIENCE_S: Final = 20.0
_MOST_KNOCKS: Final = 3
"""After so many tries nobody is there at all: without a network, twenty seconds of hope help nobody."""

_growing = wait_random_exponential(multiplier=0.5, max=8.0)
_log = logging.getLogger(__name__)


class ElusiveError(Exception):
    """The service lists a backend that could not be opened."""


def patiently(open_: Callable[[], T]) -> T:
    """Call until it succeeds, for about 20 s, while what it raises may pass: 429, 5xx, a lost or refused connection.

    Pauses grow at random (full jitter), or are what the service asks for; where that is longer than the patience the
    error is raised at once.

    Raises:
        Exception: The last one, or the first that will not pass.
    """
    patient = Retrying(
        retry=_is_worth_it,
        wait=pause,
        stop=stop_before_delay(_PATIENCE_S),
        before_sleep=before_sleep_log(_log, logging.INFO),
        reraise=True,
    )
    return patient(open_)


def looked_up(service: QiskitRuntimeService, look: Callable[[], T], name: str | None = None) -> T:
    """Return the backend that a look at a service finds; where it finds none, see whether that is true.

    The client says that there is no such backend also where the service gave no answer.

    Args:
        service: The client's service.
        look: Looks for a backend.
        name: Its name, where one is wanted by name.

    Raises:
        ElusiveError: Where the service lists it.
        Exception: What the service answers instead of a list; or, where the list lacks it, what `look` raises.
    """
    from qiskit.providers.exceptions import QiskitBackendNotFoundError

    try:
        return look()
    except QiskitBackendNotFoundError as error:
        if name in devices_of(service):
            raise ElusiveError(f"{name} is listed, but: {error}") from error
        raise


def _is_worth_it(state: RetryCallState) -> bool:
    """Tell whether another try may succeed."""
    error = _error(state)
    if error is None or isinstance(error, ElusiveError):
        return error is not None
    answer = answer_of(error)
    return answer is not None and answer.passes and (answer.was_sent or state.attempt_number < _MOST_KNOCKS)


def pause(state: RetryCallState) -> float:
    """Return the seconds until the next try: as the service says, else random ones of a growing range (full jitter)."""
    answer = None if (error := _error(state)) is None else answer_of(error)
    asked_s = None if answer is None else answer.retry_after_s
    return _growing(state) if asked_s is None else max(asked_s, 0.0)


def _error(state: RetryCallState) -> BaseException | None:
    return None if state.outcome is None else state.outcome.exception()
