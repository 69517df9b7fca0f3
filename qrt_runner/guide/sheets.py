"""Reads what a config file says of itself: its first comment, and of each field default and comment; knows yaml."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from qrt_runner.guide.groups import Group

FieldPath = tuple[str, ...]
COMMAND: Final = "python -m qrt_runner"
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The one in C where there is one: six times as fast."""
_BEHIND: Final = re.compile(r"\s#\s*(.*)$")


@dataclass(frozen=True)
class Field:
    """A field as a config file has it."""

    path: FieldPath
    """Below its group; in `config.yaml` and in presets from the top."""

    default: str | None
    """As written; None for a section."""

    comment: str
    """What stands above or behind it, in one line."""


@dataclass(frozen=True)
class Sheet:
    """What a config file says."""

    head: tuple[str, ...]
    """Its first comment: paragraphs, and commands of their own."""

    fields: tuple[Field, ...]
    """In the order of the file."""

    defaults: tuple[tuple[str, str | None, str], ...]
    """Its defaults list: group, or option of its own group, the option, and the comment on it."""

    @property
    def question(self) -> str:
        """What stands before the first command."""
        return next((words for words in self.head if not words.startswith(COMMAND)), "")

    @property
    def commands(self) -> list[str]:
        """The commands that run it."""
        return [words for words in self.head if words.startswith(COMMAND)]


def sheet_of(file: Path) -> Sheet:
    """Read a config file."""
    text = file.read_text(encoding="utf-8")
    lines = text.splitlines()
    head = _head(lines)
    node = yaml.compose(text, Loader=_LOADER)
    if not isinstance(node, yaml.MappingNode):
        return Sheet(tuple(_paragraphs(lines[:head])), (), ())
    comments = {number: _comment(lines, number, head) for number in range(head, len(lines))}
    fields = tuple(_fields(node, (), comments, text))
    defaults = [pair for key, value in node.value if key.value == "defaults" for pair in _choices(value, comments)]
    return Sheet(tuple(_paragraphs(lines[:head])), fields, tuple(defaults))


def all_fields(group: Group, option: str, groups: Mapping[str, Group]) -> dict[FieldPath, Field]:
    """Return the fields of an option by their paths, those of the options that it is made of included."""
    sheet = sheet_of(group.options[option])
    fields: dict[FieldPath, Field] = {}
    for name, chosen, _ in sheet.defaults:
        below = group.name + "/" + name
        if chosen is None and name in group.options:
            _put(fields, all_fields(group, name, groups).values())
        elif chosen is not None and below in groups and chosen in groups[below].options:
            inner = all_fields(groups[below], chosen, groups)
            _put(fields, [Field((name,), None, ""), *(replace(one, path=(name, *one.path)) for one in inner.values())])
    _put(fields, sheet.fields)
    return fields


def _put(fields: dict[FieldPath, Field], found: Iterable[Field]) -> None:
    """Add fields; one that is there already keeps its comment where the later one has none."""
    for later in found:
        earlier = fields.get(later.path)
        fields[later.path] = replace(later, comment=later.comment or (earlier.comment if earlier else ""))


def _head(lines: Sequence[str]) -> int:
    """Return how many lines the first comment has."""
    return next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))


def _paragraphs(lines: Sequence[str]) -> Iterator[str]:
    told: list[str] = []
    for line in lines:
        words = line.lstrip("#").strip()
        if words.startswith(COMMAND):
            yield from [" ".join(told)] if told else []
            told = []
            yield words
        elif not words.startswith("@package"):
            told.append(words)
    yield from [" ".join(told)] if told else []


def _comment(lines: Sequence[str], number: int, head: int) -> str:
    """Return the comment on what begins in a line: the lines above it, or what stands behind it."""
    above = number
    while above > head and lines[above - 1].lstrip().startswith("#"):
        above -= 1
    told = [line.strip().lstrip("#").strip() for line in lines[above:number]]
    behind = _BEHIND.search(lines[number])
    return " ".join([*told, *([behind[1]] if behind else [])])


def _fields(node: yaml.MappingNode, path: FieldPath, comments: Mapping[int, str], text: str) -> Iterator[Field]:
    for key, value in node.value:
        here = (*path, str(key.value))
        if here == ("defaults",):
            continue
        comment = comments[key.start_mark.line]
        if isinstance(value, yaml.MappingNode) and value.value and not value.flow_style:
            yield Field(here, None, comment)
            yield from _fields(value, here, comments, text)
        else:
            yield Field(here, text[value.start_mark.index : value.end_mark.index].strip(), comment)


def _choices(node: yaml.Node, comments: Mapping[int, str]) -> Iterator[tuple[str, str | None, str]]:
    for item in node.value:
        if isinstance(item, yaml.MappingNode):
            for key, value in item.value:
                yield str(key.value), str(value.value), comments[key.start_mark.line]
        else:
            yield str(item.value), None, ""
