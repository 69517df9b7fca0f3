"""Tells the folder of a point below its sweep's, as `hydra.sweep.subdir` says; knows omegaconf.

The text is resolved for the point alone: its config is not made anew for it.
"""

from __future__ import annotations

import re
from functools import reduce
from typing import TYPE_CHECKING, Any, Final

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from qrt_runner.errors import refuse

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIELD: Final = re.compile(r"\$\{(hydra:)?(\w+(?:\.\w+)*)\}")
"""`${mode.shots}`, `${hydra.job.num}` and, by Hydra's resolver, `${hydra:job.num}`."""
_DEEPEST: Final = 10
"""How often a field may follow another."""


def subdir_of(config: Mapping[str, Any], remembered: Mapping[str, Any]) -> str:
    """Return the folder of a point.

    Args:
        config: The point's config with Hydra's part, not resolved.
        remembered: What resolvers gave when the sweep was composed.

    Raises:
        ConfigError: Where an interpolation does not resolve.
    """
    text = str(config["hydra"]["sweep"]["subdir"])
    for _ in range(_DEEPEST):
        if "${" not in text:
            return text
        text = _FIELD.sub(lambda found: _shown(config, found), text)
    tiny = OmegaConf.create({"subdir": text})
    OmegaConf.get_cache(tiny).update(remembered)
    try:
        return str(tiny.subdir)
    except OmegaConfBaseException as error:
        told = " ".join(str(error).split())
        raise refuse("hydra.sweep.subdir", told, "interpolations that resolve", "mend the interpolation") from error


def _shown(config: Mapping[str, Any], found: re.Match[str]) -> str:
    """Return a field as it stands in a text; what is not there is left to be told of."""
    steps = [*(["hydra"] if found[1] else []), *found[2].split(".")]
    try:
        return str(reduce(lambda here, step: here[int(step) if isinstance(here, list) else step], steps, config))
    except (KeyError, IndexError, TypeError, ValueError):
        return found[0]
