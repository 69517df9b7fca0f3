"""Tells how runs differ as a page; knows the modules above it."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from qrt_runner.reports import Grid, Page, Section, Words
from qrt_runner.runner.numbering import MOST_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from qrt_runner.reports import Block, Picture
    from qrt_runner.runner.contrasting import Table
    from qrt_runner.runner.recalling import Recorded


def page_of(runs: Sequence[Recorded], contrasts: Sequence[Sequence[Table]], pictures: Sequence[Picture] = ()) -> Page:
    """Return a page of all in which the first run differs from each other one.

    Args:
        runs: The first, then those that it is compared with.
        contrasts: What is told of each pair.
        pictures: What they measured, side by side.
    """
    pairs = [_pair(run, tables) for run, tables in zip(runs[1:], contrasts, strict=True)]
    lead = "What changed from the first of these runs to each other one: results beyond their errors, calibration, "
    lead += "config and versions."
    drawn = [Section("Side by side", pictures)] if pictures else []
    return Page(f"Comparison of {len(runs)} runs", lead, [Section("Runs", [_runs(runs)]), *drawn, *pairs])


def _runs(runs: Sequence[Recorded]) -> Grid:
    rows = [
        (
            run.id,
            run.title,
            str(len(run.records)),
            ", ".join(dict.fromkeys(record.tags["qrt.backend"] for record in run.records)),
        )
        for run in runs
    ]
    return Grid("Runs, the first one first", ("run", "title", "tasks", "backend"), rows)


def _pair(run: Recorded, tables: Iterable[Table]) -> Section:
    start, *rest = tables
    parts = groupby(rest, lambda one: one.heading)
    told = [Section(heading.capitalize(), _blocks(own)) for heading, own in parts]
    return Section(f"Differences to run {run.id}", _blocks([start]), told)


def _blocks(tables: Iterable[Table]) -> list[Block]:
    blocks: list[Block] = []
    for table in tables:
        blocks += [Words(words) for words in table.words]
        if table.rows:
            blocks.append(Grid(_caption(table), table.titles, table.most(MOST_ROWS)))
    return blocks


def _caption(table: Table) -> str:
    more = f", the {MOST_ROWS} of {len(table.rows)} rows that differ the most; comparison.md has all"
    return f"{table.heading.capitalize()} of both runs" + (more if len(table.rows) > MOST_ROWS else "")
