"""Who may ask: API keys against bearer tokens, and the account's instances; knows the standard library only."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qrt_runner.rehearsal.settings import Plan, Settings


class Access:
    """Gives and checks tokens. A token is signed with the API key, so that it outlives a restart of the service."""

    def __init__(self, settings: Settings, token: str) -> None:
        """Accept this API key."""
        self._ttl_s, self._token = settings.token_ttl_s, token
        self.instances = {crn_of(plan): plan for plan in settings.plans}
        self._expired_before = 0.0

    def grant(self, api_key: str) -> dict[str, Any] | None:
        """Return what IBM's identity service answers to an API key; None where it is not ours."""
        if not hmac.compare_digest(api_key.encode(), self._token.encode()):
            return None
        now = time.time()
        claims = {"iat": now, "exp": now + self._ttl_s, "iss": "rehearsal", "sub": "rehearsal"}
        # The client reads the times in the token with PyJWT, without checking the signature.
        unsigned = f"{_encoded({'alg': 'HS256', 'typ': 'JWT'})}.{_encoded(claims)}"
        return {
            "access_token": f"{unsigned}.{self._signature(unsigned)}",
            "refresh_token": "not_supported",
            "token_type": "Bearer",
            "expires_in": self._ttl_s,
            "expiration": int(now + self._ttl_s),
            "scope": "ibm openid",
        }

    def accepts(self, authorization: str) -> bool:
        """Tell whether an Authorization header is good: a bearer token, or the API key itself.

        The client sends `apikey <key>` when it could get no token.
        """
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() == "apikey":
            return hmac.compare_digest(secret.encode(), self._token.encode())
        return scheme.lower() == "bearer" and self._is_current(secret)

    def expire(self) -> None:
        """Call every token that was ever given out expired."""
        self._expired_before = time.time()

    def _is_current(self, bearer: str) -> bool:
        unsigned, _, signature = bearer.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(unsigned).encode()):
            return False
        claims: dict[str, float] = json.loads(base64.urlsafe_b64decode(unsigned.partition(".")[2] + "=="))
        return claims["exp"] > time.time() and claims["iat"] > self._expired_before

    def _signature(self, unsigned: str) -> str:
        digest = hmac.new(self._token.encode(), unsigned.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def crn_of(plan: Plan) -> str:
    """Return the cloud resource name of the account's instance with a plan."""
    return f"crn:v1:bluemix:public:quantum-computing:us-east:a/rehearsal:{plan}::"


def _encoded(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
