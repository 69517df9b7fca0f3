"""Writes projection operators as the Pauli strings that they are sums of; knows the standard library only."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

PROJECTORS: Final = {"0": (1, "Z"), "1": (-1, "Z"), "+": (1, "X"), "-": (-1, "X"), "r": (1, "Y"), "l": (-1, "Y")}
"""Qiskit's letters for projectors: each is (I + P) / 2 or (I - P) / 2 of a Pauli P."""

_MOST_TERMS: Final = 16


def in_paulis(value: Any) -> str | None:
    """Return an observable with projectors as one without, as a config writes it; None where it has no projector.

    What has too many terms is told letter by letter.

    Args:
        value: A string of letters, or a mapping of such strings to coefficients.
    """
    terms: Mapping[Any, Any] = {value: 1.0} if isinstance(value, str) else value if isinstance(value, dict) else {}
    letters = [*"IXYZ", *PROJECTORS]
    if not terms or not all(isinstance(term, str) and term and set(term) <= set(letters) for term in terms):
        return None
    used = sorted({letter for term in terms for letter in term if letter in PROJECTORS})
    if not used:
        return None
    if not all(isinstance(weight, int | float) for weight in terms.values()) or _count(terms) > _MOST_TERMS:
        return ", ".join(_told(letter) for letter in used)
    return "{" + ", ".join(f"{term}: {weight:.12g}" for term, weight in _expanded(terms).items()) + "}"


def _told(letter: str) -> str:
    sign, pauli = PROJECTORS[letter]
    return f"{letter} is (I {'+' if sign > 0 else '-'} {pauli}) / 2"


def _count(terms: Mapping[str, Any]) -> int:
    return sum(2 ** sum(letter in PROJECTORS for letter in term) for term in terms)


def _expanded(terms: Mapping[str, float]) -> dict[str, float]:
    found: dict[str, float] = {}
    for term, weight in terms.items():
        for choice in product(*(_choices(letter) for letter in term)):
            label = "".join(pauli for pauli, _ in choice)
            factor = weight
            for _, share in choice:
                factor *= share
            found[label] = found.get(label, 0.0) + factor
    return {label: weight for label, weight in found.items() if weight}


def _choices(letter: str) -> list[tuple[str, float]]:
    if letter not in PROJECTORS:
        return [(letter, 1.0)]
    sign, pauli = PROJECTORS[letter]
    return [("I", 0.5), (pauli, sign * 0.5)]
