"""The compiled sweeper and launcher, which are the defaults; Hydra finds plugins in this namespace package.

The sweeper leaves validation to the launcher, and the launcher composes a point anew only where it must.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus, configure_log, setup_globals
from hydra.plugins.launcher import Launcher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig


class CompiledSweeper(BasicSweeper):
    """Hydra's basic sweeper, less the composing of every point for validation alone."""

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Leave it to the launcher, which composes every point anyway."""


class CompiledLauncher(Launcher):
    """Composes all points of a batch and hands them over together."""

    def __init__(self) -> None:
        """Wait for `setup`."""
        super().__init__()
        self.config: DictConfig | None = None
        self.task_function: TaskFunction | None = None
        self.hydra_context: HydraContext | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra hands to a launcher."""
        self.config, self.task_function, self.hydra_context = config, task_function, hydra_context

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Compose the points of a batch."""
        from qrt_runner.launcher.templates import Templates

        setup_globals()
        assert self.config is not None
        assert self.hydra_context is not None
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        Path(str(self.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        templates = Templates(self.hydra_context.config_loader, self.config)
        take: Any = self.task_function
        returns = []
        for position, overrides in enumerate(job_overrides):
            take.take(templates.point(list(overrides), initial_job_idx + position))
            returns.append(JobReturn(overrides=list(overrides), status=JobStatus.COMPLETED))
        return returns


_HERE = "hydra_plugins.qrt_runner_compiled"
_SWEEPER = {"_target_": f"{_HERE}.CompiledSweeper", "max_batch_size": None, "params": None}
ConfigStore.instance().store(group="hydra/sweeper", name="compiled", node=_SWEEPER, provider="qrt_runner")
ConfigStore.instance().store(
    group="hydra/launcher", name="compiled", node={"_target_": f"{_HERE}.CompiledLauncher"}, provider="qrt_runner"
)
