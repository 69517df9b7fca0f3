"""What a platform gave for a job, as bytes to be stored before anything is computed from them.

Knows neither Qiskit nor jobs nor backends: counts and expectation values are read from these bytes alone, a year later.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from qrt_runner.errors import JobError
from qrt_runner.results import Counts, Expectations, PubResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from qrt_runner.modes.submission import Submission

Kind = Literal["executor", "counts", "expectations"]
"""How the bytes are read: the runtime's own JSON text, or ours of counts or of expectation values."""

_DAMAGE: Final = (ValueError, LookupError, TypeError, AttributeError, RecursionError, zlib.error)
"""What decoders raise on bytes that are not what they should be; JSON, base64 and pydantic raise ValueErrors."""


@dataclass(frozen=True)
class RawResult:
    """What the platform gave for one job, nothing computed from it."""

    content: bytes
    kind: Kind


Reader = Callable[["Submission", bytes], list[PubResult]]
"""Reads bytes of one kind; of the submission it needs circuits, shapes of values and names of observables."""


def reading(readers: Mapping[str, Reader]) -> Callable[[Submission, RawResult], list[PubResult]]:
    """Return the function that reads the kinds of raw results which have a reader."""

    def read(submission: Submission, raw: RawResult) -> list[PubResult]:
        if raw.kind not in readers:
            known = ", ".join(readers)
            raise JobError(f"the stored result is of kind {raw.kind}, and this mode reads {known} only")
        with told_damage(raw):
            return readers[raw.kind](submission, raw.content)

    return read


@contextmanager
def told_damage(raw: RawResult) -> Iterator[None]:
    """Tell as a JobError that bytes are not what they should be."""
    try:
        yield
    except _DAMAGE as error:
        told = " ".join(f"{type(error).__name__}: {error}".split())
        size = f"{len(raw.content):,} bytes of kind {raw.kind}"
        raise JobError(f"the stored result ({size}) is damaged or was written by another version: {told}") from error


def counts_written(pubs: Iterable[Counts]) -> RawResult:
    """Return the counts of a job's PUBs as a raw result."""
    return _written("counts", [{"registers": counts.registers, "joint": counts.joint} for counts in pubs])


def counts_read(submission: Submission, content: bytes) -> list[PubResult]:
    """Read what `counts_written` wrote.

    Raises:
        ValueError: If it is not of the PUBs that were submitted.
    """
    pubs = [
        Counts(tuple((name, width) for name, width in pub["registers"]), tuple(pub["joint"])) for pub in _read(content)
    ]
    _check_sets(submission, [len(counts.joint) for counts in pubs])
    return [PubResult(counts=counts) for counts in pubs]


def expectations_written(pubs: Iterable[Expectations]) -> RawResult:
    """Return the expectation values of a job's PUBs as a raw result, bit for bit."""
    return _written(
        "expectations",
        [
            {
                "names": pub.names,
                "values": _array_written(pub.values),
                "errors": _array_written(pub.errors),
                "details": {name: _array_written(array) for name, array in pub.details.items()},
            }
            for pub in pubs
        ],
    )


def expectations_read(submission: Submission, content: bytes) -> list[PubResult]:
    """Read what `expectations_written` wrote.

    Raises:
        ValueError: If it is not of the PUBs that were submitted.
    """
    pubs = [
        Expectations(
            tuple(pub["names"]),
            _array_read(pub["values"]),
            _array_read(pub["errors"]),
            {name: _array_read(array) for name, array in pub["details"].items()},
        )
        for pub in _read(content)
    ]
    _check_sets(submission, [len(pub.values) for pub in pubs])
    return [PubResult(expectations=pub) for pub in pubs]


def _written(kind: Kind, pubs: list[dict[str, Any]]) -> RawResult:
    return RawResult(json.dumps({"pubs": pubs}, separators=(",", ":")).encode(), kind)


def _read(content: bytes) -> list[dict[str, Any]]:
    pubs: list[dict[str, Any]] = json.loads(content)["pubs"]
    return pubs


def _check_sets(submission: Submission, found: list[int]) -> None:
    asked = [len(pub.values) for pub in submission.pubs]
    if found != asked:
        raise ValueError(f"it holds PUBs of {found} parameter sets, submitted were {asked}")


def _array_written(array: np.ndarray) -> dict[str, Any]:
    """Return an array with its bytes in little-endian order, so that NaN and infinities survive."""
    little = np.asarray(array, dtype=array.dtype.newbyteorder("<"))
    return {
        "dtype": little.dtype.str,
        "shape": little.shape,
        "data": base64.b64encode(little.tobytes()).decode("ascii"),
    }


def _array_read(data: Mapping[str, Any]) -> np.ndarray:
    flat = np.frombuffer(base64.b64decode(data["data"], validate=True), dtype=np.dtype(data["dtype"]))
    return flat.reshape(data["shape"]).copy()
