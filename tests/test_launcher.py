"""The compiled sweeper and launcher compose what Hydra's own would, without composing every point."""

from __future__ import annotations

import gc
import json
import math
import random
import re
import sys
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as some
from omegaconf import OmegaConf

from qrt_runner.config import Document
from qrt_runner.errors import ConfigError
from qrt_runner.launcher import Points, compose_points, composing, judged, point_files
from qrt_runner.launcher.containers import changes, filled, shared
from qrt_runner.launcher.judging import judge
from qrt_runner.launcher.stencils import Stencil, yaml_of
from qrt_runner.launcher.templates import Templates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qrt_runner.launcher import Composed
    from qrt_runner.launcher.sweeping import Sweep

SWEEPS = [
    ["mode.shots=1,2,3"],
    ["circuit=bell,ghz", "mode=raw,sampler,estimator"],
    ["circuit=ghz", "circuit.params.num_qubits=range(2,5)", "mode.shots=10,20"],
    ["seed=1,2", "backend=aer,fake_manila"],
    ["circuit=dynamic_teleport", "mode=sampler,estimator"],
    ["circuit=file", "circuit.source=a.py", "+circuit.params.depth=1,2", "+circuit.parameter_values.theta=range(0,3)"],
    ["circuit=h2", "circuit.parameter_values.theta={linspace:[0,1,2]},0.5,[1,2]"],
    ["+circuit.observables={zz:ZZ},{xx:XX}", "name=a,b"],
    ["experiment=raw_versus_primitive", "reference=none,ideal", "seed=3,4"],
    ["experiment=raw_versus_primitive", "tasks.raw.mode.shots=7,8", "mode@tasks.sampler.mode=sampler,raw"],
    ["experiment=raw_versus_primitive", "mode.shots=7,8", "circuit.name=x,y"],
    ["circuit=h2", "~circuit.parameter_values.theta", "+circuit.parameter_values.theta=1,2.5"],
    ["transpile.seed=${seed},5", "seed=8,9"],
    ["seed=null,1,2", "run=a,latest"],
    ["+circuit.params.mine=${seed}", "+circuit.params.two=${circuit.params.mine}", "seed=8,9"],
    ["+circuit.params.half='${seed}/2'", "seed=8,9"],
    ["transpile.initial_layout=[0,1],null", "backend.method=automatic,statevector"],
    ["circuit.name='a b','c=d',\"${mode.kind}\"", "mode=raw,sampler"],
    ["name='1e3',yes,'0x1','a: b','#c','été','[d'", "mode.shots=1,2"],
    ["+circuit.params.x=0.0,-0.0,0,1e300,1e-7,1.0,1,true", "mode=raw,sampler"],
    ["name='run_${hydra:job.num}'", "mode.shots=1,2"],
    ["mitigation=zne", "mode=estimator", "mitigation.options.resilience.zne.noise_factors=[1,2,3],[1,3]"],
    ["mitigation=zne", "mode=estimator", "mitigation.options.twirling.num_randomizations=8,9", "mode.shots=100,200"],
]

WRONG = [
    ["mode.shots=1,0,2.5,x"],
    ["mode=raw,sampler", "mitigation=none,trex"],
    ["mode=estimator", "mitigation=custom", "+mitigation.options.nonsense=1,2"],
    ["seed=1,-1,x", "circuit.broadcast=zip,zap"],
    ["+circuit.nonsense=1,2"],
    ["+circuit.observables.zz=ZZ,AB"],
]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Composed, Sweep]]:
    """Return a list that takes the points which other launchers would run."""
    points: list[tuple[Composed, Sweep]] = []
    monkeypatch.setattr(composing, "run_point", lambda point, sweep, _: points.append((point, sweep)))
    return points


def compiled(words: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> Sequence[Composed]:
    """Compose a sweep with our sweeper and launcher."""
    GlobalHydra.instance().clear()
    monkeypatch.setattr(sys, "argv", ["qrt_runner", "-m", *words])
    return compose_points(sys.argv[1:]).points


def told(points: Sequence[Composed], overrides: Sequence[tuple[str, ...]]) -> list[object]:
    """Return what a point is, as plain values."""
    return [(point.data, point.yaml(), made) for point, made in zip(points, overrides, strict=True)]


def both(words: Sequence[str], monkeypatch: pytest.MonkeyPatch, taken: list[tuple[Composed, Sweep]]) -> tuple:
    """Compose a sweep with our sweeper and launcher, and with Hydra's own."""
    ours = compiled(words, monkeypatch)
    compiled([*words, "hydra/launcher=basic", "hydra/sweeper=basic"], monkeypatch)
    hydras = [point for point, _ in taken]
    return told(ours, [point.overrides for point in ours]), told(
        hydras, [sweep.makes(point.words) for point, sweep in taken]
    )


@pytest.mark.parametrize("words", SWEEPS, ids=" ".join)
def test_a_sweep_equals_hydras_own_composition(words, monkeypatch, taken):
    """Every point, in its order, with the overrides that make it and its YAML."""
    ours, hydras = both(words, monkeypatch, taken)
    assert ours == hydras


@pytest.mark.parametrize("seed", range(6))
def test_a_random_sweep_equals_hydras_own_composition(seed, monkeypatch, taken):
    """Groups, values and structures mixed at random, seeds fixed."""
    draw = random.Random(seed)  # noqa: S311 - a test's own choice
    words = [word for word in draw.choice(SWEEPS[:5]) if not word.startswith(("seed", "mode.shots"))]
    words += draw.sample(
        ["seed=1,2", "name=x,y", "mode.shots=5,6", "reference=none,ideal", "transpile=default,best"], 2
    )
    ours, hydras = both(words, monkeypatch, taken)
    assert ours == hydras


@pytest.mark.parametrize("words", SWEEPS, ids=" ".join)
def test_a_points_yaml_is_the_one_of_omegaconf(words, monkeypatch):
    """Cut out of the template's text or dumped anew, it is the same text."""
    for point in compiled(words, monkeypatch):
        assert point.yaml() == OmegaConf.to_yaml(OmegaConf.create(point.data))


@pytest.mark.parametrize("words", SWEEPS, ids=" ".join)
def test_a_point_judged_beside_another_equals_one_judged_alone(words, monkeypatch):
    """The experiments are equal to those of the whole config, value by value and type by type."""
    points = compiled(words, monkeypatch)
    beside = judged(points, swept=True)
    for point in points:
        alone = judge(point.data)
        assert beside[point.number] == alone
        assert repr(beside[point.number]) == repr(alone)
        assert beside[point.number].document.model_dump_json() == alone.document.model_dump_json()


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_a_wrong_point_is_told_as_it_is_alone(words, monkeypatch):
    """The mistakes of each point are those that its whole config has."""
    points = compiled(words, monkeypatch)
    alone = []
    for point in points:
        try:
            judge(point.data)
        except ConfigError as error:
            alone += [f"{mistake}" for mistake in error.mistakes]
    with pytest.raises(ConfigError) as refused:
        judged(points, swept=True)
    assert {str(mistake).partition(": ")[2] for mistake in refused.value.mistakes} == set(alone)


def test_values_are_not_composed_again(monkeypatch):
    """200 points that differ in values cost one composition, and one whole judgement, for each choice of groups."""
    counted: list[str] = []
    compose, validate = Templates._compose, Document.model_validate_json  # noqa: SLF001 - what is counted
    monkeypatch.setattr(Templates, "_compose", lambda *args: counted.append("composed") or compose(*args))
    words = ["mode=raw,sampler", "mode.shots=range(1,101)"]
    points = compiled(words, monkeypatch)
    monkeypatch.setattr(
        Document, "model_validate_json", lambda *args, **options: counted.append("judged") or validate(*args, **options)
    )
    assert len(judged(points, swept=True)) == 200
    assert counted == ["composed", "composed", "judged", "judged"]


def test_a_point_takes_little_memory(monkeypatch):
    """Points and experiments share what is equal: one more takes at most 2.2 KiB, all that they hold included."""
    words = ["circuit=file", "circuit.source=a.py", "+circuit.parameter_values.theta=range(0,{})"]
    used = {}
    for count in (1000, 5000):
        tracemalloc.start()
        points = compiled([word.format(count) for word in words], monkeypatch)
        experiments = judged(points, swept=True)
        gc.collect()
        used[count], _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(experiments) == count
    assert experiments[0].document.backend is experiments[4999].document.backend
    assert experiments[0].document.circuit.params is experiments[4999].document.circuit.params
    assert (used[5000] - used[1000]) / 4000 < 2.2 * 1024


@pytest.mark.parametrize(
    "word",
    [
        "x=range(0,1,0.1)",
        "+x=1,1.0,-0.0,1e300,1e-7,inf,nan,true,false,1_000",
        "++x=shuffle(range(1,4))",
        "x=int(1.5,2.5)",
        "x=sort(3,1,2)",
        "x=a,2,null,'3'",
    ],
)
def test_the_words_of_a_sweep_mean_what_hydra_reads(word):
    """What is taken over from the parsed sweep is what each word is parsed to."""
    master = OmegaConf.create({"hydra": {"runtime": {"choices": {}}}})
    loader: Any = None
    templates, parser = Templates(loader, master), OverridesParser.create()
    override = parser.parse_override(word)
    templates.learn(override)
    assert templates.known
    for known, meant in templates.known.items():
        parsed = parser.parse_override(known)
        assert repr(meant) == repr((parsed.key_or_group, parsed.value()))
    assert set(templates.known) <= {line for (line,) in BasicSweeper.split_arguments([override], None)[0]}


# Containers and their YAML

LEAVES = (
    some.none()
    | some.booleans()
    | some.integers()
    | some.floats()
    | some.text()
    | some.sampled_from(["1e3", "yes", "0x1", "", "~", "a: b", "- c", "line\nline\n", "x " * 60, "été", "1_000", "'"])
)
KEYS = some.text("abcdefg_-.0", min_size=1, max_size=6)
CONTAINERS = some.dictionaries(
    KEYS,
    some.recursive(
        LEAVES,
        lambda inner: some.lists(inner, max_size=3) | some.dictionaries(KEYS, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


def plain(value):
    """Tell whether omegaconf takes a value as it is: no interpolation, and no more digits than it reads."""
    if isinstance(value, dict | list):
        return all(map(plain, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, str) or value == "line\nline\n" or ("${" not in value and value.isprintable())


def leaves(value, path=()):
    """Return the places of all leaves."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    return [path] if items is None else [place for step, item in items for place in leaves(item, (*path, step))]


@settings(deadline=None)
@given(CONTAINERS.filter(plain), some.data())
def test_a_stencils_text_is_the_one_of_omegaconf(container, data):
    """Whatever plain values stand in whatever places."""
    places = data.draw(some.lists(some.sampled_from(leaves(container)), max_size=3)) if leaves(container) else []
    other = filled(container, {place: data.draw(LEAVES.filter(plain)) for place in places if place})
    assert Stencil(container).text(other) == yaml_of(other)


@settings(deadline=None)
@given(CONTAINERS, CONTAINERS)
def test_sharing_changes_nothing(one, other):
    """A container that shares what it can is still written the same; 1, 1.0 and true are not."""
    assert repr(shared(one, other)) == repr(one)


def test_changes_tell_numbers_apart_that_are_equal():
    """0.0 and -0.0, 1 and true are equal, and written differently."""
    known = {"a": 0.0, "b": 1, "c": [1, 2], "d": math.nan}
    other = {"a": -0.0, "b": True, "c": [1, 2.0], "d": math.nan}
    assert dict(changes(other, known)) == {("a",): -0.0, ("b",): True, ("c", 1): 2.0}
    with pytest.raises(ValueError, match="c"):
        list(changes({**other, "c": [1]}, known))


# What Hydra would have written of each point


def folders_of(sweep: Path) -> dict[str, str]:
    """Return the points' folders and what is in Hydra's files there, as if our launcher had written it in one place."""
    found = {str(entry.relative_to(sweep)): "" for entry in sweep.rglob("*") if entry.is_dir()}
    for file in sweep.rglob(".hydra/*.yaml"):
        text = file.read_text(encoding="utf-8").replace(str(sweep.parent), "/here")
        text = re.sub(r"_target_: \S+(Launcher|Sweeper)$", r"_target_: \1", text, flags=re.MULTILINE)
        found[str(file.relative_to(sweep))] = re.sub(r"(hydra/\w+(?:=|: ))basic", r"\1compiled", text)
    return found


@pytest.mark.parametrize(
    "words",
    [
        ["mode.shots=1,2"],
        ["circuit=ghz", "mode=raw,sampler", "+circuit.params.x='a: b','1e3',null,2.5"],
        ["experiment=raw_versus_primitive", "seed=3,4", "transpile.initial_layout=[0,1],[1,0]"],
        ["mode.shots=1,2", "mode=raw,sampler", "hydra.sweep.subdir=${hydra.job.override_dirname}"],
        ["mode.shots=1,2", "seed=5,6", "hydra.sweep.subdir='${circuit.name}/s${transpile.seed}-${hydra:job.num}'"],
        ["mode.shots=1,2", "hydra.sweep.subdir='${now:%Y}_${mode.shots}${oc.env:HOME}'"],
        ["mode.shots=1,2", "hydra.job.config.override_dirname.exclude_keys=[mode]", "hydra.job.name=mine"],
        ["mode.shots=1,2", "hydra.output_subdir=null"],
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("taken")
def test_hydras_files_of_a_point_can_be_made_again(words, monkeypatch, tmp_path):
    """They are those that the basic launcher writes, in the same folders."""
    monkeypatch.setenv("HOME", "home")
    for name in ("basic", "compiled"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        points = compiled(
            [*words, "hydra.sweep.dir=all", f"hydra/launcher={name}", f"hydra/sweeper={name}"], monkeypatch
        )
    Points(Path("all"), folders=True).write(points)
    assert folders_of(tmp_path / "compiled" / "all") == folders_of(tmp_path / "basic" / "all")
    for line in lines_of(Path("all")):
        folder = Path("all") / line["subdir"]
        made = point_files(Path("all/points.jsonl"), line["num"])
        written = {file.name: file.read_text(encoding="utf-8") for file in folder.glob(".hydra/*")}
        assert written == ({} if "hydra.output_subdir=null" in words else made)


def lines_of(folder: Path) -> list[dict[str, Any]]:
    """Return the points of a sweep as `points.jsonl` has them."""
    lines = map(json.loads, (folder / "points.jsonl").read_text(encoding="utf-8").splitlines())
    return [line for line in lines if "num" in line]


def test_the_points_of_a_sweep_are_lines_of_one_file(monkeypatch, tmp_path):
    """Number, folder, template, the values that differ, and the overrides; the template stands before them."""
    points = compiled(["mode=raw,sampler", "mode.shots=8,9", "hydra.sweep.subdir=at_${mode.shots}"], monkeypatch)
    Points(tmp_path / "all", folders=False).write(points)
    assert [entry.name for entry in (tmp_path / "all").iterdir()] == ["points.jsonl"]
    lines = [json.loads(line) for line in (tmp_path / "all/points.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line.get("num", "template") for line in lines] == ["template", 0, 1, "template", 2, 3]
    assert lines[2] == {
        "num": 1,
        "subdir": "at_9",
        "template": 0,
        "values": {"mode.shots": 9},
        "overrides": ["mode=raw", "mode.shots=9"],
        "hydra_overrides": ["hydra.sweep.subdir=at_${mode.shots}", "hydra.mode=MULTIRUN"],
    }


def test_a_line_of_a_point_is_short(monkeypatch, tmp_path):
    """Below 300 bytes for a point of the usual sweep."""
    words = ["circuit=file", "circuit.source=ansatz.py", "+circuit.parameter_values.theta=range(0,100)"]
    Points(tmp_path, folders=False).write(compiled(words, monkeypatch))
    assert max(map(len, (tmp_path / "points.jsonl").read_text(encoding="utf-8").splitlines()[1:])) < 300


def test_a_point_that_is_not_there_is_refused(monkeypatch, tmp_path):
    """The reader names the number and the file."""
    Points(tmp_path, folders=False).write(compiled(["mode.shots=8,9"], monkeypatch))
    with pytest.raises(ConfigError, match=r"num: given 2; allowed: the number of a point in .*points.jsonl"):
        point_files(tmp_path / "points.jsonl", 2)


def test_a_folder_of_a_point_that_does_not_resolve_is_refused(monkeypatch, tmp_path):
    """By the field that says it."""
    points = compiled(["mode.shots=8,9", "hydra.sweep.subdir='${nowhere}/${hydra.job.num}'"], monkeypatch)
    with pytest.raises(ConfigError, match=r"hydra\.sweep\.subdir: given Interpolation key 'nowhere' not found"):
        Points(tmp_path, folders=False).write(points)


# On the command line


def test_the_folder_of_a_sweep_holds_its_config_once(command):
    """`multirun.yaml` as Hydra writes it, all points in one file, and no folder for each."""
    ended = command("-m", "mode.shots=1,2", "tracking=off")
    assert ended.code == 0, ended.err
    (folder,) = Path("multirun").glob("*/*")
    names = {entry.name for entry in folder.iterdir()}
    assert {"multirun.yaml", "points.jsonl"} <= names
    assert not {"0", "1"} & names


def test_each_point_can_have_a_folder(command):
    """With `sweep.folders=true` Hydra's files lie where its basic launcher puts them."""
    ended = command("-m", "mode.shots=1,2", "tracking=off", "sweep.folders=true", "hydra.sweep.dir=all")
    assert ended.code == 0, ended.err
    assert sorted(file.name for file in Path("all/1/.hydra").iterdir()) == [
        "config.yaml",
        "hydra.yaml",
        "overrides.yaml",
    ]
    assert "shots: 2\n" in Path("all/1/.hydra/config.yaml").read_text(encoding="utf-8")


def test_a_single_run_has_hydras_own_files(command):
    """Hydra writes them, as for any of its applications."""
    ended = command("tracking=off")
    assert ended.code == 0, ended.err
    (folder,) = Path("outputs").glob("2*/*")
    assert sorted(file.name for file in (folder / ".hydra").iterdir()) == [
        "config.yaml",
        "hydra.yaml",
        "overrides.yaml",
    ]
    assert not list(folder.rglob("points.jsonl"))


def test_numbers_and_folders_are_those_that_hydra_users_know(command):
    """`hydra.job.num`, `hydra.sweep.dir` and `hydra.sweep.subdir` mean what they mean elsewhere."""
    ended = command(
        "-m",
        "tracking=off",
        "mode.shots=1,2",
        "name='shot_${hydra:job.num}'",
        "hydra.sweep.dir=here/${hydra.job.name}",
        "hydra.sweep.subdir='${hydra.job.num}_${mode.kind}'",
    )
    assert ended.code == 2
    assert "name: given several values in one sweep" in ended.err
    ended = command(
        "-m",
        "tracking=off",
        "mode.shots=1,2",
        "circuit.name='shot_${hydra:job.num}'",
        "hydra.sweep.dir=here/${hydra.job.name}",
        "hydra.sweep.subdir='${hydra.job.num}_${mode.kind}'",
    )
    assert ended.code == 0, ended.err
    assert "shot_1 on aer" in ended.out
    assert [line["subdir"] for line in lines_of(Path("here/qrt_runner"))] == ["0_sampler", "1_sampler"]


PRESET = """# @package _global_
# What does a preset that is a sweep give, with a launcher of its own?
defaults:
  - override /circuit: ghz
  - override /hydra/launcher: basic

hydra:
  mode: MULTIRUN
  sweeper:
    params:
      mode.shots: 8,16
      circuit.params.num_qubits: range(2,4)
"""


@pytest.mark.parametrize(
    ("words", "launcher"),
    [
        (["experiment=mine"], "basic"),
        (["experiment=mine", "hydra/launcher=compiled"], "compiled"),
        (["-m", "experiment=mine", "seed=5,6", "mode.shots=4"], "basic"),
        (["experiment=other"], "compiled"),
    ],
    ids=" ".join,
)
def test_a_preset_chooses_its_sweep_and_its_launcher(words, launcher, command):
    """A preset's choice outweighs the default, the command line outweighs the preset's; parameters are overrides."""
    Path("conf/experiment").mkdir(parents=True)
    Path("conf/experiment/mine.yaml").write_text(PRESET, encoding="utf-8")
    without = "\n".join(line for line in PRESET.splitlines() if "launcher:" not in line)
    Path("conf/experiment/other.yaml").write_text(without, encoding="utf-8")
    ended = command(*words, "tracking=off")
    assert ended.code == 0, ended.err
    assert ended.out.count("ghz on aer, mode sampler") == 4
    (folder,) = Path("multirun").glob("*/*")
    assert (folder / "points.jsonl").is_file() == (launcher == "compiled")
    assert (folder / "3/.hydra/config.yaml").is_file() == (launcher == "basic")


@pytest.mark.parametrize("launcher", ["basic", "compiled"])
def test_both_launchers_run_a_sweep(launcher, command):
    """The same numbers either way."""
    ended = command("-m", "mode=raw,sampler", "mode.shots=8", f"hydra/launcher={launcher}", "tracking=off")
    assert ended.code == 0, ended.err
    assert ended.out.count("meas  11: 6  00: 2") == 2
