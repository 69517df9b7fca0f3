"""The command line: `python -m qrt_runner`; imports what is heavy once the config is judged."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qrt_runner.errors import ConfigError, QrtError, refuse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from qrt_runner.config import Document, Experiment
    from qrt_runner.launcher import Composition
    from qrt_runner.results import TaskResult
    from qrt_runner.runner import Outcome

_INTERRUPTED: Final = 130
_COLLECT_RARELY: Final = (200_000, 20, 100)
"""Garbage collection thresholds: Python's own make it take a third of the seconds that the imports take."""


def main() -> int:
    """Run the command line and return its exit code."""
    full = os.environ.get("HYDRA_FULL_ERROR") == "1"
    gc.set_threshold(*_COLLECT_RARELY)
    try:
        return _command(sys.argv[1:])
    except QrtError as error:
        if full:
            raise
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted; nothing had been submitted.\n")
        return _INTERRUPTED


def _command(arguments: Sequence[str]) -> int:
    from qrt_runner.config import secrets_in_overrides

    if secrets := secrets_in_overrides(arguments):
        raise ConfigError(secrets)
    from qrt_runner.launcher import compose_points, judged

    composition = compose_points(arguments)
    if not composition.points:
        return 0
    experiments = judged(composition)
    first = next(iter(experiments.values())).document
    _check_run_wide(experiments.values(), first)
    return _collect(first) if first.action.kind == "collect" else _run(composition, experiments, first)


def _check_run_wide(experiments: Iterable[Experiment], first: Document) -> None:
    """Refuse a sweep over what belongs to the whole run: of several values only one could be true."""
    for name in ("name", "tracking", "action", "run", "sweep"):
        if any(getattr(experiment.document, name) != getattr(first, name) for experiment in experiments):
            raise refuse(name, "several values in one sweep", "one value for the whole sweep", "one command for each")


def _collect(document: Document) -> int:
    from qrt_runner.runner import collect

    kept = collect(document.run or "latest", document.tracking)
    sys.stdout.write(f"run {kept.id}: {len(kept.tasks)} tasks are in MLflow, experiment {kept.experiment}\n")
    return 0


def _run(composition: Composition, experiments: Mapping[int, Experiment], first: Document) -> int:
    from qrt_runner.results import Point
    from qrt_runner.runner import Request, run

    points = tuple(
        Point(index, experiment, composition.points[index].yaml, composition.points[index].overrides)
        for index, experiment in experiments.items()
    )
    skips = first.sweep.on_invalid == "skip" and composition.swept
    outcome = run(Request(points, composition.folder, first.tracking, skips, composition.swept), _announce, _show)
    _close(outcome, first)
    return outcome.exit_code or int(len(points) < len(composition.points))


def _announce(words: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"{words}\n")


def _show(result: TaskResult) -> None:
    from qrt_runner.runner import told

    _say("\n".join(told(result)) + "\n")


def _say(words: str) -> None:
    """Print; where nobody listens any more (`| head`), the run goes on and is recorded without a word."""
    try:
        sys.stdout.write(words)
        sys.stdout.flush()
    except OSError:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - lives as long as the process


def _close(outcome: Outcome, document: Document) -> None:
    """Print the closing table, then where the results are and how to browse them."""
    from qrt_runner.runner import closing, table

    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    _say(f"\n{table(outcome.results, colour=colour)}\n\n")
    _say("\n".join(closing(outcome, document.tracking)) + "\n")
    sys.stderr.write("".join(f"{trouble}\n" for trouble in outcome.troubles))


def entry() -> None:
    """Run the command line and end the process, at once where it was interrupted.

    A local job computes in a thread, which Python would wait for. Aer lets nobody in while it simulates a circuit, so
    what is at once is between two of them.
    """
    code = main()
    if code == _INTERRUPTED:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    entry()
