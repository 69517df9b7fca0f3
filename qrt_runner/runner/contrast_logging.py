"""Logs a comparison to MLflow: a run of its own, in the experiment of the first run; knows the modules above it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from qrt_runner.runner.outcome import new_id
from qrt_runner.tracking import KeptRun, commented

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from qrt_runner.journal import Journal
    from qrt_runner.runner.collecting import Looking
    from qrt_runner.runner.contrasting import Contrast
    from qrt_runner.runner.recalling import Recorded

KIND: Final = "qrt.kind"
"""Tag of MLflow runs that measured nothing; `comparison` is the only kind there is."""

_COMPARED: Final = "qrt.compared"
"""Tag of ids of runs."""


class _Unkept(KeptRun):
    """Stands for a comparison, of which no index is kept: its folder may be that of a run."""

    def save(self) -> None:
        """Write nothing."""

    def remedy(self) -> str:
        """Return where it is, and the command that logs it."""
        command = f"python -m qrt_runner action=compare 'runs=[{self.tags[_COMPARED]}]'"
        return f"The comparison is written into {self.folder}. Log it with: {command}"


def log_comparison(
    journal: Journal,
    runs: Sequence[Recorded],
    contrasts: Sequence[Contrast],
    files: Mapping[str, bytes],
    asked: Looking,
) -> list[str]:
    """Log a comparison, with links to the runs that it is about, and return where it is.

    Runs that are not in MLflow themselves, or that were asked not to be, have no comparison there either.

    Raises:
        TrackingError: Where the store cannot be reached.
    """
    known = {run.id: found for run in runs if (found := mlflow_runs(journal, run))}
    if asked.tracking.kind == "off" or not known:
        return []
    from qrt_runner.tracking.metrics import Metric
    from qrt_runner.tracking.store import Recorder

    experiment = runs[0].kept.experiment if runs[0].kept is not None else runs[0].run.name if runs[0].run else ""
    title = f"comparison of {len(runs)} runs"
    tags = {KIND: "comparison", _COMPARED: ",".join(run.id for run in runs), **_headline(contrasts)}
    tags |= commented([f"**{title}**", "", *_lines(runs, contrasts, known)])
    now_ms = int(time.time() * 1000)
    kept = _Unkept(asked.folder, new_id(), experiment, title, True, False, now_ms, tags=tags)  # noqa: FBT003 - in order
    metrics = [Metric(name, float(value), 0) for name, value in _counted(contrasts).items()]
    with Recorder(kept, asked.tracking.uri) as recorder:
        recorder.end("FINISHED", files, tags=tags, metrics=metrics)
    return [f"and in MLflow as run {kept.parent} of experiment {experiment}"]


def mlflow_runs(journal: Journal, found: Recorded) -> list[str]:
    """Return the MLflow run that tells of all tasks, else those of the tasks; none where it is not logged."""
    if found.kept is not None:
        return [found.kept.parent] if found.kept.parent else list(found.kept.logged.values())
    assert found.run is not None
    if found.run.parent:
        return [found.run.parent]
    return [task.mlflow_run for task in journal.tasks(found.run.id) if task.mlflow_run]


def _lines(runs: Sequence[Recorded], contrasts: Sequence[Contrast], known: Mapping[str, Sequence[str]]) -> list[str]:
    first = f"- first: {_linked(runs[0], known)}"
    told = [f"- {_linked(run, known)}: {_apart(contrast)}" for run, contrast in zip(runs[1:], contrasts, strict=True)]
    return [first, *told, "- all of it: `comparison.html`; figures in `plots/`"]


def _linked(run: Recorded, known: Mapping[str, Sequence[str]]) -> str:
    """Return a run's id as a link to its page in MLflow's UI."""
    return f"[{run.id}](#/runs/{known[run.id][0]})" if run.id in known else f"`{run.id}`"


def _apart(contrast: Contrast) -> str:
    counted = _counted([contrast])
    told = [
        f"{counted[f'significant/{what}']} of {counted[f'compared/{what}']} {words} differ beyond their errors"
        for what, words in (("values", "expectation values"), ("counts", "distributions of counts"))
        if counted[f"compared/{what}"]
    ]
    changes = sum(len(drift.changes) for drift in contrast.drifts)
    told += [f"{changes} numbers of the calibration changed, {len(contrast.config)} of the config"]
    return ", ".join([*told, f"{len(contrast.versions)} versions"])


def _headline(contrasts: Sequence[Contrast]) -> dict[str, str]:
    counted = _counted(contrasts)
    significant = counted["significant/values"] + counted["significant/counts"]
    return {"qrt.headline": f"{significant} of {counted['compared/values'] + counted['compared/counts']} differ"}


def _counted(contrasts: Sequence[Contrast]) -> dict[str, int]:
    values = [one.found.is_significant for contrast in contrasts for one in contrast.values]
    counts = [one.variation.is_significant for contrast in contrasts for one in contrast.counts]
    told = {"compared/values": len(values), "significant/values": sum(values)}
    return told | {"compared/counts": len(counts), "significant/counts": sum(counts)}
