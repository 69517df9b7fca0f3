"""What fractional gates of a backend do not go with; knows the standard library only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qrt_runner.errors import Mistake

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def fractional_mistakes(data: Mapping[str, Any]) -> list[Mistake]:
    """Return the techniques asked for that a backend with fractional gates cannot be asked for.

    Twirling a gate of any angle takes gates that depend on it, and PEA and PEC learn the noise of twirled layers.

    Args:
        data: The config of a task as plain containers.
    """
    backend, mode = data.get("backend"), data.get("mode")
    if not (isinstance(backend, dict) and isinstance(mode, dict)) or mode.get("kind") not in ("sampler", "estimator"):
        return []
    if backend.get("use_fractional_gates") is not True:
        return []
    asked = ", ".join(_twirling(data.get("mitigation")))
    path, remedy = "backend.use_fractional_gates", "backend.use_fractional_gates=false"
    return [Mistake(path, f"true beside {asked}", f"false with {asked}", remedy)] if asked else []


def _twirling(mitigation: Any) -> Iterator[str]:
    options = mitigation.get("options") if isinstance(mitigation, dict) else None
    twirls = _at(options, "twirling", "enable_gates")
    is_level_2 = _at(options, "resilience_level") == 2
    if twirls is True or (twirls is None and is_level_2):
        yield "gate twirling"
    extrapolates = _at(options, "resilience", "zne_mitigation")
    is_on = extrapolates is True or (extrapolates is None and is_level_2)
    if is_on and _at(options, "resilience", "zne", "amplifier") == "pea":
        yield "PEA"
    if _at(options, "resilience", "pec_mitigation") is True:
        yield "PEC"


def _at(options: Any, *steps: str) -> Any:
    for step in steps:
        options = options.get(step) if isinstance(options, dict) else None
    return options
