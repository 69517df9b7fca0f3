"""Figures of runs that are compared, each with what it shows in words; knows the modules above it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from qrt_runner.digits import with_error
from qrt_runner.reports import Picture
from qrt_runner.runner.contrasting import few
from qrt_runner.runner.differing import counts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qrt_runner.runner.contrasting import Contrast
    from qrt_runner.runner.differing import Set
    from qrt_runner.runner.recalling import Recorded

_MOST_VALUES: Final = 24

_Key = tuple[str, "Set", str]


def contrast_pictures(
    runs: Sequence[Recorded], contrasts: Sequence[Contrast], trouble: Callable[[str], None]
) -> dict[str, Picture]:
    """Return the figures of a comparison by their artifact paths; what could not be drawn is told.

    Args:
        runs: The first, then those that it is compared with.
        contrasts: Each other run's differences.
        trouble: Told what could not be drawn.
    """
    pictures: dict[str, Picture] = {}
    for path, draw in (("plots/values.png", _values), ("plots/counts.png", _counts)):
        try:
            picture = draw(runs, contrasts)
        except Exception as error:  # noqa: BLE001 - a figure is an extra: whatever it raises must not cost the rest
            trouble(f"no figure {path} of the comparison: {type(error).__name__}: {error}")
            continue
        pictures |= {path: picture} if picture is not None else {}
    return pictures


def _values(runs: Sequence[Recorded], contrasts: Sequence[Contrast]) -> Picture | None:
    """Draw the expectation values that differ the most, of all runs side by side."""
    found: dict[_Key, dict[str, tuple[float, float]]] = {}
    sigmas: dict[_Key, float] = {}
    for contrast in contrasts:
        for one in contrast.values:
            key = (one.task, one.parameters, one.observable)
            found.setdefault(key, {}).update({contrast.runs[0]: one.first, contrast.runs[1]: one.second})
            own = 0.0 if math.isnan(one.found.sigmas) else abs(one.found.sigmas)
            sigmas[key] = max(sigmas.get(key, 0.0), own)
    if not found:
        return None
    from qrt_runner.analysis.differences import MOST_SIGMAS
    from qrt_runner.plots import png
    from qrt_runner.plots.contrasts import contrasted_values

    best = {*sorted(found, key=lambda key: -sigmas[key])[:_MOST_VALUES]}
    keys = [key for key in found if key in best]
    labels = _labels(keys)
    apart = [sigmas[key] > MOST_SIGMAS for key in keys]
    told = {run.id: [found[key].get(run.id) for key in keys] for run in runs}
    figure = png(contrasted_values(labels, told, apart))
    more = f", the {len(keys)} of {len(found)} that differ the most" if len(keys) < len(found) else ""
    caption = f"Expectation values of {len(runs)} runs{more}"
    words = [
        f"{label}: {', '.join(f'{run} {with_error(*one)}' for run, one in found[key].items())}"
        for label, key in zip(labels, keys, strict=True)
    ]
    return Picture(caption, f"{caption}. {'; '.join(words)}", figure)


def _counts(runs: Sequence[Recorded], contrasts: Sequence[Contrast]) -> Picture | None:
    """Draw the counts of the task and parameter set in which runs differ the most."""
    known = [one for contrast in contrasts for one in contrast.counts]
    if not known:
        return None
    from qrt_runner.plots import png
    from qrt_runner.plots.contrasts import contrasted_counts

    most = min(known, key=lambda one: (one.variation.chance, -one.variation.value))
    pairs = [contrast.records[most.task] for contrast in contrasts if most.task in contrast.records]
    told = {runs[0].id: counts_of(pairs[0][0]).get(most.parameters, {})}
    for contrast in contrasts:
        if most.task in contrast.records:
            told[contrast.runs[1]] = counts_of(contrast.records[most.task][1]).get(most.parameters, {})
    told = {run: counts for run, counts in told.items() if counts}
    title = ", ".join(filter(None, (f"task {most.task}", few(most.parameters) if most.parameters else "")))
    figure = png(contrasted_counts(told, title))
    more = f", the one of {len(known)} distributions that differs the most" if len(known) > 1 else ""
    caption = f"Counts of {title}{more}"
    return Picture(caption, f"{caption}: {'; '.join(f'{run} {counts}' for run, counts in told.items())}"[:2000], figure)


def _labels(keys: Sequence[_Key]) -> list[str]:
    """Return what tells values apart: the observable, then the task and the parameters that vary."""
    tasks = {task for task, _, _ in keys}
    values: dict[str, set[float]] = {}
    for _, parameters, _ in keys:
        for name, value in parameters:
            values.setdefault(name, set()).add(value)
    labels = []
    for task, parameters, observable in keys:
        varying = [one for one in parameters if len(values[one[0]]) > 1]
        words = [observable, *([task] if len(tasks) > 1 else []), *([few(varying)] if varying else [])]
        labels.append(", ".join(words))
    return labels
