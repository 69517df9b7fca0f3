"""Which requests of the runtime client are sent again, how long they wait, and with which token; knows requests.

What only looks is repeated, on 429 too, after growing pauses or those that the service asks for. What changes something
is sent again only where the service cannot have got it, because no connection came about, or has certainly refused it,
because the token had expired.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException
from urllib3 import Retry
from urllib3.exceptions import InvalidHeader

from qrt_runner.backends.answers import LOOKING, never_sent

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from requests import PreparedRequest, Response
    from urllib3 import BaseHTTPResponse
    from urllib3.connectionpool import ConnectionPool

STATUSES: Final = frozenset({429, 500, 502, 503, 504, *range(520, 525)})
"""After which answers a request that only looks is repeated: those of the client, and 429."""

_CONNECT_S: Final = 10.0
_READ_S: Final = 60.0
_READ_OF_POST_S: Final = 300.0
_LONGEST_PAUSE_S: Final = 30.0
_BROKEN_OFF: Final = 3
"""So often what only looks is repeated where no answer comes, or only the beginning of one."""

_POLICY: Final[Mapping[str, Any]] = {
    # pauses of 0, 1, 2, 4 and 8 s, each with up to half a second more
    "total": 5,
    "connect": 3,
    "read": _BROKEN_OFF,
    "backoff_factor": 0.5,
    "backoff_jitter": 0.5,
    "backoff_max": 8,
    "allowed_methods": LOOKING,
    "status_forcelist": STATUSES,
    # the last answer is better told than that there were too many
    "raise_on_status": False,
}
_TOKEN, _KEY = "Bearer", "apikey"
"""How a request is authorized; the client sends the API key where it could get no token."""

_log = logging.getLogger(__name__)


class CarefulRetry(Retry):
    """Repeats what only looks; what changes something, only where it was never sent.

    urllib3's own repeats any request after errors that it cannot tell, such as all errors through a proxy.
    """

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: ConnectionPool | None = None,
        _stacktrace: TracebackType | None = None,
    ) -> Self:
        """Count one more try, or raise the error where there may be none."""
        if error is not None and (method or "").upper() not in LOOKING and not never_sent(error):
            raise error
        return super().increment(method, url, response, error, _pool, _stacktrace)

    def parse_retry_after(self, retry_after: str) -> float:
        """Return the pause that the service asks for, as long as that is bearable; 0 for what cannot be read."""
        try:
            return min(super().parse_retry_after(retry_after), _LONGEST_PAUSE_S)
        except InvalidHeader:
            return 0.0


class CarefulAdapter(HTTPAdapter):
    """Sends a client's requests, at most once where they change something, and waits for no answer for ever."""

    _manager: Any = None
    """The client's manager of bearer tokens; None where it has none, and in copies."""

    def __init__(self, manager: Any = None) -> None:
        """Take the pauses from our policy."""
        super().__init__(max_retries=CarefulRetry(**_POLICY))
        self._manager = manager

    def send(  # noqa: PLR0913, PLR0917 - requests' own signature
        self,
        request: PreparedRequest,
        stream: bool = False,  # noqa: FBT001, FBT002 - the same
        timeout: Any = None,
        verify: Any = True,  # noqa: FBT002 - the same
        cert: Any = None,
        proxies: Any = None,
    ) -> Response:
        """Send a request; once more with a fresh token where the one it carried has expired."""
        if _scheme_of(request) == _KEY:
            release(self._manager)
        how = {"stream": stream, "timeout": bounded(timeout, request.method), "verify": verify}
        how |= {"cert": cert, "proxies": proxies}
        answer = self._answer(request, how)
        if answer.status_code == 401 and self._renew(request):
            answer = self._answer(request, how)
        return answer

    def _answer(self, request: PreparedRequest, how: Mapping[str, Any]) -> Response:
        """Return a whole answer: one that breaks off is asked for again where that changes nothing."""
        for left in reversed(range(_BROKEN_OFF + 1)):
            answer = super().send(request, **how)
            try:
                if not how["stream"]:
                    _ = answer.content
            except RequestException as error:
                # requests does not say which request it was
                error.request = request
                if not left or request.method not in LOOKING:
                    raise
            else:
                break
        return answer

    def _renew(self, request: PreparedRequest) -> bool:
        """Put a fresh token into a request, and tell whether there is one.

        The client asks for one only by the clock, so that a token that was called in is sent until its time is over.
        """
        if self._manager is None or _scheme_of(request) not in (_TOKEN, _KEY):
            return False
        used = str(request.headers["Authorization"]).partition(" ")[2]
        if self._manager.access_token == used:
            self._manager.expire_time = 0
        try:
            fresh = self._manager.get_token()
        except Exception as error:  # noqa: BLE001 - whatever the token's service raises, the refusal itself is told
            _log.info("no fresh token: %s", error)
            release(self._manager)
            return False
        request.headers["Authorization"] = f"{_TOKEN} {fresh}"
        return bool(fresh != used)


def _scheme_of(request: PreparedRequest) -> str:
    return str(request.headers.get("Authorization", "")).partition(" ")[0]


def bounded(timeout: Any, method: str | None) -> Any:
    """Return a request's limits of time in seconds: to connect, and to wait for the answer.

    Args:
        timeout: As the client gives it: None, as mostly, a number, or a pair; anything else stays as it is.
        method: The request's.
    """
    if not isinstance(timeout, tuple | int | float | None):
        return timeout
    connect_s, read_s = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    most_s = _READ_OF_POST_S if method == "POST" else _READ_S
    return min(connect_s or _CONNECT_S, _CONNECT_S), min(read_s or most_s, most_s)


def release(manager: Any) -> None:
    """Let the next request ask for a token at once: after one that failed, the manager would block for a minute."""
    if getattr(manager, "request_time", 0):
        manager.request_time = 0
