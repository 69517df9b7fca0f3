"""What happened, as frozen records of plain arrays and numbers; knows numpy only."""

from qrt_runner.results.compared import Comparison, Effect, Twin
from qrt_runner.results.jobs import NO_SESSION, GroupReport, JobResult, Span, State
from qrt_runner.results.measured import GAMMA, Corrected, Counts, Expectations, PubResult
from qrt_runner.results.tasks import Ledger, Point, TaskResult

__all__ = [
    "GAMMA",
    "NO_SESSION",
    "Comparison",
    "Corrected",
    "Counts",
    "Effect",
    "Expectations",
    "GroupReport",
    "JobResult",
    "Ledger",
    "Point",
    "PubResult",
    "Span",
    "State",
    "TaskResult",
    "Twin",
]
