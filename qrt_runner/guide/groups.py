"""Finds the groups of the config and their options, the user's own first; knows the standard library."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qrt_runner import SHIPPED

if TYPE_CHECKING:
    from collections.abc import Sequence

EXPERIMENT: Final = "experiment"
_PRESET: Final = "# @package _global_"
"""First line of a file that sets several groups, in whichever folder below its group it lies."""


@dataclass(frozen=True)
class Group:
    """A group, such as `circuit` or `backend/limits`, and its options."""

    name: str
    options: dict[str, Path] = field(default_factory=dict)
    """The file of each, by what is typed behind the `=`, in alphabetical order."""

    @property
    def path(self) -> tuple[str, ...]:
        """Where its options stand in the config."""
        return tuple(self.name.split("/"))


def own_and_shipped() -> list[Path]:
    """Return the folders of configs, the one that wins first."""
    return [folder for folder in (Path("conf"), SHIPPED / "conf") if folder.is_dir()]


def groups_in(places: Sequence[Path]) -> dict[str, Group]:
    """Return all groups by name, in alphabetical order."""
    found: dict[str, dict[str, Path]] = {}
    for place in places:
        for file in place.glob("*/**/*.yaml"):
            group, option = _named(file.relative_to(place).with_suffix(""), file)
            found.setdefault(group, {}).setdefault(option, file)
    return {name: Group(name, dict(sorted(options.items()))) for name, options in sorted(found.items())}


def _named(path: Path, file: Path) -> tuple[str, str]:
    """Return the group and the option that a file is: a preset is an option of the topmost folder's group."""
    if len(path.parts) > 2:
        with file.open(encoding="utf-8") as stream:
            if stream.readline().strip() == _PRESET:
                return path.parts[0], "/".join(path.parts[1:])
    return path.parent.as_posix(), path.name
