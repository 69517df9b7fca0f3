"""The command line: `python -m qrt_runner`; knows Hydra, and imports the rest once the config is judged."""

from __future__ import annotations

import gc
import os
import re
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qrt_runner import SHIPPED
from qrt_runner.errors import ConfigError, Mistake, QrtError, refuse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hydra.core.config_search_path import ConfigSearchPath
    from hydra.core.override_parser.types import Override
    from hydra.plugins.search_path_plugin import SearchPathPlugin
    from omegaconf import DictConfig

    from qrt_runner.config import Document, Experiment
    from qrt_runner.results import Point, TaskResult
    from qrt_runner.runner import Outcome

_FULL_ERROR: Final = "HYDRA_FULL_ERROR"
_INTERRUPTED: Final = 130
_COLLECT_RARELY: Final = (200_000, 20, 100)
"""Garbage collection thresholds: Python's own make it take a third of the seconds that the imports take."""


@dataclass(frozen=True)
class Composed:
    """One point as Hydra composed it."""

    config: DictConfig
    overrides: tuple[str, ...]
    folder: Path
    """Hydra's output folder: of the run, or of the whole sweep."""


@dataclass
class Collected:
    """The points of one command, in their order."""

    points: list[Composed] = field(default_factory=list)
    swept: bool = False


def main() -> int:
    """Run the command line and return its exit code."""
    full = os.environ.get(_FULL_ERROR) == "1"
    gc.set_threshold(*_COLLECT_RARELY)
    try:
        return _command(sys.argv[1:])
    except QrtError as error:
        if full:
            raise
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted; nothing had been submitted.\n")
        return _INTERRUPTED


def _command(arguments: Sequence[str]) -> int:
    from qrt_runner.config import secrets_in_overrides

    if secrets := secrets_in_overrides(arguments):
        raise ConfigError(secrets)
    collected = _composed(arguments)
    return _act(collected) if collected.points else 0


def _composed(arguments: Sequence[str]) -> Collected:
    """Let Hydra compose every point; where it shows help or a config instead, there are no points."""
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.plugins import Plugins
    from hydra.types import RunMode

    collected = Collected()

    def collect(config: DictConfig) -> None:
        own = HydraConfig.get()
        collected.swept = own.mode == RunMode.MULTIRUN
        folder = Path(own.sweep.dir if collected.swept else own.runtime.output_dir)
        overrides = tuple(own.overrides.task) if collected.swept else ()
        collected.points.append(Composed(config, overrides, folder))

    Plugins.instance().register(_search_path_plugin())
    with _hydra_errors_told(arguments):
        hydra.main(version_base="1.3", config_path=str(SHIPPED / "conf"), config_name="config")(collect)()
    return collected


@cache
def _search_path_plugin() -> type[SearchPathPlugin]:
    """Return the plugin that puts the user's own `conf/`, and before it `--config-dir`, in front of the shipped one."""
    from hydra.plugins.search_path_plugin import SearchPathPlugin

    class UsersOwn(SearchPathPlugin):
        """The user's own config folders."""

        def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
            for folder in _own_folders(sys.argv[1:]):
                search_path.prepend(provider="user", path=f"file://{folder.resolve()}", anchor="main")

    return UsersOwn


def _own_folders(arguments: Sequence[str]) -> list[Path]:
    named = [arguments[place + 1] for place, word in enumerate(arguments[:-1]) if word in ("--config-dir", "-cd")]
    named += [word.partition("=")[2] for word in arguments if word.startswith("--config-dir=")]
    return [folder for folder in (Path("conf"), *map(Path, named)) if folder.is_dir()]


@contextmanager
def _hydra_errors_told(arguments: Sequence[str]) -> Iterator[None]:
    """Turn what Hydra raises into our one clean message and exit code; by itself Hydra would print and end with 1."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    before = os.environ.get(_FULL_ERROR)
    os.environ[_FULL_ERROR] = "1"
    try:
        yield
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise _translated(error, arguments) from error
    finally:
        os.environ.pop(_FULL_ERROR)
        if before is not None:
            os.environ[_FULL_ERROR] = before


def _translated(error: Exception, arguments: Sequence[str]) -> ConfigError:
    from hydra.errors import MissingConfigException, OverrideParseException

    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options is not None:
        group, _, option = str(error.missing_cfg_file).partition("/")
        return _unknown_option(group, option, error.options)
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "hydra.cc" not in line]
    told = refuse("the command line", "; ".join(lines), "overrides as in circuit=ghz mode.shots=1024", "mend that word")
    return told if isinstance(error, OverrideParseException) else _judged_leniently(arguments) or told


def _judged_leniently(arguments: Sequence[str]) -> ConfigError | None:
    """Return all mistakes of a config with an unknown key, at which Hydra stops, by composing it with the key let in.

    Of a sweep it judges the first point.
    """
    from hydra import compose, initialize_config_dir
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    parsed = OverridesParser.create().parse_overrides([word for word in arguments if _is_override(word)])
    let_in = [_let_in(override) for override in parsed]
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(SHIPPED / "conf")):
            _judged([_plain(compose("config", let_in))], swept=False)
    except ConfigError as error:
        return error
    except (HydraException, OmegaConfBaseException):
        return None
    return None


def _is_override(word: str) -> bool:
    return not word.startswith("-") and "=" in word


def _let_in(override: Override) -> str:
    """Return an override that adds its key where there is none; of a sweep over values, the first one."""
    line = str(override.input_line)
    if override.is_sweep_override():
        line = f"{override.key_or_group}={next(iter(override.sweep_string_iterator()))}"
    is_value = "." in override.key_or_group and not override.is_delete()
    return f"++{line.lstrip('+')}" if is_value else line


def _unknown_option(group: str, option: str, options: Sequence[str]) -> ConfigError:
    from qrt_runner.config import nearest

    is_path = "/" in option or re.search(r"\.(qasm[23]?|qpy|py)$", option) is not None
    meant = nearest(option, options)
    remedy = f"{group}={meant}" if meant else f"choose one of them: {group}=<option>"
    if group == "circuit" and is_path:
        remedy = f"circuit=file circuit.source={option}"
    return refuse(group, repr(option), ", ".join(options), remedy)


def _act(collected: Collected) -> int:
    data = [_plain(point.config) for point in collected.points]
    experiments = _judged(data, collected.swept)
    first = next(iter(experiments.values())).document
    if first.action.kind == "collect":
        return _collect(first)
    return _run(collected, experiments, first)


def _plain(config: DictConfig) -> dict[str, Any]:
    """Resolve a config; what is mandatory and missing (`???`) is left out, so that it is told as missing."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        plain: dict[str, Any] = _without_missing(OmegaConf.to_container(config, resolve=True))
    except OmegaConfBaseException as error:
        told = " ".join(str(error).split())
        path = getattr(error, "full_key", None) or "the config"
        raise refuse(str(path), told, "interpolations that resolve", "mend the interpolation") from error
    return plain


def _without_missing(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_missing(item) for key, item in value.items() if item != "???"}
    return value


def _judged(data: Sequence[Mapping[str, Any]], swept: bool) -> dict[int, Experiment]:  # noqa: FBT001 - one caller
    """Judge every point before anything is imported or run; with `sweep.on_invalid=skip` bad points are left out."""
    from qrt_runner.config import merged_mistakes, parse

    experiments, errors = {}, {}
    for index, point in enumerate(data):
        try:
            experiments[index] = parse(point, _judge_options)
        except ConfigError as error:
            errors[index] = error
    skips = any(experiment.document.sweep.on_invalid == "skip" for experiment in experiments.values())
    if errors and not (skips and swept):
        raise ConfigError(merged_mistakes(errors, grouped=swept))
    for mistake in merged_mistakes(errors, grouped=True):
        sys.stderr.write(f"left out: {mistake}\n")
    return experiments


def _judge_options(mode: str, options: Mapping[str, Any]) -> list[Mistake]:
    from qrt_runner.mitigation import judge_options

    return judge_options(mode, options)


def _collect(document: Document) -> int:
    from qrt_runner.runner import collect

    kept = collect(document.run or "latest", document.tracking)
    sys.stdout.write(f"run {kept.id}: {len(kept.tasks)} tasks are in MLflow, experiment {kept.experiment}\n")
    return 0


def _run(collected: Collected, experiments: Mapping[int, Experiment], first: Document) -> int:
    from qrt_runner.results import Point
    from qrt_runner.runner import Request, run

    everywhere = _in_every_point(collected)

    def point(index: int, experiment: Experiment) -> Point:
        composed = collected.points[index]
        swept = tuple(override for override in composed.overrides if override not in everywhere)
        return Point(index, experiment, _yaml(composed.config), swept)

    points = tuple(point(index, experiment) for index, experiment in experiments.items())
    skips = first.sweep.on_invalid == "skip" and collected.swept
    folder = collected.points[0].folder
    outcome = run(Request(points, folder, first.tracking, skips, collected.swept), _announce, _show)
    _close(outcome, first)
    left_out = len(points) < len(collected.points)
    return outcome.exit_code or int(left_out)


def _in_every_point(collected: Collected) -> set[str]:
    """Return the overrides that all points of a sweep share, which therefore are not what is swept."""
    sets = [set(point.overrides) for point in collected.points]
    return set.intersection(*sets) if len(sets) > 1 else set()


def _yaml(config: DictConfig) -> str:
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(config, resolve=True)


def _announce(words: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"{words}\n")


def _show(result: TaskResult) -> None:
    from qrt_runner.runner import told

    sys.stdout.write("\n".join(told(result)) + "\n")
    sys.stdout.flush()


def _close(outcome: Outcome, document: Document) -> None:
    """Print the closing table, then where the results are and how to browse them."""
    from qrt_runner.runner import closing, table

    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    sys.stdout.write(f"\n{table(outcome.results, colour=colour)}\n\n")
    sys.stdout.write("\n".join(closing(outcome, document.tracking)) + "\n")
    sys.stderr.write("".join(f"{trouble}\n" for trouble in outcome.troubles))


if __name__ == "__main__":
    sys.exit(main())
