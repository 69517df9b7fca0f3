"""Records as lines of JSON, in files that a crash may cut off and that go on all the same; knows the modules here."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from qrt_runner.tracking.metrics import Metric
from qrt_runner.tracking.places import named, opened
from qrt_runner.tracking.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from qrt_runner.tracking.files import Files


def line_of(record: Record, files: Mapping[str, Any]) -> str:
    """Return a record as a line, with the note of where its artifacts lie."""
    metrics = [(metric.key, _told(metric.value), metric.step) for metric in record.metrics]
    data = {"key": record.key, "title": record.title, "state": record.state, "swept": record.swept}
    return json.dumps({**data, "params": record.params, "tags": record.tags, "metrics": metrics, "files": files})


def record_of(line: Mapping[str, Any], files: Files) -> Record:
    """Return the record of a line, with its artifacts."""
    return Record(
        key=line["key"],
        title=line["title"],
        state=line["state"],
        params=line["params"],
        tags=line["tags"],
        metrics=tuple(Metric(key, float(value), step) for key, value, step in line["metrics"]),
        artifacts=files.read(line["files"]),
        swept=line["swept"],
    )


def append(file: Path, lines: Sequence[str]) -> None:
    """Write lines at the end of a file; they are on the disk when this returns."""
    with named(file), opened(file, "ab") as stream:
        # The line break comes first, so that a line cut off by a crash spoils no other.
        stream.write("".join(f"\n{line}" for line in lines).encode())
        to_disk(stream)


def to_disk(stream: Any) -> None:
    """See that what is written is on the disk."""
    stream.flush()
    os.fsync(stream.fileno())


def whole_lines(file: Path) -> Iterator[Any]:
    """Read a file of JSON lines, without blank ones and those that a crash cut off."""
    if not file.is_file():
        return
    with file.open(encoding="utf-8") as stream:
        for line in stream:
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue


def _told(value: float) -> float | str:
    return value if value == value and abs(value) != float("inf") else str(value)  # noqa: PLR0124 - NaN is not itself
