"""Judges composed points before anything runs; knows the config's own rules."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from qrt_runner.config import Experiment, merged_mistakes, parse
from qrt_runner.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qrt_runner.errors import Mistake
    from qrt_runner.launcher.composing import Composition


def judged(composition: Composition) -> dict[int, Experiment]:
    """Judge every point, and return the experiments by index.

    With `sweep.on_invalid=skip` a sweep's bad points are left out, which is said on stderr.

    Raises:
        ConfigError: With all mistakes of all points.
    """
    experiments, errors = {}, {}
    for index, point in enumerate(composition.points):
        try:
            experiments[index] = judge(point.data)
        except ConfigError as error:
            errors[index] = error
    skips = any(experiment.document.sweep.on_invalid == "skip" for experiment in experiments.values())
    if errors and not (skips and composition.swept):
        raise ConfigError(merged_mistakes(errors, grouped=composition.swept))
    for mistake in merged_mistakes(errors, grouped=True):
        sys.stderr.write(f"left out: {mistake}\n")
    return experiments


def judge(data: Mapping[str, Any]) -> Experiment:
    """Judge one point; the runtime's own option models are asked only where there are options."""
    return parse(data, _judge_options)


def _judge_options(mode: str, options: Mapping[str, Any], path: str) -> Sequence[Mistake]:
    from qrt_runner.mitigation import judge_options

    return judge_options(mode, options, path)
