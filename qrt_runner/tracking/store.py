"""Logs kept runs to MLflow: straight into a SQLite store where that is proven, else through MLflow's client.

A run opened is a run ended, whatever happens in between; a task already logged is not logged again.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Self

from qrt_runner.tracking import direct
from qrt_runner.tracking.addresses import address, browse_address, browse_command, unwritten
from qrt_runner.tracking.metrics import Metric
from qrt_runner.tracking.records import with_table
from qrt_runner.tracking.steps import AtOnce, Beside, Steps
from qrt_runner.tracking.writer import OUTSIDE, PARENT, Write, Writer, parent_record, planned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qrt_runner.tracking.keeping import KeptRun
    from qrt_runner.tracking.records import Record
    from qrt_runner.tracking.traces import Trace

__all__ = ["Recorder", "address", "browse_address", "browse_command", "log_replay", "log_run", "state_of"]

_NONE: Final[Mapping[str, Any]] = MappingProxyType({})
_BATCH: Final = 200
_ENDING_S: Final = 10.0
"""How long an interrupted command waits for the run that is being logged."""


def log_run(run: KeptRun, uri: str | None, files: Mapping[str, bytes] = _NONE) -> None:
    """Log what of a kept run is not logged yet, and end its parent with its files; harmless when repeated.

    Raises:
        TrackingError: Where the store cannot be reached; what was logged before stays noted.
    """
    with Recorder(run, uri) as recorder:
        _log_kept(recorder, run, files)


def log_replay(run: KeptRun, uri: str | None, of: str, files: Mapping[str, bytes] = _NONE) -> tuple[str, ...]:
    """Log a kept run that has computed the numbers of another one again, each task below the one it is a replay of.

    Args:
        run: The replay, with an id of its own, in the MLflow experiment of the original.
        uri: The store.
        of: Id of the original.
        files: What tells of all tasks; it goes into a run of its own, below the parent of the original.

    Returns:
        The keys of the tasks whose originals are not in the store, which are logged as those of any other run.

    Raises:
        TrackingError: Where the store cannot be reached; what was logged before stays noted, `log_run` logs the rest.
    """
    if run.replay_of != of:
        run.replay_of = of
        run.save()
    with Recorder(run, uri) as recorder:
        recorder.open()
        _log_kept(recorder, run, files)
        return tuple(key for key in run.states() if key not in recorder.originals)


def _log_kept(recorder: Recorder, run: KeptRun, files: Mapping[str, bytes]) -> None:
    records = (with_table(record) for record in run.records() if record.key not in run.logged)
    while batch := list(islice(records, _BATCH)):
        recorder.log(batch)
    metrics = [Metric(name, value, 0) for name, value in {**run.spent, **run.best}.items()]
    recorder.end(state_of(run), files, params=run.params, tags=run.tags, metrics=metrics)


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
        self._taken: set[str] = set()
        self._steps: Steps | None = None
        self._writer: Writer | None = None
        self._parent: str | None = None
        self._ended = False
        self.trace: Trace | None = None
        """Where the time of the run went, of the parent or the only task; it is logged with the end."""

        self.troubles: list[str] = []
        """What could not be logged and is no result."""

        self.originals: Mapping[str, str] = _NONE
        """MLflow runs of what a replay has computed again, by their keys; known once something is logged."""

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

    def open(self) -> None:
        """Open the store now, and find what a replay is one of."""
        self._opened()

    def log(self, records: Sequence[Record]) -> None:
        """Log records as finished runs, and note them as logged; not those that were handed over before.

        A record of a task that was kept anew since then takes the place of what is logged of it, unless that tells the
        same outcome of the same jobs.
        """
        todo = [record for record in records if self._is_new(record.key)]
        if not todo:
            return
        self._taken.update(record.key for record in todo)
        try:
            steps = self._opened()
            size = self._writer.at_once if self._writer is not None else len(todo)
            for start in range(0, len(todo), size):
                steps.do(partial(self._write, todo[start : start + size]))
            # What cannot be noted now is noted at the end, which tells where that is not possible either.
            with suppress(OSError):
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
            self._opened().do(partial(self._end_parent, parent))
        if self._steps is not None:
            if self.trace is not None:
                self._steps.do(partial(self._write_trace, self.trace))
            try:
                self._steps.wait()
                self._note_parent()
            except OUTSIDE as error:
                raise unwritten(self._where, error, self._run.remedy()) from error
        self._ended = True

    def _write_trace(self, trace: Trace) -> None:
        """Write a trace; it is an extra, of which trouble is told and costs nothing else."""
        run = self._parent or next(iter(self._run.logged.values()), None)
        if run is None or self._writer is None:
            return
        try:
            self._writer.write_trace(trace, run)
        except OUTSIDE as error:
            self.troubles.append(f"no trace of run {trace.run}: {error}")

    def _is_new(self, key: str) -> bool:
        """Tell whether a task is not logged, as it was kept last, and not handed over either."""
        return key in self._run.renewed or (key not in self._taken and key not in self._run.logged)

    def _opened(self) -> Steps:
        if self._steps is None:
            self._steps = AtOnce()
            try:
                self._steps.do(self._choose)
            except BaseException:
                # Cut short, by Ctrl-C for one: it is opened with the next record.
                self._steps = self._writer = None
                raise
            if self._run.replay_of is not None:
                self._steps.do(partial(self._find_originals, self._run.replay_of))
        return self._steps

    def _choose(self) -> None:
        """Choose the way into the store."""
        self._writer = direct.opened(self._run, self._where)
        if self._writer is None:
            # Its import costs a second. A thread's imports could meet ours half way, so it stays in this one.
            from qrt_runner.tracking.client import Client

            self._steps, self._writer = Beside(), Client(self._run, self._where)

    def _find_originals(self, run: str) -> None:
        assert self._writer is not None
        self.originals = {key: known[-1].id for key, known in self._writer.runs_of(run).items()}

    def _write(self, records: Sequence[Record]) -> None:
        """Write records, but take over what an earlier attempt had written and could not note."""
        writes = [self._planned(record) for record in records]
        there = {write.record.key: write.run.id for write in writes if write.run and write.whole}
        todo = [write for write in writes if write.superseded or not write.whole]
        homeless = any(write.record.key not in self.originals for write in todo)
        if homeless and self._run.grouped and self._parent is None:
            self._write_parent(parent_record(self._run, "RUNNING"))
        self._run.note_logged(there | self._written(todo))

    def _planned(self, record: Record) -> Write:
        assert self._writer is not None
        known = self._writer.known().get(record.key, ())
        if record.key == PARENT:
            # Of several, which a server makes of a request that was sent twice, the tasks are below the one noted.
            known = sorted(known, key=lambda one: one.id == self._run.parent)
        return planned(record, known, self._run.superseded(record.key))

    def _written(self, writes: Sequence[Write]) -> dict[str, str]:
        assert self._writer is not None
        below = [replace(write, parent=self._parent_of(write.record.key)) for write in writes]
        return self._writer.write(below) if below else {}

    def _parent_of(self, key: str) -> str | None:
        return self.originals.get(key, self._parent if key != PARENT else None)

    def _write_parent(self, parent: Record) -> None:
        """Write the parent, unless it is all there."""
        write = self._planned(parent)
        there = write.run is not None and write.run.status == parent.state and not write.superseded
        bare = parent == parent_record(self._run, parent.state)
        self._parent = write.run.id if there and bare and write.run else self._written([write])[PARENT]

    def _end_parent(self, parent: Record) -> None:
        """Write the parent; a replay whose tasks are all below their originals needs none to tell nothing."""
        bare = parent == parent_record(self._run, parent.state)
        needed = self._run.replay_of is None or not bare or any(key not in self.originals for key in self._taken)
        if needed or self._planned(parent).run is not None:
            self._write_parent(parent)

    def _note_parent(self) -> None:
        """Note the parent in the kept run; never beside the run, which saves itself as well."""
        before = self._run.parent
        if self._parent is None or before == self._parent:
            return
        self._run.parent = self._parent
        try:
            self._run.save()
        except OSError:
            self._run.parent = before
            raise

    def _kill(self) -> None:
        """End the parent of a run that was cut off; what could not be ended now is ended by the next attempt."""
        if self._parent is None or self._writer is None:
            return
        with suppress(*OUTSIDE):
            self._note_parent()
        with suppress(*OUTSIDE):
            self._write_parent(parent_record(self._run, "KILLED"))
