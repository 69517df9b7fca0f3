"""What the service answers where it refuses, in the service's own form and words; knows starlette.

The form (`errors` with code, message, solution, more_info; `trace`) and the words of 1352 are as users of the real
service quote them. 1217 and 1305 are known from client code that looks for them. The other codes are from the error
registry that earlier versions of qiskit-ibm-runtime shipped (docs/errors.rst); whether today's service answers just
those in just these situations is an assumption.
"""

from __future__ import annotations

import uuid
from typing import Final, NamedTuple

from starlette.responses import JSONResponse

_MORE: Final = "https://cloud.ibm.com/apidocs/quantum-computing#error-handling"


class RefusedError(Exception):
    """A request that the service refuses; raised where that is found out, answered in `serving`."""

    def __init__(self, status: int, error: Error, detail: str = "") -> None:
        """Keep what will be answered."""
        super().__init__(error.message)
        self.status, self.error, self.detail = status, error, detail

    def answer(self) -> JSONResponse:
        """Return the answer."""
        return answer_of(self.status, self.error, self.detail)


class Error(NamedTuple):
    """One entry of the service's error registry."""

    code: int
    message: str
    solution: str


OPEN_PLAN = Error(
    1352,
    "You are not authorized to run a session when using the open plan.",
    "Create an instance of a different plan type or use a different execution mode.",
)
SESSION_CLOSED = Error(1217, "Session has been closed.", "Create a new session.")
TOO_LONG = Error(1305, "Job ran longer than its maximum execution time.", "Raise max_execution_time.")
BACKEND_UNKNOWN = Error(1007, "Backend not found.", "Check the backend name.")
MAINTENANCE = Error(1999, "Planned outage. The service is undergoing maintenance.", "Please wait.")
UNAUTHORIZED = Error(2408, "Invalid Access Token.", "Try to log in again.")
INSTANCE_UNKNOWN = Error(2410, "Service not accessible.", "Check the Service-CRN header.")
JOB_UNKNOWN = Error(3250, "Job not found.", "Check the job ID to query. It is wrong.")
NOT_CANCELLABLE = Error(3208, "Job not cancelled.", "It has already ended.")
PAYLOAD_WRONG = Error(3220, "Payload not valid.", "Change the body sent into the request.")
PROGRAM_FAILED = Error(3233, "The program failed.", "Look at the job's logs.")
SESSION_UNKNOWN = Error(1216, "Session not found.", "Check the session id.")  # the code is a guess
PATH_UNKNOWN = Error(404, "Not found.", "Check the path.")


def answer_of(status: int, error: Error, detail: str = "", headers: dict[str, str] | None = None) -> JSONResponse:
    """Return an error as the service answers it."""
    entry = {
        "code": error.code,
        "message": f"{error.message} {detail}".strip(),
        "solution": error.solution,
        "more_info": _MORE,
    }
    return JSONResponse({"errors": [entry], "trace": str(uuid.uuid4())}, status_code=status, headers=headers)
