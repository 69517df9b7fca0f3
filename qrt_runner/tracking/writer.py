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
    from qrt_runner.tracking.traces import Trace

PARENT: Final = ""
"""Key of the record that stands for the parent of all tasks."""

_LONGEST_PARAM: Final = 6000
_LONGEST_TAG: Final = 8000
"""Characters of a value that MLflow takes, with a warning on stderr where it has to cut by itself."""

TOLD_APART: Final = ("qrt.job_ids", "qrt.error")
"""Tags by which two outcomes of one task are told apart, beside their state."""

SUPERSEDED_BY: Final = "qrt.superseded_by"
"""Tag of an MLflow run that another one took the place of."""

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
    jobs: str = ""
    """Ids of the jobs that it tells of."""

    error: str = ""

    @property
    def complete(self) -> bool:
        """Whether all of a task is in it: it is ended last, and as KILLED where that was cut off."""
        return self.status in ("FINISHED", "FAILED")


@dataclass(frozen=True)
class Write:
    """What is to be written for a record."""

    record: Record
    run: Known | None = None
    """The MLflow run that holds it, all or a part; None for a new one."""

    superseded: tuple[Known, ...] = ()
    """MLflow runs that must not stay beside it."""

    parent: str | None = None
    """The MLflow run that its own becomes a child of."""

    @property
    def whole(self) -> bool:
        """Whether the store holds all of the record."""
        return self.run is not None and self.run.complete and self.record.key != PARENT


class Writer(Protocol):
    """A way to write a kept run into a store; opened with the first use."""

    at_once: int
    """How many records are best written together."""

    def known(self) -> Mapping[str, Sequence[Known]]:
        """Return the store's MLflow runs of the kept run by their keys; what an earlier attempt began counts.

        Several of a key are in the order in which they are to be trusted, the best one last.
        """
        ...

    def runs_of(self, run: str) -> Mapping[str, Sequence[Known]]:
        """Return the same for another run of ours."""
        ...

    def write(self, writes: Sequence[Write]) -> dict[str, str]:
        """Write records, those begun before included, and return their MLflow runs by their keys.

        What a record supersedes is deleted as a user would do it, and not before the record's own run is whole.
        """
        ...

    def write_trace(self, trace: Trace, run: str) -> None:
        """Write a trace of an MLflow run; the same trace again takes the place of the first."""
        ...

    def close(self) -> None:
        """Let go of the store."""
        ...


def parent_record(run: KeptRun, state: str) -> Record:
    """Return the record of the parent of all tasks, with what it says by itself."""
    return Record(PARENT, run.title, state, params={}, tags={"qrt.run": run.id}, metrics=(), artifacts={})


def known_of(record: Record, run: str) -> Known:
    """Return what is known of a record's MLflow run once it is written."""
    return Known(run, record.state, *_told_apart(record))


def planned(record: Record, known: Sequence[Known], reopened: str | None = None) -> Write:
    """Find out which MLflow run holds a record, and which ones it takes the place of.

    Args:
        record: What is to be in the store.
        known: What the store holds of the same key, the best one last.
        reopened: One of these that is superseded even where it tells the same.
    """
    holding = [one for one in known if one.id != reopened and _holds(one, record)]
    run = holding[-1] if holding else None
    return Write(record, run, tuple(one for one in known if one is not run))


def outcome_of(record: Record) -> tuple[str, ...]:
    """Return what tells two outcomes of one task apart: state, jobs and error. A parent is the same in every state."""
    return (record.state, *_told_apart(record)) if record.key != PARENT else ()


def _holds(known: Known, record: Record) -> bool:
    """Tell whether an MLflow run is about this outcome of a task; one that was cut off has no state to tell it by."""
    state = known.status if known.complete else record.state
    return record.key == PARENT or (state, known.jobs, known.error) == outcome_of(record)


def _told_apart(record: Record) -> tuple[str, str]:
    jobs, error = (record.tags.get(name, "") for name in TOLD_APART)
    return jobs[:_LONGEST_TAG], error[:_LONGEST_TAG]


def params_of(record: Record) -> dict[str, str]:
    """Return a record's params as MLflow takes them."""
    return {name: value[:_LONGEST_PARAM] for name, value in record.params.items()}


def tags_of(run: KeptRun, write: Write) -> dict[str, str]:
    """Return all tags of a record's MLflow run as MLflow takes them, with those that it reads itself."""
    record = write.record
    context = {"mlflow.runName": record.title, "mlflow.source.name": "qrt_runner", "mlflow.user": user()}
    family = {"mlflow.parentRunId": write.parent} if write.parent is not None else {}
    replay = {"qrt.replay_of": run.replay_of} if run.replay_of is not None else {}
    return {name: value[:_LONGEST_TAG] for name, value in {**context, **record.tags, **replay, **family}.items()}


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
