"""Lets Hydra compose the points of one command; knows Hydra and omegaconf."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Hydra looks for plugins in the namespace package `hydra_plugins`, wherever on the path it lies.
sys.path.append(str(Path(__file__).parent / "plugins"))

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from qrt_runner import SHIPPED
from qrt_runner.config import secrets_in
from qrt_runner.errors import ConfigError, refuse
from qrt_runner.launcher.refusing import hydra_errors_told
from qrt_runner.launcher.templates import Container, Seen, as_container, attempted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hydra.conf import HydraConf
    from hydra.core.config_search_path import ConfigSearchPath


OmegaConf.register_new_resolver("qrt.equal", lambda one, other: one == other, replace=True)
"""For a default that follows from another field: `${qrt.equal:${mode.kind},estimator}`."""


@dataclass(frozen=True)
class Composed:
    """One point as Hydra composed it."""

    data: Mapping[str, Any]
    """Resolved, as plain containers; what is mandatory and missing is left out."""

    yaml: str
    """The same as `config.yaml` shows it."""

    overrides: tuple[str, ...]
    """The overrides that make this point of a sweep."""


@dataclass(frozen=True)
class Composition:
    """What one command asks for."""

    points: tuple[Composed, ...]
    """In their order; none where Hydra showed help or a config instead."""

    swept: bool
    folder: Path
    """Hydra's output folder: of the run, or of the whole sweep."""


def compose_points(arguments: Sequence[str]) -> Composition:
    """Let Hydra compose every point of a command line.

    Raises:
        ConfigError: Where Hydra refuses.
    """
    seen: list[Seen] = []

    def collect(config: DictConfig) -> None:
        seen.append(_seen(config, HydraConfig.get()))

    # Hydra's own launchers call the function point by point, the compiled one hands points over.
    collect.take = seen.append  # type: ignore[attr-defined]
    Plugins.instance().register(_search_path_plugin())
    with hydra_errors_told(arguments):
        hydra.main(version_base="1.3", config_path=str(SHIPPED / "conf"), config_name="config")(collect)()
    if not seen:
        return Composition((), swept=False, folder=Path())
    _refuse_secrets(seen)
    own = seen[0].hydra
    swept = own.mode == RunMode.MULTIRUN
    shared = set.intersection(*(set(point.overrides) for point in seen)) if len(seen) > 1 else set()
    points = tuple(_point(point, shared, swept=swept) for point in seen)
    return Composition(points, swept, Path(own.sweep.dir if swept else own.runtime.output_dir))


def _seen(config: DictConfig, own: HydraConf) -> Seen:
    raw = as_container(config, resolve=False)
    return Seen(raw, attempted(partial(as_container, config, resolve=True)), own, tuple(_overrides(own)))


def _point(seen: Seen, shared: set[str], *, swept: bool) -> Composed:
    _refuse_several_options(seen.hydra)
    overrides = tuple(word for word in seen.overrides if swept and word not in shared)
    data = plain(seen.resolved)
    return Composed(data, OmegaConf.to_yaml(OmegaConf.create(data)), overrides)


def _overrides(own: HydraConf) -> list[str]:
    """Return a point's overrides as typed; an interpolation in one is the config's business."""
    words = OmegaConf.to_container(own.overrides.task, resolve=False)
    assert isinstance(words, list)
    return [str(word) for word in words]


def _refuse_several_options(own: HydraConf) -> None:
    """Refuse `mode=[raw,sampler]`, of which Hydra would take the last without a word."""
    for group, choice in own.runtime.choices.items():
        if OmegaConf.is_list(choice):
            listed = ",".join(str(option) for option in choice)
            raise refuse(str(group), f"[{listed}]", "one option", f"-m {group}={listed} for a sweep, or one of them")


def _refuse_secrets(seen: Sequence[Seen]) -> None:
    """Refuse a config with credentials in it, resolved or not, and take back what Hydra has written of it."""
    secrets = [
        mistake
        for point in seen
        for config in (point.raw, point.resolved)
        if isinstance(config, dict)
        for mistake in secrets_in(config)
    ]
    if not secrets:
        return
    for point in seen:
        written = Path(point.hydra.runtime.output_dir) / (point.hydra.output_subdir or "")
        for file in (written / "config.yaml", written / "hydra.yaml", written / "overrides.yaml"):
            file.unlink(missing_ok=True)
        (Path(point.hydra.sweep.dir) / "multirun.yaml").unlink(missing_ok=True)
    raise ConfigError(secrets)


def plain(resolved: Container | OmegaConfBaseException) -> dict[str, Any]:
    """Return a resolved config without what is mandatory and missing (`???`), so that it is told as missing.

    Raises:
        ConfigError: Where an interpolation did not resolve.
    """
    if isinstance(resolved, OmegaConfBaseException):
        path = str(getattr(resolved, "full_key", None) or "the config")
        told = " ".join(str(resolved).split())
        raise refuse(path, told, "interpolations that resolve", "mend the interpolation") from resolved
    found: dict[str, Any] = _without_missing(resolved)
    return found


def _without_missing(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_missing(item) for key, item in value.items() if item != "???"}
    return value


@cache
def _search_path_plugin() -> type[SearchPathPlugin]:
    """Return the plugin that puts the user's own `conf/`, and before it `--config-dir`, in front of the shipped one."""

    class UsersOwn(SearchPathPlugin):
        """The user's own config folders."""

        def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
            before = "main"
            for folder in own_folders(sys.argv[1:]):
                search_path.prepend(provider="user", path=f"file://{folder.resolve()}", anchor=before)
                before = "user"

    return UsersOwn


def own_folders(arguments: Sequence[str]) -> list[Path]:
    """Return the user's own config folders, the one that wins last: `conf/`, then `--config-dir`."""
    known, _ = get_args_parser().parse_known_args(list(arguments))
    named = [Path(known.config_dir)] if known.config_dir else []
    return [folder for folder in (Path("conf"), *named) if folder.is_dir()]
