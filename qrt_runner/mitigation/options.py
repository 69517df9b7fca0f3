"""Turns mitigation and mode into the primitive's own validated options; knows runtime.

The runtime's option models judge; this module puts the path that the user typed in front of their verdict.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pydantic import BaseModel, ValidationError
from qiskit_ibm_runtime.options_models import EstimatorOptions, SamplerOptions

from qrt_runner.config import nearest, shown
from qrt_runner.errors import Mistake

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic_core import ErrorDetails

    from qrt_runner import config

PrimitiveOptions: TypeAlias = EstimatorOptions | SamplerOptions
_MODELS: Final[dict[str, type[PrimitiveOptions]]] = {"sampler": SamplerOptions, "estimator": EstimatorOptions}
_OWNED: Final = {
    "default_shots": "mode.shots",
    "default_precision": "mode.precision",
    "simulator.seed_simulator": "seed",
    "environment.max_execution_time": "mitigation.options.max_execution_time",
}
"""Options that have a place of their own in the config."""

_LEARNED: Final = ("resilience.layer_noise_model", "simulator.layer_noise_model")
_POINTS: Final = {"linear": 2, "exponential": 2, "double_exponential": 4, "fallback": 1}
"""Noise factors that an extrapolator needs at least; a polynomial of degree k needs k + 1."""

_MOST_TAGS: Final = 6
"""IBM takes eight for a job (code 1204); two of them are ours, by which the service is asked for it."""


def judge_options(mode: str, options: Mapping[str, Any], path: str = "mitigation.options") -> list[Mistake]:
    """Return what the runtime's option models and rules object to.

    Args:
        mode: `sampler` or `estimator`.
        options: What is asked for, without what is null.
        path: Config path of the options, for error texts.
    """
    mistakes = [_owned(name, options) for name in _OWNED if _at(options, name) is not None]
    mistakes += [_learned(name) for name in _LEARNED if _at(options, name) is not None]
    if not mistakes:
        try:
            mistakes = _combinations(_MODELS[mode](**options))
        except ValidationError as error:
            details = error.errors(include_url=False)
            mistakes = _merged([_mistake(detail, _MODELS[mode], options, path) for detail in details])
    return [mistake.below(f"{path}.") for mistake in mistakes]


def options_for(mode: config.Mode, mitigation: config.Mitigation, seed: int | None) -> PrimitiveOptions:
    """Return the options that a task's primitive is sent.

    Without a level of its own the Estimator is sent resilience level 0, because its default of 1 would mitigate.
    """
    chosen: dict[str, Any] = {**mitigation.options}
    chosen["simulator"] = {**chosen.get("simulator", {}), "seed_simulator": seed}
    if mode.kind == "sampler":
        return SamplerOptions(**chosen, default_shots=mode.shots)
    precision = getattr(mode, "precision", None)
    wanted = {"default_shots": mode.shots} if precision is None else {"default_precision": precision}
    return EstimatorOptions(**{"resilience_level": 0, **chosen, **wanted})


def _at(options: Mapping[str, Any], path: str) -> Any:
    here: Any = options
    for step in path.split("."):
        here = here.get(step) if isinstance(here, dict) else None
    return here


def _owned(path: str, options: Mapping[str, Any]) -> Mistake:
    return Mistake(path, shown(_at(options, path)), f"what {_OWNED[path]} says", f"set {_OWNED[path]}")


def _learned(path: str) -> Mistake:
    allowed = "nothing: it cannot be written in YAML, and mitigation.noise_model says where it is from"
    return Mistake(path, "a layer noise model", allowed, "leave it out")


def _mistake(detail: ErrorDetails, model: type[BaseModel], options: Mapping[str, Any], above: str) -> Mistake:
    steps = _steps(detail["loc"], options)
    path = ".".join(steps)
    if detail["type"] == "extra_forbidden":
        known = sorted(_model_at(model, steps[:-1]).model_fields)
        meant = nearest(steps[-1], known)
        remedy = f"did you mean {'.'.join([above, *steps[:-1], meant])}?" if meant else "leave it out"
        return Mistake(path, f"the unknown key with {shown(detail['input'])}", ", ".join(known), remedy)
    told = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return Mistake(path, shown(detail["input"]), told, "leave it null for the platform's default")


def _steps(loc: Sequence[Any], options: Any) -> list[str]:
    """Return an error's location without the names of union members that pydantic puts into it."""
    steps = []
    for step in loc:
        if (isinstance(options, dict) and step in options) or (isinstance(options, list) and isinstance(step, int)):
            options = options[step]
        else:
            continue
        steps.append(str(step))
    return steps


def _merged(mistakes: Sequence[Mistake]) -> list[Mistake]:
    """Tell a value that no member of a union takes once: by its innermost place, with all that is allowed."""
    by_path: dict[str, Mistake] = {}
    for mistake in mistakes:
        known = by_path.get(mistake.path)
        allowed = f"{known.allowed}, or {mistake.allowed}" if known else mistake.allowed
        by_path[mistake.path] = replace(mistake, allowed=allowed)
    return [mistake for path, mistake in by_path.items() if not any(other.startswith(f"{path}.") for other in by_path)]


def _model_at(model: type[BaseModel], steps: Sequence[str]) -> type[BaseModel]:
    for step in steps:
        inner = model.model_fields[step].annotation
        model = inner if isinstance(inner, type) and issubclass(inner, BaseModel) else model
    return model


def _combinations(options: PrimitiveOptions) -> list[Mistake]:
    execution = getattr(options.execution, "meas_type", "classified")
    mistakes = []
    if execution != "classified":
        mistakes.append(
            Mistake("execution.meas_type", execution, "classified, because counts are recorded", "leave it null")
        )
    if (count := len(options.environment.job_tags or ())) > _MOST_TAGS:
        allowed = f"at most {_MOST_TAGS}: a job has at most 8, and 2 are qrt_runner's own"
        mistakes.append(Mistake("environment.job_tags", f"{count} tags", allowed, "give fewer"))
    if isinstance(options, EstimatorOptions):
        mistakes += _resilience_combinations(options)
    return mistakes


def _resilience_combinations(options: EstimatorOptions) -> list[Mistake]:
    resilience = options.resilience
    zne_on = resilience.zne_mitigation or (resilience.zne_mitigation is None and options.resilience_level == 2)
    mistakes = []
    if resilience.pec_mitigation and zne_on:
        mistakes.append(
            Mistake("resilience.zne_mitigation", "true beside PEC", "one of ZNE and PEC", "set one to false")
        )
    return mistakes + (_too_few_factors(resilience.zne) if zne_on else [])


def _too_few_factors(zne: Any) -> list[Mistake]:
    count = 3 if zne.noise_factors == "auto" else len(zne.noise_factors)
    wanted = [zne.extrapolator] if isinstance(zne.extrapolator, str) else list(zne.extrapolator)
    needed = {name: _POINTS.get(name) or int(name.rsplit("_", 1)[1]) + 1 for name in wanted}
    return [
        Mistake(
            "resilience.zne.noise_factors",
            f"{count} noise factors for the extrapolator {name}",
            f"at least {least}",
            "give more noise factors, or another resilience.zne.extrapolator",
        )
        for name, least in needed.items()
        if count < least
    ]
