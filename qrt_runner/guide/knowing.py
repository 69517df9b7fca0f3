"""What the sections know of a field: its meaning and the values that it takes; knows the config's own rules."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


@cache
def _schema() -> dict[str, Any]:
    from qrt_runner.config.parsing import Document

    return Document.model_json_schema()


def known_of(path: Sequence[str], kind: str | None = None) -> tuple[str, str]:
    """Return what a field means and which values it takes, each empty where the sections do not say.

    Args:
        path: The field, from the top of the config.
        kind: `kind` of its group, where sections of several kinds have such a field.
    """
    from qrt_runner.config.explaining import told_of

    return told_of(_schema(), path, {path[0]: {"kind": kind}} if kind else {})


def closed_values(path: Sequence[str]) -> list[str]:
    """Return the values of a field that takes no others, as typed; none where it takes more than can be listed.

    A kind goes with its option.
    """
    from qrt_runner.config.explaining import words_of

    return [] if path[-1] == "kind" else words_of(_schema(), path, {})


def is_open(path: Sequence[str]) -> bool:
    """Tell whether a field is a mapping of names that are not known beforehand."""
    from qrt_runner.config.explaining import is_open_mapping

    return is_open_mapping(_schema(), path)
