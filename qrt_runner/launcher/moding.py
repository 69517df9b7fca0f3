"""Spares Hydra from composing the config only to see in which mode it runs; knows Hydra.

Hydra composes once to read `hydra.mode`, and then again to run, at 80 ms each. Where nothing on the command line can
have set the mode, it is known beforehand; wherever something might, Hydra looks for itself.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra._internal.hydra import Hydra

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@contextmanager
def mode_known(arguments: Sequence[str]) -> Iterator[None]:
    """Let Hydra take the mode from the command line, where neither a preset nor a config of the user's can set it."""
    if may_set_mode(arguments):
        yield
        return
    looks = Hydra.get_mode
    Hydra.get_mode = _known_mode  # type: ignore[method-assign]
    try:
        yield
    finally:
        Hydra.get_mode = looks  # type: ignore[method-assign]


def _known_mode(*_: Any, **__: Any) -> None:
    """Return what Hydra finds where no config sets a mode: that the command line says it."""


def may_set_mode(arguments: Sequence[str]) -> bool:
    """Tell whether the mode may be set elsewhere than by `-m`: by a preset, an override, or a config of the user's."""
    words = ("hydra.mode", "experiment", "hydra=", "--config", "-cp", "-cn", "-cd")
    return Path("conf").is_dir() or any(word in argument for argument in arguments for word in words)
