"""Logs and tells what ran while Hydra was sweeping; knows the modules above it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qrt_runner.config import Tracking, merged_mistakes
from qrt_runner.errors import ConfigError, Mistake, QrtError, TrackingError
from qrt_runner.launcher.saying import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qrt_runner.launcher.composing import Composition
    from qrt_runner.launcher.running import Ran

_INTERRUPTED: Final = 130


def gathered(composition: Composition) -> int:
    """Log what ran of a sweep, tell how it ended, and return the exit code.

    Raises:
        ConfigError: Where no point could be run, with all mistakes of all points.
    """
    ran, failure = composition.ran, composition.failure
    errors = {one.points[0]: ConfigError(Mistake(*mistake) for mistake in one.mistakes) for one in ran if one.mistakes}
    refused = merged_mistakes(errors, grouped=True)
    if len(errors) == len(ran) and failure is None:
        raise ConfigError(refused)
    kept = [one for one in ran if one.tracking is not None]
    unlogged = _log_together(kept, composition.folder)
    troubles = [*(f"left out: {mistake}" for mistake in refused), *_troubles(ran), *unlogged]
    sys.stderr.write("".join(f"{trouble}\n" for trouble in troubles))
    if failure is None:
        return _exit_code(ran) or int(bool(unlogged))
    if not isinstance(failure, QrtError | KeyboardInterrupt):
        raise failure
    told = "; ".join(map(str, failure.mistakes)) if isinstance(failure, ConfigError) else str(failure) or "Interrupted."
    sys.stderr.write(f"The sweep was cut short; what had been measured is kept. {told}\n")
    return _INTERRUPTED if isinstance(failure, KeyboardInterrupt) else 1


def _troubles(ran: Sequence[Ran]) -> list[str]:
    """Return what else went wrong, each told once, with the points that ran by themselves."""
    points: dict[str, list[str]] = {}
    for one in ran:
        for trouble in one.troubles:
            points.setdefault(trouble, []).extend(map(str, one.points if len(one.points) == 1 else ()))
    return [f"{_named(found)}{trouble}" for trouble, found in points.items()]


def _named(points: Sequence[str]) -> str:
    return f"{'point' if len(points) == 1 else 'points'} {', '.join(points)}: " if points else ""


def _log_together(ran: Sequence[Ran], folder: Path) -> list[str]:
    """Make one run of what was kept of a sweep, log and tell it, and return what could not be logged."""
    if not ran:
        return []
    from qrt_runner.runner import gather, where

    tracking = Tracking.model_validate(ran[0].tracking)
    try:
        whole = gather([Path(one.folder) for one in ran], folder, tracking)
    except TrackingError as error:
        return [str(error)]
    say(f"\n{sum(len(one.points) for one in ran)} points: " + "\n".join(where(whole, tracking)) + "\n")
    return []


def _exit_code(ran: Sequence[Ran]) -> int:
    """Return 0 where all went well, 1 where a part did, else the code of what went wrong."""
    codes = [one.exit_code for one in ran]
    if _INTERRUPTED in codes:
        return _INTERRUPTED
    some = any(one.tracking is not None for one in ran)
    return int(any(codes)) if some else next((code for code in codes if code), 0)
