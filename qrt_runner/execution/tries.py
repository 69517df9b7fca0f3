"""Tries a failed job again in halves, where that costs nothing but time; knows the modules above it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from qrt_runner.execution.attempts import finished, spans_of, submitted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qrt_runner.modes import Pub
    from qrt_runner.plan import Job
    from qrt_runner.results import JobResult, Span

_MOST_IN_VAIN: Final = 12
"""After so many parts of a failed job that all failed, the rest is taken to fail as well."""


@dataclass
class Tries:
    """One planned job, tried as a whole and, where that fails, in parts."""

    job: Job
    announce: Callable[[str], None]
    in_vain: int = 0
    succeeded: bool = False

    def results(self) -> Iterator[JobResult]:
        """Give the result of the whole, or those of its parts."""
        yield from self._tried(spans_of(self.job))

    @property
    def _pubs(self) -> tuple[Pub, ...]:
        return self.job.submission.pubs

    def _tried(self, spans: tuple[Span, ...]) -> Iterator[JobResult]:
        result = _run(self._part(spans), spans, self.announce)
        self.succeeded = self.succeeded or result.state == "done"
        self.in_vain += result.state == "failed"
        halves = _halves(spans) if result.state == "failed" and self._may_try_again() else []
        if not halves:
            yield result
        for half in halves:
            yield from self._tried(half)

    def _may_try_again(self) -> bool:
        """Tell whether parts may be submitted: outside simulators a job that failed may have been paid for."""
        return self.job.submission.device.where == "simulator" and (self.succeeded or self.in_vain <= _MOST_IN_VAIN)

    def _part(self, spans: tuple[Span, ...]) -> Job:
        pubs = tuple(replace(pub, values=pub.values[span.start : span.stop]) for pub, span in self._chosen(spans))
        return replace(self.job, submission=replace(self.job.submission, pubs=pubs))

    def _chosen(self, spans: tuple[Span, ...]) -> Iterator[tuple[Pub, Span]]:
        return ((self._pubs[span.pub], span) for span in spans)


def _halves(spans: tuple[Span, ...]) -> list[tuple[Span, ...]]:
    """Halve the PUBs or, of a single one, its parameter sets; a single set cannot be halved."""
    if len(spans) > 1:
        middle = len(spans) // 2
        return [spans[:middle], spans[middle:]]
    (span,) = spans
    middle = (span.start + span.stop) // 2
    return [(replace(span, stop=middle),), (replace(span, start=middle),)] if middle > span.start else []


def _run(job: Job, spans: tuple[Span, ...], announce: Callable[[str], None]) -> JobResult:
    attempt = submitted(job, None, announce)
    attempt.spans = spans
    return finished(attempt)
