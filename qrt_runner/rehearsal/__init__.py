"""A loopback service that speaks IBM Quantum's REST protocol to the real, unmodified client.

May know starlette, Aer and runtime's decoders, of the package only `errors` and `backends`. Only `backends` starts it.
"""

from qrt_runner.rehearsal.account import Account
from qrt_runner.rehearsal.settings import Fault, Plan, Settings
from qrt_runner.rehearsal.starting import Rehearsal, account_of, start

__all__ = ["Account", "Fault", "Plan", "Rehearsal", "Settings", "account_of", "start"]
