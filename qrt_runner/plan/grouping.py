"""Puts jobs into session groups; knows the modules above it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

from qrt_runner.plan.records import Group
from qrt_runner.sessions import SessionRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qrt_runner import config
    from qrt_runner.backends import Device
    from qrt_runner.plan.records import Job


_SEVERAL: Final = "a batch, for several jobs that need not wait for each other"
_NEEDING: Final = "a dedicated session, for jobs that need what others have learned"


def group_key(session: config.Session, device: Device, point: int, task: str) -> str:
    """Return what is equal for tasks that share a session group; empty where there is none.

    Args:
        session: The session section of the task.
        device: Its backend; only IBM Quantum has sessions.
        point: Index of the task's point.
        task: Its name.
    """
    if session.kind == "none" or device.where != "ibm":
        return ""
    within: list[int | str] = [point] if session.scope == "run" else []
    if session.scope == "task" and session.label is None:
        within = [point, task]
    return json.dumps([session.kind, session.id, session.max_time, session.label, within])


def grouped(
    jobs: Sequence[Job], keys: Sequence[str], sessions: Sequence[config.Session]
) -> tuple[list[Job], list[Group]]:
    """Return the jobs with their groups, and the groups in the order of their first jobs.

    Args:
        jobs: The jobs of a plan.
        keys: Of each job, what it has in common with the others of its group and its backend.
        sessions: Of each job, what its tasks ask for.
    """
    members: dict[str, list[int]] = {}
    for job, key in zip(jobs, keys, strict=True):
        if key:
            members.setdefault(f"{key} {job.submission.device.section}", []).append(job.index)
    placed, groups = list(jobs), list[Group]()
    for indices in members.values():
        session, device = sessions[indices[0]], jobs[indices[0]].submission.device
        waits = any(jobs[index].needs is not None for index in indices)
        kind = _kind_of(session, len(indices), waits=waits)
        if kind is None:
            continue
        reason = f" ({_NEEDING if waits else _SEVERAL})" if session.kind == "auto" else ""
        asked = SessionRequest(kind, session.max_time, session.id)
        groups.append(Group(len(groups), asked, device, tuple(indices), reason))
        for index in indices:
            placed[index] = replace(placed[index], group=groups[-1].index)
    return placed, groups


def notes_of(session: config.Session, device: Device, job: Job) -> tuple[str, ...]:
    """Return why a task that asks for a group has none for its job, or why it has the one that was chosen for it."""
    if session.kind == "none":
        return ()
    if device.where != "ibm":
        return (f"session {session.kind}: none was opened, {device.name} has no sessions",)
    if session.kind != "auto" or session.id is not None:
        return ()
    if job.group is None:
        return ("session auto: none, a single job needs none",)
    return (f"session auto: {_SEVERAL if job.needs is None else _NEEDING}",)


def _kind_of(session: config.Session, jobs: int, *, waits: bool) -> Literal["batch", "dedicated"] | None:
    if session.kind == "auto":
        # A dedicated session is for jobs of which some need the results of others.
        if waits and session.id is None:
            return "dedicated"
        return "batch" if jobs > 1 or session.id is not None else None
    return None if session.kind == "none" else session.kind
