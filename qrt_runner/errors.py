"""The exception tree; knows the standard library only.

QrtError                  exit 1   everything a user can meet
 ├── ConfigError          exit 2   the config is wrong; holds every mistake found
 │    └── CircuitError    exit 2   a circuit cannot be loaded or bound; in a sweep its point fails alone
 ├── AccessError          exit 3   an account or a backend refused
 ├── JobError             exit 1   a job failed, its points fail with it
 ├── JournalError         exit 1   the journal on disk cannot be read or written
 └── TrackingError        exit 1   MLflow could not be reached; the results are kept on disk
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Mistake:
    """One thing wrong with a config, in the words of the person who wrote it."""

    path: str
    """The config path as the user types it, such as `mode.shots`."""

    given: str
    """What was given, never a secret."""

    allowed: str
    """What would have been right."""

    remedy: str
    """What to type instead."""

    def __str__(self) -> str:
        """One line: path, given, allowed, remedy."""
        return f"{self.path}: given {self.given}; allowed: {self.allowed}; remedy: {self.remedy}"

    def below(self, prefix: str) -> Mistake:
        """Return the same mistake with `prefix` in front of its path."""
        return Mistake(prefix + self.path, self.given, self.allowed, self.remedy)


class QrtError(Exception):
    """Something a user can meet, told in one clean message."""

    exit_code: ClassVar[int] = 1


class ConfigError(QrtError):
    """The config is wrong; nothing was run."""

    exit_code = 2

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        """Keep every mistake once, in the order found."""
        self.mistakes = tuple(dict.fromkeys(mistakes))
        super().__init__(self._told())

    def _told(self) -> str:
        count = len(self.mistakes)
        head = "The config has 1 mistake" if count == 1 else f"The config has {count} mistakes"
        return "\n".join([f"{head}; nothing was run.", *(f"  {mistake}" for mistake in self.mistakes)])


class CircuitError(ConfigError):
    """A circuit cannot be loaded, or its parameters cannot be bound; in a sweep its point fails alone, with exit 1."""


class AccessError(QrtError):
    """An account or a backend refused, or could not be reached."""

    exit_code = 3


class JobError(QrtError):
    """A job failed, and its points with it."""


class JournalError(QrtError):
    """The journal on disk cannot be read or written; the message says where, why, and what can be done."""


class TrackingError(QrtError):
    """MLflow could not be reached; the results are kept on disk and the message says how to log them."""


def refuse(path: str, given: object, allowed: str, remedy: str) -> ConfigError:
    """Return the error for a single mistake; `given` is shown as Python shows it unless it is already text."""
    return ConfigError([Mistake(path, given if isinstance(given, str) else repr(given), allowed, remedy)])
