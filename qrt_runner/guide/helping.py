"""Writes the help pages: the main one, and those of a group, an option or a field; knows the modules beside it."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final

from qrt_runner.commands import WIDTH, command_lines
from qrt_runner.errors import refuse
from qrt_runner.guide.entries import entries_of
from qrt_runner.guide.groups import EXPERIMENT, Group, groups_in, own_and_shipped
from qrt_runner.guide.knowing import is_open, known_of
from qrt_runner.guide.paper import Paper, wrapped
from qrt_runner.guide.sheets import COMMAND, Sheet, sheet_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from qrt_runner.guide.entries import Entry

_COLUMN: Final = 20
_CONFIG: Final = "config.yaml"
_WITH_VALUE: Final = (("--config-name", "-cn"), ("--config-path", "-cp"), ("--cfg", "-c"), ("--package", "-p"))
"""Hydra's flags that have a value, which is nothing to be told of."""


def help_page(arguments: Sequence[str], *, colour: bool = False) -> str:
    """Return the page that tells of the groups, options and fields among the words; of none, the main page.

    Args:
        arguments: A command line, such as `circuit`, `circuit=ghz`, `mode.shots` or `budget`, with or without `--help`.
        colour: Whether headings are bold.

    Raises:
        ConfigError: Where there is no such thing, with what there is.
    """
    flags = ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    flags.add_argument("--config-dir", "-cd")
    for flag in _WITH_VALUE:
        flags.add_argument(*flag)
    known, words = flags.parse_known_args(list(arguments))
    first = [Path(known.config_dir)] if known.config_dir else []
    book = _Book([*first, *own_and_shipped()], Paper(colour))
    pages = [book.page(word.lstrip("+~")) for word in words if not word.startswith("-")] or [book.front()]
    return "\n".join(line for page in pages for line in [*page, ""]).rstrip() + "\n"


def top_fields(places: Sequence[Path]) -> list[str]:
    """Return the fields and sections of no group, as they are typed: `seed=` and `budget.`."""
    book = _Book(places, Paper(colour=False))
    sections = {field.path[0] for field in book.sheet.fields if field.default is None}
    return [f"{name}." if name in sections else f"{name}=" for name in book.top]


@dataclass(frozen=True)
class _Book:
    """Lives for one command."""

    places: Sequence[Path]
    paper: Paper

    @cached_property
    def groups(self) -> dict[str, Group]:
        return groups_in(self.places)

    @cached_property
    def config(self) -> Path:
        return next(file for place in self.places if (file := place / _CONFIG).is_file())

    @cached_property
    def sheet(self) -> Sheet:
        found = sheet_of(self.config)
        return replace(found, fields=tuple(field for field in found.fields if field.path[0] != "hydra"))

    @property
    def choices(self) -> dict[str, tuple[str | None, str]]:
        """Of each group the option that is the default, and what the group decides."""
        return {name: (option, comment) for name, option, comment in self.sheet.defaults}

    @property
    def top(self) -> list[str]:
        """The fields and sections that belong to no group."""
        return [name for name in dict.fromkeys(field.path[0] for field in self.sheet.fields) if name not in self.groups]

    def front(self) -> list[str]:
        """Return the main page."""
        import yaml

        texts = (file.read_text(encoding="utf-8") for place in self.places if (file := place / _CONFIG).is_file())
        # A config of the user's own need not have the page in it.
        template = next(
            found["hydra"]["help"]["template"]
            for text in texts
            if "template" in ((found := yaml.safe_load(text) or {}).get("hydra") or {}).get("help", {})
        )
        order = {name: place for place, name in enumerate(self.choices)}
        ordered = sorted(self.groups.values(), key=lambda group: (order.get(group.path[0], len(order)), group.name))
        listed = [line for group in ordered for line in self._listed(group)]
        listed += ["", f"Fields of no group: {', '.join(self.top)}"]
        text = Template(template).safe_substitute(APP_CONFIG_GROUPS="\n".join(listed))
        return [line for given in text.splitlines() for line in _fitting(given)]

    def _listed(self, group: Group) -> list[str]:
        decides = self.choices.get(group.name, (None, ""))[1]
        options = ", ".join(group.options)
        told = [] if not decides else wrapped(options, _COLUMN)
        return [*self.paper.hung(f"{group.name}=", decides or options, _COLUMN), *told]

    def page(self, word: str) -> list[str]:
        """Return the page of a group, of one of its options, or of a field."""
        name, _, option = word.partition("=")
        if name in self.groups:
            group = self.groups[name]
            if not option:
                return list(self._group(group))
            if option not in group.options:
                raise _unknown(word, list(group.options), f"{name}=")
            return list(self._option(group, option))
        return list(self._field(name))

    def _group(self, group: Group) -> Iterator[str]:
        default, decides = self.choices.get(group.name, (None, ""))
        options = sorted(group.options, key=lambda option: option != default)
        yield from self._title(f"{group.name}=<option>", decides or known_of(group.path)[0])
        yield ""
        for option in options:
            name = f"{option} (default)" if option == default else option
            yield from self.paper.hung(name, sheet_of(group.options[option]).question, _COLUMN)
        entries = [] if group.name == EXPERIMENT else entries_of(group, options, self.groups, self.sheet)
        if entries:
            yield from ["", self.paper.bold("Fields")]
            yield from self._told(entry for entry in entries if not entry.inside)
        first = options[min(1, len(options) - 1)]
        yield from ["", *wrapped(f"All of one option: {COMMAND} --help {group.name}={first}")]
        commands = sheet_of(group.options[first]).commands
        yield from [line for command in commands[:1] for line in ["", "Example:", "", *command_lines(command)]]

    def _option(self, group: Group, option: str) -> Iterator[str]:
        sheet = sheet_of(group.options[option])
        yield self.paper.bold(f"{group.name}={option}")
        for words in sheet.head:
            yield from ["", *(command_lines(words) if words.startswith(COMMAND) else wrapped(words))]
        if group.name == EXPERIMENT:
            yield from ["", self.paper.bold("It sets"), *_settings(sheet)]
            return
        entries = entries_of(group, [option], self.groups, self.sheet)
        if entries:
            yield from ["", self.paper.bold("Fields")]
            yield from self._told(entries)

    def _field(self, name: str) -> Iterator[str]:
        """Tell of a field or a section: one of a group, whichever option it belongs to, or one of no group."""
        steps = name.split(".")
        group = self.groups.get(steps[0], Group(steps[0]))
        options = sorted(group.options, key=lambda option: option != self.choices.get(group.name, ("", ""))[0])
        all_entries = entries_of(group, options, self.groups, self.sheet)
        while steps and not (
            entries := [one for one in all_entries if f"{one.name}.".startswith(".".join([*steps, ""]))]
        ):
            if not is_open(steps[:-1]):
                names = [one.name for one in all_entries if not one.inside]
                raise _unknown(name, names or [*self.groups, *self.top], "")
            steps.pop()
        yield from self._title(".".join(steps), "")
        yield from self._told(entries)

    def _title(self, name: str, words: str) -> list[str]:
        return [self.paper.bold(name), *(["", *wrapped(words)] if words else [])]

    def _told(self, entries: Iterable[Entry]) -> Iterator[str]:
        for entry in entries:
            yield f"  {self.paper.bold(entry.shown)}"
            yield from [line for words in entry.words for line in wrapped(words, 6)]


def _settings(sheet: Sheet) -> Iterator[str]:
    """Give what a preset sets, as it would be typed."""
    for name, option, _ in sheet.defaults:
        if option is not None:
            yield f"  {name.removeprefix('override').strip().lstrip('/')}={option}"
    for field in sheet.fields:
        if field.default is not None:
            yield f"  {'.'.join(field.path)}={field.default}"


def _fitting(line: str) -> list[str]:
    """Return a line of the main page, carried over where it is long."""
    indent = len(line) - len(line.lstrip())
    if line.strip().startswith(COMMAND):
        return command_lines(line.strip(), indent)
    return wrapped(line.strip(), indent) if len(line) > WIDTH and "\033" not in line else [line]


def _unknown(word: str, allowed: Sequence[str], prefix: str) -> Exception:
    from qrt_runner.config import nearest

    meant = nearest(word.partition("=")[2] or word, allowed)
    remedy = f"did you mean --help {prefix}{meant}?" if meant else "--help alone lists all groups with their options"
    return refuse("--help", repr(word), ", ".join(allowed), remedy)
