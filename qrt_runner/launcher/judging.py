"""Judges composed points before anything runs; knows the config's own rules."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.config import Experiment, merged_mistakes, parse, secrets_in
from qrt_runner.config.precedents import Precedent, parse_beside
from qrt_runner.errors import ConfigError, refuse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from qrt_runner.errors import Mistake
    from qrt_runner.launcher.templates import Composed, Template


_RUN_WIDE: Final = (
    "name",
    "tracking",
    "action",
    "run",
    "runs",
    "overview",
    "progress",
    "sweep",
    "resume",
    "reuse",
    "journal",
    "budget",
)


def check_composed(points: Sequence[Composed]) -> None:
    """Refuse what Hydra lets pass and no config may hold, before it is judged or written.

    Raises:
        ConfigError: Where there are credentials, or several options of one group.
    """
    templates = list(dict.fromkeys(point.template for point in points))
    if secrets := [*_secrets_in_templates(templates), *_secrets_in_points(points)]:
        _take_back(templates)
        raise ConfigError(secrets)
    for template in templates:
        _refuse_several_options(template)


def _secrets_in_templates(templates: Iterable[Template]) -> Iterator[Mistake]:
    for template in templates:
        yield from secrets_in(template.raw)
        if isinstance(template.resolved, dict):
            yield from secrets_in(template.resolved)


def _secrets_in_points(points: Iterable[Composed]) -> Iterator[Mistake]:
    for point in points:
        if isinstance(point.resolved, dict):
            yield from secrets_in(point.resolved)
        if point.values:
            yield from secrets_in({".".join(map(str, path)): value for path, value in point.puts.items()})


def _take_back(templates: Iterable[Template]) -> None:
    """Remove what Hydra has written of the configs."""
    for template in templates:
        written = Path(template.folders.output) / str(template.hydra["output_subdir"] or "")
        for file in (written / "config.yaml", written / "hydra.yaml", written / "overrides.yaml"):
            file.unlink(missing_ok=True)
        (Path(template.folders.sweep) / "multirun.yaml").unlink(missing_ok=True)


def _refuse_several_options(template: Template) -> None:
    """Refuse `mode=[raw,sampler]`, of which Hydra would take the last without a word."""
    for group, choice in template.hydra["runtime"]["choices"].items():
        if isinstance(choice, list):
            listed = ",".join(str(option) for option in choice)
            raise refuse(str(group), f"[{listed}]", "one option", f"-m {group}={listed} for a sweep, or one of them")


def judged(points: Sequence[Composed], *, swept: bool) -> dict[int, Experiment]:
    """Judge every point, and return the experiments by the points' numbers.

    With `sweep.on_invalid=skip` a sweep's bad points are left out, which is said on stderr.

    Raises:
        ConfigError: With all mistakes of all points.
    """
    experiments, errors = _verdicts(points)
    if errors and not (experiments and swept and skips(points)):
        raise ConfigError(merged_mistakes(errors, grouped=swept))
    for mistake in merged_mistakes(errors, grouped=True):
        sys.stderr.write(f"left out: {mistake}\n")
    return experiments


def check_sweep(points: Sequence[Composed]) -> None:
    """Refuse a sweep before another launcher runs it point by point.

    Raises:
        ConfigError: With all mistakes of all points, unless bad ones are to be left out.
    """
    check_composed(points)
    experiments, errors = _verdicts(points)
    if errors and not skips(points):
        raise ConfigError(merged_mistakes(errors, grouped=True))
    check_run_wide(experiments.values())


def skips(points: Sequence[Composed]) -> bool:
    """Tell whether a sweep leaves out bad points, also where there are no others."""
    settings = [point.template.data.get("sweep") for point in points]
    return any(isinstance(found, dict) and found.get("on_invalid") == "skip" for found in settings)


def _verdicts(points: Sequence[Composed]) -> tuple[dict[int, Experiment], dict[int, ConfigError]]:
    experiments, errors = {}, {}
    judge_point = _Judge()
    for point in points:
        try:
            experiments[point.number] = judge_point(point)
        except ConfigError as error:
            errors[point.number] = error
    return experiments, errors


def check_run_wide(experiments: Iterable[Experiment]) -> None:
    """Refuse a sweep over what belongs to the whole run: of several values only one could be true.

    Raises:
        ConfigError: Naming the section.
    """
    documents = [experiment.document for experiment in experiments]
    if not documents:
        return
    for name in _RUN_WIDE:
        first = getattr(documents[0], name)
        others = (getattr(document, name) for document in documents)
        if any(other is not first and other != first for other in others):
            raise refuse(name, "several values in one sweep", "one value for the whole sweep", "one command for each")


def judge(data: Mapping[str, Any]) -> Experiment:
    """Judge one point; the runtime's own option models are asked only where there are options."""
    return parse(data, _judge_options)


@dataclass
class _Judge:
    """Lives for one sweep; remembers of each template a config that is right."""

    precedents: dict[int, Precedent] = field(default_factory=dict)

    def __call__(self, point: Composed) -> Experiment:
        precedent = self.precedents.get(id(point.template))
        if precedent is not None:
            return parse_beside(precedent, point.data, _judge_options)
        data = point.data
        experiment = judge(data)
        self.precedents[id(point.template)] = Precedent(data, experiment)
        return experiment


def _judge_options(mode: str, options: Mapping[str, Any], path: str) -> Sequence[Mistake]:
    from qrt_runner.mitigation import judge_options

    return judge_options(mode, options, path)
