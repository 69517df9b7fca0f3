"""Tells what an error of a service means: whether it may have been accepted, and what can be done; knows backends.

The codes are from IBM's registry (https://quantum.cloud.ibm.com/docs/errors; 1002 to 1352, 7001) and from the one that
the client used to ship (docs/errors.rst of qiskit-ibm-runtime; 1000, 1999, 4001 to 7000, 9999), but for 1305, which the
client itself knows (runtime_job_v2), and those that users of the service quote in issues of the client: 1500 (number
2223), 3211 (1979), 3458 and 4317 (1124), 5302 (1042). Only those are told whose meaning could be confirmed.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from qrt_runner.backends.answers import answer_of, words_of

if TYPE_CHECKING:
    from qrt_runner.backends.answers import Answer


class Verdict(Enum):
    """What is to be done after an error."""

    TRANSIENT = "transient"
    """Certainly not accepted, and may be later: try again."""

    AMBIGUOUS = "ambiguous"
    """May have been accepted: ask for it."""

    PERMANENT = "permanent"
    """Certainly not accepted, nor ever will be; or no request was what failed."""


class Meaning(NamedTuple):
    """What one of the service's codes means, and what helps."""

    means: str
    remedy: str


_SMALLER: Final = "fewer shots, or smaller jobs by backend.limits"
_AGAIN: Final = "try again; where it stays, ask IBM Quantum's support and name the job"
_ACCOUNT: Final = "check the API key and backend.instance"
_TRANSPILE: Final = "transpile for this backend: no transpile.initial_layout or gates of another one"

CODES: Final = {
    1000: Meaning("an internal error of the service", _AGAIN),
    1002: Meaning("the job did not pass the backend's checks", "another backend or circuit"),
    1003: Meaning("the service could not transpile the circuit", "a smaller circuit, or another backend"),
    1004: Meaning("the backend is not available", "another backend, or try again later"),
    1007: Meaning("the account has no such backend", "backend.name=<one that the account has>"),
    1200: Meaning("the account may not do this", _ACCOUNT),
    1201: Meaning("the credentials are not valid", _ACCOUNT),
    1202: Meaning("too many requests", "try again later"),
    1204: Meaning("the job has too many tags", "fewer tags"),
    1217: Meaning("the session or batch has closed", "a longer session.max_time, or session=none"),
    1305: Meaning("the job ran longer than it may", f"a longer mitigation.options.max_execution_time, or {_SMALLER}"),
    1352: Meaning("the account's plan has no dedicated sessions", "session=batch or session=none"),
    1500: Meaning("an internal error of the service", _AGAIN),
    1999: Meaning("the service is in maintenance", "try again later"),
    3211: Meaning("the job is not valid", "another circuit or mode"),
    3458: Meaning("the account has as many jobs waiting as it may have", "wait for some, or cancel some"),
    4001: Meaning("the session or batch closed before the job ran", "a longer session.max_time, or session=none"),
    4317: Meaning("the account's time is used up", "wait for the next period, or another backend.instance"),
    5201: Meaning("the job ran too long", _SMALLER),
    5203: Meaning("the job could not be run", _AGAIN),
    5302: Meaning("the result was too large to be sent", _SMALLER),
    6000: Meaning("more shots than the backend takes", "fewer mode.shots"),
    6002: Meaning("more circuits than the backend takes", "smaller jobs by backend.limits"),
    7000: Meaning("a gate that the backend does not have", _TRANSPILE),
    7001: Meaning("an instruction that the backend does not have", _TRANSPILE),
    9999: Meaning("an internal error of the service", _AGAIN),
}
"""What the service's codes mean that are met when a job is submitted, and when it fails."""

_BY_STATUS: Final = {401: _ACCOUNT, 403: _ACCOUNT, 429: "try again later, with fewer commands at a time"}
_NAMED: Final = re.compile(r"[Ee]rror code:? (\d+)")
_LONGEST: Final = 300


def verdict_of(error: BaseException) -> Verdict:
    """Tell whether what was asked of a service may have been accepted in spite of an error.

    Args:
        error: Whatever the runtime client raises.
    """
    answer = answer_of(error)
    if answer is None or not answer.passes:
        return Verdict.PERMANENT
    return Verdict.AMBIGUOUS if answer.may_have_acted else Verdict.TRANSIENT


def retry_after_s(error: BaseException) -> float | None:
    """Return how many seconds the service asks to wait; None where it does not say."""
    answer = answer_of(error)
    return None if answer is None else answer.retry_after_s


def code_of(error: BaseException) -> int | None:
    """Return the service's code of the reason; None where it gives none."""
    answer = answer_of(error)
    return _named_in(str(error)) if answer is None else answer.code


def told_of(error: BaseException) -> str:
    """Return what a service has refused, or that it gave no answer: its words, its code, its meaning and the remedy."""
    answer = answer_of(error)
    if answer is None:
        return _with_meaning(words_of(error), _named_in(str(error)))
    if answer.status is None:
        what = "gave no whole answer" if answer.was_sent else "could not be reached"
        return f"the service {what} ({answer.words}); remedy: check the network, then try again"
    return _with_meaning(f"the service answered {answer.status}: {answer.words}", answer.code, _remedy_of(answer))


def failure_of(job: Any) -> str:
    """Return why a job on a service has failed: its words, code, what that means, and the remedy.

    Args:
        job: The client's job; a later client, or another vendor's, may tell less.
    """
    try:
        message = str(job.error_message() or "")
    except Exception as error:  # noqa: BLE001 - whatever the client raises: that it does not tell is told
        message = f"the service does not tell why: {told_of(error)}"
    reason = " ".join(str(getattr(job, "_reason", None) or _last_line(message)).split())[:_LONGEST]
    words = _NAMED.sub("", reason).lstrip("; ") or reason
    code = str(getattr(job, "_reason_code", None) or _named_in(reason) or _named_in(message))
    return _with_meaning(words or "the service gives no reason", int(code) if code.isdigit() else None)


def _with_meaning(words: str, code: int | None, remedy: str = "") -> str:
    """Add a code, its meaning and the remedy to words, each where there is one."""
    meaning = CODES.get(code) if code is not None else None
    told = words.rstrip(".")
    if code is not None:
        told += f" (code {code}{f': {meaning.means}' if meaning else ''})"
    remedy = meaning.remedy if meaning else remedy
    return f"{told}; remedy: {remedy}" if remedy else told


def _remedy_of(answer: Answer) -> str:
    """Return what helps where only the status says something."""
    return _BY_STATUS.get(answer.status or 0) or ("try again later" if answer.passes else "")


def _named_in(text: str) -> int | None:
    found = _NAMED.search(text)
    return int(found.group(1)) if found else None


def _last_line(message: str) -> str:
    """Return the line that says most: the last one, as a traceback's."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return lines[-1] if lines else ""
