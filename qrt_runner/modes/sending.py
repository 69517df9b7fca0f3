"""Measures what the runtime client would send for a job, and sends nothing; knows runtime.

Sampler, estimator and noise learner make programs of the runtime here, on the client's side: how large those are, no
formula tells. So they are made as for a submission, and taken before they go anywhere.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from qrt_runner.modes import mode_named

if TYPE_CHECKING:
    from qrt_runner.modes.submission import Submission


def sent_bytes(mode: str, submission: Submission) -> int | None:
    """Return how large the program is that a job sends; its tags and the id of its session aside.

    Args:
        mode: Name of the mode.
        submission: The job, on a backend of IBM Quantum, with the noise model that it needs.

    Returns:
        Bytes of JSON; None where the client is built otherwise than the one that is known here.
    """
    from qiskit_ibm_runtime import RuntimeEncoder

    from qrt_runner.backends.connection import kept_back

    with kept_back(submission.runs_on) as taken:
        if taken is None:
            return None
        mode_named(mode).submit(replace(submission, place=None))
    return len(json.dumps(taken["inputs"], cls=RuntimeEncoder).encode())
