"""The named parts that a plan is stored in, and how each is written and read; knows qiskit and numpy, and no plans.

What is read may come from elsewhere: nothing of it is run, and none of it may be larger than stated here.
"""

from __future__ import annotations

import io
import json
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from qiskit import qpy

from qrt_runner.errors import JournalError, QrtError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from qiskit import QuantumCircuit

PLAN: Final = "plan.json"
CIRCUITS: Final = "circuits.qpy"
ARRAYS: Final = "arrays.npz"
POINTS: Final = "points.jsonl"

FORMAT: Final = 1
"""Of all parts together; raise it where one of them changes its meaning."""

MOST_MIB: Final = 1024
"""The largest that a part may be, unpacked."""

_MIB: Final = 2**20
_BROKEN: Final = (KeyError, IndexError, TypeError, ValueError, AttributeError, EOFError, OSError, zipfile.BadZipFile)
"""What reading raises where something is damaged."""

_REMEDY: Final = "restore the journal's folder from a copy, or run the command anew with resume=never"


@contextmanager
def reading(part: str) -> Iterator[None]:
    """Say of which part it is that cannot be read.

    Raises:
        JournalError: In place of what reading a damaged part raises.
    """
    try:
        yield
    except _BROKEN as error:
        raise damaged(part, _told(error)) from error


def damaged(part: str, why: str) -> JournalError:
    """Return the error for a part that is not what was written."""
    return JournalError(f"The stored plan cannot be read: {part} is damaged ({why}); remedy: {_REMEDY}")


def content_of(parts: Mapping[str, bytes], part: str) -> bytes:
    """Return a part.

    Raises:
        JournalError: Where it is missing or too large.
    """
    if part not in parts:
        raise JournalError(f"The stored plan cannot be read: {part} is missing; remedy: {_REMEDY}")
    check_size(part, len(parts[part]))
    return parts[part]


def check_size(part: str, size: int) -> None:
    """Refuse a part that is too large, when it is written and when it is read.

    Raises:
        JournalError: With both sizes.
    """
    if size > MOST_MIB * _MIB:
        given = f"{part} of a stored plan: given {size / _MIB:.0f} MiB"
        raise JournalError(f"{given}; allowed: at most {MOST_MIB} MiB; remedy: several commands with fewer points each")


def plan_in(parts: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the content of `plan.json`.

    Raises:
        JournalError: Where it is damaged, or of another format than this version writes.
    """
    with reading(PLAN):
        content: dict[str, Any] = json.loads(content_of(parts, PLAN))
        given, version = content["format"], content["version"]
    if given != FORMAT:
        msg = (
            f"The stored plan cannot be read: given format {given}, written by qrt_runner {version}; allowed: {FORMAT}"
        )
        raise JournalError(f"{msg}; remedy: go on with that version, or run the command anew with resume=never")
    return content


def stored_calibrations(parts: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """Return what a stored plan tells of the qubits that its circuits use; nothing where no backend told.

    Raises:
        JournalError: Where it is damaged, or of another format than this version writes.
    """
    with reading(PLAN):
        return [one for one in plan_in(parts)["calibrations"] if one is not None]


def written_circuits(circuits: Sequence[QuantumCircuit]) -> bytes:
    """Return circuits as QPY.

    Raises:
        QrtError: Where QPY cannot say one of them.
    """
    stream = io.BytesIO()
    try:
        qpy.dump(circuits, stream)
    except Exception as error:
        # What QPY cannot say ends in its own errors, TypeError and others alike.
        msg = f"circuit: given one that cannot be kept as QPY ({_told(error)}); allowed: what QPY can write"
        raise QrtError(f"{msg}; remedy: gates and metadata that qiskit.qpy.dump takes") from error
    return stream.getvalue()


def circuits_in(parts: Mapping[str, bytes]) -> list[QuantumCircuit]:
    """Return the circuits, in the order written.

    Raises:
        JournalError: Where they are damaged, missing or too large.
    """
    content = content_of(parts, CIRCUITS)
    try:
        return list(qpy.load(io.BytesIO(content)))
    except Exception as error:
        # QPY reads binary structures: what is damaged ends in struct, unicode, memory or qiskit errors alike.
        raise damaged(CIRCUITS, _told(error)) from error


def written_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return arrays of numbers as one `.npz`."""
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type] # by their names, of which none is `allow_pickle`
    return stream.getvalue()


def arrays_in(parts: Mapping[str, bytes]) -> dict[str, np.ndarray]:
    """Return the arrays by name.

    Raises:
        JournalError: Where they are damaged, missing or too large; a small archive may hold large arrays.
    """
    content = content_of(parts, ARRAYS)
    with reading(ARRAYS):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(member.file_size for member in archive.infolist())
        check_size(ARRAYS, size)
        with np.load(io.BytesIO(content), allow_pickle=False) as found:
            return dict(found)


def _told(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
