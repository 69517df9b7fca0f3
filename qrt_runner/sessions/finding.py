"""Finds a group on the service that was opened and whose id was lost on the way; knows runtime through backends.

A group carries no tag. What was asked for is taken to be the one of its kind on its backend that was opened since then,
has no job, and is noted of no other command; where several are, none is touched.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from qrt_runner.backends.connection import workloads
from qrt_runner.sessions.orphans import noted_ids

if TYPE_CHECKING:
    from datetime import datetime

    from qrt_runner.backends import Device

_LOOKS: Final = 3


def found_since(device: Device, kind: str, asked: datetime, settle_s: float = 0.0) -> str | None:
    """Return the id of the group that was opened by a request whose answer was lost; None where it cannot be told.

    Args:
        device: Its backend.
        kind: `batch` or `dedicated`.
        asked: When the service was asked for it.
        settle_s: How long it may still appear.
    """
    for look in range(_LOOKS):
        mode = "batch" if kind == "batch" else "session"
        listed = workloads(device.backend.service, device.name, mode, asked)
        if listed is None:
            return None
        known = noted_ids()
        unused = [one.id for one in listed if one.is_open and not one.jobs and one.id not in known]
        if unused:
            return unused[0] if len(unused) == 1 else None
        if look < _LOOKS - 1:
            time.sleep(settle_s / (_LOOKS - 1))
    return None
