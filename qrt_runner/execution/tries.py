"""Tries a failed job again in halves, where that costs nothing but time; knows the modules above it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from qrt_runner.execution.attempts import finished, submitted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qrt_runner.execution.orders import Orders
    from qrt_runner.plan import Job
    from qrt_runner.results import JobResult, Span

_MOST_IN_VAIN: Final = 12
"""After so many parts of a failed job that all failed, the rest is taken to fail as well."""


@dataclass
class Tries:
    """One planned job of a simulator, or what is left of it, tried as a whole and, where that fails, in parts.

    Elsewhere nothing is tried again: a job that failed may have been paid for.
    """

    job: Job
    orders: Orders
    in_vain: int = 0
    succeeded: bool = False

    def results(self, spans: tuple[Span, ...]) -> Iterator[JobResult]:
        """Give the result of these parameter sets, or those of their parts."""
        result = self._run(spans)
        self.succeeded = self.succeeded or result.state == "done"
        self.in_vain += result.state == "failed"
        may_try = self.succeeded or self.in_vain <= _MOST_IN_VAIN
        halves = _halves(spans) if result.state == "failed" and may_try else []
        if not halves:
            yield result
        for half in halves:
            yield from self.results(half)

    def _run(self, spans: tuple[Span, ...]) -> JobResult:
        result = finished(submitted(self.job, spans, None, self.orders), self.orders)
        assert result is not None, "what is simulated here is waited for"
        return result


def _halves(spans: tuple[Span, ...]) -> list[tuple[Span, ...]]:
    """Halve the PUBs or, of a single one, its parameter sets; a single set cannot be halved."""
    if len(spans) > 1:
        middle = len(spans) // 2
        return [spans[:middle], spans[middle:]]
    (span,) = spans
    middle = (span.start + span.stop) // 2
    return [(replace(span, stop=middle),), (replace(span, start=middle),)] if middle > span.start else []
