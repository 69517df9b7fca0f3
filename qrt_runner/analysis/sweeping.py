"""What was measured against what was swept, read from the rows of a tidy table; knows numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Row = Mapping[str, Any]

_FIDELITY: Final = "hellinger"
"""What is drawn of counts without observables, where there is a reference."""


@dataclass(frozen=True)
class Swept:
    """One quantity at all points of a sweep, or at all parameter sets of a task."""

    quantity: str
    """Name of the observable, or `hellinger`."""

    at: Mapping[str, np.ndarray]
    """By the name of each number that was swept over: its values, shape (rows,)."""

    words: tuple[str, ...]
    """What else tells a row from the others, such as `mitigation=zne`; empty where nothing does."""

    values: np.ndarray
    """Shape (rows,)."""

    errors: np.ndarray
    """Standard errors, shape as of `values`; NaN where there are none."""

    ideal: np.ndarray
    """Shape as of `values`; NaN where none is known."""

    def rows(self, chosen: Sequence[int]) -> Swept:
        """Return some of the rows."""
        at = {name: values[chosen] for name, values in self.at.items()}
        words = tuple(self.words[row] for row in chosen)
        return Swept(self.quantity, at, words, self.values[chosen], self.errors[chosen], self.ideal[chosen])

    def by_words(self) -> dict[str, Swept]:
        """Return the rows by what tells them apart besides numbers, in the order in which they came."""
        return self._by(self.words)

    def along(self, name: str) -> dict[str, Swept]:
        """Return the rows by all that was swept over but one number and what follows from it, in their order."""
        others = [other for other in self.at if other != name and not self._follows(other, name)]
        return self._by([self._label(row, others) for row in range(len(self.words))])

    def _follows(self, other: str, name: str) -> bool:
        """Tell whether each value of one number goes with a single value of another, as in parameters zipped."""
        pairs = {*zip(self.at[name].tolist(), self.at[other].tolist(), strict=True)}
        return len(pairs) == len({*self.at[name].tolist()})

    def _label(self, row: int, others: Sequence[str]) -> str:
        numbers = [f"{short(other)}={self.at[other][row]:.6g}" for other in others]
        return ", ".join([*([self.words[row]] if self.words[row] else []), *numbers])

    def _by(self, labels: Sequence[str]) -> dict[str, Swept]:
        places: dict[str, list[int]] = {}
        for row, label in enumerate(labels):
            places.setdefault(label, []).append(row)
        return {label: self.rows(chosen) for label, chosen in places.items()}


def swept_of(rows: Sequence[Row], names: Sequence[str]) -> list[Swept]:
    """Return each quantity of a table against what varies; empty where no number does.

    Args:
        rows: Of a tidy table; those without the quantity, of failed points, are left out.
        names: Columns that may have been swept over. One that tells the same as another is left out.
    """
    column = "ev" if any("ev" in row for row in rows) else _FIDELITY
    measured = [row for row in rows if row.get(column) is not None]
    numbers, words = _varying(measured, names)
    if not numbers:
        return []
    quantities: dict[str, list[Row]] = {}
    for row in measured:
        quantities.setdefault(str(row.get("observable", _FIDELITY)), []).append(row)
    return [_swept(quantity, own, numbers, words) for quantity, own in quantities.items()]


def short(name: str) -> str:
    """Return the last part of a dotted name."""
    return name.rpartition(".")[2]


def _swept(quantity: str, rows: Sequence[Row], numbers: Sequence[str], words: Sequence[str]) -> Swept:
    column = "ev" if "observable" in rows[0] else _FIDELITY
    return Swept(
        quantity=quantity,
        at={name: _column(rows, name) for name in numbers},
        words=tuple(", ".join(_word(name, row) for name in words if row.get(name) is not None) for row in rows),
        values=_column(rows, column),
        errors=_column(rows, "std"),
        ideal=_column(rows, "ideal"),
    )


def _varying(rows: Sequence[Row], names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the columns of numbers and the columns of words that vary; of equal columns the one named first."""
    numbers: dict[tuple[Any, ...], str] = {}
    words: dict[tuple[Any, ...], str] = {}
    for name in dict.fromkeys([*names, "task"]):
        column = tuple(row.get(name) for row in rows)
        if len(set(map(str, column))) < 2:
            continue
        is_number = all(isinstance(value, int | float) and not isinstance(value, bool) for value in column)
        (numbers if is_number else words).setdefault(column, name)
    return [*numbers.values()], [*words.values()]


def _column(rows: Sequence[Row], name: str) -> np.ndarray:
    return np.array([np.nan if row.get(name) is None else float(row[name]) for row in rows])


def _word(name: str, row: Row) -> str:
    return str(row[name]) if name in ("task", "mitigation", "mode") else f"{short(name)}={row[name]}"
