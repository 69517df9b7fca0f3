"""Looks up what a recorded run tells of its backend, while a config is composed; knows omegaconf.

The config then holds it: whoever has the config needs neither the run nor its folder any more, and a config that asks
for another calibration is another config.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from omegaconf import OmegaConf

from qrt_runner.errors import ConfigError, refuse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from omegaconf import DictConfig

    from qrt_runner.tracking import KeptRun, Record

_PATH: Final = "backend.run"
_FILE: Final = "calibration.json"
_RECORDED: Final = f"a {_FILE} as runs record it"
_OTHER: Final = f"{_PATH}=<id of another run>"
_NEEDED: Final = (
    "T1",
    "T2",
    "frequency",
    "readout_error",
    "readout_length",
    "prob_meas0_prep1",
    "prob_meas1_prep0",
    "gate_error",
    "gate_length",
)
"""Properties of which a simulator is made."""


def recorded(run_path: str, journal_path: str, *, _root_: DictConfig) -> str:
    """Return the calibration of a recorded run, as JSON, and whose it is.

    Nothing where no run is named, which is told elsewhere.

    Args:
        run_path: Where the config names the run.
        journal_path: Where it names the journal's folder.
        _root_: The config, which omegaconf gives to resolvers.

    Raises:
        ConfigError: Where there is no such run, or it has no calibration.
        JournalError: Where only the journal knows it, and cannot be read.
    """
    wanted, journal = (OmegaConf.select(_root_, path) for path in (run_path, journal_path))
    if wanted in (None, ""):
        return ""
    from qrt_runner.tracking import merged_calibration

    try:
        run, found = _found(str(wanted), Path(str(journal)))
        names = sorted({str(one.get("backend")) for one in found})
        if len(names) > 1:
            given, remedy = f"{wanted}, a run on {', '.join(names)}", f"{_PATH}=<{_FILE} of one of its tasks>"
            raise refuse(_PATH, given, "a run on one backend", remedy)
        return json.dumps({"run": run, **_needed(merged_calibration(found))}, separators=(",", ":"))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        given = f"{wanted}, whose calibration cannot be read ({type(error).__name__}: {error})"
        raise refuse(_PATH, given, _RECORDED, _OTHER) from error


def _found(wanted: str, journal: Path) -> tuple[str, list[dict[str, Any]]]:
    """Return the id of a run, or the file that is meant, and its calibrations, at least one."""
    for file in (Path(wanted), Path(wanted) / _FILE):
        if file.is_file():
            return str(file), [_read(file)]
    run, found = _kept(wanted) or (wanted, _planned(wanted, journal))
    if not found:
        given = f"{wanted}, a run without a calibration"
        raise refuse(_PATH, given, "a run on a device, or on a simulator of one", "backend=aer, which has no noise")
    return run, found


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
        told = "it holds no mapping"
    except (OSError, ValueError) as error:
        told = str(error)
    raise refuse(_PATH, f"{file}, which is not a calibration ({told})", _RECORDED, _OTHER)


def _kept(wanted: str) -> tuple[str, list[dict[str, Any]]] | None:
    """Return a run and what is kept among its results; None where there are none.

    The latest is that of a backend in its own right: the same command means the same when it is given again.
    """
    from qrt_runner.tracking import calibrations_of, find_kept, kept_runs

    if wanted == "latest":
        for run in reversed(kept_runs()):
            records = (record for record in _records(run) if record.params.get("backend.kind") != "snapshot")
            if found := calibrations_of(records):
                return run.id, found
        return None
    try:
        kept = find_kept(wanted)
        return kept.id, calibrations_of(kept.records())
    except ConfigError:
        return None


def _records(run: KeptRun) -> list[Record]:
    """Return what is kept of a run's tasks; where some of it is gone, that is told of `backend.run`."""
    try:
        return list(run.records())
    except ConfigError as error:
        raise ConfigError(replace(mistake, path=_PATH) for mistake in error.mistakes) from error


def _planned(wanted: str, folder: Path) -> list[dict[str, Any]]:
    """Return what the journal has of a run, which may have no results yet."""
    from qrt_runner.journal import Journal

    if wanted == "latest" or not (folder / "journal.db").is_file():
        raise _unknown(wanted)
    with Journal(folder) as journal:
        try:
            run = journal.run(wanted)
        except ConfigError:
            raise _unknown(wanted) from None
        parts = journal.plan(run)
    from qrt_runner.plan import stored_calibrations

    return stored_calibrations(parts)


def _unknown(wanted: str) -> ConfigError:
    from qrt_runner.tracking import kept_runs

    known = ", ".join(run.id for run in kept_runs()[-5:]) or "none in outputs/ and multirun/"
    given = "latest, and there is no run with a calibration" if wanted == "latest" else wanted
    allowed = f"latest, the id or folder of a recorded run ({known}), or a {_FILE}"
    return refuse(_PATH, given, allowed, "action=status run=all shows them")


def _needed(calibration: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a simulator is made of."""
    qubits = {qubit: _properties(told) for qubit, told in calibration["qubits"].items()}
    gates = [
        {"qubits": gate["qubits"], "gate": gate["gate"], "parameters": _properties(gate["parameters"])}
        for gate in calibration["gates"]
    ]
    return {**calibration, "qubits": qubits, "gates": gates}


def _properties(told: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {name: one[name] for name in ("name", "unit", "value") if name in one} for one in told if one["name"] in _NEEDED
    ]
