"""Keeps records on disk before MLflow sees them, so that nothing is lost when it cannot be reached.

A kept run is a folder with `run.json`, one folder of artifacts per task, and `tasks.jsonl`, to which a line is appended
for every task that is kept or logged, so that a task costs the same in a long sweep as in a short one.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.errors import refuse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from qrt_runner.tracking.records import Record

_INDEX: Final = "run.json"
_TASKS: Final = "tasks.jsonl"
_ROOTS: Final = ("outputs", "multirun")


@dataclass(frozen=True)
class KeptTask:
    """A task's record on disk."""

    title: str
    state: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: tuple[tuple[str, float | str, int], ...]
    """Key, value and step; values that are not finite as text."""

    folder: str
    """Where its artifacts lie, below the run's folder."""

    mlflow_run: str | None = None
    """Id of its MLflow run, once it is logged."""


@dataclass(frozen=True)
class KeptRun:
    """A run's records on disk."""

    folder: Path
    id: str
    experiment: str
    """Name of the MLflow experiment."""

    title: str
    grouped: bool
    """Whether the tasks' runs have a parent."""

    started_ms: int
    tasks: tuple[KeptTask, ...]
    parent: str | None = None
    """Id of the parent's MLflow run, once there is one."""

    interrupted: bool = False
    """Whether some of its tasks were not run."""

    def save(self) -> KeptRun:
        """Write what is said of the run as a whole, so that it is whole at every moment."""
        data = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in ("folder", "tasks")}
        draft = self.folder / f"{_INDEX}.new"
        with draft.open("w", encoding="utf-8") as stream:
            json.dump(data, stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(self.folder / _INDEX)
        return self

    def noted(self, position: int, task: KeptTask) -> KeptRun:
        """Return the run with a task added or replaced, once that is on disk."""
        with (self.folder / _TASKS).open("a", encoding="utf-8") as stream:
            # The line break comes first, so that a line cut off by a crash spoils no other.
            stream.write("\n" + json.dumps(asdict(task)))
            stream.flush()
            os.fsync(stream.fileno())
        return replace(self, tasks=(*self.tasks[:position], task, *self.tasks[position + 1 :]))

    def remedy(self) -> str:
        """Return where the results are, and the command that logs them."""
        name = self.id if any(self.folder.is_relative_to(Path.cwd() / root) for root in _ROOTS) else f"'{self.folder}'"
        command = f"python -m qrt_runner action=collect run={name}"
        return f"The results are kept in {self.folder}. Log them with: {command}"


def add_files(run: KeptRun, task: KeptTask, files: Mapping[str, bytes]) -> None:
    """Add artifacts to a task that is kept already."""
    for path, content in files.items():
        file = run.folder / task.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def keep_task(run: KeptRun, record: Record) -> KeptTask:
    """Write a task's artifacts below the run's folder."""
    below = f"{record.tags['qrt.point']}-{record.tags['qrt.task']}"
    metrics = tuple((metric.key, _told(metric.value), metric.step) for metric in record.metrics)
    task = KeptTask(record.title, record.state, dict(record.params), dict(record.tags), metrics, below)
    add_files(run, task, record.artifacts)
    return task


def find_kept(wanted: str) -> KeptRun:
    """Return the kept run of that id or in that folder, or the latest that has results.

    Raises:
        ConfigError: Where there is none.
    """
    if (Path(wanted) / _INDEX).is_file():
        return _read(Path(wanted) / _INDEX)
    found = [_read(file) for root in _ROOTS for file in Path(root).rglob(_INDEX)]
    runs = sorted((run for run in found if run.tasks), key=lambda run: (run.started_ms, run.id))
    chosen = runs[-1:] if wanted == "latest" else [run for run in runs if run.id == wanted]
    if not chosen:
        known = ", ".join(run.id for run in runs[-5:]) or "none in outputs/ and multirun/"
        allowed = f"latest, or the id or folder of a kept run ({known})"
        raise refuse("run", wanted, allowed, "run=latest")
    return chosen[-1]


def _read(file: Path) -> KeptRun:
    data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return KeptRun(folder=file.parent, tasks=_read_tasks(file.parent / _TASKS), **data)


def _read_tasks(file: Path) -> tuple[KeptTask, ...]:
    """Read the tasks, each as its last whole line has it."""
    tasks: dict[str, KeptTask] = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else []:
        try:
            task = _task(json.loads(line))
        except json.JSONDecodeError:
            # The blank first line, or one that a crash cut off: its task was not kept.
            continue
        tasks[task.folder] = task
    return tuple(tasks.values())


def _task(data: dict[str, Any]) -> KeptTask:
    metrics: Iterable[Any] = data.pop("metrics")
    return KeptTask(metrics=tuple((key, value, step) for key, value, step in metrics), **data)


def _told(value: float) -> float | str:
    return value if value == value and abs(value) != float("inf") else str(value)  # noqa: PLR0124 - NaN is not itself
