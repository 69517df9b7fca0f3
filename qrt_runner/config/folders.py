"""Where programs of a user keep what outlives a command; knows the standard library only."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def state_folder() -> Path:
    """Return $QRT_STATE_DIR, else the folder for this package's state among those of the user's other programs."""
    given = os.environ.get("QRT_STATE_DIR")
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return Path(given) if given else state / "qrt_runner"


def caches_folder() -> Path:
    """Return $QRT_CACHE_DIR, else the folder for what this package can make again."""
    given = os.environ.get("QRT_CACHE_DIR")
    return Path(given) if given else _user_caches() / "qrt_runner"


def noise_models_folder() -> Path:
    """Return the folder of the noise models that were learned."""
    return caches_folder() / "noise_models"


def _user_caches() -> Path:
    """Return where a user's programs keep what can be made again."""
    try:
        home = Path.home()
    except RuntimeError:
        # A user without a home has no cache: nothing can be written below this.
        return Path(os.devnull)
    if sys.platform == "darwin":
        return home / "Library" / "Caches"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
