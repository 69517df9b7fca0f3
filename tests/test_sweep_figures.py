"""Figures of sweeps show the numbers of the table: what is drawn is read from the figure, not from its pixels."""

from __future__ import annotations

from math import nan

import numpy as np
import pytest

from qrt_runner.analysis.sweeping import swept_of
from qrt_runner.plots.sweeps import against, cells_of, heat_map, sweep_figures
from qrt_runner.plots.timelines import stays_of, time_line
from qrt_runner.tracking.ranking import extremes_of

ERROR = 0.125


def row(value: float, observable: str = "zz", **swept: object) -> dict[str, object]:
    """Return a row of a tidy table."""
    return {"state": "done", "task": "main", **swept, "observable": observable, "ev": value, "std": ERROR}


def grid_rows() -> list[dict[str, object]]:
    """Return a table over two parameters, three times two values; the value tells both: phi + 10 theta."""
    return [row(phi + 10 * theta, theta=theta, phi=phi) for theta in (0.0, 0.5, 1.0) for phi in (2, 1)]


def drawn_points(axes) -> list[tuple[list[float], list[float], list[float]]]:
    """Return abscissae, values and halves of the error bars of each series of a panel."""
    found = []
    for container in axes.containers:
        line, _, (bars,) = container.lines
        spans = [segment[:, 1] for segment in bars.get_segments()]
        halves = [float(np.ptp(span)) / 2 for span in spans]
        found.append((list(map(float, line.get_xdata())), list(map(float, line.get_ydata())), halves))
    return found


# What varies


def test_what_varies_is_swept_over():
    """A number that is the same everywhere, and one that tells the same as another, are nothing to draw against."""
    table = [row(value, theta=value, shots=100, **{"circuit.parameter_values.theta": value}) for value in (0.0, 1.0)]
    (swept,) = swept_of(table, ["theta", "shots", "circuit.parameter_values.theta"])
    assert list(swept.at) == ["theta"]
    assert swept.values.tolist() == swept.at["theta"].tolist() == [0.0, 1.0]
    assert swept.words == ("", "")


def test_words_tell_rows_apart():
    """A mitigation is a word, a depth a number; each row is told by both."""
    table = [row(1.0, mitigation=kind, depth=depth) for kind in ("none", "zne") for depth in (1, 2)]
    (swept,) = swept_of(table, ["mitigation", "depth"])
    assert list(swept.at) == ["depth"]
    assert {word: part.at["depth"].tolist() for word, part in swept.by_words().items()} == {
        "none": [1, 2],
        "zne": [1, 2],
    }


def test_failed_points_are_left_out():
    """A point without a value is no row of what was measured."""
    table = [row(1.0, depth=1), {"state": "failed", "task": "main", "depth": 2}, row(3.0, depth=3)]
    (swept,) = swept_of(table, ["depth"])
    assert swept.at["depth"].tolist() == [1, 3]


def test_nothing_varies():
    """Of one point, and of points that differ in words only, there is nothing to draw."""
    assert swept_of([row(1.0, depth=1)], ["depth"]) == []
    assert swept_of([row(1.0, mitigation="none"), row(1.0, mitigation="zne")], ["mitigation"]) == []
    assert sweep_figures([], "title") == {}


# Against one number


def test_values_are_drawn_with_their_errors():
    """Three depths in any order are drawn ascending, each value with a bar of its standard error to either side."""
    table = [row(value, depth=depth) for depth, value in ((3, 0.5), (1, 1.0), (2, 0.75))]
    figure = against(swept_of(table, ["depth"]), "depth", "title")
    assert drawn_points(figure.axes[0]) == [([1, 2, 3], [1.0, 0.75, 0.5], [ERROR] * 3)]
    assert figure.axes[0].get_xlabel() == "depth"
    assert figure.axes[0].get_ylabel() == "<zz>"


def test_each_observable_has_a_panel():
    """Two observables are two panels, each with its own values."""
    table = [row(value + shift, name, depth=value) for name, shift in (("zz", 0), ("xx", 10)) for value in (1, 2)]
    figure = against(swept_of(table, ["depth"]), "depth", "title")
    assert [drawn_points(axes)[0][1] for axes in figure.axes] == [[1, 2], [11, 12]]


def test_other_numbers_have_a_line_each():
    """Against theta there are two series, one for each phi; against phi three."""
    swept = swept_of(grid_rows(), ["theta", "phi"])
    along_theta = against(swept, "theta", "title").axes[0]
    assert [series[1] for series in drawn_points(along_theta)] == [[2, 7, 12], [1, 6, 11]]
    assert along_theta.get_legend_handles_labels()[1] == ["phi=2", "phi=1"]
    assert [series[1] for series in drawn_points(against(swept, "phi", "title").axes[0])] == [[1, 2], [6, 7], [11, 12]]


def test_a_colour_means_the_same_in_all_panels():
    """Where the second observable is of the second circuit only, its line has the colour that the legend tells."""
    table = [row(1.0, circuit="a", depth=depth) for depth in (1, 2)]
    table += [row(2.0, name, circuit="b", depth=depth) for name in ("zz", "xx") for depth in (1, 2)]
    table += [row(3.0, "xx", circuit="c", depth=depth) for depth in (1, 2)]
    figure = against(swept_of(table, ["circuit", "depth"]), "depth", "title")
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["circuit=a", "circuit=b", "circuit=c"]
    colours = [{c.get_label(): c.lines[0].get_color() for c in axes.containers} for axes in figure.axes]
    assert colours[0]["circuit=b"] == colours[1]["circuit=b"]
    assert len({*colours[0].values(), *colours[1].values()}) == 3


def test_too_many_lines_are_points():
    """Eight values of the other number are too many colours: all 16 values are drawn alike."""
    table = [row(theta + other, theta=theta, other=other) for theta in (0, 1) for other in range(8)]
    (series,) = drawn_points(against(swept_of(table, ["theta", "other"]), "theta", "title").axes[0])
    assert sorted(series[1]) == sorted(theta + other for theta in (0, 1) for other in range(8))


def test_numbers_that_go_together_are_one_line():
    """Where each theta goes with one phi of its own, as in parameters that are zipped, neither tells lines apart."""
    (swept,) = swept_of([row(float(value), theta=value, phi=-value) for value in range(3)], ["theta", "phi"])
    assert [series[1] for series in drawn_points(against([swept], "theta", "title").axes[0])] == [[0, 1, 2]]


def test_ideal_values_are_drawn_as_they_are():
    """A line of ideal values where there are few lines; a mark at each of them where there are many."""
    few = [{**row(value, depth=value), "ideal": value + 0.5} for value in (1, 2)]
    many = [{**row(value, depth=value, other=other), "ideal": other} for value in (1, 2) for other in range(8)]
    line = against(swept_of(few, ["depth"]), "depth", "title").axes[0].lines[-1]
    assert list(line.get_ydata()) == [1.5, 2.5]
    marks = against(swept_of(many, ["depth", "other"]), "depth", "title").axes[0].lines[-1]
    assert sorted(marks.get_ydata()) == sorted([*range(8)] * 2)
    assert marks.get_label() == "ideal"


def test_infinite_errors_have_no_bar():
    """What has no finite error is drawn without a bar, in its place."""
    table = [{**row(value, depth=value), "std": float("inf")} for value in (1, 2)]
    ((_, values, halves),) = drawn_points(against(swept_of(table, ["depth"]), "depth", "title").axes[0])
    assert (values, halves) == ([1, 2], [0, 0])


# Over two numbers


def test_cells_are_the_values_of_the_table():
    """Cell (phi, theta) of the map holds phi + 10 theta, whatever the order of the rows."""
    across, upwards, cells = cells_of(swept_of(grid_rows(), ["theta", "phi"])[0])
    assert (across.tolist(), upwards.tolist()) == ([0.0, 0.5, 1.0], [1, 2])
    assert cells.tolist() == [[1, 6, 11], [2, 7, 12]]


def test_map_shows_its_cells():
    """The mesh that is drawn has the values of the cells, and says what they are and how sure."""
    figure = heat_map(swept_of(grid_rows(), ["theta", "phi"]), "title")
    panel, bar = figure.axes
    (mesh,) = panel.collections
    assert np.asarray(mesh.get_array()).reshape(2, 3).tolist() == [[1, 6, 11], [2, 7, 12]]
    assert (panel.get_xlabel(), panel.get_ylabel(), bar.get_ylabel()) == ("theta", "phi", "<zz>")
    assert panel.get_title() == "standard errors 0.12 to 0.12"


def test_missing_cells_are_empty():
    """A point that failed leaves a hole."""
    figure = heat_map(swept_of(grid_rows()[1:], ["theta", "phi"]), "title")
    (mesh,) = figure.axes[0].collections
    shown = np.ma.masked_invalid(mesh.get_array()).reshape(2, 3)
    assert shown.mask.tolist() == [[False] * 3, [True, False, False]]


def test_scattered_points_are_no_cells():
    """Ten points on a diagonal fill a tenth of the cells: they are drawn where they lie."""
    table = [row(float(value), theta=value / 10, phi=-value) for value in range(10)]
    (points,) = heat_map(swept_of(table, ["theta", "phi"]), "title").axes[0].collections
    assert np.asarray(points.get_offsets()).tolist() == [[value / 10, -value] for value in range(10)]
    assert np.asarray(points.get_array()).tolist() == list(range(10))


def test_what_is_known_at_one_value_only_is_seen():
    """An observable that only circuits of three qubits have has no cells, which would be of no width, but points."""
    names = {2: ("zz",), 3: ("zz", "zzz")}
    table = [row(theta, name, size=size, theta=theta) for size in names for theta in (0, 1) for name in names[size]]
    both, alone = heat_map(swept_of(table, ["size", "theta"]), "title").axes[:2]
    assert both.collections[0].get_array().size == 4
    assert alone.collections[0].get_offsets().tolist() == [[3, 0], [3, 1]]


def test_files_of_two_numbers():
    """Two numbers give two figures and a map; three give three figures and none."""
    two = sweep_figures(swept_of(grid_rows(), ["theta", "phi"]), "title")
    assert sorted(two) == ["plots/against-phi.png", "plots/against-theta.png", "plots/map-theta-phi.png"]
    table = [row(1.0, a=a, b=b, c=c) for a in (0, 1) for b in (0, 1) for c in (0, 1)]
    assert sorted(sweep_figures(swept_of(table, ["a", "b", "c"]), "title")) == [
        f"plots/against-{name}.png" for name in "abc"
    ]


# When jobs waited and ran


def job(name: str, seconds: tuple[int, int, int], session: str = "s1") -> dict[str, object]:
    """Return what `jobs.json` has of a job, its time stamps so many seconds after noon."""
    names = ("created", "running", "finished")
    stamps = {key: f"2026-11-20T12:00:{value:02d}+00:00" for key, value in zip(names, seconds, strict=True)}
    return {"id": name, "session_id": session, "session_kind": "batch", "timestamps": stamps}


def test_time_line_shows_waiting_and_running():
    """A job made at 5, run at 7 and done at 10 waits for 2 s and runs for 3, counted from the first job's second 5."""
    stays = stays_of([job("b", (6, 10, 14)), job("a", (5, 7, 10))])
    bars = [(bar.get_x(), bar.get_width()) for bar in time_line(stays, "title").axes[0].patches]
    assert bars == [(0, 2), (2, 3), (1, 4), (5, 4)]


def test_time_line_leaves_out_what_is_not_told():
    """A simulator's job has no time of its own in a queue."""
    local = {"id": "x", "session_id": "none", "session_kind": "none", "timestamps": {"finished": "2026-11-20"}}
    assert stays_of([local]) == []


# Points that stand out


def test_lowest_and_highest_value():
    """Of values alone neither end is better: both are told."""
    found = extremes_of([row(0.5, depth=1), row(-0.25, depth=2), row(0.75, depth=3)], None)
    assert [(one.word, one.metric, one.value, one.error, one.row["depth"]) for one in found] == [
        ("lowest", "ev/zz", -0.25, ERROR, 2),
        ("highest", "ev/zz", 0.75, ERROR, 3),
    ]


def test_best_is_nearest_to_the_reference():
    """With a reference the best value is the one nearest to it, on whatever side."""
    table = [{**row(0.5, depth=depth), "error": error} for depth, error in ((1, 0.3), (2, -0.1), (3, 0.2))]
    (best,) = extremes_of(table, None)
    assert (best.word, best.metric, best.value, best.row["depth"]) == ("best", "error/zz", -0.1, 2)


@pytest.mark.parametrize(
    ("objective", "column", "best"),
    [
        ("fidelity/hellinger", "hellinger", 0.9),
        ("p_success", "p_success", 0.9),
        ("distance/total_variation", "total_variation", 0.1),
        ("std/zz", "std", 0.1),
        ("effect/mse_cost/zz", "mse_cost", 0.1),
        ("effect/cost_s", "cost_s", 0.1),
    ],
)
def test_direction_of_objectives(objective, column, best):
    """Fidelity and success are the better the larger, distances, errors and costs the smaller."""
    table = [{**row(0.0), column: value} for value in (0.5, 0.1, 0.9, nan)]
    (found,) = extremes_of(table, objective)
    assert (found.word, found.value) == ("best", best)


@pytest.mark.parametrize(
    ("objective", "has_error"),
    [("ev/zz", True), ("error/zz", True), ("ideal/zz", False), ("std/zz", False), ("effect/mse_cost/zz", False)],
)
def test_only_what_was_measured_has_an_error(objective, has_error):
    """The standard error of a value is that of its difference to an exact one; exact values and costs have none."""
    table = [{**row(0.5), "ideal": 1.0, "error": -0.5, "mse_cost": 0.01}]
    errors = {one.error for one in extremes_of(table, objective)}
    assert errors == {ERROR} if has_error else all(np.isnan([*errors]))


def test_no_extreme_without_the_metric():
    """A table without numbers has no point that stands out."""
    assert extremes_of([{"state": "failed", "point": 0, "task": "main"}], None) == []
