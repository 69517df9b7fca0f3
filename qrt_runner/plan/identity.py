"""Tells tasks and commands that ask for the same from others; knows configs and qiskit."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from qrt_runner.circuits.sources import find, is_too_large
from qrt_runner.config import File, fingerprint
from qrt_runner.errors import ConfigError
from qrt_runner.transpilation.canonical import Canon, digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from qiskit import QuantumCircuit

    from qrt_runner.circuits import LogicalCircuit
    from qrt_runner.config import Circuit
    from qrt_runner.plan.records import Plan
    from qrt_runner.results import Point


class Asked(NamedTuple):
    """What tells one task from others."""

    point: Point
    name: str
    logical: LogicalCircuit


def task_keys(plan: Plan) -> list[str]:
    """Return a key for each of the plan's tasks."""
    return keys_of(Asked(task.point, task.name, task.logical) for task in plan.tasks)


def keys_of(tasks: Iterable[Asked]) -> list[str]:
    """Return a key for each task.

    Keys are equal, in all processes, for tasks that ask for the same of circuits, parameter values and observables of
    the same content: a circuit file or a file of values may have been edited since. A circuit that cannot be told
    completely has a key of its own each time.
    """
    circuits, observables = _Told(_told_circuit), _Told(_told_observables)
    return [
        _task_key(task, circuits.of(task.logical.circuit), observables.of(task.logical.observables)) for task in tasks
    ]


def request_key(points: Iterable[Point], name: str) -> str:
    """Return a key that is equal for equal commands, before anything is compiled.

    Args:
        points: What is asked for, in order.
        name: Name of the MLflow experiment.
    """
    files: dict[str, str] = {}
    whole = hashlib.sha256(name.encode())
    for point in points:
        for task, asked in point.experiment.tasks.items():
            told = [point.index, task, fingerprint(point.experiment, task), *_files(asked.circuit, files)]
            whole.update(json.dumps(told).encode())
    return whole.hexdigest()


def circuit_key(circuit: QuantumCircuit) -> str | None:
    """Return the hash of a circuit, equal in all processes for equal ones; None where not all of it can be told."""
    try:
        return digest(Canon().circuit(circuit))
    except Exception:  # noqa: BLE001 - gates are anybody's code, and may raise anything where they are looked at
        return None


@dataclass
class _Told:
    """Remembers what was told of things that tasks share, by identity."""

    tell: Callable[[Any], Any]
    known: dict[int, tuple[Any, Any]] = field(default_factory=dict)

    def of(self, thing: Any) -> Any:
        """Return what is told of a thing, which is held beside, so that no other one gets its id."""
        if id(thing) not in self.known:
            self.known[id(thing)] = thing, self.tell(thing)
        return self.known[id(thing)][1]


def _task_key(task: Asked, circuit: str, observables: str) -> str:
    sets = task.logical.sets
    values = hashlib.sha256(sets.values.tobytes()).hexdigest()
    asked = fingerprint(task.point.experiment, task.name)
    told = [asked, circuit, sets.names, sets.values.shape, values, observables]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _told_circuit(circuit: QuantumCircuit) -> str:
    return circuit_key(circuit) or secrets.token_hex(32)


def _told_observables(observables: Any) -> str:
    """Tell observables in their order, which is that of the columns of the results."""
    told = [(name, one.paulis.to_labels(), one.coeffs.tobytes().hex()) for name, one in observables.items()]
    return digest(tuple((name, tuple(labels), weights) for name, labels, weights in told))


def _files(circuit: Circuit, known: dict[str, str]) -> list[str]:
    """Return the hashes of the files that a circuit section names."""
    forms = circuit.parameter_values.values()
    named = [("circuit", circuit.source), *(("values", form.file) for form in forms if isinstance(form, File))]
    return [_file(kind, name, known) for kind, name in named]


def _file(kind: str, name: str, known: dict[str, str]) -> str:
    key = f"{kind} {name}"
    if key not in known:
        try:
            known[key] = _content(find(name) if kind == "circuit" else Path(name), kind)
        except (ConfigError, OSError):
            # That there is no such file is told where it is opened.
            known[key] = ""
    return known[key]


def _content(file: Path, kind: str) -> str:
    """Return the hash of a file's content; nothing of a circuit file that will be refused for its size."""
    if kind == "circuit" and is_too_large(file):
        return ""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
