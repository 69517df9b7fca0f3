"""Finds credentials in a config before anything is written or echoed; knows the standard library only.

Credentials come from the environment or from the account file of the runtime client, and from nowhere else.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.errors import Mistake

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_NAMES: Final = re.compile(r"(^|[_.-])(token|api_?key|password|passwd|access_?key|private_?key|client_?secret)s?$")
_USERINFO: Final = re.compile(r"://[^/@\s]*:[^/@\s]*@")
_VARIABLE: Final = "QISKIT_IBM_TOKEN"
_ALLOWED: Final = "no credentials in a config"
_REMEDY: Final = f"set {_VARIABLE} in the environment or save an account with QiskitRuntimeService.save_account"


def secrets_in(data: Any) -> list[Mistake]:
    """Return a mistake for every place of a composed config that holds a credential, without echoing it."""
    return [_mistake(path, is_address=_is_address(value)) for path, value in leaves(data) if _is_secret(path, value)]


def secrets_in_overrides(arguments: Iterable[str]) -> list[Mistake]:
    """Return a mistake for every command line override that holds a credential, without echoing it."""
    pairs = ((name.lstrip("+~"), value) for name, found, value in (word.partition("=") for word in arguments) if found)
    return [
        _mistake(name, is_address=_is_address(value))
        for name, value in pairs
        if _is_secret(name, value) or _holds_secret_key(value)
    ]


def _mistake(path: str, *, is_address: bool = False) -> Mistake:
    remedy = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD in the environment" if is_address else _REMEDY
    return Mistake(path, "a credential (not shown)", _ALLOWED, remedy)


def _is_secret(path: str, value: object) -> bool:
    named = _is_named(path.rsplit(".", 1)[-1]) and value not in (None, "", "null")
    token = os.environ.get(_VARIABLE, "")
    return named or _is_address(value) or (isinstance(value, str) and len(token) > 8 and token in value)


def _is_named(key: str) -> bool:
    """Tell whether a key names a credential, in snake_case or camelCase."""
    return _NAMES.search(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).lower()) is not None


def _is_address(value: object) -> bool:
    """Tell whether a value is an address with a user and a password in it."""
    return isinstance(value, str) and _USERINFO.search(value) is not None


def _holds_secret_key(text: str) -> bool:
    """Look into a mapping written on the command line, such as `{token: abc}`."""
    return any(_is_named(word) for word in re.findall(r"[{,]\s*['\"]?([\w-]+)['\"]?\s*:", text))


def leaves(data: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Give every value of a config that is neither a mapping nor a list, with its path."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from leaves(value, f"{path}.{key}" if path else str(key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from leaves(value, f"{path}.{index}")
    else:
        yield path, data
