"""What cannot go together in a config, told beside all other mistakes; knows the standard library only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from qrt_runner.config.fields import without_unset
from qrt_runner.config.gates import fractional_mistakes
from qrt_runner.config.references import comparison_mistakes
from qrt_runner.errors import Mistake

OptionsJudge = Callable[[str, Mapping[str, Any], str], Sequence[Mistake]]
"""Judges `mitigation.options` for a mode, at a config path; given from outside, as only the runtime's models can."""

_RAW_MITIGATION: Final = ("none", "m3")
_SAMPLER_MITIGATION: Final = ("none", "level_0", "dd", "twirl", "suppression", "m3", "custom")
_ESTIMATOR_ONLY: Final = ("level_1", "level_2", "trex", "zne", "suppression_trex", "strong", "pea", "pec")

COMBINED: Final = ("backend", "mode", "session", "mitigation", "reference", "overview", "tasks")
"""Sections that `combination_mistakes` reads."""


def combination_mistakes(data: Mapping[str, Any], judge_options: OptionsJudge | None) -> list[Mistake]:
    """Return what cannot go together, told by the raw data so that it is told beside all other mistakes."""
    tasks = data.get("tasks")
    if not isinstance(tasks, dict) or not tasks:
        return [*comparison_mistakes(data), *_task_mistakes(data, data, "", judge_options)]
    mistakes = [
        mistake
        for name, task in tasks.items()
        if isinstance(task, dict)
        for mistake in _task_mistakes({**data, **task}, task, f"tasks.{name}.", judge_options)
    ]
    return list(dict.fromkeys([*comparison_mistakes(data), *mistakes]))


def _task_mistakes(
    data: Mapping[str, Any], own: Mapping[str, Any], prefix: str, judge_options: OptionsJudge | None
) -> list[Mistake]:
    path = f"{prefix}session" if "session" in own else "session"
    mistakes = _session_mistakes(_section(data, "session"), path)
    return [*mistakes, *fractional_mistakes(data), *_mitigation_mistakes(data, own, prefix, judge_options)]


def _session_mistakes(session: Mapping[str, Any], path: str) -> list[Mistake]:
    if session.get("id") is None:
        return []
    mistakes = []
    if session.get("kind") == "none":
        given = "an id with session.kind none"
        mistakes.append(Mistake(f"{path}.id", given, "an id with batch, dedicated or auto", f"{path}=auto"))
    if session.get("max_time") is not None:
        given = "a time for a group that is open already"
        mistakes.append(Mistake(f"{path}.max_time", given, "null beside an id", f"{path}.max_time=null"))
    return mistakes


def _mitigation_mistakes(
    data: Mapping[str, Any], own: Mapping[str, Any], prefix: str, judge_options: OptionsJudge | None
) -> list[Mistake]:
    mode, mitigation = _section(data, "mode").get("kind"), _section(data, "mitigation")
    kind, options = mitigation.get("kind"), mitigation.get("options")
    path = f"{prefix}mitigation" if "mitigation" in own else "mitigation"
    if told := _unsuited(mode, kind, path) or _readout_mistake(mode, kind, mitigation.get("readout"), path):
        return [told]
    given = without_unset(options) if isinstance(options, dict) else {}
    if mode == "raw" and given:
        remedy = f"leave {path}.options out, or mode=sampler"
        return [Mistake(f"{path}.options", repr(sorted(given)), "nothing in mode=raw, which is unprocessed", remedy)]
    if not given or judge_options is None or mode not in ("sampler", "estimator"):
        return []
    return list(judge_options(mode, given, f"{path}.options"))


def _unsuited(mode: object, kind: object, path: str) -> Mistake | None:
    if mode == "raw" and kind not in _RAW_MITIGATION:
        remedy = f"{path}=none, or mode=sampler or mode=estimator"
        return Mistake(path, str(kind), "none or m3 in mode=raw, which is unprocessed", remedy)
    if mode == "estimator" and kind == "m3":
        allowed = "m3 for counts: mode=raw and mode=sampler"
        return Mistake(path, "m3 in mode=estimator, whose results are expectation values", allowed, f"{path}=trex")
    if mode == "sampler" and kind in _ESTIMATOR_ONLY:
        allowed = f"{', '.join(_SAMPLER_MITIGATION)} in mode=sampler, whose results are counts"
        return Mistake(path, str(kind), allowed, f"mode=estimator, or {path}=twirl")
    return None


def _readout_mistake(mode: object, kind: object, readout: object, path: str) -> Mistake | None:
    """Return what is wrong with asking for M3 by its field: a name says what is done, and it is for counts."""
    where = f"{path}.readout"
    if readout == "m3" and mode == "estimator":
        given = "m3 in mode=estimator, whose results are expectation values"
        return Mistake(where, given, "m3 for counts: mode=raw and mode=sampler", f"{path}=trex")
    if kind == "m3" and readout == "as_measured":
        return Mistake(where, f"as_measured with {path}=m3", "m3", f"{path}=none")
    if kind in ("none", "level_0") and readout == "m3":
        return Mistake(where, f"m3 with {path}={kind}, which stands for none", "as_measured", f"{path}=m3")
    return None


def _section(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = data.get(name)
    return section if isinstance(section, dict) else {}
