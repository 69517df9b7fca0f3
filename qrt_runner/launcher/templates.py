"""Composes the points of a sweep with as little composing as possible; knows Hydra and omegaconf.

An override that names a config group, or gives a structure, is composed by Hydra, once for each distinct combination of
such overrides. Plain values are put into what was composed, and what follows them by interpolation is resolved anew. A
point is kept as its template and its values. The result equals Hydra's own composition, which a test holds it to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Transformer
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from qrt_runner.launcher.containers import (
    Container,
    Path,
    as_container,
    attempted,
    data_of,
    filled,
    interpolations,
    mentioned,
    resolved,
    shared,
)
from qrt_runner.launcher.stencils import Stencil

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hydra.core.config_loader import ConfigLoader
    from hydra.core.override_parser.types import Override

Plain = tuple[str, Any]
"""Dotted name and value of an override that gives a field a plain value."""

_PLAIN: Final = (bool, int, float, str, type(None))


class Folders(NamedTuple):
    """Where Hydra puts things."""

    sweep: str
    output: str
    """The folder of a run, or of a point of a sweep."""


@dataclass(frozen=True, eq=False)
class Template:
    """One config that Hydra composed, and the places in it where points differ."""

    raw: Container
    """Not resolved."""

    resolved: Container | OmegaConfBaseException
    """Resolved while Hydra was at it, or why it does not resolve."""

    hydra: Container
    """Hydra's own part of the config, not resolved, with what is said there of the point it was composed for."""

    folders: Folders
    remembered: Mapping[str, Any]
    """What Hydra's resolvers gave, such as the time of `${now:}`, by resolver and arguments."""

    names: tuple[Path, ...] = ()
    """The fields that points give plain values."""

    @cached_property
    def data(self) -> Container:
        """Resolved and without what is missing; empty where it does not resolve."""
        return {} if isinstance(self.resolved, OmegaConfBaseException) else data_of(self.resolved)

    @cached_property
    def stencil(self) -> Stencil:
        """Its YAML, cut out where points differ."""
        return Stencil(self.data)

    @cached_property
    def copies(self) -> Mapping[Path, Path] | None:
        """Fields that are plain copies of `names` (`transpile.seed`, of `seed`); None where more follows from them."""
        sources = {name: name for name in self.names}
        waiting = dict(interpolations(self.raw))
        while following := [path for path, text in waiting.items() if _follows(text, sources)]:
            for path in following:
                copied = re.fullmatch(r"\$\{(\w+(?:\.\w+)*)\}", waiting.pop(path))
                source = sources.get(tuple(copied[1].split("."))) if copied else None
                if source is None:
                    return None
                sources[path] = source
        return {path: source for path, source in sources.items() if path not in self.names}


@dataclass(frozen=True, slots=True, eq=False)
class Composed:
    """One point: a template and what it puts into it."""

    template: Template
    number: int
    """Its index in the sweep, `hydra.job.num`."""

    words: Sequence[str]
    """Its overrides as typed, without those of Hydra itself."""

    values: tuple[Any, ...] = ()
    """For the template's names, in their order."""

    resolved: Container | OmegaConfBaseException | None = None
    """Where the values do not just stand in their places: resolved anew, or why it does not resolve."""

    overrides: tuple[str, ...] = ()
    """Of the words, those that make this point of a sweep."""

    @property
    def raw(self) -> Container:
        """Not resolved, as plain containers."""
        return filled(self.template.raw, dict(zip(self.template.names, self.values, strict=True)))

    @property
    def puts(self) -> dict[Path, Any]:
        """What it puts into the resolved template, and where."""
        values = dict(zip(self.template.names, self.values, strict=True))
        return values | {path: values[source] for path, source in (self.template.copies or {}).items()}

    @property
    def data(self) -> Container:
        """Resolved, as plain containers; what is mandatory and missing is left out.

        Raises:
            ConfigError: Where an interpolation does not resolve.
        """
        found = self.template.resolved if self.resolved is None else self.resolved
        if self.resolved is None and isinstance(found, dict):
            return filled(self.template.data, self.puts)
        return data_of(found)

    def yaml(self) -> str:
        """Return the same as `config.yaml` shows it."""
        return self.template.stencil.text(self.data)


@dataclass
class Templates:
    """Lives for one sweep; remembers what was composed, and what overrides mean."""

    loader: ConfigLoader
    master: DictConfig
    known: dict[str, Plain | None] = field(default_factory=dict)
    """What words mean: a plain value, or something that Hydra must compose."""

    composed: dict[tuple[str, ...], Template] = field(default_factory=dict)

    @cached_property
    def groups(self) -> set[str]:
        """Names of the config groups, wherever their folders lie."""
        return set(self.master.hydra.runtime.choices)

    def point(self, words: Sequence[str], number: int) -> Composed:
        """Return one point of the sweep.

        Args:
            words: Its overrides.
            number: Its index in the sweep, `hydra.job.num`.
        """
        plain, structural = {}, []
        for word in words:
            meant = self._meant(word)
            if meant is None:
                structural.append(word)
            else:
                plain[meant[0]] = meant[1]
        template = self._template((*structural, *plain), words, number, tuple(plain))
        point = Composed(template, number, words, tuple(plain.values()))
        if not plain or (template.copies is not None and isinstance(template.resolved, dict)):
            return point
        return Composed(template, number, words, point.values, _anew(point))

    def learn(self, override: Override) -> None:
        """Remember what the words of a sweep over numbers mean, of which there may be thousands."""
        if not override.is_sweep_override() or not override.is_discrete_sweep() or override.package is not None:
            return
        key, name = override.get_key_element(), override.key_or_group
        if key not in (name, f"+{name}", f"++{name}") or name.startswith("hydra.") or name in self.groups:
            return
        for value in override.sweep_iterator(Transformer.identity):
            if isinstance(value, int | float):
                self.known[f"{key}={Transformer.str(value)}"] = (name, value)

    def _template(self, key: tuple[str, ...], words: Sequence[str], number: int, names: Sequence[str]) -> Template:
        if key in self.composed:
            return self.composed[key]
        template = self._compose(words, number, tuple(tuple(name.split(".")) for name in names))
        follows = {word.partition(".")[0] for _, text in interpolations(template.raw) for word in mentioned(text)}
        if "hydra" not in follows:
            # What follows Hydra's own part, such as the point's number, differs from point to point.
            self.composed[key] = template
        return template

    def _meant(self, word: str) -> Plain | None:
        if word not in self.known:
            override = OverridesParser.create().parse_override(word)
            self.known[word] = (override.key_or_group, override.value()) if self._is_plain(override) else None
        return self.known[word]

    def _is_plain(self, override: Override) -> bool:
        if override.is_delete() or override.package is not None or override.key_or_group.startswith("hydra."):
            return False
        value = override.value()
        if not isinstance(value, _PLAIN) or (isinstance(value, str) and ("${" in value or value == "???")):
            return False
        return override.key_or_group not in self.groups

    def _compose(self, words: Sequence[str], number: int, names: tuple[Path, ...]) -> Template:
        whole = self.loader.load_sweep_config(self.master, list(words))
        with open_dict(whole):
            whole.hydra.job.id = number
            whole.hydra.job.num = number
            whole.hydra.runtime.output_dir = str(whole.hydra.sweep.dir)
        HydraConfig.instance().set_config(whole)
        return template_of(whole, names)


def template_of(config: DictConfig, names: tuple[Path, ...] = ()) -> Template:
    """Return the template of a config that Hydra has just composed, while Hydra is still at it."""
    own: Any = HydraConfig.get()
    raw = {name: value for name, value in as_container(config, resolve=False).items() if name != "hydra"}
    return Template(
        raw=raw,
        resolved=attempted(partial(resolved, raw)),
        hydra=as_container(own, resolve=False),
        folders=Folders(str(own.sweep.dir), str(own.runtime.output_dir)),
        remembered=OmegaConf.get_cache(config),
        names=names,
    )


def point_of(config: DictConfig) -> Composed:
    """Return the point that Hydra has just composed, while Hydra is still at it: the only one, or one of a sweep."""
    template = template_of(config)
    number = template.hydra["job"]["num"]
    return Composed(template, 0 if number == "???" else number, template.hydra["overrides"]["task"])


def _anew(point: Composed) -> Container | OmegaConfBaseException:
    found = attempted(partial(resolved, point.raw))
    return shared(data_of(found), point.template.data) if isinstance(found, dict) else found


def _follows(text: str, sources: Mapping[Path, Path]) -> bool:
    return any(_overlap(".".join(map(str, path)), word) for path in sources for word in mentioned(text))


def _overlap(name: str, word: str) -> bool:
    """Tell whether one dotted name is the other, or holds it; a relative one may be any."""
    return word.startswith(".") or f"{name}.".startswith(f"{word}.") or f"{word}.".startswith(f"{name}.")
