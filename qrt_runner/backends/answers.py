"""What a service has answered to a request that failed, read from what its client raises; knows requests and runtime.

The client wraps errors in its own, some of them `from None`, and leaves out the status of a 503: what really happened
is at the end of the chain of causes and contexts.
"""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from requests import Response

LOOKING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Requests that change nothing."""

_PASSING: Final = (408, 425, 429)
_UNDECIDED: Final = 408
_LATER: Final = (1202, 3458)
"""The service's codes for too many requests and too many pending jobs."""

_CLIENT: Final = "qiskit_ibm_runtime.qiskit_runtime_service"
_LONGEST: Final = 300


@dataclass(frozen=True)
class Answer:
    """The answer to a request that failed, or that there was none."""

    status: int | None
    """HTTP status; None where no answer came, or only a part of one."""

    words: str
    """The service's own words, or what happened on the way; one line."""

    code: int | None = None
    """The service's own code of the reason."""

    was_sent: bool = True
    """Whether the service may have got the request."""

    only_looked: bool = False
    """Whether the request changes nothing, whatever became of it."""

    had_token: bool = True
    """Whether it carried a bearer token; without one the client sends the API key, which may be refused."""

    retry_after_s: float | None = None
    """How long the service asks to wait."""

    @property
    def passes(self) -> bool:
        """Whether the same request may succeed later."""
        if self.status is None or self.status >= 500 or self.status in _PASSING or self.code in _LATER:
            return True
        return self.status == 401 and not self.had_token

    @property
    def may_have_acted(self) -> bool:
        """Whether the service may have done what was asked for, in spite of the error."""
        if self.only_looked or not self.was_sent:
            return False
        return self.status is None or self.status >= 500 or self.status == _UNDECIDED


def answer_of(error: BaseException) -> Answer | None:
    """Return what became of the request behind an exception; None where no request is what failed."""
    if _looked_up_while_submitting(error):
        return Answer(None, f"the client looked up the backend while it submitted, and failed ({words_of(error)})")
    bare: Answer | None = None
    for link in chain_of(error):
        found = _from_response(link) or _from_line(link) or _from_reading(link)
        if found is not None:
            return found if bare is None or bare.status == found.status else bare
        if not _is_wrapper(link):
            break
        bare = bare or _from_status(link)
    return bare


def never_sent(error: BaseException) -> bool:
    """Tell whether no connection came about, so that the service cannot have got the request."""
    from urllib3.exceptions import ConnectTimeoutError

    return any(isinstance(inner, ConnectTimeoutError) for inner in _inside(error))


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """Give an exception, and what it was raised from or while handling, the latest first."""
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ if link.__cause__ is not None else link.__context__


def words_of(error: BaseException) -> str:
    """Return an exception's kind and words in one short line."""
    message = getattr(error, "message", None)
    text = " ".join((message if isinstance(message, str) else str(error)).split())
    return f"{type(error).__name__}: {text[:_LONGEST]}" if text else type(error).__name__


def _from_response(link: BaseException) -> Answer | None:
    from requests import Response

    held = (getattr(link, name, None) for name in ("response", "http_response"))
    response = next((one for one in held if one is not None), None)
    if not isinstance(response, Response):
        return None
    request = response.request
    told = _told(response)
    words = " ".join(text for text in (_text(told, "message"), _text(told, "solution")) if text)
    return Answer(
        status=response.status_code,
        words=words or str(response.reason),
        code=_number(told.get("code")),
        only_looked=request is not None and request.method in LOOKING,
        had_token=request is None or str(request.headers.get("Authorization", "Bearer")).startswith("Bearer"),
        retry_after_s=_pause_of(response),
    )


def _from_status(link: BaseException) -> Answer | None:
    """Read an error of the client that has lost all but the status."""
    status = getattr(link, "status_code", None)
    return Answer(status, words_of(link)) if isinstance(status, int) and status > 0 else None


def _from_line(link: BaseException) -> Answer | None:
    """Read what came instead of an answer: nothing, too late, or only a part."""
    from requests import RequestException
    from requests.exceptions import JSONDecodeError
    from urllib3.exceptions import HTTPError

    if isinstance(link, json.JSONDecodeError | JSONDecodeError):
        return Answer(None, f"half an answer ({words_of(link)})")
    if not isinstance(link, RequestException | HTTPError) or isinstance(link, ValueError):
        return None
    inner = list(_inside(link))
    if any(isinstance(one, ssl.SSLCertVerificationError) for one in inner):
        return None
    method = getattr(getattr(link, "request", None), "method", None)
    return Answer(None, words_of(inner[-1]), was_sent=not never_sent(link), only_looked=method in LOOKING)


def _from_reading(link: BaseException) -> Answer | None:
    """Read an answer that lacks what the client looks for in it."""
    if not isinstance(link, LookupError | TypeError | AttributeError) or not (frames := list(_frames(link))):
        return None
    module = frames[-1][0]
    if module == _CLIENT or module.startswith("qiskit_ibm_runtime.api."):
        return Answer(None, f"an answer that the client cannot read ({words_of(link)})")
    return None


def _is_wrapper(link: BaseException) -> bool:
    """Tell whether an error of the client says little itself, so that what it was made from is looked at."""
    from qiskit.providers.exceptions import QiskitBackendNotFoundError
    from qiskit_ibm_runtime.exceptions import IBMError

    return isinstance(link, IBMError | QiskitBackendNotFoundError) and not isinstance(link, ValueError)


def _looked_up_while_submitting(error: BaseException) -> bool:
    """Tell whether the client failed at its backend inside a submission: the job may be accepted by then.

    It looks a backend up again after the service has named another than was asked for.
    """
    return {"_run", "backend"} <= {name for module, name in _frames(error) if module == _CLIENT}


def _frames(error: BaseException) -> Iterator[tuple[str, str]]:
    """Give module and function of each step of a traceback, the outermost first."""
    step = error.__traceback__
    while step is not None:
        yield str(step.tb_frame.f_globals.get("__name__")), step.tb_frame.f_code.co_name
        step = step.tb_next


def _inside(error: BaseException) -> Iterator[BaseException]:
    """Give an error of requests or urllib3 and what it holds, the innermost last."""
    inner: Any = error
    while isinstance(inner, BaseException):
        yield inner
        held = [getattr(inner, "reason", None), getattr(inner, "original_error", None), *reversed(inner.args)]
        inner = next((one for one in held if isinstance(one, BaseException)), inner.__cause__)


def _told(response: Response) -> dict[str, Any]:
    """Return the first error in an answer of the service, or of IBM Cloud's identity service."""
    try:
        body = response.json()
    except ValueError:
        return {}
    if not isinstance(body, dict):
        return {}
    errors = body.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else body.get("error")
    if isinstance(first, dict):
        return first
    return {"message": body.get("errorMessage") or first or body.get("message"), "code": body.get("errorCode")}


def _text(told: dict[str, Any], key: str) -> str:
    return " ".join(str(told.get(key) or "").split())[:_LONGEST]


def _number(code: object) -> int | None:
    return int(code) if isinstance(code, int | str) and str(code).isdigit() else None


def _pause_of(response: Response) -> float | None:
    from urllib3 import Retry
    from urllib3.exceptions import InvalidHeader

    if (told := response.headers.get("Retry-After")) is None:
        return None
    try:
        return float(told)
    except ValueError:
        pass
    try:
        return Retry().parse_retry_after(told)
    except InvalidHeader:
        return None
