"""Composes the points of a sweep with as little composing as possible; knows Hydra and omegaconf.

An override that names a config group, or gives a structure, is composed by Hydra, once for each distinct combination of
such overrides. Plain values are put into a copy of what was composed, whose interpolations are then resolved anew. The
result equals Hydra's own composition, which a test holds it to.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from hydra.conf import HydraConf
    from hydra.core.config_loader import ConfigLoader
    from hydra.core.override_parser.types import Override

Container = dict[str, Any]
_PLAIN: Final = (bool, int, float, str, type(None))


@dataclass(frozen=True)
class Seen:
    """One point as Hydra, or a template, composed it."""

    raw: Container
    """Not resolved."""

    resolved: Container | OmegaConfBaseException
    """Resolved while Hydra was at this point, or why it does not resolve."""

    hydra: HydraConf
    """Hydra's own part of the config; of a template, that of its first point."""

    overrides: tuple[str, ...]
    """The overrides of the point, without those of Hydra itself."""


@dataclass(frozen=True)
class _Template:
    """One composed combination, into which plain values are put."""

    raw: Container
    hydra: HydraConf
    resolved: Container | OmegaConfBaseException
    """With its first point's values."""

    followed: tuple[str, ...]
    """Dotted names that interpolations mention."""

    def is_free_of(self, names: Iterable[str]) -> bool:
        """Tell whether no interpolation can follow a change of these fields."""
        return not any(_overlap(name, word) for name in names for word in self.followed)


@dataclass
class Templates:
    """Lives for one sweep; remembers what was composed, and what overrides mean."""

    loader: ConfigLoader
    master: DictConfig
    composed: dict[tuple[str, ...], _Template] = field(default_factory=dict)
    parsed: dict[str, Override] = field(default_factory=dict)

    @cached_property
    def groups(self) -> set[str]:
        """Names of the config groups, wherever their folders lie."""
        return set(self.master.hydra.runtime.choices)

    def point(self, words: list[str], number: int) -> Seen:
        """Return one point of the sweep.

        Args:
            words: Its overrides.
            number: Its index in the sweep, `hydra.job.num`.
        """
        overrides = [self._parse(word) for word in words]
        plain = {override.key_or_group: override.value() for override in overrides if self._is_plain(override)}
        structural = [word for word, override in zip(words, overrides, strict=True) if not self._is_plain(override)]
        key = (*structural, *plain)
        template = self.composed.get(key) or self._compose(words, number)
        if "hydra" not in {word.partition(".")[0] for word in template.followed}:
            # What follows Hydra's own part, such as the point's number, differs from point to point.
            self.composed[key] = template
        raw = _filled(template.raw, plain)
        if template.is_free_of(plain) and isinstance(template.resolved, dict):
            resolved: Container | OmegaConfBaseException = _filled(template.resolved, plain)
        else:
            resolved = attempted(partial(_resolved, raw))
        told = tuple(word for word in words if not word.lstrip("+~").startswith("hydra."))
        return Seen(raw, resolved, template.hydra, told)

    def _parse(self, word: str) -> Override:
        if word not in self.parsed:
            self.parsed[word] = OverridesParser.create().parse_override(word)
        return self.parsed[word]

    def _is_plain(self, override: Override) -> bool:
        if override.is_delete() or override.package is not None or override.key_or_group.startswith("hydra."):
            return False
        value = override.value()
        if not isinstance(value, _PLAIN) or (isinstance(value, str) and "${" in value):
            return False
        return override.key_or_group not in self.groups

    def _compose(self, words: Sequence[str], number: int) -> _Template:
        whole = self.loader.load_sweep_config(self.master, list(words))
        with open_dict(whole):
            whole.hydra.job.id = number
            whole.hydra.job.num = number
            whole.hydra.runtime.output_dir = str(whole.hydra.sweep.dir)
        HydraConfig.instance().set_config(whole)
        own = copy.deepcopy(HydraConfig.get())
        with open_dict(whole):
            del whole["hydra"]
        raw = as_container(whole, resolve=False)
        followed = tuple({word for text in _interpolations(raw) for word in re.findall(r"[\w.]+", text)})
        return _Template(raw, own, attempted(partial(_resolved, raw)), followed)


def _overlap(name: str, word: str) -> bool:
    """Tell whether one dotted name is the other, or holds it; a relative one may be any."""
    return word.startswith(".") or f"{name}.".startswith(f"{word}.") or f"{word}.".startswith(f"{name}.")


def _filled(container: Container, values: Container) -> Container:
    filled = copy.deepcopy(container)
    for name, value in values.items():
        _put(filled, name, value)
    return filled


def attempted(resolve: Callable[[], Container]) -> Container | OmegaConfBaseException:
    """Return what `resolve` returns, or the error with which omegaconf refuses."""
    try:
        return resolve()
    except OmegaConfBaseException as error:
        return error


def _put(raw: Container, name: str, value: Any) -> None:
    *parents, last = name.split(".")
    here: Any = raw
    for parent in parents:
        here = here[int(parent)] if isinstance(here, list) else here.setdefault(parent, {})
    if isinstance(here, list):
        here[int(last)] = value
    else:
        here[last] = value


def _resolved(raw: Container) -> Container:
    if not any(_interpolations(raw)):
        return raw
    return as_container(OmegaConf.create(raw), resolve=True)


def as_container(config: DictConfig, *, resolve: bool) -> Container:
    """Return a config as plain containers."""
    container: Any = OmegaConf.to_container(config, resolve=resolve)
    assert isinstance(container, dict)
    return container


def _interpolations(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _interpolations(item)
    elif isinstance(value, list):
        for item in value:
            yield from _interpolations(item)
    elif isinstance(value, str) and re.search(r"\$\{", value):
        yield value
