"""Lets Hydra compose the points of one command; knows Hydra and omegaconf."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

# Hydra looks for plugins in the namespace package `hydra_plugins`, wherever on the path it lies.
sys.path.append(str(Path(__file__).parent / "plugins"))

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from qrt_runner import SHIPPED
from qrt_runner.errors import QrtError, refuse
from qrt_runner.launcher.judging import check_composed, check_sweep
from qrt_runner.launcher.moding import mode_known
from qrt_runner.launcher.points import Points
from qrt_runner.launcher.recorded import recorded
from qrt_runner.launcher.refusing import hydra_errors_told
from qrt_runner.launcher.running import Ran, ran_in, run_batch, run_point
from qrt_runner.launcher.sweeping import forget_sweep, noted_sweep, sweep_of
from qrt_runner.launcher.templates import Composed, point_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hydra.core.config_search_path import ConfigSearchPath

    from qrt_runner.launcher.containers import Container


OmegaConf.register_new_resolver("qrt.equal", lambda one, other: one == other, replace=True)
"""For a default that follows from another field: `${qrt.equal:${mode.kind},estimator}`."""

OmegaConf.register_new_resolver("qrt.recorded", recorded, replace=True)
"""For what a recorded run tells of its backend: `${qrt.recorded:backend.run,journal.folder}`."""


_COMPILED: Final = "hydra_plugins.qrt_runner_compiled"
_COMPOSED: Final[ContextVar[tuple[Path, ...]]] = ContextVar("own config folders", default=())
"""The user's own config folders, while we compose."""


@dataclass(frozen=True)
class Composition:
    """What one command asks for."""

    points: tuple[Composed, ...]
    """In their order; none where Hydra showed help or a config instead."""

    swept: bool
    folder: Path
    """Hydra's output folder: of the run, or of the whole sweep."""

    ran: tuple[Ran, ...] = ()
    """What ran while Hydra was sweeping: point by point under other launchers, batch by batch for other sweepers."""

    failure: BaseException | None = None
    """Why Hydra ended before its time, where something had run."""


class Task:
    """What Hydra calls for a point, also in other processes, and what our launcher hands points to."""

    def __init__(self, *, only_composes: bool = False) -> None:
        """Start with no point; what would run point by point is refused where it is only to be composed."""
        self.only_composes = only_composes
        self.taken: list[Composed] = []
        self.points: Points | None = None

    def __call__(self, config: DictConfig) -> float | None:
        """Take the only point; of a sweep, run the point and return its objective."""
        point = point_of(config)
        hydra = point.template.hydra
        if hydra["mode"] != RunMode.MULTIRUN.name:
            self.taken.append(point)
            return None
        self._may_run(hydra)
        with _told_as_it_is():
            return run_point(point, sweep_of(hydra), Path(point.template.folders.output))

    def _may_run(self, hydra: Container) -> None:
        if self.only_composes:
            given = str(hydra["runtime"]["choices"].get("hydra/launcher", "another launcher, or sweeper"))
            allowed = "compiled, with hydra/sweeper=compiled: others run point by point, and compose nothing"
            raise refuse("hydra/launcher", given, allowed, "the command line")

    def take(self, points: Sequence[Composed]) -> None:
        """Take points of a sweep, which run when Hydra is done."""
        self.taken += points

    def check(self, points: Sequence[Composed]) -> None:
        """Judge points before another launcher runs them."""
        check_sweep(points)

    def run(self, points: Sequence[Composed]) -> list[float | None]:
        """Run points at once, for a sweeper that needs their objectives."""
        template = points[0].template
        self._may_run(template.hydra)
        sweep = sweep_of(template.hydra)
        with _told_as_it_is():
            check_composed(points)
            self.points = self.points or Points(sweep.folder, template.data["sweep"]["folders"] is True)
            self.points.write(points)
            return run_batch(points, sweep)


@contextmanager
def _told_as_it_is() -> Iterator[None]:
    """Keep what a run raises from being told as a mistake on the command line, as what Hydra raises is."""
    try:
        yield
    except QrtError:
        raise
    except Exception as error:
        msg = f"{type(error).__name__}: {error}"
        raise RuntimeError(msg) from error


def compose_points(arguments: Sequence[str], *, only: bool = False) -> Composition:
    """Let Hydra compose every point of a command line.

    Args:
        arguments: Its words.
        only: Whether nothing may run meanwhile, as other launchers and sweepers do.

    Raises:
        ConfigError: Where Hydra refuses.
    """
    task, failure = Task(only_composes=only), None
    forget_sweep()
    try:
        with own_configs(arguments), hydra_errors_told(arguments), mode_known(arguments), _read_by_hydra(arguments):
            hydra.main(version_base="1.3", config_path=str(SHIPPED / "conf"), config_name="config")(task)()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever ends a sweep, what ran of it is told first
        failure = error
    sweep = noted_sweep()
    ran = ran_in(sweep) if sweep is not None and not task.taken else []
    if failure is not None and not ran:
        raise failure
    if sweep is not None and ran:
        return Composition((), swept=True, folder=sweep.folder, ran=tuple(ran), failure=failure)
    return _taken(task.taken)


@contextmanager
def _read_by_hydra(arguments: Sequence[str]) -> Iterator[None]:
    """Let Hydra read these words, which need not be those that were typed."""
    before = sys.argv
    sys.argv = [*before[:1], *arguments]
    try:
        yield
    finally:
        sys.argv = before


def _taken(taken: Sequence[Composed]) -> Composition:
    if not taken:
        return Composition((), swept=False, folder=Path())
    check_composed(taken)
    first = taken[0].template
    swept = first.hydra["mode"] == RunMode.MULTIRUN.name
    points = _told_apart(taken) if swept else tuple(taken)
    return Composition(points, swept, Path(first.folders.sweep if swept else first.folders.output))


def _told_apart(points: Sequence[Composed]) -> tuple[Composed, ...]:
    """Return the points of a sweep with the overrides that not all of them have."""
    everywhere = set(points[0].words) if len(points) > 1 else set()
    for point in points:
        everywhere.intersection_update(point.words)
    return tuple(
        replace(point, overrides=tuple(word for word in point.words if word not in everywhere)) for point in points
    )


@contextmanager
def own_configs(arguments: Sequence[str]) -> Iterator[None]:
    """Let Hydra look into the user's own config folders as well; other applications in this process are let alone."""
    plugins = Plugins.instance()
    plugins.register(_search_path_plugin())
    if _COMPILED not in sys.modules:
        # An application of the caller's had Hydra look for plugins before ours were on the path.
        ours = import_module(_COMPILED)
        plugins.register(ours.CompiledSweeper)
        plugins.register(ours.CompiledLauncher)
    token = _COMPOSED.set(tuple(own_folders(arguments)))
    try:
        yield
    finally:
        _COMPOSED.reset(token)


@cache
def _search_path_plugin() -> type[SearchPathPlugin]:
    """Return the plugin that puts the user's own `conf/`, and before it `--config-dir`, in front of the shipped one."""

    class UsersOwn(SearchPathPlugin):
        """The user's own config folders."""

        def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
            before = "main"
            for folder in _COMPOSED.get():
                search_path.prepend(provider="user", path=f"file://{folder.resolve()}", anchor=before)
                before = "user"

    return UsersOwn


def own_folders(arguments: Sequence[str]) -> list[Path]:
    """Return the user's own config folders, the one that wins last: `conf/`, then `--config-dir`."""
    known, _ = get_args_parser().parse_known_args(list(arguments))
    named = [Path(known.config_dir)] if known.config_dir else []
    return [folder for folder in (Path("conf"), *named) if folder.is_dir()]
