"""Turns `circuit.parameter_values` into an array of parameter sets; knows qiskit and numpy."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qrt_runner.config import File, Linspace, Random, nearest
from qrt_runner.errors import ConfigError, Mistake, refuse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qiskit import QuantumCircuit

    from qrt_runner import config


@dataclass(frozen=True)
class ParameterSets:
    """Values of a circuit's free parameters."""

    names: tuple[str, ...]
    """In the order of `QuantumCircuit.parameters`; a projected circuit's moved angles follow what was asked for."""

    values: np.ndarray
    """Shape (parameter sets, parameters); one set of no parameters for a circuit without any."""

    def of(self, circuit: QuantumCircuit) -> np.ndarray:
        """Return the values of a circuit's parameters, chosen by name, shape (parameter sets, its parameters)."""
        return self.values[:, [self.names.index(parameter.name) for parameter in circuit.parameters]]


def parameter_sets(section: config.Circuit, circuit: QuantumCircuit, path: str = "circuit") -> ParameterSets:
    """Return the parameter sets that a circuit section asks for.

    Raises:
        ConfigError: Where a parameter has no value, a value no parameter, or lengths do not fit.
    """
    names = tuple(parameter.name for parameter in circuit.parameters)
    owners = _owners(circuit)
    _check_names(section, owners, f"{path}.parameter_values")
    blocks = {
        name: _block(form, owners[name], f"{path}.parameter_values.{name}")
        for name, form in section.parameter_values.items()
    }
    combined = _multiplied(blocks) if blocks and section.broadcast == "product" else _zipped(blocks, path)
    columns = {
        column: block[:, position] for name, block in combined.items() for position, column in enumerate(owners[name])
    }
    sets = max((len(column) for column in columns.values()), default=1)
    values = np.empty((sets, len(names)))
    for position, name in enumerate(names):
        values[:, position] = columns[name]
    return ParameterSets(names, values)


def _owners(circuit: QuantumCircuit) -> dict[str, tuple[str, ...]]:
    """Return what can be given a value: parameters and, under its bare name, each parameter vector's elements."""
    owners: dict[str, tuple[str, ...]] = {}
    for parameter in circuit.parameters:
        vector = getattr(parameter, "vector", None)
        key = vector.name if vector is not None else parameter.name
        owners[key] = (*owners.get(key, ()), parameter.name)
    return owners


def _check_names(section: config.Circuit, owners: Mapping[str, tuple[str, ...]], path: str) -> None:
    known = ", ".join(owners) or "nothing, the circuit has no free parameters"
    mistakes = [
        Mistake(f"{path}.{name}", "a value without a parameter", known, _rename(name, owners, path))
        for name in section.parameter_values
        if name not in owners
    ]
    mistakes += [
        Mistake(f"{path}.{name}", "nothing", "a value for each free parameter", f"'+{path}.{name}=0.5'")
        for name in owners
        if name not in section.parameter_values
    ]
    if mistakes:
        raise ConfigError(mistakes)


def _rename(name: str, owners: Mapping[str, tuple[str, ...]], path: str) -> str:
    meant = nearest(name, list(owners))
    return f"did you mean {path}.{meant}?" if meant else f"leave it out: '~{path}.{name}'"


def _block(form: config.Values, names: tuple[str, ...], path: str) -> np.ndarray:
    """Return the values of one parameter, or of one vector's elements by their names, shape (sets, elements)."""
    width = len(names)
    if isinstance(form, Linspace):
        start, stop, count = form.linspace
        if count != int(count) or count < 1:
            raise refuse(
                path, f"a count of {count}", "a whole number from 1", f"'{path}={{linspace: [{start}, {stop}, 50]}}'"
            )
        return np.repeat(np.linspace(start, stop, int(count))[:, None], width, axis=1)
    if isinstance(form, Random):
        wanted = form.random
        return np.random.default_rng(wanted.seed).uniform(wanted.low, wanted.high, (wanted.count, width))
    array = (
        _from_file(Path(form.file), f"{path}.file", names) if isinstance(form, File) else np.asarray(form, dtype=float)
    )
    if array.ndim == 0:
        return np.full((1, width), float(array))
    if array.ndim == 1:
        array = array[:, None] if width == 1 else array[None, :]
    if array.ndim != 2 or array.shape[1] != width:
        given = f"values of shape {array.shape}"
        raise refuse(path, given, f"{width} numbers per parameter set", f"give a list of lists of {width} numbers")
    return array


def _from_file(file: Path, path: str, names: tuple[str, ...]) -> np.ndarray:
    if not file.is_file():
        raise refuse(
            path, f"{str(file)!r}, which is no file", "a .npy or .csv file", "give the path of an existing file"
        )
    if file.suffix not in (".npy", ".csv"):
        raise refuse(path, str(file), "a file ending in .npy or .csv", "convert it with numpy.save")
    try:
        array = np.load(file, allow_pickle=False) if file.suffix == ".npy" else _from_csv(file, names)
        array = np.asarray(array, dtype=float)
    except (ValueError, EOFError, OSError, IndexError) as error:
        raise refuse(path, f"{file}, where: {error}", "numbers, one set a line", f"mend {file}") from error
    if not array.size or not np.isfinite(array).all():
        told = "a number that is not finite" if array.size else "no values"
        raise refuse(path, f"{file} with {told}", "finite numbers, at least one", f"mend {file}")
    return array


def _from_csv(file: Path, names: tuple[str, ...]) -> list[list[float]]:
    """Read a CSV file: with a header the columns that bear the elements' names, without one all columns."""
    with file.open(newline="", encoding="utf-8") as stream:
        lines = [line for line in csv.reader(stream) if line]
    header = [word.strip() for word in lines[0]] if lines and not _is_numeric(lines[0]) else None
    if header is None:
        return [[float(word) for word in line] for line in lines]
    lacking = [name for name in names if name not in header]
    if lacking:
        msg = f"no column is called {lacking[0]}, only {', '.join(header)}"
        raise ValueError(msg)
    return [[float(line[header.index(name)]) for name in names] for line in lines[1:]]


def _is_numeric(words: list[str]) -> bool:
    try:
        [float(word) for word in words]
    except ValueError:
        return False
    return True


def _zipped(blocks: Mapping[str, np.ndarray], path: str) -> dict[str, np.ndarray]:
    lengths = {name: len(block) for name, block in blocks.items()}
    sets = max(lengths.values(), default=1)
    if any(length not in (1, sets) for length in lengths.values()):
        told = ", ".join(f"{name} of {length}" for name, length in lengths.items())
        raise refuse(f"{path}.parameter_values", told, "equal lengths, or one value", f"{path}.broadcast=product")
    return {name: np.broadcast_to(block, (sets, block.shape[1])) for name, block in blocks.items()}


def _multiplied(blocks: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return every combination; the parameter written last varies fastest."""
    indices = np.indices([len(block) for block in blocks.values()]).reshape(len(blocks), -1)
    return {name: block[index] for (name, block), index in zip(blocks.items(), indices, strict=True)}
