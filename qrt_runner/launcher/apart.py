"""Keeps from the rest of a process what Hydra does to it, for whoever composes from Python; knows Hydra."""

from __future__ import annotations

import logging
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobRuntime

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qrt_runner.launcher.composing import Composition

_ONE_AT_A_TIME: Final = threading.RLock()
"""Hydra has one state for a process, and so have the words of a command line and the environment."""


@contextmanager
def apart(words: Sequence[str]) -> Iterator[None]:
    """Let Hydra read these words, and have afterwards all as it was before: its own state, and logging.

    Other threads wait; a caller who is inside a Hydra application of their own finds that as they left it.
    """
    with _ONE_AT_A_TIME, _hydra_of_others(), _logging_of_others():
        before = sys.argv
        sys.argv = ["qrt_runner", *words]
        try:
            yield
        finally:
            sys.argv = before


@contextmanager
def _hydra_of_others() -> Iterator[None]:
    hydra, config, job = GlobalHydra.instance(), HydraConfig.instance(), JobRuntime.instance()
    before = (hydra.hydra, config.cfg, job.conf.copy())
    hydra.clear()
    try:
        yield
    finally:
        hydra.hydra, config.cfg, job.conf = before


@contextmanager
def _logging_of_others() -> Iterator[None]:
    """Have loggers as they were; what Hydra has opened is closed."""
    loggers = {name: one for name, one in logging.root.manager.loggerDict.items() if isinstance(one, logging.Logger)}
    before = [(one, one.level, one.disabled, one.propagate, list(one.handlers)) for one in loggers.values()]
    before.append((logging.root, logging.root.level, False, True, list(logging.root.handlers)))
    try:
        yield
    finally:
        for name, one in logging.root.manager.loggerDict.items():
            if name not in loggers and isinstance(one, logging.Logger):
                one.setLevel(logging.NOTSET)
        for one, level, disabled, propagates, handlers in before:
            for handler in one.handlers:
                if handler not in handlers:
                    handler.close()
            one.setLevel(level)
            one.handlers[:], one.disabled, one.propagate = handlers, disabled, propagates


def unwritten(composition: Composition) -> None:
    """Remove what Hydra has written of a composition that nothing has been run of, with the folders left empty."""
    for template in dict.fromkeys(point.template for point in composition.points):
        output, job = Path(template.folders.output), template.hydra["job"]["name"]
        hidden = output / str(template.hydra["output_subdir"] or "")
        files = [hidden / name for name in ("config.yaml", "hydra.yaml", "overrides.yaml")]
        files.append(Path(template.folders.sweep) / "multirun.yaml")
        log = output / f"{job}.log"
        for file in [*files, *([log] if log.is_file() and not log.stat().st_size else [])]:
            file.unlink(missing_ok=True)
        for folder in (hidden, output, Path(template.folders.sweep)):
            _without_empty(folder.absolute())


def _without_empty(folder: Path) -> None:
    """Remove a folder of the working directory, and those above it, as long as they are empty."""
    here = Path.cwd()
    while folder != here and folder.is_relative_to(here) and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
