"""Where programs of a user keep what outlives a command; knows the standard library only."""

from __future__ import annotations

import os
from pathlib import Path


def state_folder() -> Path:
    """Return $QRT_STATE_DIR, else the folder for this package's state among those of the user's other programs."""
    given = os.environ.get("QRT_STATE_DIR")
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return Path(given) if given else state / "qrt_runner"
