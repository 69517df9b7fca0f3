"""Reads and writes rows of the journal's database as records; knows sqlite3."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final, TypeVar

from qrt_runner.journal.opening import opened_database
from qrt_runner.journal.records import GroupEntry, JobEntry, PointEntry, RunEntry, Submission, TaskEntry
from qrt_runner.journal.troubles import damaged, told
from qrt_runner.results import Span

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

Entry = TypeVar("Entry", RunEntry, PointEntry, TaskEntry, JobEntry, GroupEntry, Submission)

_TABLES: Final = {
    RunEntry: "runs",
    PointEntry: "points",
    TaskEntry: "tasks",
    JobEntry: "jobs",
    GroupEntry: "groups",
    Submission: "submissions",
}


_PLAIN: Final = (str, int, float, type(None))


class Database:
    """The open database; lives as long as the journal is open, in one thread."""

    def __init__(self, file: Path) -> None:
        """Open it.

        Raises:
            JournalError: Where that is not possible.
        """
        self._file = file
        self._connection = opened_database(file)

    def close(self) -> None:
        """Close it; what was committed is on the disk."""
        with told(self._file):
            self._connection.close()

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """Write all that is written inside, or nothing of it.

        Raises:
            JournalError: Where it cannot be written.
        """
        database = self._connection
        with told(self._file):
            try:
                database.execute("BEGIN IMMEDIATE")
                yield Writing(database)
                database.execute("COMMIT")
            except BaseException:
                # SQLite has undone it by itself where the disk was full.
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """Return the rows of a query.

        Raises:
            JournalError: Where they cannot be read.
        """
        with told(self._file):
            return self._connection.execute(query, values).fetchall()

    def read(self, kind: type[Entry], rest: str = "", *values: object) -> list[Entry]:
        """Return records of a kind, in the order in which they were written.

        Args:
            kind: Which.
            rest: What follows the table's name in the query.
            values: What its question marks stand for.

        Raises:
            JournalError: Where they cannot be read, or are not what was written.
        """
        rows = self.rows(f"SELECT * FROM {_TABLES[kind]} {rest} ORDER BY rowid", *values)  # noqa: S608 - our own words
        try:
            return [entry(kind, row) for row in rows]
        except (ValueError, TypeError, LookupError) as error:
            raise damaged(self._file, f"a row of {_TABLES[kind]} cannot be read: {error}") from error


class Writing:
    """One transaction; lives as long as it is open."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Write to an open database."""
        self._connection = connection

    def insert(self, kind: type[Entry], run_id: str, entries: Iterable[Entry]) -> None:
        """Write new records of a run."""
        self._connection.executemany(_insertion(kind), (_values(kind, one, run_id) for one in entries))

    def change(self, table: str, where: Mapping[str, object], changes: Mapping[str, object]) -> None:
        """Change columns of the one row that answers to `where`."""
        sets = ", ".join(f'"{name}" = ?' for name in changes)
        rows = " AND ".join(f'"{name}" = ?' for name in where)
        line = f"UPDATE {table} SET {sets} WHERE {rows}"  # noqa: S608 - names of our own
        changed = self._connection.execute(line, [*map(_told, changes.values()), *where.values()]).rowcount
        assert changed == 1, f"{table}: {changed} rows have {dict(where)}"

    def each(self, line: str, values: Iterable[tuple[object, ...]]) -> int:
        """Execute a line for each of some values, and return how many rows it changed."""
        return self._connection.executemany(line, values).rowcount

    def once(self, line: str, *values: object) -> sqlite3.Cursor:
        """Execute a line."""
        return self._connection.execute(line, values)


def entry(kind: type[Entry], row: sqlite3.Row) -> Entry:
    """Return the record that a row holds."""
    return kind(**{name: read(row[name]) if read else row[name] for name, read in _COLUMNS[kind]})


def _insertion(kind: type[Entry]) -> str:
    """Return the line that writes a new record; every one but a run is of a run."""
    names = [f'"{name}"' for name, _ in _COLUMNS[kind]] + ([] if kind is RunEntry else ["run"])
    marks = ", ".join("?" * len(names))
    return f"INSERT INTO {_TABLES[kind]} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608 - names of our own


def _values(kind: type[Entry], one: Entry, run_id: str) -> list[Any]:
    values: list[Any] = [_told(getattr(one, name)) for name, _ in _COLUMNS[kind]]
    return values if kind is RunEntry else [*values, run_id]


def _told(value: Any) -> Any:
    """Return a field's value as a column takes it: what is neither number nor text as JSON."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, tuple):
        return json.dumps([[one.pub, one.start, one.stop] if isinstance(one, Span) else one for one in value])
    # A value in a record that JSON does not know must not cost a result that was paid for.
    return json.dumps(value, default=str)


def _spans(text: str) -> tuple[Span, ...]:
    return tuple(Span(*numbers) for numbers in json.loads(text))


def _overrides(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


_READ: Final[dict[str, Callable[[Any], Any]]] = {
    "spans": _spans,
    "overrides": _overrides,
    "record": json.loads,
    "grouped": bool,
    "folders": bool,
    "interrupted": bool,
    "attached": bool,
}
"""How a column's value becomes the field's, where they differ."""

_COLUMNS: Final[dict[Any, tuple[tuple[str, Callable[[Any], Any] | None], ...]]] = {
    kind: tuple((one.name, _READ.get(one.name)) for one in fields(kind)) for kind in _TABLES
}
