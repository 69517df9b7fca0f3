"""Opens circuit files: OpenQASM 2 and 3, QPY, and Python files with `build`; knows qiskit."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qiskit import ClassicalRegister, QuantumCircuit, qpy

from qrt_runner import SHIPPED
from qrt_runner.circuits.qasm import open_qasm
from qrt_runner.config import nearest
from qrt_runner.errors import ConfigError, Mistake, refuse

if TYPE_CHECKING:
    from types import ModuleType

    from qrt_runner import config

SUFFIXES: Final = (".qasm", ".qasm2", ".qasm3", ".qpy", ".py")
MOST_MIB: Final = 64
"""The largest that an OpenQASM or QPY file may be: one is read as a whole, and takes many times its size in memory."""

LOOSE: Final = "loose"
"""Name of the register that takes classical bits which stand in none."""
_PATH: Final = "circuit.source"


@dataclass(frozen=True)
class Source:
    """A circuit as its file has it, with the file's own observables."""

    circuit: QuantumCircuit
    observables: Mapping[str, Any]
    """By name; empty for files that cannot hold any."""


def find(source: str, path: str = _PATH) -> Path:
    """Return the circuit file that `source` names: in the working directory, its `circuits/`, or as shipped.

    Raises:
        ConfigError: Where there is none, or it is of no known kind.
    """
    places = [Path(source), Path("circuits") / source, SHIPPED / source, SHIPPED / "circuits" / source]
    found = next((place for place in places if place.is_file()), None)
    kinds = ", ".join(SUFFIXES)
    if found is None:
        known = sorted(file.name for folder in (Path("circuits"), SHIPPED / "circuits") for file in folder.glob("*.*"))
        meant = nearest(Path(source).name, [name for name in known if name.endswith(SUFFIXES)])
        remedy = f"{path}=circuits/{meant}" if meant else f"give the path of an existing file in {path}"
        raise refuse(path, f"{source!r}, which is no file", f"a file ending in {kinds}", remedy)
    if found.suffix not in SUFFIXES:
        raise refuse(path, source, f"a file ending in {kinds}", "rename the file by what it holds")
    return found


def is_too_large(file: Path) -> bool:
    """Tell whether a circuit file is larger than is read; a Python file is the user's own program."""
    return file.suffix != ".py" and file.stat().st_size > MOST_MIB * 2**20


def open_source(section: config.Circuit, path: str = "circuit") -> Source:
    """Open the circuit file of a circuit section.

    Args:
        section: What is asked for.
        path: Config path of the section, for error texts.

    Raises:
        ConfigError: Where the file is missing or broken, or its parameters do not fit.
    """
    file = find(section.source, f"{path}.source")
    if file.suffix == ".py":
        return _open_python(file, section.params, path)
    if section.params:
        given = ", ".join(section.params)
        remedy = f"leave {path}.params out; values of free parameters go into {path}.parameter_values"
        raise refuse(f"{path}.params", given, f"nothing for a {file.suffix} file, which takes none", remedy)
    if is_too_large(file):
        given, allowed = f"{file} of {file.stat().st_size / 2**20:.1f} MiB", f"at most {MOST_MIB} MiB"
        raise refuse(f"{path}.source", given, allowed, "a Python file whose build makes the circuit")
    circuit = _open_qpy(file, path) if file.suffix == ".qpy" else open_qasm(file, path)
    return Source(_nonempty(circuit, file, path), {})


def with_registers(source: Source, path: str = "circuit") -> Source:
    """Return a source whose classical bits stand in one register each: counts are told by register.

    Raises:
        ConfigError: Where registers share bits.
    """
    circuit = source.circuit
    owners = [circuit.find_bit(bit).registers for bit in circuit.clbits]
    if any(len(registers) > 1 for registers in owners):
        given = "classical registers that share bits"
        raise refuse(f"{path}.source", given, "registers of their own bits", "measure into separate registers")
    loose = [bit for bit, registers in zip(circuit.clbits, owners, strict=True) if not registers]
    if not loose:
        return source
    registered = circuit.copy()
    registered.add_register(ClassicalRegister(bits=loose, name=LOOSE))
    return Source(registered, source.observables)


def _open_qpy(file: Path, path: str) -> QuantumCircuit:
    try:
        with file.open("rb") as stream:
            circuits = qpy.load(stream)
    except Exception as error:
        # QPY reads binary structures: a broken file ends in struct, unicode, zlib or qiskit errors alike.
        told = " ".join(str(error).split()).strip("'\"") or type(error).__name__
        raise refuse(f"{path}.source", f"{file}, where: {told}", "a valid QPY file", f"mend {file}") from error
    if len(circuits) != 1:
        raise refuse(f"{path}.source", f"{file} with {len(circuits)} circuits", "one circuit a file", "split the file")
    return circuits[0]


def _open_python(file: Path, params: Mapping[str, Any], path: str) -> Source:
    module = _load_module(file, path)
    build = getattr(module, "build", None)
    if not callable(build):
        raise refuse(
            f"{path}.source", f"{file} without build", "a Python file with build(...)", f"define build in {file}"
        )
    _check_params(build, params, path)
    circuit = _call(build, params, file, path)
    if not isinstance(circuit, QuantumCircuit):
        given = f"{file}, whose build returned {type(circuit).__name__}"
        raise refuse(f"{path}.source", given, "a QuantumCircuit from build", f"return one in {file}")
    _nonempty(circuit, file, path)
    observables = getattr(module, "observables", None)
    if observables is None:
        return Source(circuit, {})
    wanted = inspect.signature(observables).parameters
    found = _call(observables, {name: value for name, value in params.items() if name in wanted}, file, path)
    if not isinstance(found, Mapping):
        given = f"{file}, whose observables returned {type(found).__name__}"
        raise refuse(f"{path}.source", given, "a mapping of names to observables", f"return one in {file}")
    return Source(circuit, dict(found))


def _nonempty(circuit: QuantumCircuit, file: Path, path: str) -> QuantumCircuit:
    if not circuit.num_qubits:
        raise refuse(f"{path}.source", f"{file}, a circuit without qubits", "at least one qubit", f"mend {file}")
    return circuit


def _load_module(file: Path, path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"qrt_circuit_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their own module up by its name.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise _failed(file, path, error) from error
    return module


def _check_params(build: Callable[..., Any], params: Mapping[str, Any], path: str) -> None:
    signature = inspect.signature(build).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.values()):
        return
    allowed = ", ".join(signature) or "none"
    unknown = [name for name in params if name not in signature]
    lacking = [name for name, wanted in signature.items() if wanted.default is wanted.empty and name not in params]
    mistakes = [
        Mistake(f"{path}.params.{name}", "nothing", "a value", f"+{path}.params.{name}=<value>") for name in lacking
    ]
    for name in unknown:
        meant = nearest(name, list(signature))
        remedy = f"did you mean {path}.params.{meant}?" if meant else f"leave {path}.params.{name} out"
        mistakes += [Mistake(f"{path}.params.{name}", "an unknown parameter", allowed, remedy)]
    if mistakes:
        raise ConfigError(mistakes)


def _call(function: Callable[..., Any], params: Mapping[str, Any], file: Path, path: str) -> Any:
    try:
        return function(**params)
    except (Exception, SystemExit) as error:
        raise _failed(file, path, error) from error


def _failed(file: Path, path: str, error: BaseException) -> ConfigError:
    """A circuit file is the user's own code: whatever it raises is told as its mistake, with its line."""
    frame = error.__traceback__
    line = 0
    while frame is not None:
        if Path(frame.tb_frame.f_code.co_filename).resolve() == file.resolve():
            line = frame.tb_lineno
        frame = frame.tb_next
    where = f"{file}, line {line}" if line else str(file)
    told = " ".join(str(error).split()) or type(error).__name__
    given = f"what {where} refuses with {type(error).__name__}: {told}"
    return refuse(f"{path}.params", given, "what the circuit file accepts", f"change {path}.params or mend {file}")
