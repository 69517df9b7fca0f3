"""Results of the runtime's Executor, which its Sampler and Estimator use, as the service's own text; knows runtime.

The service, the runtime's local mode and a result stored a year ago are thus read in one way: by the runtime's own
decoders of that text, which need no backend.
"""

from __future__ import annotations

import base64
import json
import zlib
from functools import reduce
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from qiskit.primitives import PrimitiveJob
from qiskit_ibm_runtime.decoders.defaults import DEFAULT_DECODERS
from qiskit_ibm_runtime.decoders.result_decoder import ResultDecoder
from qiskit_ibm_runtime.fake_provider.local_runtime_job import LocalRuntimeJob

from qrt_runner.errors import JobError
from qrt_runner.modes.raw_results import RawResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qiskit_ibm_runtime.results import QuantumProgramResult

_SCHEMA: Final = "v2.0"
"""As the text is written here; the decoders read earlier ones as well."""

_MOST_BYTES: Final = 2 << 30
"""Unpacked arrays of one result, at most: their text is compressed, and a small one could fill the memory."""

_TENSOR: Final = frozenset({"data", "shape", "dtype"})
"""The fields of an array in the text."""

_METADATA: Final = frozenset({"circuit_metadata", "circuits_metadata"})
"""Where the primitives pass the circuits' own metadata through, of which no number depends."""


def executor_result(job: Any) -> RawResult:
    """Wait for a job of the runtime's Executor, Sampler or Estimator and return the service's text, or the like.

    Raises:
        JSONDecodeError: If the text breaks off; the service has all of it, and may be asked again.
        JobError: If a local result cannot be written.
    """
    if isinstance(job, LocalRuntimeJob):
        # Before the runtime's post-processing, which overwrites parts of it in place
        return RawResult(_text_of(PrimitiveJob.result(job)).encode(), "executor")
    text = job.result(decoder=_AsSent) or ""
    _check_whole(text, job.job_id())
    return RawResult(text.encode(), "executor")


def program_result(content: bytes) -> Any:
    """Decode the text of an Executor's result.

    Returns:
        What the primitive that was used returns: a `PrimitiveResult`, for the Executor itself a `QuantumProgramResult`.

    Raises:
        ValueError: If it is not such a text, or one that unpacks to more than 2 GiB; so do other errors of decoders.
    """
    text = content.decode()
    _check_size(text)
    decoders = DEFAULT_DECODERS["executor"]
    return reduce(lambda found, one: one.decode(found) if one.is_applicable(found) else found, decoders, text)


def gammas_in(content: bytes) -> list[float | None]:
    """Return, from the text of an Estimator's result, the gamma of each PUB that PEC acted on; else nothing."""
    if b'"pec_gamma"' not in content:
        return []
    told = json.loads(content)["passthrough_data"]["qiskit_mitigation"]
    return [entry.get("pec_gamma") for entry in told if entry["mitigation"] != "trex"]


class _AsSent(ResultDecoder):
    """Gives the text as the service sent it."""

    @classmethod
    def decode(cls, data: Any) -> Any:
        return data


def _check_whole(text: str, job_id: str) -> None:
    """Refuse a text that breaks off: the client hands on as much of an answer as it got."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise json.JSONDecodeError(f"the result of job {job_id} breaks off", text, error.pos) from None


def _check_size(text: str) -> None:
    """Refuse a text whose arrays unpack to too much, before anything unpacks them whole."""
    left = _MOST_BYTES

    def weighed(found: dict[str, Any]) -> None:
        nonlocal left
        if found.keys() == _TENSOR:
            left -= len(zlib.decompressobj().decompress(base64.b64decode(found["data"]), left + 1))
        if left < 0:
            raise ValueError(f"its arrays unpack to more than {_MOST_BYTES:,} bytes")

    json.loads(text, object_hook=weighed)


def _text_of(result: QuantumProgramResult) -> str:
    """Write a local result as the service would.

    What Aer tells of its simulation has no place in the schema, and no number depends on it: it is left out.

    Raises:
        JobError: If there is anything else that the schema has no place for; the service would have refused the job.
    """
    whole = {
        "schema_version": _SCHEMA,
        "data": [{"results": {name: _tensor(item[name]) for name in item}, "metadata": {}} for item in result],
        "metadata": {"chunk_timing": []},
        "passthrough_data": _plain(result.passthrough_data),
        "semantic_role": result._semantic_role,  # noqa: SLF001 - by which the decoders tell the primitives apart
    }
    try:
        return json.dumps(whole)
    except TypeError as error:
        raise JobError(f"the simulation's result cannot be stored: {error}") from error


def _plain(data: Any) -> Any:
    """Return nested data as JSON values, arrays as the schema's tensors."""
    if isinstance(data, np.ndarray):
        return _tensor(data)
    if isinstance(data, dict):
        return {name: _described(value) if name in _METADATA else _plain(value) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [_plain(value) for value in data]
    return data.item() if isinstance(data, np.generic) else data


def _described(metadata: Any) -> Any:
    """Return a circuit's metadata, which may hold any object: what JSON cannot hold is described by its text."""
    return json.loads(json.dumps(metadata, default=repr, skipkeys=True))


def _tensor(array: np.ndarray) -> Mapping[str, Any]:
    """Return an array as the schema's compressed tensor, in fact not compressed: whoever stores the text does that."""
    if array.dtype == np.bool_:
        dtype, packed = "bool", np.packbits(array, bitorder="little").tobytes()
    else:
        dtype = f"{array.dtype.kind}{8 * array.dtype.itemsize}"
        packed = array.astype(array.dtype.newbyteorder("<")).tobytes()
    data = base64.b64encode(zlib.compress(packed, level=0)).decode("ascii")
    return {"data": data, "shape": list(array.shape), "dtype": dtype}
