"""Closes the sessions that killed commands left open, on their own backends; knows the modules above it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from qrt_runner.sessions.orphans import Orphan, close_orphans

if TYPE_CHECKING:
    from collections.abc import Collection


def close_left_open(spare: Collection[str] = ()) -> list[str]:
    """Close what killed commands left open, and return what was done, in words.

    Args:
        spare: Ids of groups that this command is going to use.
    """
    return close_orphans(_close, _find, spare)


def _close(orphan: Orphan) -> None:
    from qrt_runner.backends import reopened
    from qrt_runner.sessions.attaching import close_session

    close_session(orphan.id or "", reopened(orphan.section))


def _find(orphan: Orphan) -> str | None:
    from qrt_runner.backends import reopened
    from qrt_runner.sessions.finding import found_since

    if orphan.known is None:
        return None
    asked = datetime.fromisoformat(orphan.asked)
    found = found_since(reopened(orphan.section), orphan.kind, asked, orphan.known)
    return found[0] if found and len(found) == 1 else None
