"""When jobs waited and when they ran, by the service's clock; knows matplotlib."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from qrt_runner.plots.pages import CYCLE, IDEAL, literal, page

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.figure import Figure

_MOST_JOBS: Final = 40
_STAMPS: Final = ("created", "running", "finished")
_COLORS: Final = tuple(color for color in CYCLE if color != IDEAL)


@dataclass(frozen=True)
class Stay:
    """A job's time on the service, in seconds since the first one was submitted."""

    job: str
    session: str
    """Kind and id of its session or batch, or `no session`."""

    created_s: float
    running_s: float
    finished_s: float


def stays_of(jobs: Iterable[Mapping[str, Any]]) -> list[Stay]:
    """Return the stays of jobs in the order of their submission; those without all three time stamps are left out.

    Args:
        jobs: Records as in `jobs.json`.
    """
    told = {job["id"]: job for job in jobs if _is_told(job)}
    stamps = {key: [datetime.fromisoformat(job["timestamps"][name]) for name in _STAMPS] for key, job in told.items()}
    first = min((created for created, _, _ in stamps.values()), default=None)
    stays = [
        Stay(str(key), _session(told[key]), *((stamp - first).total_seconds() for stamp in own))
        for key, own in stamps.items()
        if first is not None
    ]
    return sorted(stays, key=lambda stay: (stay.created_s, stay.running_s))


def time_line(stays: Sequence[Stay], title: str) -> Figure:
    """Draw each job's waiting and running as bars, a colour for each session."""
    shown = stays[:_MOST_JOBS]
    figure, axes = page(7.5, 1.4 + 0.28 * len(shown))
    sessions = list(dict.fromkeys(stay.session for stay in shown))
    for place, stay in enumerate(shown):
        color = _COLORS[sessions.index(stay.session) % len(_COLORS)]
        axes.barh(place, stay.running_s - stay.created_s, left=stay.created_s, height=0.3, color="0.8")
        axes.barh(place, stay.finished_s - stay.running_s, left=stay.running_s, height=0.7, color=color)
    axes.set_yticks(range(len(shown)), [literal(stay.job) for stay in shown], fontsize=7, family="monospace")
    axes.invert_yaxis()
    axes.set_xlabel("seconds since the first job was submitted; thin and grey: waiting, thick: running")
    more = f" ({len(stays) - len(shown)} more jobs)" if len(stays) > len(shown) else ""
    axes.set_title(literal(f"{title}\n{'; '.join(sessions[:3])}{' and others' if len(sessions) > 3 else ''}") + more)
    axes.title.set_fontsize(9)
    return figure


def _is_told(job: Mapping[str, Any]) -> bool:
    stamps = job.get("timestamps")
    return bool(job.get("id")) and isinstance(stamps, dict) and stamps.keys() >= {*_STAMPS}


def _session(job: Mapping[str, Any]) -> str:
    return "no session" if job["session_id"] == "none" else f"{job['session_kind']} {job['session_id']}"
