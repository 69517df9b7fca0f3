"""Asks a service about a job, again where the answer is lost: asking costs nothing; knows modes and reasons."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from tenacity import Retrying, retry_if_exception, stop_after_delay

from qrt_runner.backends.patience import pause
from qrt_runner.execution.reasons import Verdict, verdict_of
from qrt_runner.modes import mode_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from qrt_runner.execution.attempts import Attempt
    from qrt_runner.modes import RawResult, Submission

_PATIENCE_S: Final = 60.0
"""For how long a question is asked again that gets no answer; the client itself is patient for 15 s each time."""

FINAL: Final = ("DONE", "CANCELLED", "ERROR")
_log = logging.getLogger(__name__)


def fetched(mode: str, submission: Submission, handle: Any) -> RawResult:
    """Wait for a job and return what the platform gave; a service is asked again where its answer is lost.

    Raises:
        Exception: What the platform raises where the job failed, or gave no answer for long.
    """
    fetch = mode_named(mode).fetch
    if submission.device.where != "ibm":
        return fetch(submission, handle)
    found: RawResult = again(lambda: fetch(submission, handle))
    return found


def ended(handle: Any) -> bool:
    """Tell whether a job on a service has ended; one of which there is no answer has not, as far as is known."""
    status = getattr(handle, "status", None)
    if not callable(status):
        return True
    try:
        told = status()
    except Exception as error:  # noqa: BLE001 - whatever the client raises, the question is asked again later
        _log.info("no state of a job: %s", error)
        return False
    return str(getattr(told, "name", told)) in FINAL


def asked(attempt: Attempt, question: str) -> Any:
    """Ask a job what only the runtime's jobs can answer; where it cannot, its result is kept all the same."""
    answer = getattr(attempt.handle, question, None)
    if not callable(answer) or not type(attempt.handle).__module__.startswith("qiskit_ibm_runtime"):
        return None
    try:
        return answer()
    except Exception as error:  # noqa: BLE001 - whatever the client raises, the result was paid for
        attempt.untold.append(f"{question}: {type(error).__name__}: {error}")
        return None


def cancelled(handle: Any) -> bool:
    """Cancel a job on a service, and tell whether it is; where an answer is lost its state tells what came of it.

    Raises:
        Exception: What the client raises where the service refuses, though the job has not ended, or gives no answer.
    """
    told: str = again(lambda: _state_after_cancelling(handle))
    return told == "CANCELLED"


def _state_after_cancelling(handle: Any) -> str:
    try:
        handle.cancel()
    except Exception:
        if (state := str(again(handle.status))) in FINAL:
            return state
        raise
    return "CANCELLED"


def again(ask: Callable[[], Any]) -> Any:
    """Ask until there is an answer or a refusal, for a bounded time, with growing pauses."""
    patient = Retrying(
        retry=retry_if_exception(is_worth_asking), stop=stop_after_delay(_PATIENCE_S), wait=pause, reraise=True
    )
    return patient(ask)


def is_worth_asking(error: BaseException) -> bool:
    """Tell whether the same question may have an answer later."""
    return isinstance(error, Exception) and verdict_of(error) is not Verdict.PERMANENT
