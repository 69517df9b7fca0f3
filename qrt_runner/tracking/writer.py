"""What the two ways of writing to a store have in common; knows the standard library only.

Both write the same: `direct` the rows of a SQLite store, `client` through MLflow itself.
"""

from __future__ import annotations

import getpass
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, Protocol

from qrt_runner.tracking.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from qrt_runner.tracking.keeping import KeptRun

PARENT: Final = ""
"""Key of the record that stands for the parent of all tasks."""

_LONGEST_PARAM: Final = 6000
_LONGEST_TAG: Final = 8000
"""Characters of a value that MLflow takes, with a warning on stderr where it has to cut by itself."""

LOCK_TIMEOUT_S: Final = 600
POLL_S: Final = 0.01
"""Between two looks at a store's lock; a batch holds it for some ten milliseconds."""


class StoreError(Exception):
    """A store refused or could not be reached; its text is the outside world's own."""


OUTSIDE: Final = (StoreError, OSError)
"""What the outside world raises while something is written."""


@dataclass(frozen=True)
class Known:
    """An MLflow run that the store holds already."""

    id: str
    status: str

    @property
    def complete(self) -> bool:
        """Whether all of a task is in it: it is ended last, and as KILLED where that was cut off."""
        return self.status in ("FINISHED", "FAILED")


class Writer(Protocol):
    """A way to write a kept run into a store; opened with the first use."""

    at_once: int
    """How many records are best written together."""

    def known(self) -> Mapping[str, Known]:
        """Return the store's MLflow runs of the kept run by their keys; what an earlier attempt began counts."""
        ...

    def write(self, records: Sequence[Record]) -> dict[str, str]:
        """Write records, those begun before included, and return their MLflow runs by their keys."""
        ...

    def close(self) -> None:
        """Let go of the store."""
        ...


def parent_record(run: KeptRun, state: str) -> Record:
    """Return the record of the parent of all tasks, with what it says by itself."""
    return Record(PARENT, run.title, state, params={}, tags={"qrt.run": run.id}, metrics=(), artifacts={})


def params_of(record: Record) -> dict[str, str]:
    """Return a record's params as MLflow takes them."""
    return {name: value[:_LONGEST_PARAM] for name, value in record.params.items()}


def tags_of(record: Record, parent: Known | None) -> dict[str, str]:
    """Return all tags of a record's MLflow run as MLflow takes them, with those that it reads itself."""
    context = {"mlflow.runName": record.title, "mlflow.source.name": "qrt_runner", "mlflow.user": user()}
    family = {"mlflow.parentRunId": parent.id} if parent is not None and record.key != PARENT else {}
    return {name: value[:_LONGEST_TAG] for name, value in {**context, **record.tags, **family}.items()}


@cache
def user() -> str:
    """Return who runs this, in MLflow's own words where there is no name."""
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):
        return "unknown"


def key_of(point: str | None, task: str | None) -> str:
    """Return the key of the record that a run with these tags is about."""
    return PARENT if point is None or task is None else f"{point}-{task}"


@contextmanager
def told(*errors: type[Exception]) -> Iterator[None]:
    """Tell errors of the outside world as one of ours."""
    try:
        yield
    except errors as error:
        raise StoreError(f"{type(error).__name__}: {error}") from error
