"""Makes of composed and judged points what a run is asked; knows the modules above it."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from qrt_runner.config import Experiment
    from qrt_runner.launcher.composing import Composition
    from qrt_runner.runner import Request


def _nothing(_: Sequence[str]) -> None:
    """Close no session."""


@contextmanager
def for_owner_only() -> Iterator[None]:
    """Let only their owner read the folders and files that Hydra makes; what is in MLflow is read as its user wants."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def request_of(
    composition: Composition,
    experiments: Mapping[int, Experiment],
    command: str = "",
    tidy: Callable[[Sequence[str]], None] = _nothing,
) -> Request:
    """Return what one command asks for.

    Args:
        composition: Its points.
        experiments: Those that were judged to be right, by their numbers.
        command: What carries on with the run, as typed.
        tidy: Closes the session groups that killed commands left open, but for those of these ids.
    """
    from qrt_runner.results import Point
    from qrt_runner.runner import Request

    first = next(iter(experiments.values())).document
    points = tuple(
        Point(index, experiment, composition.points[index].yaml, composition.points[index].overrides)
        for index, experiment in experiments.items()
    )
    skips = first.sweep.on_invalid == "skip" and composition.swept
    folders = first.sweep.folders and composition.swept
    return Request(points, composition.folder, first.tracking, skips, composition.swept, folders, command, tidy)
