"""A comparison is a run of its own in MLflow, with figures that show what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from qrt_runner.plots.contrasts import contrasted_counts, contrasted_values
from qrt_runner.tracking import find_kept, kept_runs

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Ended
    from mlflow.tracking import MlflowClient

BELL = ("circuit=bell", "backend=fake_manila", "mode=sampler", "mode.shots=512", "name=compared")


def test_a_comparison_is_a_run_beside_those_it_is_about(command: Callable[..., Ended], store: MlflowClient) -> None:
    """Its note leads to them, its page and figures are its artifacts, and how much differs are its metrics."""
    for seed in (1, 2):
        assert command(*BELL, f"seed={seed}").code == 0
    runs = [next(iter(run.logged.values())) for run in kept_runs()]
    ended = command("action=compare")
    assert ended.code == 0, ended.err
    found = store.search_runs(
        [store.get_experiment_by_name("compared").experiment_id], "tags.`qrt.kind` = 'comparison'"
    )
    (compared,) = found
    assert f"and in MLflow as run {compared.info.run_id} of experiment compared" in ended.out
    assert compared.info.status == "FINISHED"
    note = compared.data.tags["mlflow.note.content"]
    assert all(f"](#/runs/{run})" in note for run in runs)
    assert "0 of 1 distributions of counts differ beyond their errors" in note
    assert compared.data.metrics == {
        "compared/values": 1,
        "significant/values": 0,
        "compared/counts": 1,
        "significant/counts": 0,
    }
    paths = {file.path for file in store.list_artifacts(compared.info.run_id)}
    assert paths == {"comparison.html", "comparison.json", "comparison.md", "plots"}
    (page,) = Path("outputs").rglob("comparison.html")
    logged = store.download_artifacts(compared.info.run_id, "comparison.html")
    assert Path(logged).read_bytes() == page.read_bytes()
    assert page.read_text(encoding="utf-8").count("<img ") == 2
    assert find_kept("latest").id == kept_runs()[-1].id, "a comparison is no run whose results are looked for"


def test_runs_that_are_not_in_mlflow_have_no_comparison_there(command: Callable[..., Ended]) -> None:
    """Nothing is logged, and no store is made for it; the page has its figures all the same."""
    for seed in (1, 2):
        assert command(*BELL, f"seed={seed}", "tracking=off").code == 0
    ended = command("action=compare")
    assert (ended.code, "in MLflow" in ended.out) == (0, False)
    assert not Path("mlflow.db").exists()
    (page,) = Path("outputs").rglob("comparison.html")
    assert page.read_text(encoding="utf-8").count("<img ") == 2


def test_a_store_that_is_broken_costs_the_logging_only(command: Callable[..., Ended]) -> None:
    """The files are written, and what could not be done is told with the exit code of the store."""
    for seed in (1, 2):
        assert command(*BELL, f"seed={seed}").code == 0
    Path("other.db").write_bytes(b"this is no store")
    ended = command("action=compare", "tracking.uri=sqlite:///other.db")
    assert ended.code == 1
    assert "tracking.uri: given sqlite:///other.db, which could not be written" in ended.err
    (told,) = Path("outputs").rglob("comparison.json")
    known = json.loads(told.read_text(encoding="utf-8"))["runs"]
    assert f"Log it with: python -m qrt_runner action=compare 'runs=[{','.join(known)}]'" in ended.err


def test_a_comparison_in_the_folder_of_a_run_leaves_that_run(command: Callable[..., Ended]) -> None:
    """Whoever puts it beside one of the runs finds that run as before."""
    for seed in (1, 2):
        assert command(*BELL, f"seed={seed}").code == 0
    before = find_kept("latest")
    ended = command("action=compare", f"hydra.run.dir={before.folder}")
    assert (ended.code, (before.folder / "comparison.html").is_file()) == (0, True)
    assert find_kept(str(before.folder)) == before


def test_values_are_drawn_as_they_were_measured() -> None:
    """Two runs, three quantities, one of which the second run lacks and one of which differs: it has a star."""
    runs = {"a": [(0.5, 0.1), (0.25, 0.05), (-1.0, 0.0)], "b": [(0.9, 0.1), None, (-1.0, float("inf"))]}
    figure = contrasted_values(["x", "y", "z"], runs, [True, False, False])
    (axes,) = figure.axes
    drawn = {one.get_label(): one for one in axes.containers}
    assert [*drawn] == ["a", "b"]
    assert [drawn["a"].lines[0].get_ydata().tolist(), drawn["b"].lines[0].get_ydata().tolist()] == [
        [0.5, 0.25, -1.0],
        [0.9, -1.0],
    ]
    assert np.round(drawn["b"].lines[0].get_xdata()).tolist() == [0, 2]
    (bars,) = drawn["b"].lines[2]
    low, high = bars.get_segments()[0][:, 1]
    assert (low, high) == pytest.approx((0.8, 1.0))
    assert [label.get_text() for label in axes.get_xticklabels()] == ["x *", "y", "z"]


def test_shares_are_drawn_as_they_were_counted() -> None:
    """Of 4 and of 10 shots; an outcome that one run never had is a share of nothing."""
    figure = contrasted_counts({"a": {"00": 3, "11": 1}, "b": {"00": 4, "01": 6}}, "task")
    (axes,) = figure.axes
    heights = [[bar.get_height() for bar in one] for one in axes.containers if hasattr(one, "patches") and one.patches]
    assert heights == [[0.75, 0.0, 0.25], [0.4, 0.6, 0.0]]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["00", "01", "11"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a, 4 shots", "b, 10 shots"]


def test_runs_that_are_not_drawn_are_counted():
    """There are seven colours: of nine runs the figures leave out two, and say so."""
    values = contrasted_values(["x"], {f"r{place}": [(0.5, 0.1)] for place in range(9)}, [False])
    counts = contrasted_counts({f"r{place}": {"0": 8, "1": 8} for place in range(9)}, "main")
    for figure in (values, counts):
        (legend,) = figure.legends
        assert (len(legend.get_texts()), legend.get_title().get_text()) == (7, "2 more left out")
