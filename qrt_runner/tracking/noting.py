"""A task in ten lines of Markdown, which MLflow's UI shows with its run; knows results, and not MLflow."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from qrt_runner.commands import command_lines, repeating
from qrt_runner.digits import with_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qrt_runner.results import TaskResult

NOTE: Final = "mlflow.note.content"
"""The tag that MLflow's UI shows as a run's description."""

_MOST_VALUES: Final = 6
_MOST_OUTCOMES: Final = 4
_MOST_JOBS: Final = 4
_LONGEST: Final = 1000
"""Characters of an error, a reason or a note: a tag as a whole may have 8,000."""

_WIDEST: Final = 90
"""Characters of a line of a command, and of an outcome."""

_LONGEST_COMMAND: Final = 3000
"""Characters of a command: with a longer one the tag would be cut off in the middle of it."""


def note_of(result: TaskResult, command: str = "") -> str:
    """Return what was asked, where it ran, what came of it, and the command that repeats it.

    Args:
        result: Of the task.
        command: What began the run, as typed; empty where that is not known.
    """
    lines = [_heading(result), "", *(f"- {line}" for line in _lines(result))]
    repeat = repeating(command, result.point.overrides)
    return "\n".join([*lines, *listing(repeat)])


def commented(lines: Sequence[str]) -> dict[str, str]:
    """Return the tag that holds lines of Markdown as a run's description."""
    return {NOTE: "\n".join(lines)}


def _heading(result: TaskResult) -> str:
    task = result.task
    mitigation = f", mitigation {task.mitigation.kind}" if task.mitigation.kind != "none" else ""
    name = f"{result.name}: " if len(result.point.experiment.tasks) > 1 else ""
    what = plain(f"{name}{task.circuit.name} on {result.backend}")
    swept = f" ({' '.join(code(short(word)) for word in result.point.overrides)})" if result.point.overrides else ""
    return f"**{what}, {task.mode.kind}{mitigation}**{swept}"


def _lines(result: TaskResult) -> Iterator[str]:
    yield f"asked: {_asked(result)}"
    yield f"ran: {_where(result)}"
    yield f"jobs: {_jobs(result)}"
    if result.state == "failed":
        yield f"**failed**: {plain(result.error)}"
    yield from _values(result)
    yield from _outcomes(result)
    yield f"mitigation: {_mitigation(result)}"
    yield f"spent: {_spent(result)}"
    if result.notes:
        yield f"to know: {plain('; '.join(result.notes))}"


def _asked(result: TaskResult) -> str:
    task, document = result.task, result.point.experiment.document
    params = [f"{name} {code(short(value))}" for name, value in task.circuit.params.items()]
    precision = getattr(task.mode, "precision", None)
    words = [*params, f"precision {precision:g}" if precision is not None else f"{task.mode.shots} shots"]
    sets = len(result.parameter_values)
    words += [f"{sets} values of {_named(result.parameters)}"] if result.parameters and sets > 1 else []
    words += [f"reference {document.reference.kind}"] if document.reference.kind != "none" else []
    return ", ".join([*words, f"seed {document.seed}"])


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_VALUES} more" if len(names) > _MOST_VALUES else ""
    return f"{', '.join(map(code, names[:_MOST_VALUES]))}{more}"


def _where(result: TaskResult) -> str:
    sizes = result.sizes
    gates = (
        f", two-qubit gates {sizes['circuit/two_qubit_gates']:.0f} as written, {sizes['isa/two_qubit_gates']:.0f} there"
        f", depth {sizes['circuit/depth']:.0f} and {sizes['isa/depth']:.0f}"
        if sizes
        else ""
    )
    ended = max((str(job.record.get("timestamps", {}).get("finished", "")) for job in result.jobs), default="")
    reused = f", measured by run {code(result.reused_from)}" if result.reused_from else ""
    return f"{code(result.backend)}{gates}{f', ended {ended[:19]}' if ended else ''}{reused}"


def _jobs(result: TaskResult) -> str:
    ids = [code(job.record["id"]) for job in result.jobs if job.record["id"]]
    sessions = dict.fromkeys((job.record["session_kind"], job.record["session_id"]) for job in result.jobs)
    told = [f"{kind} {code(session)}" if session != "none" else "no session" for kind, session in sessions]
    more = f" and {len(ids) - _MOST_JOBS} more" if len(ids) > _MOST_JOBS else ""
    return f"{', '.join(ids[:_MOST_JOBS]) or 'none'}{more}; {', '.join(told[:_MOST_JOBS]) or 'no session'}"


def _values(result: TaskResult) -> Iterator[str]:
    """Give the expectation values of the first parameter set of which there is a result."""
    found, ideal = result.expectations, result.comparison.ideal
    if found is None or not found.names:
        return
    index = next((index for index in range(len(found.values)) if index not in result.missing), None)
    if index is None:
        return
    told = []
    for column, name in enumerate(found.names[:_MOST_VALUES]):
        value, error = float(found.values[index, column]), float(found.errors[index, column])
        words = f"{code(name)} = {with_error(value, error)}"
        if ideal is not None and not math.isnan(ideal[index, column]):
            words += f" (ideal {ideal[index, column]:.4g})"
        told.append(words)
    more = f", and {len(found.names) - _MOST_VALUES} more" if len(found.names) > _MOST_VALUES else ""
    where = f" (set {index} of {len(found.values)})" if len(found.values) > 1 else ""
    yield f"expectation values{where}: {', '.join(told)}{more}"


def _outcomes(result: TaskResult) -> Iterator[str]:
    """Give the most frequent outcomes of the first parameter set."""
    counts, comparison = result.counts, result.comparison
    if counts is None or not counts.joint or not counts.joint[0]:
        return
    joint = counts.joint[0]
    ranked = sorted(joint, key=lambda outcome: (-joint[outcome], outcome))
    told = ", ".join(f"{code(_near(outcome))} {joint[outcome]}" for outcome in ranked[:_MOST_OUTCOMES])
    more = f", and {len(ranked) - _MOST_OUTCOMES} more" if len(ranked) > _MOST_OUTCOMES else ""
    fidelity = f"; Hellinger fidelity {comparison.hellinger[0]:.4f}" if comparison.hellinger else ""
    yield f"counts: {told}{more}{fidelity}"


def _near(outcome: str) -> str:
    """Return an outcome without its middle where it is wider than the page; `counts.json` has all of it."""
    ends = _WIDEST // 10
    return outcome if len(outcome) <= _WIDEST else f"{outcome[:ends]}…{outcome[-ends:]} ({len(outcome)} bits)"


def _mitigation(result: TaskResult) -> str:
    ledger = result.ledger
    ignored = [f"ignored {code(name)}: {plain(reason)}" for name, reason in ledger.ignored.items()]
    applied = f"applied {', '.join(map(code, ledger.applied)) or 'nothing'}"
    return "; ".join([f"asked for {code(ledger.requested)}", applied, *ignored])


def _spent(result: TaskResult) -> str:
    quantum_s = sum(job.quantum_s for job in result.jobs)
    told = f"{quantum_s:.4g} quantum seconds"
    told += f" (estimated {result.price.estimated_s:.4g})" if result.price is not None else ""
    waited_s, run_s = (sum(getattr(job, name) for job in result.jobs) for name in ("queue_s", "run_s"))
    return f"{told}, {waited_s:.3g} s in queues, {run_s:.3g} s running, in jobs that others may share"


def listing(command: str) -> list[str]:
    """Return a command as lines of Markdown, or where a long one is found; nothing where there is none."""
    if not command:
        return []
    if len(command) > _LONGEST_COMMAND:
        return ["", "The command that repeats it is too long for a note: `action=report` tells it."]
    return ["", "```sh", folded(command), "```"]


def folded(command: str) -> str:
    """Return a command with a line break between words where it is long: MLflow's UI breaks no line of code."""
    return "\n".join(command_lines(command, indent=0, width=_WIDEST))


def code(text: object) -> str:
    """Return a text as Markdown shows it unchanged."""
    line = " ".join(str(text).splitlines())
    return f"`{line.replace('`', chr(39))}`"


def short(text: object) -> str:
    """Return a text without its end where it is wider than the page; the config has all of it."""
    return str(text) if len(str(text)) <= _WIDEST else f"{str(text)[:_WIDEST]}…"


def plain(text: str) -> str:
    """Return a text of others in one line, in which Markdown finds no marks."""
    line = " ".join(text.split())[:_LONGEST]
    return "".join(f"\\{letter}" if letter in "\\`*_<>[]#|" else letter for letter in line)
