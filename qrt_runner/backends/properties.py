"""Reads what a backend tells of a qubit or a gate, in seconds and hertz; knows the standard library only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Told = dict[str, float]
"""Properties by name: in seconds, in hertz, or without a unit."""

_PREFIXES: Final = {"": 1.0, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "n": 1e-9, "p": 1e-12, "k": 1e3, "M": 1e6, "G": 1e9}
_UNITS: Final = {f"{prefix}{unit}": factor for prefix, factor in _PREFIXES.items() for unit in ("s", "Hz")}


def by_name(properties: Iterable[Mapping[str, Any]]) -> Told:
    """Return properties by their names.

    Raises:
        KeyError: Where one has no name, no value, or a unit that is neither of time nor of frequency.
    """
    return {one["name"]: float(one["value"]) * _factor(one.get("unit")) for one in properties}


def _factor(unit: str | None) -> float:
    return _UNITS[unit] if unit else 1.0
