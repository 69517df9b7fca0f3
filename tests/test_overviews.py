"""All tasks of a run beside each other: error against cost, values side by side, as figure, table and lines."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from composing import outcome_of, point_of
from matplotlib.text import Text

from qrt_runner.analysis.overviewing import Measured, labels_of, overview_of
from qrt_runner.errors import ConfigError
from qrt_runner.plots.overviews import ladder, side_by_side
from qrt_runner.runner.overview import overview_files

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from qrt_runner.results import TaskResult

NOISY = ["circuit=ghz", "backend=fake_manila", "mode=estimator", "mode.shots=128", "reference=ideal"]
FEW = "mitigation=none,trex,zne"


def measured(label: str, bias: float, cost_s: float, observable: str = "zz", error: float = 0.01) -> Measured:
    """Return a value whose exact one is 1."""
    mse_cost = (bias**2 + error**2) * cost_s
    costs = {"mse_cost": mse_cost, "mean_mse_cost": mse_cost, "cost_s": cost_s, "cost_source": "estimated"}
    where = {"point": 0, "task": "main", "mode": "estimator", "parameter_set": 0, "observable": observable}
    numbers = {"value": 1.0 + bias, "error": error, "ideal": 1.0, "bias": bias}
    return Measured(label=label, **where, **numbers, **costs, applied="", ignored="")


RUNGS = [
    "none",
    "trex",
    "twirl",
    "dd",
    "suppression",
    "suppression_trex",
    "level_1",
    "zne",
    "level_2",
    "strong",
    "pea",
    "pec",
]


def crowded() -> list[Measured]:
    """Return ten rungs, seven of which cost the same and err by nearly the same."""
    return [measured(rung, -0.1 + 0.001 * place, 5.0 if place < 7 else 11.0) for place, rung in enumerate(RUNGS)]


def drawn(axes: Axes) -> dict[str, tuple[float, float, float]]:
    """Return place, value and standard error of each point, by its label."""
    found = {}
    for container in axes.containers:
        (x,), (y,) = container.lines[0].get_data()
        (segment,) = container.lines[2][0].get_segments()
        found[container.get_label()] = float(x), float(y), float(np.ptp(segment[:, 1]) / 2)
    return found


def boxes(figure: Figure, axes: Axes) -> list[Any]:
    """Return where the labels of points stand."""
    figure.draw_without_rendering()
    # An annotation's own extent has its line in it.
    return [Text.get_window_extent(text) for text in axes.texts]


# The ladder's figure


def test_a_point_is_where_its_error_and_cost_are():
    """Cost to the right, value less ideal up, its standard error as a bar, its name beside it."""
    (axes,) = ladder([measured("none", -0.2, 5.0, error=0.03), measured("zne", 0.01, 15.0)], "title").axes
    assert drawn(axes) == {"none": pytest.approx((5.0, -0.2, 0.03)), "zne": pytest.approx((15.0, 0.01, 0.01))}
    assert [text.get_text() for text in axes.texts] == ["none", "zne"]
    assert axes.get_xlabel().startswith("estimated quantum seconds")


def test_no_label_covers_another():
    """Also where seven rungs cost the same; all labels are on the page."""
    figure = ladder(crowded(), "title")
    (axes,) = figure.axes
    places = boxes(figure, axes)
    assert len(places) == len(RUNGS)
    page = figure.bbox
    for index, one in enumerate(places):
        assert page.x0 <= one.x0 < one.x1 <= page.x1
        assert page.y0 <= one.y0 < one.y1 <= page.y1
        assert not any(one.overlaps(other) for other in places[index + 1 :])


def test_every_rung_looks_different():
    """No two have marker and colour in common."""
    (axes,) = ladder(crowded(), "title").axes
    looks = {(container.lines[0].get_marker(), container.lines[0].get_color()) for container in axes.containers}
    assert len(looks) == len(RUNGS)


def test_all_bars_are_inside_their_panel():
    """Points that are drawn aside count as well."""
    (axes,) = ladder([measured("none", -0.2, 5.0, error=0.3), measured("zne", 0.4, 5.0)], "title").axes
    low, high = axes.get_ylim()
    assert low < -0.5
    assert high > 0.41


def test_costs_far_apart_are_drawn_by_their_logarithm():
    """Where one is more than twenty times the other."""
    for cost_s, scale in ((15.0, "linear"), (500.0, "log")):
        (axes,) = ladder([measured("none", -0.2, 5.0), measured("pec", 0.0, cost_s)], "title").axes
        assert axes.get_xscale() == scale


def test_four_observables_have_panels():
    """Of five the last is in the table only, which the title says."""
    figure = ladder([measured("none", 0.1, 5.0, observable=name) for name in "abcde"], "title")
    assert [axes.get_title() for axes in figure.axes] == ["<a>", "<b>", "<c>", "<d>"]
    assert figure.get_suptitle() == "title (1 more observables in the table)"


# Values side by side


def test_values_side_by_side():
    """Each task has a value for what it can tell, and the exact value is a line."""
    one = [measured("raw", -0.2, 2.0), measured("estimator", -0.1, 4.0), measured("estimator", 0.3, 4.0, "xx")]
    (axes,) = side_by_side(one, "title").axes
    found = {box.get_label(): box.lines[0].get_data() for box in axes.containers if hasattr(box, "lines")}
    assert [values.tolist() for _, values in found.values()] == [[0.8], [0.9, 1.3]]
    assert np.rint([float(x) for x in found["estimator"][0]]).tolist() == [0, 1]
    assert found["raw"][0][0] < found["estimator"][0][0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["<zz>", "<xx>"]


# What tells tasks apart


def test_tasks_are_told_apart_by_what_is_swept():
    """One override by its value; the mitigation by its value among others; tasks of one point by their names."""
    results = outcome_of([*NOISY, "mitigation=none"], [*NOISY, "mitigation=trex"]).results
    assert labels_of(
        [_swept(one, words) for one, words in zip(results, [("mitigation=none",), ("seed=3",)], strict=True)]
    ) == ["none", "3"]
    both = ("mitigation=zne", "circuit.params.num_qubits=4")
    assert labels_of([_swept(results[0], both)]) == ["zne num_qubits=4"]
    assert labels_of([_swept(results[0], ())]) == ["main"]


def _swept(result: TaskResult, words: tuple[str, ...]) -> TaskResult:
    return replace(result, point=replace(result.point, overrides=words))


# Presets


def test_the_ladder_is_recorded(command, store):
    """One child for each rung, on the parent the figure and a row for each value; the best is told first."""
    ended = command("experiment=mitigation_ladder", FEW, "mode.shots=128", "tracking.plots=auto")
    assert ended.code == 0
    (experiment,) = store.search_experiments(filter_string="name = 'mitigation_ladder'")
    runs = store.search_runs([experiment.experiment_id])
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    (parent,) = [run for run in runs if run not in children]
    assert sorted(run.data.params["mitigation"] for run in children) == ["none", "trex", "zne"]
    there = {item.path for item in store.list_artifacts(parent.info.run_id)}
    assert {"ladder.csv", "plots", "results.parquet"} <= there
    assert [item.path for item in store.list_artifacts(parent.info.run_id, "plots")] == ["plots/ladder.png"]
    rows = read(store.download_artifacts(parent.info.run_id, "ladder.csv"))
    assert len(rows) == 3 * 4
    _check_rows(rows, children)
    lines = [line for line in ended.out.splitlines() if line.startswith(("rung", "none ", "trex ", "zne "))]
    ranks = [float(line.split()[1]) for line in lines[1:]]
    assert len(ranks) == 3
    assert ranks == sorted(ranks)


def read(file: str) -> list[dict[str, str]]:
    """Return the rows of a table."""
    return list(csv.DictReader(io.StringIO(Path(file).read_text(encoding="utf-8"))))


def _check_rows(rows: list[dict[str, str]], children: list[Any]) -> None:
    """Every row tells what its child's metrics tell."""
    for row in rows:
        (child,) = [run for run in children if run.data.params["mitigation"] == row["label"]]
        metrics, name = child.data.metrics, row["observable"]
        told = {"value": f"ev/{name}", "error": f"std/{name}", "bias": f"error/{name}", "cost_s": "effect/cost_s"}
        told |= {"mse_cost": f"effect/mse_cost/{name}", "mean_mse_cost": "effect/mse_cost"}
        for column, key in told.items():
            assert math.isclose(float(row[column]), metrics[key]) or not math.isfinite(float(row[column]))


def test_the_ladder_is_one_batch_where_there_are_batches(command):
    """All rungs share one session id on the service."""
    words = ["experiment=mitigation_ladder", "mitigation=none,dd", "backend=rehearsal", "mode.shots=64"]
    ended = command(*words, "tracking=off", "circuit=bell")
    assert ended.code == 0, ended.err
    ids = {line.split()[3] for line in ended.out.splitlines() if " done " in f"{line} " and line[:1].isdigit()}
    assert len(ids) == 1
    assert ids != {"none"}


def test_raw_versus_primitive_is_told_side_by_side(command, store):
    """The parent has the figure and the table; raw and sampler tell what is diagonal."""
    ended = command("experiment=raw_versus_primitive")
    assert ended.code == 0
    (experiment,) = store.search_experiments(filter_string="name = 'raw_versus_primitive'")
    runs = store.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    rows = read(store.download_artifacts(parent.info.run_id, "side_by_side.csv"))
    assert {(row["label"], row["observable"]) for row in rows} == {
        ("raw", "zz"),
        ("sampler", "zz"),
        ("estimator", "zz"),
        ("estimator", "xx"),
    }
    assert {run.data.params["shots"] for run in runs if run is not parent} == {"4096"}
    png = Path(store.download_artifacts(parent.info.run_id, "plots/side_by_side.png")).read_bytes()
    assert png.startswith(b"\x89PNG")
    (line,) = [line for line in ended.out.splitlines() if line.startswith("<xx>")]
    assert line.split()[1:4] == ["1", "-", "-"]


def test_a_replay_has_the_overview_of_its_run(command):
    """The same table, of the same numbers."""
    words = ["experiment=mitigation_ladder", "mitigation=none,dd", "circuit=bell", "mode.shots=64", "tracking=off"]
    assert command(*words).code == 0
    (first,) = Path("multirun").rglob("ladder.csv")
    assert command("action=replay", "run=latest", "tracking=off").code == 0
    (again,) = Path("outputs").rglob("ladder.csv")
    assert again.read_bytes() == first.read_bytes()


# What has none


def test_an_overview_of_failed_tasks_says_what_is_left_out():
    """Those that are there are told; the others by their names."""
    results = outcome_of([*NOISY, "overview=ladder", "mitigation=none"], [*NOISY, "overview=ladder"]).results
    first, second = (_swept(one, (f"mitigation={name}",)) for one, name in zip(results, ("none", "zne"), strict=True))
    failed = replace(second, state="failed", expectations=None, counts=None)
    found = overview_files([first, failed], draws=False)
    assert [*found.files] == ["ladder.csv"]
    assert found.lines[-1] == "left out, as they failed: zne"
    rows = list(csv.DictReader(io.StringIO(found.files["ladder.csv"].decode())))
    assert {row["label"] for row in rows} == {"none"}


def test_without_being_asked_for_there_is_none():
    """Neither files nor lines."""
    (result,) = outcome_of(NOISY).results
    found = overview_files([result], draws=True)
    assert (found.files, found.lines) == ({}, ())
    assert len(overview_of([result])) == 2


def test_a_ladder_needs_a_reference():
    """Without one there are no errors to be told."""
    with pytest.raises(ConfigError) as caught:
        point_of(["overview=ladder"])
    assert [str(one) for one in caught.value.mistakes] == [
        (
            "overview: given ladder, with nothing to tell errors by; allowed: ladder beside a reference; remedy: "
            "reference=ideal, or overview=side_by_side"
        )
    ]
