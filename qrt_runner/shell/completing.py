"""Completes a command line: groups and options by conf/, fields by what Hydra composes; knows the modules above.

Hydra's scripts do not complete `python -m` (its issue 1957), and its plugin takes `-m` there for a multirun, so the
scripts, and what is left of a line when the program's name is off, are ours. The words after `-sc` are Hydra's.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qrt_runner.errors import refuse
from qrt_runner.guide import EXPERIMENT, Group, closed_values, groups_in, own_and_shipped, top_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_SCRIPTS: Final = {"bash": "bash.sh", "zsh": "zsh.sh", "fish": "fish.fish"}
_UNINSTALL: Final = {
    "bash": "complete -r qrt-runner python python3\n"
    '[[ -z $_qrt_runner_other_python ]] || complete -F "$_qrt_runner_other_python" python python3\n',
    "zsh": "compdef -d qrt-runner; compdef _python python python3\n",
    "fish": "complete -e -c qrt-runner; function __qrt_runner_is_module; false; end\n",
}
_FLAGS: Final = ("--help", "--multirun", "--cfg", "--config-dir", "--info", "--hydra-help", "--shell-completion")
_FILES: Final = (".", "/", "~")
"""Begins of a value that is a path, which the shell completes by itself."""


def complete(arguments: Sequence[str]) -> int:
    """Carry out `-sc install=bash`, `-sc uninstall=bash` or `-sc query=bash`; a query never fails, it finds nothing.

    Raises:
        ConfigError: Where the words after `-sc` are others.
    """
    words = [word for word in arguments if not word.startswith("-")]
    what, _, shell = (words[0] if words else "").partition("=")
    if what not in ("install", "uninstall", "query") or shell not in _SCRIPTS or len(words) > 1:
        allowed = f"install, uninstall or query, each with one of {', '.join(_SCRIPTS)}"
        raise refuse("--shell-completion", repr(" ".join(words)), allowed, "-sc install=bash")
    if what == "install":
        sys.stdout.write((Path(__file__).parent / "scripts" / _SCRIPTS[shell]).read_text(encoding="utf-8"))
    elif what == "uninstall":
        sys.stdout.write(_UNINSTALL[shell])
    else:
        found = completions(os.environ.get("COMP_LINE", ""))
        sys.stdout.write("".join(f"{word}\n" for word in found))
    return 0


def completions(line: str) -> list[str]:
    """Return what the last word of a command line, up to the cursor, may become."""
    words, word = _words(line)
    if word.startswith("-"):
        return sorted(flag for flag in _FLAGS if flag.startswith(word))
    if words and words[-1] in ("--cfg", "-c"):
        return [what for what in ("all", "hydra", "job") if what.startswith(word)]
    sign = word[: len(word) - len(word.lstrip("+~"))]
    word = word[len(sign) :]
    groups = groups_in(own_and_shipped())
    key, equals, value = word.partition("=")
    if equals:
        found = _values(key, value, groups, words)
    elif {"--help", "-h"} & set(words):
        found = [*groups, *(f"{name}={option}" for name, group in groups.items() for option in group.options)]
    else:
        found = _keys(word, groups, words)
    return sorted({f"{sign}{item}" for item in found if item.startswith(word)})


def _words(line: str) -> tuple[list[str], str]:
    """Return the finished words of a command line without the program, and the one that is not finished."""
    try:
        words = shlex.split(line)
    except ValueError:  # a quote is still open
        words = line.split()
    last = words.pop() if words and not line.endswith((" ", "\t")) else ""
    is_python = bool(words) and Path(words[0]).name.startswith("python")
    return words[3:] if is_python else words[1:], last


def _keys(word: str, groups: Mapping[str, Group], words: Sequence[str]) -> list[str]:
    """Return groups, each with the `=` that an option follows, and fields; `.` stands behind what has fields inside."""
    if word.startswith("hydra") or "." in word:
        return _fields(word, groups, words)
    chosen = [f"{name}=" for name in groups if "/" not in name or word.startswith(name.partition("/")[0] + "/")]
    sections = [f"{name}." for name in groups if "/" not in name and name != EXPERIMENT]
    return [*chosen, *sections, *top_fields(own_and_shipped())]


def _values(key: str, value: str, groups: Mapping[str, Group], words: Sequence[str]) -> list[str]:
    """Return options of a group, also behind a comma of a sweep; else the values of a field, or the one that it has."""
    group = groups.get(key.partition("@")[0])
    if group is not None:
        before, comma, _ = value.rpartition(",")
        taken = before.split(",")
        return [f"{key}={before}{comma}{option}" for option in group.options if option not in taken]
    if value.startswith(_FILES):
        return []
    if key.startswith("hydra"):
        return _fields(f"{key}={value}", groups, words)
    if closed := closed_values(key.split(".")):
        return [f"{key}={word}" for word in closed]
    return [] if value else _fields(f"{key}=", groups, words)


def _fields(word: str, groups: Mapping[str, Group], words: Iterable[str]) -> list[str]:
    """Return what Hydra completes, behind the words that decide which fields there are.

    Those are options, of a sweep the first one, and what is new.
    """
    from qrt_runner.launcher.hinting import fields_by_hydra

    chosen = [word.partition(",")[0] for word in words if word.partition("=")[0].partition("@")[0] in groups]
    new = [word for word in words if word.startswith("+") and len(word.split()) == 1]
    return fields_by_hydra(word, [*chosen, *new])
