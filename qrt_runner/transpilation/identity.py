"""The key of a lowered circuit: the hash of all that its transpiling depends on; knows qiskit."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import metadata
from typing import TYPE_CHECKING, Final

from qiskit import user_config

from qrt_runner.transpilation.canonical import Canon, digest

if TYPE_CHECKING:
    from uuid import UUID

    from qiskit import QuantumCircuit
    from qiskit.transpiler import Target

    from qrt_runner import config
    from qrt_runner.transpilation.canonical import Told

_FORMAT: Final = 1
"""Of entries and keys; raise it where either changes its meaning."""

_TAKING_PART: Final = ("qiskit", "qiskit-aer", "qiskit-ibm-runtime")
"""Packages with transpiler plugins or operations of their own."""


@dataclass(frozen=True)
class Identity:
    """What a lowered circuit is remembered by."""

    key: str
    """Equal in all processes for equal circuits, targets, options and versions."""

    names: tuple[UUID, ...]
    """Random identities in the circuit: those of two circuits with the same key correspond one by one."""


def identify(circuit: QuantumCircuit, target: Target, section: config.Transpile) -> Identity | None:
    """Return the identity of a lowered circuit.

    Returns:
        None where it is not to be remembered: a null seed asks for fresh randomness; and where not all that the
        circuit or the target holds can be told, equal keys would not mean equal circuits.
    """
    if section.seed is None:
        return None
    canon = Canon()
    try:
        told = (canon.circuit(circuit), _of_target(target), _options(section), tuple(versions().items()))
    except Exception:  # noqa: BLE001 - gates are anybody's code; what is wrong with them is told by transpiling
        return None
    return Identity(digest(told), canon.identities)


@cache
def versions() -> dict[str, str]:
    """Return the versions that an entry belongs to."""
    return {"format": str(_FORMAT), **{name: metadata.version(name) for name in _TAKING_PART}}


@lru_cache(maxsize=8)
def _of_target(target: Target) -> str:
    """Return the hash of a target's content, once for each object: the largest ones take tens of milliseconds."""
    return digest(Canon().target(target))


def _options(section: config.Transpile) -> Told:
    options = section.model_dump(exclude={"cache", "cache_limit_mib"})
    stages = (_stage("layout", section.layout_method), _stage("routing", section.routing_method))
    # Qiskit's own settings, of which one makes the number of Sabre's trials that of the cores.
    settings = sorted(user_config.get_config().items())
    all_threads = os.environ.get("QISKIT_SABRE_ALL_THREADS")
    return tuple(options.items()), stages, tuple(settings), all_threads and (all_threads, os.cpu_count())


def _stage(group: str, method: str | None) -> Told:
    """Return who provides a stage, which may be another package than those above, and in which version."""
    if method is None:
        return ()
    found = metadata.entry_points(group=f"qiskit.transpiler.{group}", name=method)
    return tuple((point.dist.name, point.dist.version) for point in found if point.dist is not None)
