"""What twins gave, as a few long arrays; knows numpy and results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qrt_runner.plan.flat import apart, cut, flat, table
from qrt_runner.results import Counts, Expectations, Twin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qrt_runner.plan.shared import Shared


def of_twins(twins: Sequence[Twin | None], texts: Shared[tuple[str, ...]]) -> dict[str, np.ndarray]:
    """Return the numbers of the twins of tasks; nothing where there is none.

    Args:
        twins: Of each task.
        texts: Where outcomes, and names of observables and registers, are kept.
    """
    told = [(number, one.expectations) for number, one in enumerate(twins) if one and one.counts is None]
    values = [(number, one) for number, one in told if one is not None]
    counted = [(number, one.counts) for number, one in enumerate(twins) if one and one.counts is not None]
    if not values and not counted:
        return {}
    joint = [(number, one) for number, counts in counted for one in counts.joint]
    registers = [(number, *_written(counts.registers, texts)) for number, counts in counted]
    return {
        **flat("twin_values", [one.values for _, one in values]),
        **flat("twin_errors", [one.errors for _, one in values]),
        "twin_of": table([(number, texts.number(one.names, one.names)) for number, one in values], 2),
        "twin_counts": np.array([count for _, one in joint for count in one.values()], dtype=int),
        "twin_outcomes": table([(number, texts.number(tuple(one), tuple(one))) for number, one in joint], 2),
        "twin_registers": table(registers, 3),
    }


def twins_in(arrays: Mapping[str, np.ndarray], texts: Sequence[Sequence[str]]) -> dict[int, Twin]:
    """Return the twins that the arrays hold, by their tasks."""
    if "twin_of" not in arrays:
        return {}
    pairs = zip(arrays["twin_of"].tolist(), apart("twin_values", arrays), apart("twin_errors", arrays), strict=True)
    found = {
        task: Twin(expectations=Expectations(tuple(texts[names]), values, errors))
        for (task, names), values, errors in pairs
    }
    outcomes = arrays["twin_outcomes"].tolist()
    pieces = cut(arrays["twin_counts"], np.array([len(texts[names]) for _, names in outcomes], dtype=int))
    joint: dict[int, list[dict[str, int]]] = {}
    for (task, names), counts in zip(outcomes, pieces, strict=True):
        joint.setdefault(task, []).append(dict(zip(texts[names], counts.tolist(), strict=True)))
    for task, names, widths in arrays["twin_registers"].tolist():
        registers = zip(texts[names], map(int, texts[widths]), strict=True)
        found[task] = Twin(counts=Counts(tuple(registers), tuple(joint[task])))
    return found


def _written(registers: Sequence[tuple[str, int]], texts: Shared[tuple[str, ...]]) -> tuple[int, int]:
    names, widths = tuple(name for name, _ in registers), tuple(str(width) for _, width in registers)
    return texts.number(names, names), texts.number(widths, widths)
