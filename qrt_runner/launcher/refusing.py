"""Tells what Hydra refuses in our own words, all mistakes at once; knows Hydra and omegaconf."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from qrt_runner import SHIPPED
from qrt_runner.config import nearest
from qrt_runner.errors import ConfigError, refuse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hydra.core.override_parser.types import Override

FULL_ERROR: Final = "HYDRA_FULL_ERROR"
"""Hydra's own variable: set to 1, errors come with a traceback."""


@contextmanager
def hydra_errors_told(arguments: Sequence[str]) -> Iterator[None]:
    """Turn what Hydra raises into our one clean message and exit code; by itself Hydra would print and end with 1."""
    before = os.environ.get(FULL_ERROR)
    os.environ[FULL_ERROR] = "1"
    try:
        yield
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
        raise _translated(error, arguments) from error
    finally:
        os.environ.pop(FULL_ERROR)
        if before is not None:
            os.environ[FULL_ERROR] = before


def _translated(error: Exception, arguments: Sequence[str]) -> ConfigError:
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options is not None:
        group, _, option = str(error.missing_cfg_file).partition("/")
        return _unknown_option(group, option, error.options)
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "hydra.cc" not in line]
    if isinstance(error, YAMLError):
        return refuse("conf/", "; ".join(lines), "valid YAML", "mend the file")
    told = refuse("the command line", "; ".join(lines), "overrides as in circuit=ghz mode.shots=1024", "mend that word")
    if isinstance(error, OverrideParseException):
        return told
    return _judged_leniently(arguments) or _unknown_key(str(error)) or told


def _unknown_key(message: str) -> ConfigError | None:
    """Return the refusal of a key that Hydra does not know, where all else about the config is right."""
    found = re.search(r"Could not override '([^']+)'", message)
    if found is None:
        return None
    path = found.group(1)
    return refuse(
        path, "an unknown key", "the keys that --cfg job shows", f"'+{path}=<value>' if it is meant to be new"
    )


def _unknown_option(group: str, option: str, options: Sequence[str]) -> ConfigError:
    is_path = "/" in option or re.search(r"\.(qasm[23]?|qpy|py)$", option) is not None
    meant = nearest(option, options)
    remedy = f"{group}={meant}" if meant else f"choose one of them: {group}=<option>"
    if group == "circuit" and is_path:
        remedy = f"circuit=file circuit.source={option}"
    return refuse(group, repr(option), ", ".join(options), remedy)


def _judged_leniently(arguments: Sequence[str]) -> ConfigError | None:
    """Return all mistakes of a config with an unknown key, at which Hydra stops, by composing it with the key let in.

    Of a sweep it judges the first point.
    """
    from qrt_runner.launcher.composing import own_folders
    from qrt_runner.launcher.containers import as_container, attempted, data_of
    from qrt_runner.launcher.judging import judge

    words = [word for word in arguments if "=" in word and not word.startswith("-")]
    folders = [*own_folders(arguments), SHIPPED / "conf"]
    groups = {folder.name for place in folders for folder in place.iterdir() if folder.is_dir()}
    let_in = [_let_in(override, groups) for override in OverridesParser.create().parse_overrides(words)]
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(SHIPPED / "conf")):
            config = compose("config", let_in)
            experiment = judge(data_of(attempted(partial(as_container, config, resolve=True))))
        from qrt_runner.circuits import open_circuit

        for task in experiment.tasks.values():
            open_circuit(task.circuit, task.mode.kind)
    except ConfigError as error:
        return error
    except (HydraException, OmegaConfBaseException, ValueError):
        return None
    return None


def _let_in(override: Override, groups: set[str]) -> str:
    """Return an override that adds its key where there is none; of a sweep over values, the first one."""
    line = str(override.input_line)
    if override.is_sweep_override():
        line = f"{override.key_or_group}={next(iter(override.sweep_string_iterator()))}"
    is_value = override.key_or_group.partition("@")[0] not in groups and not override.is_delete()
    return f"++{line.lstrip('+')}" if is_value else line
