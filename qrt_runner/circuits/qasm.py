"""Reads OpenQASM 2 and 3, and tells what is wrong with its line; knows qiskit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from qiskit import qasm2, qasm3

from qrt_runner.errors import refuse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qiskit import QuantumCircuit


def open_qasm(file: Path, path: str) -> QuantumCircuit:
    """Read an OpenQASM file, of the version that it names itself.

    Raises:
        ConfigError: Where it is broken, with the line.
    """
    version = "2"
    try:
        text = file.read_text(encoding="utf-8")
        named = re.search(r"^\s*OPENQASM\s+(\d)", text, re.MULTILINE)
        version = named.group(1) if named else ("3" if file.suffix == ".qasm3" else "2")
        if version == "3":
            return qasm3.loads(text)
        return qasm2.loads(text, include_path=(file.parent,), custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS)
    except Exception as error:
        # Parser, converter and Qiskit have exceptions of their own without a common base, IndexError among them.
        given = f"{file}, where: {_told(error)}"
        raise refuse(f"{path}.source", given, f"a valid OpenQASM {version} file", f"mend {file}") from error


def _told(error: Exception) -> str:
    text = " ".join(str(getattr(error, "message", None) or error).split()).strip("'\"") or "it cannot be parsed"
    text = re.sub(r"^(<input>:|L)?(\d+)[,:]C?(\d+):", r"line \2,\3:", text)
    line = _line_of(error)
    return text if text.startswith("line ") or line is None else f"line {line}: {text}"


def _line_of(error: BaseException) -> int | None:
    """Return the line where the OpenQASM 3 importer gave up, which not all of its errors tell."""
    for cause in _causes(error):
        token = getattr(cause.args[0] if cause.args else None, "offendingToken", None)
        if token is not None:
            return int(token.line)
        spans = [span for span in _spans(cause) if span is not None]
        if spans:
            return int(spans[-1].start_line)
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _spans(error: BaseException) -> Iterator[Any]:
    """Give the places in the file of the syntax nodes that were at work, outermost first."""
    frame = error.__traceback__
    while frame is not None:
        yield getattr(frame.tb_frame.f_locals.get("node"), "span", None)
        frame = frame.tb_next
