"""Runs are compared: results beyond their errors, calibration, config and versions, by what really changed."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from composing import circuit_file

from qrt_runner.runner.contrasting import Table, _sets
from qrt_runner.runner.differing import matched, value_differences
from qrt_runner.runner.drifting import Change, config_changes, drifts, version_changes
from qrt_runner.tracking import Record, find_kept

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from conftest import Ended

QUIET = ("tracking=off", "mode.shots=4096")
ANSATZ = "circuit = QuantumCircuit(2)\ncircuit.ry(Parameter('theta'), 0)\ncircuit.cx(0, 1)"


def runs() -> list[str]:
    """Return the ids of the runs in the journal, the first first."""
    plans = sorted(Path("outputs/journal/plans").glob("*.zip"), key=lambda plan: plan.stat().st_mtime_ns)
    return [plan.stem for plan in plans]


def report() -> dict[str, Any]:
    """Return the only comparison in the folder."""
    (file,) = Path("outputs").rglob("comparison.json")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def done(ended: Ended) -> Ended:
    """Return how a command ended, which is well."""
    assert ended.code == 0, ended.err
    return ended


def record(key: str = "0-main", **artifacts: Any) -> Record:
    """Return a record with these artifacts, `_json` of their names left out."""
    tags = {"qrt.point": key.partition("-")[0], "qrt.task": key.partition("-")[2], "qrt.backend": "acme"}
    files = {f"{name}.json": json.dumps(content).encode() for name, content in artifacts.items()}
    return Record(key=key, title=key, state="FINISHED", params={}, tags=tags, metrics=(), artifacts=files)


def calibrated(
    qubits: Mapping[str, Mapping[str, tuple[float, str]]], errors: Mapping[tuple[int, int], float], date: str
) -> Record:
    """Return a record with a calibration: values and units of qubits, errors of two-qubit gates."""
    told = {
        qubit: [{"name": name, "value": value, "unit": unit} for name, (value, unit) in properties.items()]
        for qubit, properties in qubits.items()
    }
    gates = [
        {"gate": "cz", "qubits": list(pair), "parameters": [{"name": "gate_error", "value": error, "unit": ""}]}
        for pair, error in errors.items()
    ]
    return record(calibration={"backend": "acme", "last_update": date, "qubits": told, "gates": gates})


# --- from the command line ---


def test_runs_with_other_seeds_do_not_differ(command: Callable[..., Ended]) -> None:
    """The same circuit on the same noise, drawn anew: nothing is beyond the errors, and nothing has drifted."""
    for seed in (1, 2):
        done(command("circuit=bell", "backend=fake_manila", f"seed={seed}", *QUIET))
    ended = done(command("action=compare"))
    (pair,) = report()["pairs"]
    assert [one["significant"] for one in (*pair["values"], *pair["counts"])] == [False, False]
    assert pair["runs"] == runs()
    assert {change["what"] for change in pair["config"]} == {"seed", "transpile.seed"}
    assert (pair["calibrations"][0]["changes"], pair["calibrations"][0]["same"]) == ([], 8)
    assert pair["versions"] == []
    assert "0 of 1 expectation values differ by more than 2 standard errors; by chance alone about 0.046" in ended.out
    assert "versions: the same" in ended.out


def test_another_calibration_is_told_with_what_came_of_it(command: Callable[..., Ended]) -> None:
    """Manila, and Quito in its place: the result moves by more than the errors, and the calibration says why."""
    words = ("circuit=bell", "transpile.initial_layout=[3,4]", *QUIET)
    done(command(*words, "backend=aer_noisy", "backend.name=fake_manila"))
    done(command(*words, "backend=aer_noisy", "backend.name=fake_quito", "seed=7"))
    ended = done(command("action=compare", f"runs=[{','.join(runs())}]"))
    (pair,) = report()["pairs"]
    (value,), (counts,), (drift,) = pair["values"], pair["counts"], pair["calibrations"]
    assert value["significant"]
    assert counts["significant"]
    error = math.hypot(value["first"][1], value["second"][1])
    assert value["found"]["sigmas"] == pytest.approx((value["second"][0] - value["first"][0]) / error)
    assert drift["backends"] == ["aer_noisy(fake_manila)", "aer_noisy(fake_quito)"]
    changes = {change["what"]: change for change in drift["changes"]}
    assert changes["readout_error of qubit 3"]["relative"] == pytest.approx(0.045 / 0.0144 - 1)
    assert changes["T1 of qubit 3"]["unit"] == "µs"
    assert 100 < changes["T1 of qubit 3"]["first"] < 200
    assert set(changes) >= {"T2 of qubit 4", "error of cx on 3, 4"}
    assert "T1 of qubit 3" in ended.out
    assert "2024-05-27 15:27:23-03:00" in ended.out
    told = {change["what"]: (change["first"], change["second"]) for change in pair["config"]}
    assert told["backend.name"] == ("fake_manila", "fake_quito")


def test_an_edited_calibration_moves_the_result_of_its_snapshot(command: Callable[..., Ended]) -> None:
    """A snapshot, and the same one with a readout ten times as bad: the change is told, and exceeds the errors."""
    done(command("circuit=bell", "backend=fake_manila", *QUIET))
    (file,) = Path("outputs").rglob("0-main/calibration.json")
    told = json.loads(file.read_text(encoding="utf-8"))
    for properties in told["qubits"].values():
        for one in properties:
            one["value"] *= 10 if one["name"] == "readout_error" else 1
    Path("worse.json").write_text(json.dumps(told), encoding="utf-8")
    done(command("circuit=bell", "backend=snapshot", "backend.run=worse.json", "seed=2", *QUIET))
    done(command("action=compare"))
    (pair,) = report()["pairs"]
    (drift,) = pair["calibrations"]
    assert {round(change["relative"], 9) for change in drift["changes"]} == {9.0}
    assert [change["what"].partition(" ")[0] for change in drift["changes"]] == ["readout_error"] * 2
    assert pair["values"][0]["significant"]
    assert drift["backends"] == ["fake_manila", "fake_manila_snapshot"]


def test_points_of_sweeps_are_matched_by_what_was_swept(command: Callable[..., Ended]) -> None:
    """Two sweeps that share two of their circuits, at other places; parameter sets are matched by their values."""
    words = circuit_file("tilted", ANSATZ, "'zz': 'ZZ', 'zi': 'ZI'")
    shared = ("-m", *words, "backend=fake_manila", *QUIET)
    done(command(*shared, "+circuit.parameter_values.theta=[0.1,0.2],[0.3]", "mode=raw,sampler"))
    done(command(*shared, "+circuit.parameter_values.theta=[0.3],[0.5]", "mode=sampler,raw", "seed=5"))
    ended = done(command("action=compare"))
    (pair,) = report()["pairs"]
    assert (pair["tasks_in_common"], pair["tasks_alone"]) == (2, [2, 2])
    assert {(one["task"], one["observable"]) for one in pair["values"]} == {
        (task, name) for task in ("2-main", "3-main") for name in ("zz", "zi")
    }
    assert [one["parameters"] for one in pair["counts"]] == [{"theta": 0.3}] * 2
    assert "2 tasks in common, 2 only in the first, 2 only in the second" in ended.out


def test_the_first_run_is_compared_with_each_other_one(command: Callable[..., Ended]) -> None:
    """Three runs make two pairs; all of it is in files that only their owner can read."""
    for shots in (100, 200, 300):
        done(command("circuit=bell", "backend=aer", "tracking=off", f"mode.shots={shots}"))
    ended = done(command("action=compare", f"runs=[{','.join(runs())}]"))
    pairs = report()["pairs"]
    assert [pair["runs"] for pair in pairs] == [[runs()[0], runs()[1]], [runs()[0], runs()[2]]]
    assert all(pair["calibrations"] == [] for pair in pairs)
    (told,) = Path("outputs").rglob("comparison.md")
    assert told.stat().st_mode & 0o077 == 0
    assert "| mode.shots | 100 | 300 | 1 |" in told.read_text(encoding="utf-8")
    assert str(told.with_suffix("")) in ended.out


def test_a_run_whose_results_are_gone_is_computed_again(command: Callable[..., Ended]) -> None:
    """From the journal alone the numbers are the same; the versions it ran with are not known then."""
    for seed in (1, 2):
        done(command("circuit=bell", "backend=fake_manila", f"seed={seed}", *QUIET))
    done(command("action=compare"))
    before = report()["pairs"]
    for folder in Path("outputs").glob("2*"):
        shutil.rmtree(folder)
    done(command("action=compare"))
    (again,) = report()["pairs"]
    assert again["values"] == before[0]["values"]
    assert again["counts"] == before[0]["counts"]
    assert again["calibrations"] == before[0]["calibrations"]


def test_a_replay_is_compared_with_its_run(command: Callable[..., Ended]) -> None:
    """A replay is not in the journal, and is found where it is kept."""
    done(command("circuit=bell", "backend=fake_manila", *QUIET))
    done(command("action=replay", "action.readout=calibration", "tracking=off"))
    replay = find_kept("latest").id
    done(command("action=compare", f"runs=[latest,{replay}]"))
    (pair,) = report()["pairs"]
    assert pair["runs"] == [*runs(), replay]
    assert pair["values"][0]["found"]["difference"] > 0.03
    assert not pair["counts"][0]["significant"]
    applied = {change["what"]: change["second"] for change in pair["config"]}
    assert applied == {"qrt.mitigation_applied": "readout (calibration)"}


def test_runs_of_other_circuits_have_nothing_in_common(command: Callable[..., Ended]) -> None:
    """Two bits against three and other observables; of the ideal simulator there is no calibration to compare."""
    done(command("circuit=bell", "backend=fake_manila", *QUIET))
    done(command("circuit=ghz", "backend=aer", *QUIET))
    ended = done(command("action=compare"))
    (pair,) = report()["pairs"]
    assert (pair["values"], pair["counts"]) == ([], [])
    assert pair["calibrations"][0]["recorded"] == [True, False]
    told = {change["what"]: (change["first"], change["second"]) for change in pair["config"]}
    assert told["circuit.name"] == ("bell", "ghz")
    assert "no result in common: " in ended.out
    assert "the second run recorded no calibration of aer\n" in ended.out


def test_what_is_gone_of_the_results_is_computed_again(command: Callable[..., Ended]) -> None:
    """One file is gone, and then another run's index is damaged: the journal still knows the same numbers."""
    for seed in (1, 2):
        done(command("circuit=bell", "backend=fake_manila", f"seed={seed}", *QUIET))
    done(command("action=compare"))
    before = report()["pairs"][0]
    first, second = (find_kept(run).folder for run in runs())
    (first / "0-main" / "calibration.json").unlink()
    (second / "run.json").write_text("{", encoding="utf-8")
    for file in Path("outputs").rglob("comparison.json"):
        file.unlink()
    done(command("action=compare"))
    again = report()["pairs"][0]
    assert [again[name] for name in ("values", "counts", "calibrations")] == [
        before[name] for name in ("values", "counts", "calibrations")
    ]
    ended = command("action=compare", f"runs=[latest,{second}]")
    assert (ended.code, f"run: given {second}/run.json, which is damaged (" in ended.err) == (2, True)


def test_files_that_were_changed_are_told(command: Callable[..., Ended]) -> None:
    """What is no calibration any more ends in one clean error, and so does a damaged journal."""
    for seed in (1, 2):
        done(command("circuit=bell", "backend=fake_manila", f"seed={seed}", *QUIET))
    (find_kept(runs()[0]).folder / "0-main" / "calibration.json").write_text("{}", encoding="utf-8")
    ended = command("action=compare")
    told = f"runs: given {' and '.join(runs())}, of which something that was kept is damaged (KeyError: "
    assert (ended.code, told in ended.err) == (2, True)
    Path("outputs/journal/journal.db").write_text("not a database", encoding="utf-8")
    ended = command("action=compare")
    assert (ended.code, ended.err.startswith("journal.folder: ")) == (1, True)


def test_what_cannot_be_compared_is_refused(command: Callable[..., Ended]) -> None:
    """Fewer than two runs, one twice, one that is not there, and runs without a task in common."""
    ended = command("action=compare")
    assert (ended.code, "runs: given nothing, and there is no run in " in ended.err) == (2, True)
    done(command("circuit=bell", "backend=aer", "tracking=off"))
    assert "runs: given nothing, and there is one run in " in command("action=compare").err
    (known,) = runs()
    assert (
        f"runs: given {known}; allowed: at least two runs, each once;" in command("action=compare", "runs=[latest]").err
    )
    assert f"runs: given {known}, {known}; allowed: " in command("action=compare", f"runs=[latest,{known}]").err
    ended = command("action=compare", "runs=[latest,20260101-000000-abcdef]")
    told = f"runs: given 20260101-000000-abcdef; allowed: ids or folders of recorded runs ({known}), or latest; remedy:"
    assert (ended.code, told in ended.err) == (2, True)
    done(command("experiment=raw_versus_primitive", "tracking=off"))
    assert f"{runs()[1]}, which have no task in common; allowed: " in command("action=compare").err


# --- by hand ---


def test_a_drift_is_told_in_microseconds_and_parts() -> None:
    """T1 100 to 50 µs is -50 %, T2 0.08 ms stays 80 µs, cz 0.01 to 0.015 is +50 %; units do not matter."""
    first = calibrated(
        {"3": {"T1": (100.0, "us"), "T2": (80.0, "us"), "readout_error": (0.02, "")}}, {(3, 5): 0.01}, "2026-11-01"
    )
    second = calibrated(
        {"3": {"T1": (5e-5, "s"), "T2": (0.08, "ms"), "readout_error": (0.03, "")}}, {(3, 5): 0.015}, "2026-11-02"
    )
    (found,) = drifts([(first, second)])
    assert found.dates == ("2026-11-01", "2026-11-02")
    told = {change.what: (change.first, change.second, change.relative) for change in found.changes}
    assert told["T1 of qubit 3"] == pytest.approx((100.0, 50.0, -0.5))
    assert told["readout_error of qubit 3"] == pytest.approx((0.02, 0.03, 0.5))
    assert told["error of cz on 3, 5"] == pytest.approx((0.01, 0.015, 0.5))
    assert (len(found.changes), found.same) == (3, 1)


def test_a_readout_told_in_two_ways_is_compared_by_their_mean() -> None:
    """1 % and 5 % are 3 % on average."""
    ways = {"prob_meas1_prep0": (0.01, ""), "prob_meas0_prep1": (0.05, "")}
    (found,) = drifts([(calibrated({"0": ways}, {}, "a"), calibrated({"0": {"readout_error": (0.06, "")}}, {}, "b"))])
    (change,) = found.changes
    assert (change.what, change.first, change.second) == ("readout_error of qubit 0", pytest.approx(0.03), 0.06)


def test_qubits_of_one_run_only_are_named_and_not_compared() -> None:
    """What one of them has not used has not drifted."""
    first, second = ({qubit: {"T1": (1.0, "us")} for qubit in used} for used in ("012", "125"))
    (found,) = drifts([(calibrated(first, {}, "a"), calibrated(second, {}, "b"))])
    assert (found.alone, found.changes, found.same) == ((("0",), ("5",)), (), 2)


def test_parameter_sets_are_matched_by_their_values() -> None:
    """0.1, 0.1 and 0.2 on one side, 0.2, 0.1 on the other: the first 0.1 and the 0.2 are in both."""

    def measured(values: Sequence[float], evs: Sequence[float]) -> Record:
        rows = [
            {"parameter_set": index, "theta": theta, "observable": "z", "ev": ev, "std": 0.1}
            for index, (theta, ev) in enumerate(zip(values, evs, strict=True))
        ]
        return record(results={"parameters": ["theta"], "rows": rows})

    pair = measured([0.1, 0.1, 0.2], [1.0, 2.0, 3.0]), measured([0.2, 0.1], [30.0, 10.0])
    found = {one.parameters: (one.first[0], one.second[0]) for one in value_differences(pair)}
    assert found == {(("theta", 0.1),): (1.0, 10.0), (("theta", 0.2),): (3.0, 30.0)}


def test_tasks_without_an_equal_sweep_are_matched_by_their_place() -> None:
    """Sweeps over other values of something: point 0 with point 0."""
    first = [replace(record(f"{index}-main"), swept={"seed": f"{index}"}) for index in range(2)]
    second = [replace(record(f"{index}-main"), swept={"seed": f"{index + 7}"}) for index in range(3)]
    assert [(one.key, other.key) for one, other in matched(first, second)] == [("0-main",) * 2, ("1-main",) * 2]
    assert matched(first, [record("0-other")]) == []


def test_changes_of_configs_are_counted_over_tasks() -> None:
    """What differs in two of three tasks is told once, for two."""

    def configured(shots: int) -> Record:
        return replace(record(), artifacts={"config.yaml": f"mode:\n  shots: {shots}\nseed: 1\n".encode()})

    pairs = [(configured(10), configured(shots)) for shots in (20, 10, 20)]
    assert config_changes(pairs) == [Change("mode.shots", 10, 20, tasks=2)]


def test_changes_of_versions_are_told_by_package() -> None:
    """What a run does not tell of is nothing; the seed is no version."""
    first = [record(environment={"packages": {"qiskit": "2.6.0", "numpy": "2.0"}, "seed": 1})]
    second = [record(environment={"packages": {"qiskit": "2.6.1", "numpy": "2.0"}, "git": {"dirty": True}, "seed": 2})]
    assert version_changes(first, second) == [
        Change("packages.qiskit", "2.6.0", "2.6.1"),
        Change("git.dirty", None, second=True),
    ]


def test_of_many_parameters_those_that_vary_are_told() -> None:
    """Five angles, of which the last one differs, and one set of two that does not: three are told, that one first."""
    sets = [(*((f"t[{index}]", 0.5) for index in range(4)), ("t[4]", value)) for value in (0.1, 0.2)]
    assert _sets(sets) == [f"t[4]={value}, t[0]=0.5, t[1]=0.5, and 2 more" for value in (0.1, 0.2)]
    assert _sets([(("a", 1.0), ("b", 2.0)), ()]) == ["a=1, b=2", "-"]


def test_of_a_long_table_a_terminal_shows_what_differs_the_most() -> None:
    """Fifty rows: the forty that matter the most, in their order, and how many there are besides."""
    rows = [(str(index),) for index in range(50)]
    table = Table(["fifty"], ("row",), rows, weights=[float(index) for index in range(50)])
    lines = table.lines(lambda titles, rows: [*titles, *(row[0] for row in rows)])
    assert lines == ["", "fifty", "row", *(str(index) for index in range(10, 50)), "and 10 more"]
