"""Tells of the noise models of tasks, and finds those of earlier runs; knows the modules above it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from qrt_runner.errors import ConfigError, QrtError, refuse
from qrt_runner.execution import model_in
from qrt_runner.modes import LEARNER_MODE
from qrt_runner.plan import away, stored_points, unpacked
from qrt_runner.results import GAMMA
from qrt_runner.runner.reading import kept_results

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from qrt_runner.journal import Journal
    from qrt_runner.noise import NoiseModel
    from qrt_runner.results import PubResult

_PATH: Final = "mitigation.noise_model"


def model_of_run(journal: Journal, wanted: str) -> NoiseModel:
    """Return the noise model that a run learned, or was submitted with.

    Args:
        journal: Where runs are written down.
        wanted: Id of the run, or `latest`.

    Raises:
        ConfigError: Where there is no such run, or it has no model.
    """
    given, remedy = f"run:{wanted}", f"{_PATH}=auto"
    try:
        run = journal.runs(wanted)[-1]
        parts = journal.plan(run)
        plan = unpacked(parts, stored_points(parts), away)
        learners = {job.index for job in plan.jobs if job.mode == LEARNER_MODE}
        results = [one for one in kept_results(journal, run.id, plan, learners) if one.state == "done"]
    except (ConfigError, IndexError) as error:
        allowed = error.mistakes[0].allowed if isinstance(error, ConfigError) else "runs of this journal; it has none"
        raise refuse(_PATH, given, allowed, remedy) from error
    except QrtError as error:
        raise refuse(_PATH, f"{given}, which cannot be read", f"a run that is whole ({error})", remedy) from error
    models = [model_in(plan.jobs[one.index], one) for one in results]
    models += [job.submission.noise for job in plan.jobs if job.submission.noise is not None]
    if not models:
        raise refuse(_PATH, f"{given}, which has no noise model", "a run with mitigation=pea or pec", remedy)
    return together(models).of("run", run.id)


def together(models: Sequence[NoiseModel]) -> NoiseModel:
    """Return models of one backend as one, the layers of later ones only where earlier ones lack them."""
    layers = {one.layer.key: one for model in reversed(models) for one in model.layers}
    return replace(models[0], layers=tuple(layers.values()))


def noise_notes(noise: NoiseModel | None, pub: PubResult | None, resolved: Mapping[str, Any]) -> Iterator[str]:
    """Tell where a noise model is from, what PEC took by it, and whether that was all."""
    if noise is None:
        return
    yield noise.told()
    found = pub.expectations if pub is not None else None
    if found is not None and GAMMA in found.details:
        gamma2 = float(np.nanmax(found.details[GAMMA] ** 2))
        yield f"PEC took {gamma2:.3g} times as many randomizations (gamma^2)"
        most = resolved["resilience"]["pec"]["max_overhead"]
        if most is not None and gamma2 > 0.999 * most:
            yield f"PEC undid a part of the noise only: more is not allowed by pec.max_overhead={most:g}"
