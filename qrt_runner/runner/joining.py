"""Joins the parts of a task that came from several jobs; knows numpy and results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qrt_runner.results import Corrected, Counts, Expectations, PubResult

if TYPE_CHECKING:
    from collections.abc import Sequence

Part = tuple[np.ndarray, PubResult | None]
"""Indices of parameter sets, shape (sets here,), and what came of them: nothing where their job failed."""


def joined(parts: Sequence[Part]) -> tuple[PubResult | None, tuple[int, ...]]:
    """Return a task's results in the order of its parameter sets, and the sets of which there is no result.

    Of such a set counts are empty and numbers are NaN. Where there is no result at all, the first return is None.
    """
    (sets, first), *others = parts
    if not others and first is not None and (np.diff(sets) > 0).all():
        return first, ()
    there = [(sets, pub) for sets, pub in parts if pub is not None]
    missing = sorted(int(index) for sets, pub in parts if pub is None for index in sets)
    if not there:
        return None, tuple(missing)
    total = sum(len(sets) for sets, _ in parts)
    found = PubResult(_counts(there, total), _expectations(there, total), _corrected(there, total))
    return found, tuple(missing)


def _counts(parts: Sequence[tuple[np.ndarray, PubResult]], total: int) -> Counts | None:
    found = [(sets, pub.counts) for sets, pub in parts if pub.counts is not None]
    if not found:
        return None
    joint = {int(index): row for sets, counts in found for index, row in zip(sets, counts.joint, strict=True)}
    return Counts(found[0][1].registers, tuple(joint.get(index, {}) for index in range(total)))


def _expectations(parts: Sequence[tuple[np.ndarray, PubResult]], total: int) -> Expectations | None:
    found = [(sets, pub.expectations) for sets, pub in parts if pub.expectations is not None]
    if not found:
        return None
    first = found[0][1]
    details = {
        name: _array([(sets, one.details[name]) for sets, one in found], total)
        for name in first.details
        if all(name in one.details for _, one in found)
    }
    values = _array([(sets, one.values) for sets, one in found], total)
    errors = _array([(sets, one.errors) for sets, one in found], total)
    return Expectations(first.names, values, errors, details)


def _corrected(parts: Sequence[tuple[np.ndarray, PubResult]], total: int) -> Corrected | None:
    found = [(sets, pub.corrected) for sets, pub in parts if pub.corrected is not None]
    if len(found) < len(parts):
        return None
    quasi = {int(index): row for sets, one in found for index, row in zip(sets, one.quasi, strict=True)}
    nearest = {int(index): row for sets, one in found for index, row in zip(sets, one.probabilities, strict=True)}
    uncorrected = _expectations([(sets, PubResult(expectations=one.uncorrected)) for sets, one in found], total)
    assert uncorrected is not None
    return Corrected(
        tuple(quasi.get(index, {}) for index in range(total)),
        tuple(nearest.get(index, {}) for index in range(total)),
        _array([(sets, one.overhead) for sets, one in found], total),
        uncorrected,
    )


def _array(parts: Sequence[tuple[np.ndarray, np.ndarray]], total: int) -> np.ndarray:
    whole = np.full((total, *parts[0][1].shape[1:]), np.nan)
    for sets, array in parts:
        whole[sets] = array
    return whole


def rows_of(pub: PubResult, rows: np.ndarray) -> PubResult:
    """Return some parameter sets of a PUB."""
    counts, corrected = pub.counts, pub.corrected
    return PubResult(
        Counts(counts.registers, tuple(counts.joint[row] for row in rows)) if counts is not None else None,
        _expectations_of(pub.expectations, rows) if pub.expectations is not None else None,
        Corrected(
            tuple(corrected.quasi[row] for row in rows),
            tuple(corrected.probabilities[row] for row in rows),
            corrected.overhead[rows],
            _expectations_of(corrected.uncorrected, rows),
        )
        if corrected is not None
        else None,
    )


def _expectations_of(found: Expectations, rows: np.ndarray) -> Expectations:
    details = {name: array[rows] for name, array in found.details.items()}
    return Expectations(found.names, found.values[rows], found.errors[rows], details)
