"""Works on configs as plain dicts and lists, sharing what stays the same; knows omegaconf."""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from qrt_runner.errors import QrtError, refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Container = dict[str, Any]
Path = tuple[Any, ...]
"""Keys and list indices that lead to a place in a container."""


def as_container(config: DictConfig, *, resolve: bool) -> Container:
    """Return a config as plain containers."""
    container: Any = OmegaConf.to_container(config, resolve=resolve, enum_to_str=True)
    assert isinstance(container, dict)
    return container


def attempted(resolve: Callable[[], Container]) -> Container | OmegaConfBaseException:
    """Return what `resolve` returns, or the error with which omegaconf refuses."""
    try:
        return resolve()
    except OmegaConfBaseException as error:
        return error


def resolved(raw: Container) -> Container:
    """Return a container with its interpolations resolved."""
    if not any(True for _ in interpolations(raw)):
        return raw
    return as_container(OmegaConf.create(raw), resolve=True)


def interpolations(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Give every text with an interpolation in it, with its place."""
    if isinstance(value, str):
        if "${" in value:
            yield path, value
        return
    for step, item in _items(value):
        yield from interpolations(item, (*path, step))


def mentioned(text: str) -> list[str]:
    """Return the words of a text with interpolations that may be dotted names of fields."""
    return re.findall(r"[\w.-]+", text)


def filled(container: Container, values: Mapping[Path, Any]) -> Container:
    """Return a container with these values in their places; what lies beside them is shared, not copied."""
    for path, value in values.items():
        container = _with(container, path, value)
    return container


def _with(here: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    step = path[0]
    if isinstance(here, list):
        copied = here.copy()
        copied[int(step)] = _with(here[int(step)], path[1:], value)
        return copied
    return {**here, step: _with(here.get(step, {}), path[1:], value)}


def shared(value: Any, known: Any) -> Any:
    """Return `value` with its parts replaced by the equal ones of `known`, so that memory holds them once."""
    if type(value) is not type(known):
        return value
    if isinstance(value, dict):
        parts = {key: shared(item, known.get(key)) for key, item in value.items()}
        same = list(parts) == list(known) and all(part is known[key] for key, part in parts.items())
        return known if same else parts
    if isinstance(value, list):
        items = [shared(item, other) for item, other in zip_longest(value, known[: len(value)])]
        same = len(items) == len(known) and all(item is other for item, other in zip(items, known, strict=True))
        return known if same else items
    return known if _same(value, known) else value


def changes(value: Any, known: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Give every leaf that is not `known`'s own, with its place.

    Raises:
        ValueError: Where the two differ in more than leaves.
    """
    if value is known:
        return
    if isinstance(value, dict | list) or isinstance(known, dict | list):
        if type(value) is not type(known) or _steps(value) != _steps(known):
            raise ValueError(path)
        if not value:
            return
        for step, item in _items(value):
            yield from changes(item, known[step], (*path, step))
    elif not _same(value, known):
        yield path, value


def _same(value: Any, known: Any) -> bool:
    """Tell whether two leaves are written alike, which 1, 1.0 and true, or 0.0 and -0.0, are not."""
    return type(value) is type(known) and repr(value) == repr(known)


def data_of(found: Container | OmegaConfBaseException) -> Container:
    """Return a resolved config without what is mandatory and missing (`???`), so that it is told as missing.

    Raises:
        ConfigError: Where an interpolation did not resolve.
        QrtError: Where a resolver of ours refused.
    """
    if isinstance(found, OmegaConfBaseException):
        if (refusal := _refusal_in(found)) is not None:
            raise refusal from found
        path = str(getattr(found, "full_key", None) or "the config")
        told = " ".join(str(found).split())
        raise refuse(path, told, "interpolations that resolve", "mend the interpolation") from found
    data: Container = _without_missing(found)
    return data


def _refusal_in(error: BaseException | None) -> QrtError | None:
    """Return the refusal of one of our own resolvers, which omegaconf wraps in an error of its own."""
    while error is not None and not isinstance(error, QrtError):
        error = error.__cause__ or error.__context__
    return error


def _without_missing(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_missing(item) for key, item in value.items() if item != "???"}
    return value


def _items(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def _steps(value: Sequence[Any] | Mapping[str, Any]) -> list[Any]:
    return list(value) if isinstance(value, dict) else list(range(len(value)))
