"""Opens none, a batch or a dedicated session, attaches to one, always closes it; knows runtime.

It knows neither plans nor Hydra nor MLflow.
"""

from qrt_runner.sessions.opening import Opened, SessionRequest, close_session, opened
from qrt_runner.sessions.orphans import Orphan, close_orphans
from qrt_runner.sessions.reporting import report_of, told_of

__all__ = ["Opened", "Orphan", "SessionRequest", "close_orphans", "close_session", "opened", "report_of", "told_of"]
