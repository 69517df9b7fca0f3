"""Asks other observables of what the estimator gave: its bits tell all that the measured bases cover; knows runtime.

The runtime keeps with the bits which observables were asked for and in which bases they were measured, and computes
from both when it reads them (qiskit-mitigation, `load_tasks_from_result`). Other observables are written in the place
of the first, so that all mitigation is done for them as it would have been.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit.quantum_info import Pauli

from qrt_runner.modes.raw_results import told_damage
from qrt_runner.modes.submission import in_column

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from qiskit.quantum_info import SparsePauliOp

    from qrt_runner.modes.raw_results import RawResult
    from qrt_runner.modes.submission import Pub

_CALIBRATION: Final = "trex"
"""Kind of the entry that is about the readout calibration of a job, and about no PUB."""

Entry = dict[str, Any]
"""What the runtime keeps of a PUB."""


@dataclass(frozen=True)
class Uncovered:
    """An observable that the measured bases do not tell."""

    pub: int
    name: str
    terms: tuple[str, ...]
    """Those of its Pauli strings that they do not tell, over the submitted circuit's qubits."""

    bases: tuple[str, ...]
    """What was measured, as such Pauli strings; none where no bits are kept."""


def observed(raw: RawResult, pubs: Sequence[Pub]) -> tuple[RawResult, list[Uncovered]]:
    """Return what the estimator gave as if the observables of these PUBs had been asked for.

    Args:
        raw: What it gave.
        pubs: Those that were submitted, with other observables.

    Returns:
        The result, and which observables it does not tell; where there are any, it cannot be read.

    Raises:
        JobError: Where it is damaged or was written by another version.
    """
    if raw.kind != "executor":
        return raw, [
            Uncovered(number, name, tuple(operator.paulis.to_labels()), ())
            for number, pub in enumerate(pubs)
            for name, operator in pub.observables.items()
        ]
    with told_damage(raw):
        text = json.loads(raw.content)
        told = text["passthrough_data"]["qiskit_mitigation"]
        entries = [entry for entry in told if entry["mitigation"] != _CALIBRATION]
        uncovered = [one for number, entry in enumerate(entries) for one in _rewritten(entry, number, pubs[number])]
    return replace(raw, content=json.dumps(text).encode()), uncovered


def _rewritten(entry: Entry, number: int, pub: Pub) -> Iterator[Uncovered]:
    """Write a PUB's observables into its entry, and give those that its bases do not cover."""
    entry["observables"] = ObservablesArray.coerce(in_column(pub)).tolist()
    if _uncovered(entry, pub.observables):
        # A qubit of which a basis says nothing was measured as it is, in Z (samplomatic, `MEAS_PAULI_BASIS`).
        entry["param_basis_pairs"] = [(index, basis.replace("I", "Z")) for index, basis in entry["param_basis_pairs"]]
    bases = tuple(dict.fromkeys(basis for _, basis in entry["param_basis_pairs"]))
    for name, terms in _uncovered(entry, pub.observables).items():
        yield Uncovered(number, name, terms, bases)


def _uncovered(entry: Entry, observables: Mapping[str, SparsePauliOp]) -> dict[str, tuple[str, ...]]:
    """Return the terms, by observable, that are in no basis which was measured with some parameter set."""
    by_set: dict[tuple[int, ...], list[str]] = {}
    for index, basis in entry["param_basis_pairs"]:
        by_set.setdefault(tuple(index), []).append(basis)
    measured = [[Pauli(basis) for basis in bases] for bases in {tuple(bases) for bases in by_set.values()}]
    found = {
        name: tuple(
            term.to_label() for term in operator.paulis if not all(_is_covered(term, bases) for bases in measured)
        )
        for name, operator in observables.items()
    }
    return {name: terms for name, terms in found.items() if terms}


def _is_covered(term: Pauli, bases: Sequence[Pauli]) -> bool:
    """Tell whether one of the bases has the term's letter on each qubit where that is not I."""
    acts = term.z | term.x
    return any((term.z == basis.z)[acts].all() and (term.x == basis.x)[acts].all() for basis in bases)
