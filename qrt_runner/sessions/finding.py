"""Finds a group on the service that was opened and whose id was lost on the way; knows runtime through backends.

A group carries no tag. What was asked for is taken to be the one of its kind on its backend that was not open before,
has no job, and is noted of no other command; where several are, it is not known which.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from qrt_runner.backends.connection import workloads
from qrt_runner.sessions.orphans import noted_ids

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from qrt_runner.backends import Device

_LOOKS: Final = 3
_log = logging.getLogger(__name__)


def open_before(device: Device, kind: str, asked: datetime) -> set[str] | None:
    """Return the ids of the groups without a job that are open before one is asked for: others have opened them.

    Args:
        device: Its backend.
        kind: `batch` or `dedicated`.
        asked: When the service is going to be asked for it.

    Returns:
        None where the service does not tell.
    """
    try:
        return _unused(device, kind, asked)
    except Exception as error:  # noqa: BLE001 - such as that the account may not list them; it may open one all the same
        _log.info("no list of session groups: %s", error)
        return None


def found_since(
    device: Device, kind: str, asked: datetime, known: Collection[str] | None, settle_s: float = 0.0
) -> list[str] | None:
    """Return the ids of the groups that a request may have opened whose answer was lost.

    Args:
        device: Its backend.
        kind: `batch` or `dedicated`.
        asked: When the service was asked for it.
        known: Ids of groups that were open before; None where that is not known.
        settle_s: How long it may still appear.

    Returns:
        One, as a rule; none where it is known that nothing was opened; None where that cannot be told.
    """
    if known is None:
        return None
    for look in range(_LOOKS):
        listed = _unused(device, kind, asked)
        if listed is None:
            return None
        if new := listed - {*known, *noted_ids()}:
            return sorted(new)
        if look < _LOOKS - 1:
            time.sleep(settle_s / (_LOOKS - 1))
    return []


def _unused(device: Device, kind: str, asked: datetime) -> set[str] | None:
    """Return the ids of the groups that were opened since about then and have had no job yet."""
    listed = workloads(device.backend.service, device.name, "batch" if kind == "batch" else "session", asked)
    return None if listed is None else {one.id for one in listed if one.is_open and not one.jobs}
