"""Asks Hydra's own completion which fields a config has, and which values; knows Hydra."""

from __future__ import annotations

from contextlib import redirect_stderr
from io import StringIO
from typing import TYPE_CHECKING

from hydra import initialize_config_dir
from hydra._internal.core_plugins.bash_completion import BashCompletion
from hydra.core.global_hydra import GlobalHydra

from qrt_runner import SHIPPED
from qrt_runner.launcher.composing import own_configs

if TYPE_CHECKING:
    from collections.abc import Sequence


def fields_by_hydra(word: str, choices: Sequence[str]) -> list[str]:
    """Return what Hydra makes of the beginning of a field, or of a field with its `=`.

    Args:
        word: What is typed of it.
        choices: Overrides that decide which fields there are.
    """
    try:
        with (
            own_configs(()),
            redirect_stderr(StringIO()),
            initialize_config_dir(version_base="1.3", config_dir=str(SHIPPED / "conf")),
        ):
            plugin = BashCompletion(GlobalHydra.instance().config_loader())
            found: list[str] = plugin._query("config", " ".join([*choices, word]))  # noqa: SLF001 - what its scripts ask
            return found
    except Exception:  # noqa: BLE001 - on a line that is half written anything may be wrong, and a shell wants no words
        return []
