"""The table of all points as MLflow's UI shows it: what tells points apart and the numbers first; knows no MLflow."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Row = Mapping[str, Any]

_LAST: Final = ("task", "parameter_set", "state", "shots")
_MEASURED: Final = ("shots", "observable", "hellinger")
"""The first columns of what was measured; before them stands what was swept over."""


def shown_table(rows: Sequence[Row]) -> bytes:
    """Return rows as JSON of columns and lines, as MLflow logs tables; what is not finite is null."""
    names = shown_names(rows)
    data = [[_finite(row.get(name)) for name in names] for row in rows]
    return json.dumps({"columns": [*names.values()], "data": data}, default=str, allow_nan=False).encode()


def shown_names(rows: Sequence[Row]) -> dict[str, str]:
    """Return what each column is called, in the order in which they are shown.

    The UI takes a name with a point for a path into nested values, and shows nothing: what was swept over goes by its
    last word where that tells it apart. A column that another one repeats is left out.
    """
    names = dict.fromkeys(name for row in rows for name in row)
    lasts = [name.rpartition(".")[2] for name in names]
    called = {}
    for name in names:
        last = name.rpartition(".")[2]
        if last == name:
            called[name] = name
        elif last not in names:
            called[name] = last if lasts.count(last) == 1 else name.replace(".", "/")
        elif any(row.get(name) != row.get(last) for row in rows):
            called[name] = name.replace(".", "/")
    return dict(sorted(called.items(), key=lambda item: _rank(item[0])))


def swept_in(row: Row, rows: Sequence[Row]) -> dict[str, Any]:
    """Return what a row was swept to, and the parameters that vary, each once."""
    names = list(row)
    first = min((names.index(one) for one in _MEASURED if one in row), default=len(names))
    called = shown_names(rows)
    return {
        name: row[name]
        for name in names[:first]
        if name in called and name not in (*_LAST, "point") and len({str(one.get(name)) for one in rows}) > 1
    }


def _rank(name: str) -> int:
    """Return where a column stands: the point, what it was swept to, what was measured, the rest."""
    return 0 if name == "point" else 2 if name in _LAST else 1


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
