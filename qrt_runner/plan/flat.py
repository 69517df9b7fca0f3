"""Many little arrays as one long one, and apart again; knows numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def flat(name: str, arrays: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Return many arrays of two axes as one, and their shapes beside it."""
    return {name: whole(arrays, float), f"{name}_shapes": table([array.shape for array in arrays], 2)}


def apart(name: str, arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Return the arrays that `flat` wrote."""
    shapes = arrays[f"{name}_shapes"]
    pieces = cut(arrays[name], shapes.prod(axis=1))
    return [piece.reshape(shape) for piece, shape in zip(pieces, shapes.tolist(), strict=True)]


def whole(arrays: Sequence[np.ndarray], kind: type) -> np.ndarray:
    """Return all numbers of some arrays, one array after the other."""
    return np.concatenate([array.ravel() for array in arrays]) if arrays else np.empty(0, dtype=kind)


def table(rows: Sequence[Sequence[int]], width: int) -> np.ndarray:
    """Return rows of whole numbers; there may be none."""
    return np.array(rows, dtype=int).reshape(len(rows), width)


def cut(flat: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    """Return an array's pieces of these lengths, side by side."""
    stops = np.cumsum(lengths).tolist()
    if len(flat) != (stops[-1] if stops else 0):
        msg = f"{len(flat)} numbers instead of {stops[-1:]}"
        raise ValueError(msg)
    return [flat[stop - length : stop] for stop, length in zip(stops, lengths.tolist(), strict=True)]
