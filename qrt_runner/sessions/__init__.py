"""Opens none, a batch or a dedicated session, attaches to one, always closes it; knows runtime.

It knows neither plans nor Hydra nor MLflow.
"""

from qrt_runner.sessions.attaching import close_session
from qrt_runner.sessions.leaving import close_left_open
from qrt_runner.sessions.opening import Diary, Opened, SessionRequest, opened
from qrt_runner.sessions.orphans import Orphan, close_orphans, take_over
from qrt_runner.sessions.reporting import report_of, told_of

__all__ = [
    "Diary",
    "Opened",
    "Orphan",
    "SessionRequest",
    "close_left_open",
    "close_orphans",
    "close_session",
    "opened",
    "report_of",
    "take_over",
    "told_of",
]
