"""Figures show what was measured; their pixels are read, because a PNG is what people get."""

from __future__ import annotations

import io
from math import pi
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from composing import circuit_file, outcome_of, result_of
from matplotlib.image import imread

from qrt_runner.analysis.extrapolating import extrapolations_of
from qrt_runner.plots import figures, histogram
from qrt_runner.plots.extrapolations import extrapolation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MEASURED = (0x00, 0x72, 0xB2)
"""Blue of the Okabe-Ito palette."""

IDEAL = (0xE6, 0x9F, 0x00)
"""Orange of the same."""

TWIN = (0x00, 0x9E, 0x73)
"""Bluish green of the same."""

PAIR = (
    "pair",
    "circuit = QuantumCircuit(2)\ncircuit.ry(Parameter('theta'), 0)\ncircuit.cx(0, 1)",
    "'zi': 'ZI', 'xx': 'XX'",
)
SWEPT = f"+circuit.parameter_values.theta={{linspace: [0, {pi}, 7]}}"


def pixels(png: bytes) -> np.ndarray:
    """Return a PNG's pixels, shape (height, width, 3), each 0 to 255."""
    return np.rint(imread(io.BytesIO(png))[..., :3] * 255).astype(int)


def heights(png: bytes, color: tuple[int, int, int]) -> list[int]:
    """Return the heights in pixels of the bars of a colour, from left to right, legend aside.

    A bar is a run of neighbouring columns; its error bar hides a part of some columns, so the tallest one counts. The
    legend's patch is no taller than 14 pixels, shorter than any bar asked for here.
    """
    columns = (pixels(png) == color).all(axis=2).sum(axis=0)
    edges = np.flatnonzero(np.diff((columns > 0).astype(int), prepend=0, append=0))
    found = [int(columns[start:stop].max()) for start, stop in edges.reshape(-1, 2)]
    return [height for height in found if height > 20]


def shows(png: bytes, color: tuple[int, int, int]) -> bool:
    """Tell whether a colour appears."""
    return bool((pixels(png) == color).all(axis=2).any())


# Which figures there are


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        (["mode=raw"], ["counts", "expectation_values"]),
        (["mode=sampler"], ["counts", "expectation_values"]),
        (["mode=estimator"], ["expectation_values"]),
        (["mode=estimator", "backend=fake_manila", "mitigation=zne"], ["expectation_values", "zne-xx", "zne-zz"]),
        (["mode=sampler", "backend=fake_manila", "reference=twin"], ["counts", "expectation_values"]),
        (["mode=estimator", "backend=fake_manila", "reference=twin"], ["expectation_values"]),
    ],
)
def test_figures_by_kind_of_result(chosen, names):
    """Counts have a histogram, expectation values a figure, extrapolations another; each is a PNG with ink on it."""
    drawn = figures(result_of(*chosen, "mode.shots=256"))
    assert sorted(drawn) == [f"plots/{name}.png" for name in names]
    for png in drawn.values():
        assert png.startswith(SIGNATURE)
        assert pixels(png).std() > 10


def test_without_observables_there_are_counts_only():
    """A circuit file without observables has a histogram and nothing else."""
    chosen = circuit_file("bare", "circuit = QuantumCircuit(1)\ncircuit.h(0)")
    assert sorted(figures(result_of(*chosen))) == ["plots/counts.png"]


def test_every_task_of_a_comparison_has_its_figures():
    """The three tasks of raw_versus_primitive are drawn with the ideal values beside the measured ones."""
    results = outcome_of(["experiment=raw_versus_primitive"]).results
    drawn = {result.name: figures(result) for result in results}
    assert sorted(drawn["raw"]) == sorted(drawn["sampler"]) == ["plots/counts.png", "plots/expectation_values.png"]
    assert sorted(drawn["estimator"]) == ["plots/expectation_values.png"]
    assert all(shows(png, IDEAL) and shows(png, MEASURED) for one in drawn.values() for png in one.values())


# Histograms


def test_bars_are_as_high_as_their_shares():
    """75 of 100 shots make a bar three times as high as 25 of 100, in the order of the outcomes."""
    left, right = heights(histogram({"0": 75, "1": 25}, None, "title"), MEASURED)
    assert left / right == pytest.approx(3, rel=0.03)


def test_ideal_bars_stand_beside_the_measured_ones():
    """Beside shares of 3/4 and 1/4 the ideal halves are drawn, on the same scale."""
    png = histogram({"0": 75, "1": 25}, {"0": 0.5, "1": 0.5}, "title")
    measured, ideal = heights(png, MEASURED), heights(png, IDEAL)
    assert ideal[0] == ideal[1]
    assert measured[0] / ideal[0] == pytest.approx(1.5, rel=0.03)
    assert measured[1] / ideal[1] == pytest.approx(0.5, rel=0.03)


def test_without_a_reference_nothing_ideal_is_drawn():
    """A histogram without a reference shows measured bars only."""
    assert not shows(histogram({"0": 75, "1": 25}, None, "title"), IDEAL)


def test_an_outcome_that_never_came_is_shown_by_its_ideal_bar():
    """Where 11 should come half the time and never did, its ideal bar is what tells."""
    png = histogram({"00": 100}, {"00": 0.5, "11": 0.5}, "title")
    assert len(heights(png, MEASURED)) == 1
    assert len(heights(png, IDEAL)) == 2


def test_a_histogram_has_24_bars_at_most():
    """Of 64 equally frequent outcomes 24 are drawn, so the figure is no wider than one of 24 outcomes."""
    many = histogram({f"{outcome:06b}": 10 for outcome in range(64)}, None, "title")
    assert len(heights(many, MEASURED)) == 24
    fewer = histogram({f"{outcome:06b}": 10 for outcome in range(24)}, None, "title")
    assert pixels(many).shape == pixels(fewer).shape


def test_long_outcomes_leave_room_for_the_bars():
    """Outcomes of 100 bits are abbreviated: the bars keep more than half of the figure's height."""
    png = histogram({"0" * 100: 50, "1" * 100: 50}, None, "title")
    assert min(heights(png, MEASURED)) > pixels(png).shape[0] / 2


# Expectation values


def test_curves_of_two_observables():
    """Seven angles and two observables, with ideal lines: two colours, on a page of 780 by 456 pixels."""
    chosen = [*circuit_file(*PAIR), SWEPT, "backend=fake_manila", "mode=estimator"]
    png = figures(result_of(*chosen, "reference=ideal"))["plots/expectation_values.png"]
    vermilion = (0xD5, 0x5E, 0x00)
    assert pixels(png).shape == (456, 780, 3)
    assert shows(png, MEASURED)
    assert shows(png, vermilion)
    assert png != figures(result_of(*chosen))["plots/expectation_values.png"]


def test_curves_follow_the_parameter():
    """<ZI> = cos(theta) starts at the top left and ends at the bottom right."""
    chosen = [*circuit_file("turn", PAIR[1], "'zi': 'ZI'"), SWEPT, "mode=estimator"]
    blue = (pixels(figures(result_of(*chosen))["plots/expectation_values.png"]) == MEASURED).all(axis=2)
    rows, columns = np.nonzero(blue[:, :640])  # the legend stands to the right
    assert rows[columns < 200].mean() < 100
    assert rows[columns > 550].mean() > 300


def test_infinite_errors_are_drawn():
    """Where extrapolation could tell no standard error, the figures still come, and the point is there."""
    chosen = circuit_file("flat", "circuit = QuantumCircuit(2)\ncircuit.x([0, 1])", "'zz': 'ZZ'")
    result = result_of(*chosen, "backend=fake_manila", "mode=estimator", "mitigation=zne", "mode.shots=512")
    assert np.isinf(result.expectations.errors).all()
    assert all(shows(png, MEASURED) for png in figures(result).values())


# Twins


def test_a_twin_is_drawn_beside_the_measured():
    """Green stands for the twin, in counts and in values; without one there is no green."""
    chosen = ["circuit=ghz", "backend=fake_manila", "mode=sampler"]
    drawn, bare = (figures(result_of(*chosen, f"reference={kind}")) for kind in ("twin", "ideal"))
    assert all(shows(png, TWIN) for png in drawn.values())
    assert not any(shows(png, TWIN) for png in bare.values())


# Extrapolations

ZNE = "mitigation.options.resilience.zne"
EXTRAPOLATED = ["backend=fake_manila", "mode=estimator", "mode.shots=256", "mitigation=zne"]


def containers(axes: Axes) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return abscissae and values of what is drawn with bars, by label."""
    return {
        container.get_label(): tuple(np.asarray(data, dtype=float) for data in container.lines[0].get_data())
        for container in axes.containers
    }


def bars(axes: Axes, label: str) -> np.ndarray:
    """Return the lengths of the bars, up and down, of what has that label."""
    (container,) = (one for one in axes.containers if one.get_label() == label)
    return np.array([np.ptp(segment[:, 1]) for segment in container.lines[2][0].get_segments()])


@pytest.mark.parametrize("extrapolator", ["linear", "[exponential,linear]", "[polynomial_degree_2]"])
@pytest.mark.parametrize("swept", [False, True], ids=["one set", "two sets"])
def test_extrapolations_are_drawn_for_any_extrapolators(swept, extrapolator):
    """One extrapolator or several, with free parameters or without: the figures come, blue points on them."""
    turned = [*circuit_file(*PAIR), "+circuit.parameter_values.theta=[0.3, 2.1]"]
    result = result_of(*(turned if swept else ["circuit=ghz"]), *EXTRAPOLATED, f"{ZNE}.extrapolator={extrapolator}")
    drawn = {name: png for name, png in figures(result).items() if "zne" in name}
    assert len(drawn) == (4 if swept else 2)
    assert all(shows(png, MEASURED) for png in drawn.values())


def test_what_is_drawn_is_what_was_recorded():
    """Values and errors at the noise factors, each extrapolator's value at 0, the result, and the exact value."""
    chosen = ["circuit=ghz", *EXTRAPOLATED, "reference=ideal"]
    result = result_of(*chosen, f"{ZNE}.extrapolator=[exponential,linear]", f"{ZNE}.noise_factors=[1,2,4]")
    found, details = result.expectations, result.expectations.details
    for column, one in enumerate(extrapolations_of(result)):
        (axes,) = extrapolation(one, "title").axes
        drawn = containers(axes)
        assert drawn["at noise factor"][0].tolist() == [1, 2, 4]
        assert drawn["at noise factor"][1].tolist() == details["evs_noise_factors"][0, column].tolist()
        errors = details["ensemble_stds_noise_factors"][0, column]
        assert bars(axes, "at noise factor") == pytest.approx(2 * errors)
        for row, name in enumerate(("exponential", "linear")):
            assert [data.tolist() for data in drawn[name]] == [[0], [details["evs_extrapolated"][0, column, row, 0]]]
        assert drawn["result"][1].tolist() == [found.values[0, column]]
        assert bars(axes, "result") == pytest.approx(2 * found.errors[0, column])
        ideal = next(line for line in axes.get_lines() if line.get_label() == "ideal")
        assert set(ideal.get_ydata()) == {result.comparison.ideal[0, column]}


def test_a_fit_goes_through_what_the_platform_tells_of_it():
    """A parabola's curve is that parabola: at all noise factors it has the values that were told."""
    result = result_of("circuit=ghz", *EXTRAPOLATED, f"{ZNE}.extrapolator=polynomial_degree_2")
    (one, *_) = extrapolations_of(result)
    (axes,) = extrapolation(one, "title").axes
    curve = next(line for line in axes.get_lines() if len(line.get_xdata()) > 50)
    told = np.interp(one.factors, *curve.get_data())
    assert told == pytest.approx(one.curves[0].values[1:], abs=1e-3)


def test_every_value_at_zero_is_inside_the_figure():
    """What is drawn aside counts for the panel's range too."""
    result = result_of("circuit=tfim", *EXTRAPOLATED, f"{ZNE}.extrapolator=[linear,polynomial_degree_2]")
    for one in extrapolations_of(result):
        (axes,) = extrapolation(one, "title").axes
        low, high = axes.get_ylim()
        assert all(low < curve.values[0] < high for curve in one.curves)


def test_there_are_twelve_figures_of_extrapolations_at_most(command):
    """Of 14 extrapolated values 12 are drawn, and a note says so."""
    ended = command(*circuit_file(*PAIR), SWEPT, *EXTRAPOLATED, "tracking=off", "tracking.plots=true")
    assert "  note: extrapolations drawn: the first 12 of 14; all are in results.json" in ended.out.splitlines()
    assert len([*Path("outputs").rglob("zne-*.png")]) == 12
