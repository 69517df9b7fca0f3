"""Logs kept runs to MLflow: straight into a SQLite store where that is proven, else through MLflow's client.

A run opened is a run ended, whatever happens in between; a task already logged is not logged again.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Self

from qrt_runner.errors import TrackingError
from qrt_runner.tracking import direct
from qrt_runner.tracking.metrics import Metric
from qrt_runner.tracking.records import with_table
from qrt_runner.tracking.steps import AtOnce, Beside, Steps
from qrt_runner.tracking.writer import OUTSIDE, PARENT, Known, StoreError, Writer, parent_record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qrt_runner.tracking.keeping import KeptRun
    from qrt_runner.tracking.records import Record

_DEFAULT: Final = "sqlite:///mlflow.db"
_NONE: Final[Mapping[str, Any]] = MappingProxyType({})
_BATCH: Final = 200
_ENDING_S: Final = 10.0
"""How long an interrupted command waits for the run that is being logged."""


def address(uri: str | None) -> str:
    """Return the store: `tracking.uri`, else MLFLOW_TRACKING_URI, else SQLite in the working directory."""
    return uri or os.environ.get("MLFLOW_TRACKING_URI") or _DEFAULT


def browse_command(uri: str | None) -> str:
    """Return the command that shows the recorded runs."""
    where = address(uri)
    return f"open {_shown(where)}" if where.startswith("http") else f"mlflow ui --backend-store-uri {_shown(where)}"


def log_run(run: KeptRun, uri: str | None, files: Mapping[str, bytes] = _NONE) -> None:
    """Log what of a kept run is not logged yet, and end its parent with its files; harmless when repeated.

    Raises:
        TrackingError: Where the store cannot be reached; what was logged before stays noted.
    """
    with Recorder(run, uri) as recorder:
        records = (with_table(record) for record in run.records() if record.key not in run.logged)
        while batch := list(islice(records, _BATCH)):
            recorder.log(batch)
        recorder.end(state_of(run), files, metrics=[Metric(name, value, 0) for name, value in run.spent.items()])


def state_of(run: KeptRun) -> str:
    """Return how the parent of a run's tasks ends."""
    if run.interrupted:
        return "KILLED"
    return "FINISHED" if all(state == "FINISHED" for state in run.states().values()) else "FAILED"


class Recorder:
    """Logs one kept run as it comes, for one thread; left without `end`, it ends the parent as KILLED.

    What the store refuses stops neither the run nor the keeping of its results: it is told at the end.
    """

    def __init__(self, run: KeptRun, uri: str | None) -> None:
        """Remember what to log, and where; the store is opened with the first record."""
        self._run, self._where = run, address(uri)
        self._taken = set(run.logged)
        self._steps: Steps | None = None
        self._writer: Writer | None = None
        self._parent: Known | None = None
        self._ended = False

    def __enter__(self) -> Self:
        """Open nothing yet."""
        return self

    def __exit__(self, *raised: object) -> None:
        """End what is open, and let go of the store."""
        if self._steps is None:
            return
        if not self._ended and self._steps.stop(_ENDING_S):
            self._kill()
        if self._writer is not None:
            self._writer.close()

    def log(self, records: Sequence[Record]) -> None:
        """Log records as finished runs, and note them as logged; not those that were handed over before."""
        todo = [record for record in records if record.key not in self._taken]
        if not todo:
            return
        self._taken.update(record.key for record in todo)
        try:
            steps = self._opened()
            size = self._writer.at_once if self._writer is not None else len(todo)
            for start in range(0, len(todo), size):
                steps.do(partial(self._write, todo[start : start + size]))
            self._note_parent()
        except BaseException:
            # Cut short, by Ctrl-C for one: what is not written yet may be handed over again.
            self._taken.difference_update(record.key for record in todo if record.key not in self._run.logged)
            raise

    def end(
        self,
        state: str,
        files: Mapping[str, bytes] = _NONE,
        *,
        params: Mapping[str, str] = _NONE,
        tags: Mapping[str, str] = _NONE,
        metrics: Sequence[Metric] = (),
    ) -> None:
        """Wait until all is logged, and end the parent, where tasks have one, with what is told of all of them.

        Args:
            state: FINISHED, FAILED or KILLED.
            files: Artifacts of the parent by their paths.
            params: The parent's params.
            tags: The parent's tags, besides those that every run has.
            metrics: The parent's metrics.

        Raises:
            TrackingError: Where anything could not be logged; what was logged before stays noted.
        """
        if self._run.grouped:
            bare = parent_record(self._run, state)
            parent = replace(bare, params=params, tags={**tags, **bare.tags}, metrics=tuple(metrics), artifacts=files)
            self._opened().do(partial(self._write_parent, parent))
        if self._steps is not None:
            try:
                self._steps.wait()
                self._note_parent()
            except OUTSIDE as error:
                raise self._told(error) from error
        self._ended = True

    def _opened(self) -> Steps:
        if self._steps is None:
            self._steps = AtOnce()
            self._steps.do(self._choose)
        return self._steps

    def _choose(self) -> None:
        """Choose the way into the store."""
        self._writer = direct.opened(self._run, self._where)
        if self._writer is None:
            # Its import costs a second. A thread's imports could meet ours half way, so it stays in this one.
            from qrt_runner.tracking.client import Client

            self._steps, self._writer = Beside(), Client(self._run, self._where)

    def _write(self, records: Sequence[Record]) -> None:
        """Write records, but take over what an earlier attempt had written and could not note."""
        assert self._writer is not None
        known = self._writer.known()
        there = {key: known[key].id for record in records if (key := record.key) in known and known[key].complete}
        todo = [record for record in records if record.key not in there]
        if todo and self._run.grouped and self._parent is None:
            self._write_parent(parent_record(self._run, "RUNNING"))
        self._run.note_logged(there | (self._writer.write(todo) if todo else {}))

    def _write_parent(self, parent: Record) -> None:
        """Write the parent, unless it is all there."""
        assert self._writer is not None
        known = self._writer.known().get(PARENT)
        if known is None or known.status != parent.state or parent != parent_record(self._run, parent.state):
            self._writer.write([parent])
        self._parent = self._writer.known()[PARENT]

    def _note_parent(self) -> None:
        """Note the parent in the kept run; never beside the run, which saves itself as well."""
        if self._parent is not None and self._run.parent != self._parent.id:
            self._run.parent = self._parent.id
            self._run.save()

    def _kill(self) -> None:
        """End the parent of a run that was cut off; what could not be ended now is ended by the next attempt."""
        if self._parent is None or self._writer is None:
            return
        with suppress(*OUTSIDE):
            self._note_parent()
            self._writer.write([parent_record(self._run, "KILLED")])

    def _told(self, error: Exception) -> TrackingError:
        told = str(error) if isinstance(error, StoreError) else f"{type(error).__name__}: {error}"
        why = _shown(" ".join(told.split()))[:300]
        msg = f"tracking.uri: given {_shown(self._where)}, which could not be written ({why}). {self._run.remedy()}"
        return TrackingError(f"{msg} tracking.uri=<a store that can be reached>")


def _shown(where: str) -> str:
    """Return a text without the users and passwords that addresses in it may hold."""
    return re.sub(r"://[^/\s]*@", "://", where)
