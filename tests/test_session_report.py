"""What a session group spent its time with: numbers worked out by hand from time stamps, and where they land."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qrt_runner.sessions import report_of, told_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Ended


def job(name: str, created: int, running: int, finished: int, quantum_s: float = 1.0) -> dict[str, object]:
    """Return the record of a job with time stamps in seconds after twelve."""
    stamps = {"created": created, "running": running, "finished": finished}
    told = {word: f"2026-11-20T12:00:{second:02}+00:00" for word, second in stamps.items()}
    return {"id": name, "timestamps": told, "usage": {"quantum_s": quantum_s}}


def test_jobs_one_after_the_other_leave_no_idle_time():
    """Two jobs there from the start: two seconds of waiting, seven of running, none between."""
    report = report_of("s", "dedicated", [job("a", 0, 2, 5), job("b", 0, 5, 9)])
    assert (report.wait_s, report.busy_s, report.idle_s, report.causes) == (2, 7, 0, ())
    assert report.usage_s == 2


def test_a_gap_is_told_with_its_cause():
    """The job b was submitted six seconds after a had ended, and started a second later; c was there all the time."""
    jobs = [job("a", 0, 2, 4), job("b", 10, 11, 12), job("c", 0, 15, 16)]
    report = report_of("s", "dedicated", jobs)
    assert (report.wait_s, report.busy_s, report.idle_s) == (2, 4, 10)
    assert report.causes == (
        "7.0 s without a job, until b was submitted",
        "3.0 s until the service started c, which was there",
    )


def test_jobs_side_by_side_are_busy_once():
    """Of two jobs that overlap the seconds count once; their usage counts twice."""
    report = report_of("b", "batch", [job("a", 0, 1, 5, 4.0), job("b", 0, 3, 6, 3.0)])
    assert (report.busy_s, report.idle_s, report.usage_s) == (5, 0, 7)


def test_a_job_that_never_ran_counts_for_nothing():
    """Such as one that was cancelled in the queue."""
    never = {"id": "c", "timestamps": {"created": "2026-11-20T12:00:00+00:00"}, "usage": {"quantum_s": 0.0}}
    assert report_of("s", "batch", [never]).busy_s == 0
    assert report_of("s", "batch", [never, job("a", 0, 2, 5)]).busy_s == 3


def test_a_report_tells_what_else_it_would_have_cost():
    """A dedicated session is charged by the wall clock, a batch by its jobs, and without a group each job waits."""
    report = report_of("s", "dedicated", [job("a", 0, 2, 4), job("b", 7, 8, 9)])
    assert told_of(report) == (
        "dedicated s: 2 jobs, waited 2.0 s, busy 3.0 s, idle 4.0 s (4.0 s without a job, until b was submitted); "
        "charged 7.0 s by the wall clock, as a batch 2.0 s; without a group each job waits, about 4.0 s in all"
    )


def test_what_a_group_spent_is_logged(command: Callable[..., Ended], store):
    """Each child of a group and the parent have the group's seconds; a job by itself has none."""
    ended = command("experiment=migration/primitive_session")
    assert ended.code == 0, ended.err
    runs = {run.data.tags.get("qrt.task", "parent"): run for run in store.search_runs(["1"])}
    for name in ("sampler", "parent"):
        assert runs[name].data.metrics["usage/session_wait_s"] == pytest.approx(2, abs=0.1)
        assert runs[name].data.metrics["usage/session_busy_s"] > 0
    assert "usage/session_busy_s" not in runs["raw"].data.metrics
    assert f"dedicated {runs['sampler'].data.tags['qrt.session_id']}: 1 job, waited 2.0 s" in ended.out
