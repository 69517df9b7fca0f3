"""Keeps what was learned of layers for later tasks, on the disk among the caches; knows our errors and noise models.

A layer's noise counts for as long as it is asked for, and while the backend has the calibration that it was learned in.
On simulators a model is told by its seed and by all layers learned with it besides, so that equal seeds give equal
numbers whatever was run before.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qrt_runner.config import noise_models_folder
from qrt_runner.noise import NoiseModel, model_of, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qrt_runner.mitigation.learning import LearnerOptions
    from qrt_runner.noise import Layer

_BROKEN = (OSError, ValueError, LookupError, TypeError, AttributeError)
"""What reading raises where there is nothing, or nothing that was written here."""


def remember(model: NoiseModel, options: LearnerOptions, run: str) -> None:
    """Keep a model, layer by layer; where the disk does not take it, it is learned again some day.

    Args:
        model: As it was learned.
        options: How.
        run: By which run.
    """
    layers = [one.layer for one in model.layers]
    for one in model.layers:
        alone = replace(model.of("kept", run), layers=(one,))
        with suppress(OSError):
            _write(_file(options, one.layer, layers), json.dumps(plain(alone)))


def remembered(options: LearnerOptions, layers: Sequence[Layer], max_age_s: float) -> NoiseModel | None:
    """Return the model of some layers where all of them were learned in time, and in the same calibration.

    Args:
        options: How it would be learned, on which backend.
        layers: All that are needed.
        max_age_s: How old it may be.
    """
    if not layers or max_age_s <= 0:
        return None
    found = [_read(_file(options, layer, layers)) for layer in layers]
    models = [one for one in found if one is not None and _is_valid(one, options, max_age_s)]
    if len(models) < len(layers):
        return None
    oldest = min(models, key=lambda one: one.learned)
    noise = tuple(one.layers[0] for one in models)
    return replace(oldest, layers=noise)


def _is_valid(model: NoiseModel, options: LearnerOptions, max_age_s: float) -> bool:
    try:
        age_s = (datetime.now(UTC) - datetime.fromisoformat(model.learned)).total_seconds()
    except (TypeError, ValueError):
        # When it was learned is not known.
        return False
    return model.calibration == options.calibration and age_s <= max_age_s


def _file(options: LearnerOptions, layer: Layer, together: Sequence[Layer]) -> Path:
    learner = options.learner
    numbers = [learner.num_randomizations, learner.shots_per_randomization, learner.layer_pair_depths]
    told: list[Any] = [options.backend_kind, options.backend, numbers, layer.key]
    if options.simulated:
        told += [options.noise, learner.simulator.seed_simulator, sorted(one.key for one in together)]
    return noise_models_folder() / f"{sha256(json.dumps(told).encode()).hexdigest()}.json"


def _read(file: Path) -> NoiseModel | None:
    try:
        return model_of(json.loads(file.read_text(encoding="utf-8")))
    except _BROKEN:
        return None


def _write(file: Path, text: str) -> None:
    """Write a file so that whoever reads it finds all of it or nothing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
    Path(name).replace(file)
