"""Writes what Hydra's own launchers write of each point of a sweep, into one file; knows Hydra's files.

`points.jsonl` in the sweep's folder has two kinds of lines:

- `{"template": 0, "config": ..., "hydra": ...}`: the text of a `config.yaml` and a `hydra.yaml`, before the first point
  that refers to them.
- `{"num": 7, "subdir": "7", "template": 0, "values": {"mode.shots": 8}, "overrides": [...], "hydra_overrides": [...]}`:
  a point's number and folder, the values that stand in the template's config instead, and its overrides.

`point_files` makes a point's three files of them, and `sweep.folders=true` has them written.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hydra._internal.config_loader_impl import get_overrides_dirname
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf

from qrt_runner.errors import refuse
from qrt_runner.launcher.containers import Container, as_container, changes, filled
from qrt_runner.launcher.stencils import Stencil, yaml_of
from qrt_runner.launcher.subdirs import subdir_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from qrt_runner.launcher.templates import Composed, Template

POINTS: Final = "points.jsonl"


class _Pattern(NamedTuple):
    """What the files of a template's points are made of."""

    number: int
    config: Stencil
    hydra: Stencil
    """With the sweep's folder where a point has its own."""


@dataclass
class Points:
    """Writes the points of a sweep; lives as long as they come."""

    folder: Path
    """Of the sweep."""

    folders: bool
    """Whether each point gets a folder with its files."""

    patterns: dict[Template, _Pattern] = field(default_factory=dict)

    def write(self, points: Iterable[Composed]) -> None:
        """Write points, each after its template."""
        self.folder.mkdir(parents=True, exist_ok=True)
        # A folder that is used again holds the points of its last sweep only.
        with (self.folder / POINTS).open("a" if self.patterns else "w", encoding="utf-8") as stream:
            for point in points:
                if point.template not in self.patterns:
                    self.patterns[point.template] = _pattern(point.template, len(self.patterns))
                    stream.write(_template_line(self.patterns[point.template]))
                line = _line(point, self.patterns[point.template])
                stream.write(f"{json.dumps(line)}\n")
                if self.folders:
                    self._write_folder(line, self.patterns[point.template])

    def _write_folder(self, line: Mapping[str, Any], pattern: _Pattern) -> None:
        below = self.folder / line["subdir"]
        below.mkdir(parents=True, exist_ok=True)
        hidden = pattern.hydra.container["hydra"]["output_subdir"]
        if hidden is None:
            return
        (below / hidden).mkdir(parents=True, exist_ok=True)
        for name, text in _files(line, pattern).items():
            (below / hidden / name).write_text(text, encoding="utf-8")


def point_files(file: Path, number: int) -> dict[str, str]:
    """Return what Hydra's basic launcher would have written of a point: text by name of the file.

    Args:
        file: A sweep's `points.jsonl`.
        number: The point's number in the sweep, `hydra.job.num`.

    Raises:
        ConfigError: Where the sweep has no such point.
    """
    templates: dict[int, dict[str, str]] = {}
    with file.open(encoding="utf-8") as stream:
        for line in map(json.loads, stream):
            if "config" in line:
                templates[line["template"]] = line
            elif line["num"] == number:
                texts = templates[line["template"]]
                return _files(line, _Pattern(0, _stencil(texts["config"]), _stencil(texts["hydra"])))
    raise refuse("num", number, f"the number of a point in {file}", "one of its lines' num")


def _stencil(text: str) -> Stencil:
    config = OmegaConf.create(text)
    assert isinstance(config, DictConfig)
    return Stencil(as_container(config, resolve=False))


def _pattern(template: Template, number: int) -> _Pattern:
    runtime = ("hydra", "runtime", "output_dir")
    own = filled({"hydra": template.hydra}, {runtime: os.path.abspath(template.folders.sweep)})  # noqa: PTH100 - as Hydra
    return _Pattern(number, Stencil(template.raw), Stencil(own))


def _template_line(pattern: _Pattern) -> str:
    texts = {"config": yaml_of(pattern.config.container), "hydra": yaml_of(pattern.hydra.container)}
    return f"{json.dumps({'template': pattern.number, **texts})}\n"


def _line(point: Composed, pattern: _Pattern) -> Container:
    raw, template = point.raw, point.template
    own = _own(pattern, point.number, point.words, "")
    return {
        "num": point.number,
        "subdir": subdir_of({**raw, **own}, template.remembered),
        "template": pattern.number,
        "values": {".".join(map(str, path)): value for path, value in changes(raw, template.raw)},
        "overrides": list(point.words),
        "hydra_overrides": template.hydra["overrides"]["hydra"],
    }


def _files(line: Mapping[str, Any], pattern: _Pattern) -> dict[str, str]:
    """Return a point's files by name, from its line and its template's."""
    config = filled(pattern.config.container, {tuple(name.split(".")): value for name, value in line["values"].items()})
    own = _own(pattern, line["num"], line["overrides"], line["subdir"])
    return {
        "config.yaml": pattern.config.text(config),
        "hydra.yaml": pattern.hydra.text(own),
        "overrides.yaml": OmegaConf.to_yaml(OmegaConf.create(line["overrides"])),
    }


def _own(pattern: _Pattern, number: int, words: Sequence[str], subdir: str) -> Container:
    """Return Hydra's part of a point's config, not resolved."""
    own = pattern.hydra.container
    job, folder = own["hydra"]["job"], own["hydra"]["runtime"]["output_dir"]
    # Of an override, the name of its directory needs the key and the line.
    overrides = [Override(OverrideType.CHANGE, _key(word), None, None, input_line=word) for word in words]
    values = {"id": str(number), "num": number}
    values["override_dirname"] = get_overrides_dirname(overrides, **job["config"]["override_dirname"])
    return filled(
        own,
        {
            ("hydra", "job"): {**job, **values},
            ("hydra", "overrides", "task"): list(words),
            ("hydra", "runtime", "output_dir"): str(Path(folder, subdir)),
        },
    )


def _key(word: str) -> str:
    return word.lstrip("+~").partition("=")[0].partition("@")[0]
