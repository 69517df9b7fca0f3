"""Keeps records on disk before MLflow sees them, so that nothing is lost when it cannot be reached.

A kept run is a folder with `run.json`, `tasks.jsonl`, to which a line is appended for every task that is kept, and
`logged.jsonl`, to which one is appended for every task that is in MLflow: a task costs the same in a long sweep as in a
short one. Artifacts lie where their lines say: as files of their own or, in a sweep, as what differs from a shared one.
All of it only its owner can read.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qrt_runner.errors import ConfigError, refuse
from qrt_runner.tracking.files import Files
from qrt_runner.tracking.lines import append, line_of, record_of, to_disk, whole_lines
from qrt_runner.tracking.places import leads_out, make_private, named, opened, tighten

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from qrt_runner.tracking.records import Record

_INDEX: Final = "run.json"
_TASKS: Final = "tasks.jsonl"
_LOGGED: Final = "logged.jsonl"
_ROOTS: Final = ("outputs", "multirun")
_SAVED: Final = (
    "id",
    "experiment",
    "title",
    "grouped",
    "folders",
    "started_ms",
    "parent",
    "interrupted",
    "spent",
    "replay_of",
    "tags",
    "params",
    "best",
    "places",
)
_REOPENED: Final = "reopened"
_RENEWED: Final = "renewed"
"""What stands in `logged.jsonl` instead of an MLflow run: its task is recorded anew; the new record is kept."""


@dataclass
class KeptRun:
    """A run's records on disk; lives as long as they are written."""

    folder: Path
    id: str
    experiment: str
    """Name of the MLflow experiment."""

    title: str
    grouped: bool
    """Whether the tasks' runs have a parent."""

    folders: bool
    """Whether each task has a folder with its artifacts as files."""

    started_ms: int
    parent: str | None = None
    """Id of the parent's MLflow run, once there is one."""

    interrupted: bool = False
    """Whether some of its tasks were not run."""

    spent: dict[str, float] = field(default_factory=dict)
    """What its session groups spent together, by metric name."""

    tags: dict[str, str] = field(default_factory=dict)
    """What the parent is tagged with, once all tasks are known."""

    params: dict[str, str] = field(default_factory=dict)
    """What all tasks were asked for, as the parent's params."""

    best: dict[str, float] = field(default_factory=dict)
    """What is told in numbers of the points that stand out, by metric name."""

    places: list[str] = field(default_factory=list)
    """Files that tell of all tasks, in its folder."""

    replay_of: str | None = None
    """The run whose numbers it has computed again."""

    experiment_id: str = ""
    """Id of the MLflow experiment, once something is logged by this process."""

    logged: dict[str, str] = field(default_factory=dict)
    """MLflow run by key of the task, for those that are logged."""

    reopened: dict[str, str] = field(default_factory=dict)
    """MLflow run by key of a task that is recorded anew: it is superseded by the new record's."""

    renewed: set[str] = field(default_factory=set)
    """Keys of the tasks that were kept anew after they had been logged, and are not logged anew yet."""

    _files: Files | None = None

    def save(self) -> None:
        """Write what is said of the run as a whole, so that it is whole at every moment."""
        make_private(self.folder)
        if self._is_ours():
            tighten(self.folder)
        saved = {name: getattr(self, name) for name in _SAVED}
        self.put(_INDEX, json.dumps(saved, indent=1).encode())

    def put(self, name: str, content: bytes) -> None:
        """Write a file that tells of all tasks, all of it or nothing."""
        assert not leads_out(name), name
        draft = self.folder / f"{name}.new"
        make_private(draft.parent)
        with named(draft), opened(draft, "wb") as stream:
            stream.write(content)
            to_disk(stream)
        draft.replace(self.folder / name)

    def begin(self) -> None:
        """Begin in a folder that an earlier run may have used: what it left there is none of this run."""
        for name in (_TASKS, _LOGGED):
            (self.folder / name).unlink(missing_ok=True)
        self.save()

    @property
    def files(self) -> Files:
        """Where its artifacts lie."""
        if self._files is None:
            self._files = Files(self.folder, shared=not self.folders)
        return self._files

    def keep(self, records: Iterable[Record]) -> None:
        """Write records, all of them or, where it dies meanwhile, the first of them."""
        lines = {record.key: line_of(record, self.files.kept(record.key, record.artifacts)) for record in records}
        self.files.to_disk()
        append(self.folder / _TASKS, [*lines.values()])
        self._note({key: _RENEWED for key in lines if key in self.logged or key in self.reopened})

    def note_logged(self, runs: Mapping[str, str]) -> None:
        """Note which MLflow run holds which task."""
        self._note(runs)

    def reopen(self, keys: Iterable[str]) -> None:
        """Have tasks recorded anew: what is logged of them is superseded when their new records are logged."""
        self._note({key: _REOPENED for key in keys if key in self.logged})

    def superseded(self, key: str) -> str | None:
        """Return the MLflow run that must not stay beside that of a task's record, whatever is in them."""
        return self.reopened.get(key) if key in self.renewed else None

    def records(self) -> Iterator[Record]:
        """Read the records in their order, each as it was kept last."""
        files, last = Files(self.folder, shared=not self.folders), {}
        for number, line in enumerate(whole_lines(self.folder / _TASKS)):
            last[line["key"]] = number
        for number, line in enumerate(whole_lines(self.folder / _TASKS)):
            if last[line["key"]] == number:
                yield record_of(line, files)

    def states(self) -> dict[str, str]:
        """Return the state of each task by its key."""
        return {line["key"]: line["state"] for line in whole_lines(self.folder / _TASKS)}

    def remedy(self) -> str:
        """Return where the results are, and the command that logs them."""
        name = self.id if self._is_ours() else f"'{self.folder}'"
        command = f"python -m qrt_runner action=collect run={name}"
        return f"The results are kept in {self.folder}. Log them with: {command}"

    def _is_ours(self) -> bool:
        """Tell whether it lies where runs are kept unless somebody has chosen a folder for it."""
        return any(self.folder.absolute().is_relative_to(Path.cwd() / root) for root in _ROOTS)

    def _note(self, told: Mapping[str, str]) -> None:
        """Note what became of tasks in MLflow, on disk before anybody relies on it."""
        if not told:
            return
        append(self.folder / _LOGGED, [json.dumps(item) for item in told.items()])
        for key, word in told.items():
            self._take(key, word)

    def _take(self, key: str, word: str) -> None:
        if word == _REOPENED:
            if key in self.logged:
                self.reopened[key] = self.logged.pop(key)
        elif word == _RENEWED:
            self.logged.pop(key, None)
            self.renewed.add(key)
        else:
            self.logged[key] = word
            self.reopened.pop(key, None)
            self.renewed.discard(key)


def find_kept(wanted: str) -> KeptRun:
    """Return the kept run of that id or in that folder, or the latest that has results.

    Raises:
        ConfigError: Where there is none.
    """
    if (Path(wanted) / _INDEX).is_file():
        return _read(Path(wanted) / _INDEX)
    runs = kept_runs()
    chosen = runs[-1:] if wanted == "latest" else [run for run in runs if run.id == wanted]
    if not chosen:
        known = ", ".join(run.id for run in runs[-5:]) or "none in outputs/ and multirun/"
        allowed = f"latest, or the id or folder of a kept run ({known})"
        raise refuse("run", wanted, allowed, "run=latest")
    return chosen[-1]


def unused(folder: Path) -> Path:
    """Return a folder that holds no run: the given one, or one beside it with a number."""
    beside = (folder.with_name(f"{folder.name}-{number}") for number in count(2))
    return next(one for one in chain([folder], beside) if not (one / _INDEX).exists())


def kept_runs() -> list[KeptRun]:
    """Return the runs that have results in the working directory, the latest last; damaged ones are left out."""
    files = [file for root in _ROOTS for file in Path(root).rglob(_INDEX) if (file.parent / _TASKS).is_file()]
    # A run inside another's folder is a part of it.
    parts = {file for file in files if any((above / _INDEX).is_file() for above in file.parent.parents)}
    runs = []
    for file in files:
        with suppress(ConfigError):
            runs += [_read(file)] if file not in parts else []
    return sorted(runs, key=_age)


def _age(run: KeptRun) -> tuple[int, str, int]:
    """Return what runs are sorted by; one that went on in another folder is looked for in the one kept last."""
    return run.started_ms, run.id, (run.folder / _TASKS).stat().st_mtime_ns


def _read(file: Path) -> KeptRun:
    try:
        run = KeptRun(folder=file.parent, **json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise refuse("run", f"{file}, which is damaged ({error})", "a run as it was kept", "run=<id>") from error
    for key, word in whole_lines(file.parent / _LOGGED):
        run._take(key, word)  # noqa: SLF001 - it is made here
    return run
