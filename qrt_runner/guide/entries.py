"""Gathers what there is to say of the fields of a group or an option; knows the modules beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final

from qrt_runner.guide.knowing import is_open, known_of
from qrt_runner.guide.sheets import all_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from qrt_runner.guide.groups import Group
    from qrt_runner.guide.sheets import Field, FieldPath, Sheet

_KIND: Final = ("kind",)
"""Told by the option's name."""

_TOLD: Final = 4
"""So many different defaults are told by their options; more are left to the options' own pages."""


@dataclass(frozen=True)
class Entry:
    """What there is to say of a field or a section."""

    name: str
    """As it is typed, such as `mode.shots`."""

    section: bool
    defaults: dict[str, list[str]]
    """As a config writes them, with the options that have them; none of a section."""

    meaning: str
    allowed: str
    """Which values it takes; empty where nobody says."""

    options: tuple[str, ...]
    """Those that have it; empty where all have."""

    inside: bool
    """Whether it lies in an open mapping or a group of its own, which the page of a group leaves to others."""

    @property
    def shown(self) -> str:
        """The field with its default."""
        if self.section:
            return f"{self.name}."
        return f"{self.name}={next(iter(self.defaults)) if len(self.defaults) == 1 else ''}"

    @property
    def words(self) -> list[str]:
        """What is said below it, in paragraphs."""
        lines = [self.meaning] if self.meaning else []
        if self.allowed and not self.section:
            lines.append(f"takes {self.allowed}")
        if 1 < len(self.defaults) <= _TOLD:
            told = (f"{default} ({', '.join(options)})" for default, options in self.defaults.items())
            return [*lines, f"default {', '.join(told)}"]
        return [*lines, f"only of {', '.join(self.options)}"] if self.options else lines


def entries_of(group: Group, options: Sequence[str], groups: Mapping[str, Group], config: Sheet) -> list[Entry]:
    """Return what there is to say of the fields of these options, each field once.

    Args:
        group: Their group; one without options stands for a field or section of no group.
        options: Their names.
        groups: All groups.
        config: What `config.yaml` says; some of its fields stand beside those of any option.
    """
    own = {option: all_fields(group, option, groups) for option in options}
    beside = {
        found.path[1:]: found
        for found in config.fields
        if found.path[: len(group.path)] == group.path == found.path[:1]
    }
    found = _Found(group, groups, own, beside)
    paths = dict.fromkeys(chain(*own.values(), beside))
    entries = [found.entry(path) for path in paths if path != _KIND and (path or not options)]
    return [entry for entry in entries if not entry.section or entry.meaning]


@dataclass(frozen=True)
class _Found:
    """What the files say of a group's fields."""

    group: Group
    groups: Mapping[str, Group]
    own: Mapping[str, Mapping[FieldPath, Field]]
    """By option."""

    beside: Mapping[FieldPath, Field]

    def entry(self, path: FieldPath) -> Entry:
        """Put together what is said of a field."""
        having = {option: fields[path] for option, fields in self.own.items() if path in fields}
        found = [*having.items(), *([("all", self.beside[path])] if path in self.beside else [])]
        defaults: dict[str, list[str]] = {}
        for option, field in found:
            if field.default is not None:
                defaults.setdefault(field.default, []).append(option)
        whole = (*self.group.path, *path)
        meaning, allowed = known_of(whole, self._kind(having))
        comment = next((field.comment for _, field in found if field.comment), meaning)
        return Entry(
            name=".".join(whole),
            section=not defaults,
            defaults=defaults,
            meaning=re.sub(r"(?<!\.)\.$", "", comment),
            allowed=allowed,
            options=() if len(having) == len(self.own) or path in self.beside else tuple(having),
            inside=self._is_inside(path),
        )

    def _kind(self, options: Iterable[str]) -> str | None:
        """Return the kind of the first of these options that has one."""
        kinds = (self.own[option][_KIND].default for option in options if _KIND in self.own[option])
        return next((kind.strip("\"'") for kind in kinds if kind), None)

    def _is_inside(self, path: FieldPath) -> bool:
        above = [(*self.group.path, *path[:length]) for length in range(1, len(path))]
        return any("/".join(place) in self.groups or is_open(place) for place in above)
