"""Finds what changed between two runs beside results: calibration, config, versions; knows the modules above it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from qrt_runner.backends.properties import by_name
from qrt_runner.config.secrets import leaves
from qrt_runner.tracking import calibrations_of, merged_calibration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from qrt_runner.backends.properties import Told
    from qrt_runner.tracking import Record

Matched = tuple["Record", "Record"]
"""The records of one task in two runs."""

_QUBIT: Final = (("T1", "µs", 1e6), ("T2", "µs", 1e6), ("readout_error", "", 1.0))
"""What is told of a qubit: name, unit, and how many of it make one of the unit that it is kept in."""

_MISREAD: Final = ("prob_meas1_prep0", "prob_meas0_prep1")
_TAGS: Final = ("backend", "session_kind", "mitigation_applied", "mitigation_ignored")
_SIZES: Final = ("circuit/", "isa/")
_UNTOLD: Final = ("backend.calibration",)
"""What stands in a config and is told elsewhere."""

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Change:
    """One thing that is not the same in two runs; None where a run has no such thing."""

    what: str
    first: Any
    second: Any
    unit: str = ""
    tasks: int = 0
    """For how many of the tasks it is so; 0 for what is no matter of tasks."""

    @property
    def relative(self) -> float | None:
        """The second less the first, in parts of the first; None where that is no number."""
        numbers = (self.first, self.second)
        if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in numbers) or not self.first:
            return None
        return float((self.second - self.first) / self.first)


@dataclass(frozen=True)
class Drift:
    """What changed of the qubits that two runs used."""

    backends: tuple[str, str]
    dates: tuple[str, str]
    """Of the calibrations."""

    changes: tuple[Change, ...]
    same: int
    """How many of the properties are the same."""

    alone: tuple[tuple[str, ...], tuple[str, ...]]
    """Qubits that only one of them used."""

    recorded: tuple[bool, bool] = (True, True)
    """Whether the runs recorded a calibration; where one of them did not, nothing is compared."""


def drifts(tasks: Sequence[Matched]) -> list[Drift]:
    """Return what changed of the calibration, for each pair of backends of which at least one has any."""
    together: dict[tuple[str, str], list[Matched]] = {}
    for pair in tasks:
        together.setdefault((pair[0].tags["qrt.backend"], pair[1].tags["qrt.backend"]), []).append(pair)
    found = []
    for backends, pairs in together.items():
        first, second = (calibrations_of(pair[side] for pair in pairs) for side in (0, 1))
        if first and second:
            found.append(_drift(backends, merged_calibration(first), merged_calibration(second)))
        elif first or second:
            dates = [_date(merged_calibration(one)) if one else "" for one in (first, second)]
            found.append(Drift(backends, (dates[0], dates[1]), (), 0, ((), ()), (bool(first), bool(second))))
    return found


def config_changes(tasks: Sequence[Matched]) -> list[Change]:
    """Return in what the configs of tasks differ, and what came of them: backend, mitigation, sizes of circuits."""
    known: dict[bytes, dict[str, Any]] = {}
    counted: Counter[tuple[str, str, str]] = Counter()
    for pair in tasks:
        first, second = (_facts(record, known) for record in pair)
        counted.update((name, json.dumps(one), json.dumps(other)) for name, one, other in _differing(first, second))
    return [
        Change(name, json.loads(first), json.loads(second), tasks=count)
        for (name, first, second), count in counted.items()
    ]


def version_changes(first: Iterable[Record], second: Iterable[Record]) -> list[Change]:
    """Return which versions of what computes and records differ, and the git states."""
    ours, theirs = (_environment(records) for records in (first, second))
    return [Change(name, one, other) for name, one, other in _differing(ours, theirs)]


def _drift(backends: tuple[str, str], first: Mapping[str, Any], second: Mapping[str, Any]) -> Drift:
    ours, theirs = properties_of(first), properties_of(second)
    both = [name for name in ours if name in theirs]
    changes = tuple(
        Change(name, ours[name][0], theirs[name][0], ours[name][1]) for name in both if ours[name] != theirs[name]
    )
    dates = _date(first), _date(second)
    only = [sorted(one["qubits"].keys() - other["qubits"].keys(), key=int) for one, other in _either(first, second)]
    return Drift(backends, dates, changes, len(both) - len(changes), (tuple(only[0]), tuple(only[1])))


def _date(calibration: Mapping[str, Any]) -> str:
    return str(calibration.get("last_update") or "at a time not told")


def _either(first: Any, second: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    return (first, second), (second, first)


def properties_of(calibration: Mapping[str, Any]) -> dict[str, tuple[float, str]]:
    """Return value and unit of what is compared, by qubit or gate and name."""
    found: dict[str, tuple[float, str]] = {}
    for qubit, properties in calibration["qubits"].items():
        told = _with_readout(by_name(properties))
        found |= {
            f"{name} of qubit {qubit}": (told[name] * times, unit) for name, unit, times in _QUBIT if name in told
        }
    for gate in calibration["gates"]:
        error = by_name(gate["parameters"]).get("gate_error")
        if len(gate["qubits"]) == 2 and error is not None:
            found[f"error of {gate['gate']} on {gate['qubits'][0]}, {gate['qubits'][1]}"] = error, ""
    return found


def _with_readout(told: Told) -> Told:
    """Return properties with a readout error: where it is not told, the mean of the two ways to misread."""
    if "readout_error" in told or not told.keys() >= set(_MISREAD):
        return told
    return {**told, "readout_error": sum(told[name] for name in _MISREAD) / 2}


def _facts(record: Record, known: dict[bytes, dict[str, Any]]) -> dict[str, Any]:
    """Return what a task was asked for, by config path, and what came of it."""
    text = record.artifacts.get("config.yaml", b"")
    if text not in known:
        # What our own command has composed and written.
        config = yaml.load(text, Loader=_LOADER) or {}  # noqa: S506 - a safe loader, the fast one where there is one
        known[text] = {path: value for path, value in leaves(config) if path not in _UNTOLD}
    sizes = {metric.key: metric.value for metric in record.metrics if metric.key.startswith(_SIZES)}
    tags = {f"qrt.{name}": record.tags.get(f"qrt.{name}") for name in _TAGS}
    return {**known[text], **tags, **sizes}


def _environment(records: Iterable[Record]) -> dict[str, Any]:
    """Return the versions that records were made with: of the first that tells them."""
    texts = (record.artifacts[name] for record in records if (name := "environment.json") in record.artifacts)
    told = json.loads(next(texts, b"{}"))
    return {path: value for path, value in leaves(told) if path != "seed"}


def _differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in dict.fromkeys([*first, *second]):
        if first.get(name) != second.get(name):
            yield name, first.get(name), second.get(name)
