"""Tells which sweep Hydra is at, to whoever runs a point of it, here or in another process; knows Hydra."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobRuntime
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from qrt_runner.errors import refuse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qrt_runner.launcher.containers import Container

COMPILED: Final = "hydra_plugins.qrt_runner_compiled.CompiledSweeper"
_BASIC: Final = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
_NOTE: Final = "qrt_runner_sweep"


@dataclass(frozen=True)
class Sweep:
    """A multirun of Hydra's."""

    id: str
    folder: Path
    words: tuple[str, ...]
    """Overrides as typed: those of all points, and those that are swept over."""

    @cached_property
    def everywhere(self) -> frozenset[str]:
        """The overrides of all points, as a sweeper writes them."""
        overrides = OverridesParser.create().parse_overrides(list(self.words))
        return frozenset(
            f"{override.get_key_element()}={override.get_value_element_as_str()}"
            for override in overrides
            if not override.is_sweep_override()
        )

    def makes(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return which of a point's overrides make it a point."""
        return tuple(word for word in words if word not in self.everywhere)


class NoteSweep(Callback):
    """Keeps what is said of a multirun in Hydra's own record of the job, which its launchers send along."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Note the sweep before it starts."""
        words = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
        note = {"id": secrets.token_hex(8), "folder": str(Path(config.hydra.sweep.dir).absolute()), "words": words}
        JobRuntime.instance().set(_NOTE, OmegaConf.create(note))


def forget_sweep() -> None:
    """Forget the sweep of an earlier command of this process."""
    JobRuntime.instance().conf.pop(_NOTE, None)


def noted_sweep() -> Sweep | None:
    """Return the sweep that Hydra is at, or was at last; None where it was at none."""
    notes: Any = OmegaConf.to_container(JobRuntime.instance().conf, resolve=False)
    note = notes.get(_NOTE)
    return Sweep(note["id"], Path(note["folder"]), tuple(note["words"])) if note else None


def sweep_of(hydra: Container) -> Sweep:
    """Return the sweep that Hydra is at, to run a point of it.

    Raises:
        ConfigError: Where it is not known, so that what the point gave would be lost.
    """
    sweep = noted_sweep()
    if sweep is None:
        allowed = "a launcher that sends Hydra's own state along, and hydra.callbacks.qrt_runner as it is"
        raise refuse("hydra/launcher", hydra["launcher"]["_target_"], allowed, "hydra/launcher=compiled")
    return sweep


def needs_values(hydra: Container) -> bool:
    """Tell whether a sweep's points are proposed one after the other, by what came of those before."""
    return hydra["sweeper"]["_target_"] not in (COMPILED, _BASIC)
