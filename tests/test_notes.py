"""What a run's description tells in MLflow: it is read from real runs of real simulators."""

from __future__ import annotations

import json
import shlex
import subprocess
from dataclasses import replace

import pytest
from composing import outcome_of, result_of

from qrt_runner.commands import repeating
from qrt_runner.digits import headline_of, with_error
from qrt_runner.tracking import Records, summary_of, swept_rows
from qrt_runner.tracking.noting import NOTE, folded, note_of
from qrt_runner.tracking.showing import shown_names

COMMAND = "python -m qrt_runner mode=estimator mode.shots=256"
SHOTS = "mode.shots=256"


def lines_of(note: str) -> dict[str, str]:
    """Return the lines of a note by their first words."""
    return dict(line.removeprefix("- ").split(": ", 1) for line in note.splitlines() if line.startswith("- "))


# A task's note


def test_note_of_expectation_values():
    """The note tells the numbers with the digits of their errors, the shots, the job and the command."""
    result = result_of("mode=estimator", SHOTS, "reference=ideal")
    result = replace(result, point=replace(result.point, overrides=()))
    note = note_of(result, COMMAND)
    told, found = lines_of(note), result.expectations
    assert note.startswith("**bell on aer, estimator**\n")
    assert "256 shots" in told["asked"]
    assert f"`{result.jobs[0].record['id']}`" in told["jobs"]
    assert told["jobs"].endswith("; no session")
    for column, name in enumerate(found.names):
        assert (
            f"`{name}` = {with_error(found.values[0, column], found.errors[0, column])}" in told["expectation values"]
        )
    assert note.endswith(f"```sh\n{COMMAND}\n```")
    assert len(note.splitlines()) <= 16


def test_note_of_counts():
    """The note tells the most frequent outcomes as they were counted."""
    result = result_of("mode=sampler", SHOTS)
    told = lines_of(note_of(result))
    for outcome, count in result.counts.joint[0].items():
        assert f"`{outcome}` {count}" in told["counts"]


def test_wide_outcomes_do_not_widen_the_page():
    """Of 100 bits the first and the last nine are shown; how often each came is as it was counted."""
    result = result_of("circuit=ghz", "circuit.params.num_qubits=100", "mode=sampler", SHOTS)
    told = lines_of(note_of(result))["counts"]
    counted = {outcome[0]: count for outcome, count in result.counts.joint[0].items()}
    assert all(f"`{bit * 9}…{bit * 9} (100 bits)` {count}" in told for bit, count in counted.items())


def test_note_tells_mitigation_and_why_it_was_ignored():
    """On an ideal simulator TREX does nothing, and the note says why."""
    told = lines_of(note_of(result_of("mode=estimator", "mitigation=trex", SHOTS)))
    assert told["mitigation"].startswith("asked for `trex`; applied nothing; ignored `")
    assert "no noise" in told["mitigation"]


def test_text_of_others_is_no_markdown():
    """An error with marks of Markdown in it is shown as it is."""
    outcome = outcome_of(["mode=sampler", SHOTS, "circuit=ghz", "circuit.params.num_qubits=2"])
    (result,) = outcome.results
    failed = replace(result, state="failed", error="a_b *c*\n<d>", counts=None, expectations=None)
    assert "**failed**: a\\_b \\*c\\* \\<d\\>" in note_of(failed)


def test_names_are_no_markdown_either():
    """A circuit may be called anything."""
    points = (["mode=sampler", SHOTS, f"circuit.name='{name}'"] for name in ("a *b* [c](d)", "e"))
    results = outcome_of(*points).results
    assert note_of(results[0]).startswith("**a \\*b\\* \\[c\\](d) on aer, sampler**")
    rows = [row for result in results for row in swept_rows(Records("r", {}).of(result))]
    told = lines_of(summary_of("", rows, results).tags[NOTE])
    assert "circuit.name = 'a \\*b\\* \\[c\\](d)'" in told["lowest point"]


def test_what_is_long_leaves_room_for_the_numbers():
    """A graph of 900 edges is cut off, and so is the command with it: MLflow takes 8,000 characters."""
    edges = ",".join(f"[{node % 4},{(node + 1) % 4},{node}.5]" for node in range(900))
    words = ["circuit=qaoa_maxcut", f"circuit.params.graph=[{edges}]", "mode=sampler", SHOTS]
    result = result_of(*words)
    note = note_of(result, shlex.join(["python", "-m", "qrt_runner", *words]))
    assert len(note) < 2000
    assert {"asked", "counts", "spent"} < lines_of(note).keys()
    assert note.endswith("The command that repeats it is too long for a note: `action=report` tells it.")


# The command that repeats a point


@pytest.mark.parametrize(
    ("command", "overrides", "repeated"),
    [
        ("", ["a=1"], ""),
        ("python -m qrt_runner mode=raw", [], "python -m qrt_runner mode=raw"),
        (
            "python -m qrt_runner -m circuit=ghz 'circuit.params.num_qubits=range(2,9)' mode=raw,sampler",
            ["circuit.params.num_qubits=4", "mode=raw"],
            "python -m qrt_runner circuit=ghz circuit.params.num_qubits=4 mode=raw",
        ),
        (
            "python -m qrt_runner -m '+circuit.observables={zz: ZZ}' '+circuit.params.depth=1,2'",
            ["+circuit.params.depth=2"],
            "python -m qrt_runner '+circuit.observables={zz: ZZ}' +circuit.params.depth=2",
        ),
        (
            "python -m qrt_runner experiment=mitigation_ladder",
            ["mitigation=zne"],
            "python -m qrt_runner experiment=mitigation_ladder hydra.mode=RUN mitigation=zne",
        ),
    ],
)
def test_point_is_repeated_without_its_sweep(command, overrides, repeated):
    """What was swept over has the point's value; all other words stay as they were typed."""
    assert shlex.split(repeating(command, overrides)) == shlex.split(repeated)


# Tags and columns


def test_headline_is_in_tags_and_metrics():
    """Every task has its headline number and error under the same names, whatever its observables are called."""
    for chosen in ("mode=estimator", "mode=sampler", "mode=raw"):
        result = result_of(chosen, SHOTS)
        record, headline = Records("r", {}, COMMAND).of(result), headline_of(result)
        metrics = {metric.key: metric.value for metric in record.metrics}
        assert headline is not None
        assert (metrics["headline/value"], metrics["headline/error"]) == (headline.value, headline.error)
        assert record.tags["qrt.headline"] == f"{headline.name} = {with_error(headline.value, headline.error)}"
        assert record.tags[NOTE] == note_of(result, COMMAND)


def test_headline_of_counts_is_the_most_frequent_outcome():
    """Without observables it is the share of the most frequent outcome, with its binomial error."""
    result = replace(result_of("mode=raw", SHOTS), expectations=None)
    joint, headline = result.counts.joint[0], headline_of(result)
    share = max(joint.values()) / 256
    assert headline.value == share
    assert headline.error == pytest.approx((share * (1 - share) / 256) ** 0.5)


def test_headline_of_counts_beside_m3_says_that_it_is_not_corrected():
    """M3 makes quasi-probabilities of counts, which stay what they were: their share is told as measured."""
    result = replace(result_of("mode=raw", SHOTS, "backend=fake_manila", "mitigation=m3"), expectations=None)
    joint, headline = result.counts.joint[0], headline_of(result)
    assert headline.name == f"P({max(joint, key=joint.get)}) as measured"


# The parent of a sweep


def test_summary_of_a_sweep():
    """The parent tells what was swept over, and holds a table of all rows in the form of MLflow's tables."""
    depths = (["circuit=ghz", f"circuit.params.num_qubits={size}", "mode=estimator", SHOTS] for size in (2, 3))
    outcome = outcome_of(*depths)
    records = [Records("r", {}).of(result) for result in outcome.results]
    rows = [row for record in records for row in swept_rows(record)]
    summary = summary_of("name (2 points)", rows, outcome.results, COMMAND)
    table = json.loads(summary.files["results_table.json"])
    assert table["columns"][0] == "point"
    named = [{name.rpartition(".")[2]: value for name, value in row.items()} for row in rows]
    assert [dict(zip(table["columns"], line, strict=True)) for line in table["data"]] == [
        {name: row.get(name) for name in table["columns"]} for row in named
    ]
    assert json.loads(summary.tags["mlflow.loggedArtifacts"]) == [{"path": "results_table.json", "type": "table"}]
    told = lines_of(summary.tags[NOTE])
    assert told["tasks"] == "2 done, 0 failed"
    assert "`circuit.params.num_qubits` (`2`, `3`)" in told["swept over"]
    assert summary.tags["qrt.backend"] == "aer"
    assert told["jobs"].startswith("1, ")
    reused = [replace(result, reused_from="r0") for result in outcome.results]
    told = lines_of(summary_of("name", rows, reused).tags[NOTE])
    assert told["jobs"].startswith("0, ")
    assert told["taken from earlier runs"].startswith("2 of the tasks")


def test_columns_of_a_table_are_shown():
    """A name with a point shows nothing in MLflow: it goes by its last word, unless a parameter or another has that."""
    rows = [
        {"state": "done", "a.theta": value, "a.n": value, "b.n": 2, "b.m": 3, "point": 0, "theta": value, "ev": 0.5}
        for value in (0, 1)
    ]
    assert [*shown_names(rows).values()] == ["point", "a/n", "b/n", "m", "theta", "ev", "state"]
    assert "a/theta" in shown_names([*rows, {"a.theta": 1, "theta": 2}]).values()


def test_long_commands_are_folded():
    """MLflow breaks no line of code: a long command is several, which a shell reads as the one that it is."""
    words = ["python", "-m", "qrt_runner", *(f"+circuit.params.number_{place}=[1, 2]" for place in range(9))]
    told = folded(shlex.join(words))
    assert max(map(len, told.splitlines())) < 100
    said = subprocess.run(["/bin/sh", "-c", f"printf '%s\n' {told}"], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines() == words


def test_best_point_is_a_metric():
    """With a reference the parent has the smallest error as a metric, and the point that has it."""
    outcome = outcome_of(
        *(["mode=estimator", "backend=fake_manila", "reference=ideal", f"mode.shots={shots}"] for shots in (64, 256))
    )
    rows = [row for result in outcome.results for row in swept_rows(Records("r", {}).of(result))]
    summary = summary_of("name", rows, outcome.results)
    name = rows[0]["observable"]
    errors = {row["point"]: row["error"] for row in rows if row["observable"] == name}
    best = min(errors, key=lambda point: abs(errors[point]))
    assert summary.metrics == {f"best/error/{name}": errors[best], "best/point": best}
    assert summary.tags["qrt.best_point"].startswith(f"{best} (")
