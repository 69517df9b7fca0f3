"""Writes the YAML of many configs that differ in a few plain values; knows omegaconf and its YAML dumper.

The text is the one that `OmegaConf.to_yaml` gives, which takes 5 ms a config; a test holds it to that.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import yaml
from omegaconf import OmegaConf

# OmegaConf's own way to quote what other YAML readers would take for a number or a truth value.
from omegaconf._utils import get_omega_conf_dumper
from yaml.representer import SafeRepresenter

from qrt_runner.launcher.containers import Container, Path, changes, filled

if TYPE_CHECKING:
    from collections.abc import Sequence


_HOLE: Final = f"hole_{uuid.uuid4().hex}"
"""Stands in no config."""


def yaml_of(container: Container) -> str:
    """Return a container's YAML as OmegaConf writes it."""
    return OmegaConf.to_yaml(OmegaConf.create(container))


@dataclass(frozen=True, eq=False)
class Stencil:
    """The YAML of one container, and with it that of others which differ in some leaves."""

    container: Container
    cut: dict[tuple[Path, ...], list[str]] = field(default_factory=dict)
    """The container's text by the leaves that were cut out of it."""

    def text(self, container: Container) -> str:
        """Return a container's YAML, fast where it differs from the stencil's in plain values only."""
        try:
            values = dict(changes(container, self.container))
        except ValueError:
            return yaml_of(container)
        if not all(isinstance(value, str | float | int | None) for value in values.values()):
            return yaml_of(container)
        paths = tuple(values)
        if paths not in self.cut:
            self.cut[paths] = _cut(self.container, paths)
        texts = [_value_text(path, value) for path, value in values.items()]
        pieces = self.cut[paths]
        return pieces[0] + "".join(text + piece for text, piece in zip(texts, pieces[1:], strict=True))


def _cut(container: Container, paths: Sequence[Path]) -> list[str]:
    """Return a container's text in pieces, cut where the leaves at `paths` stood."""
    return yaml_of(filled(container, dict.fromkeys(paths, _HOLE))).split(_HOLE)


def _value_text(path: Path, value: Any) -> str:
    if not isinstance(value, str):
        return str(SafeRepresenter().represent_data(value).value)
    # Where a long text is folded depends on how deep it stands.
    before, after = _around(path)
    text = _dumped(_nested(path, value))
    return text[len(before) : len(text) - len(after)]


@cache
def _around(path: Path) -> tuple[str, str]:
    before, _, after = _dumped(_nested(path, _HOLE)).partition(_HOLE)
    return before, after


def _nested(path: Path, value: Any) -> Any:
    for step in reversed(path):
        value = [value] if isinstance(step, int) else {step: value}
    return value


def _dumped(container: Any) -> str:
    dumper = get_omega_conf_dumper()
    text: str = yaml.dump(container, default_flow_style=False, allow_unicode=True, sort_keys=False, Dumper=dumper)
    return text
