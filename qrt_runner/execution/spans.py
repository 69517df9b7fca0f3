"""Parts of a planned job, as spans of the parameter sets of its PUBs; knows plan and results."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qrt_runner.results import Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qrt_runner.plan import Job


def spans_of(job: Job) -> tuple[Span, ...]:
    """Return all parameter sets of a job that tasks asked for."""
    return tuple(Span(pub, 0, len(one.values)) for pub, one in enumerate(job.asked))


def part_of(job: Job, spans: tuple[Span, ...]) -> Job:
    """Return the job that runs only these parameter sets of a planned job, and its calibration where it has one."""
    if spans == spans_of(job):
        return job
    whole = job.submission.pubs
    pubs = tuple(replace(whole[span.pub], values=whole[span.pub].values[span.start : span.stop]) for span in spans)
    calibration = whole[len(job.asked) :]
    return replace(job, submission=replace(job.submission, pubs=(*pubs, *calibration)))


def without(spans: Sequence[Span], taken: Sequence[Span]) -> tuple[Span, ...]:
    """Return what is left of some spans of parameter sets when others are taken away."""
    left = list(spans)
    for gone in taken:
        left = [piece for span in left for piece in _cut(span, gone)]
    return tuple(left)


def _cut(span: Span, gone: Span) -> list[Span]:
    if span.pub != gone.pub or gone.stop <= span.start or span.stop <= gone.start:
        return [span]
    before, after = Span(span.pub, span.start, gone.start), Span(span.pub, gone.stop, span.stop)
    return [piece for piece in (before, after) if piece.start < piece.stop]
