"""Ledgers of every technique on every kind of backend in every mode: applied, ignored and why, or refused."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

import pytest
from composing import circuit_file, outcome_of, plan_of, point_of
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from watching import rehearsal

from qrt_runner import SHIPPED
from qrt_runner.config.backends import Backend
from qrt_runner.config.sections import Mitigation, Mode
from qrt_runner.errors import ConfigError
from qrt_runner.launcher.containers import as_container, data_of
from qrt_runner.launcher.judging import judge
from qrt_runner.launcher.stencils import yaml_of
from qrt_runner.plan import compile_plan
from qrt_runner.rehearsal import account_of
from qrt_runner.results import Ledger, Point
from qrt_runner.runner.scattering import reference_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NO_NOISE: Final = "the backend has no noise to act on"
NO_PAIRS: Final = "the circuit has no two-qubit gate to act on"
EVEN: Final = "the backend misreads 0 and 1 alike already"
NO_IDLING: Final = "there is no idle time that is noisy and long enough for a sequence"

NAMES: Final = {
    "d": "dd",
    "g": "gate_twirling",
    "m": "measure_twirling",
    "t": "trex",
    "z": "zne",
    "a": "pea",
    "c": "pec",
    "3": "m3",
}

TABLE: Final = """
    mode      technique         aer   aer_noisy fake  rehearsal snapshot ibm   vendor

    raw       none              -     -         -     -         -        -     -
    raw       level_0           !     !         !     !         !        !     !
    raw       level_1           !     !         !     !         !        !     !
    raw       level_2           !     !         !     !         !        !     !
    raw       dd                !     !         !     !         !        !     !
    raw       twirl             !     !         !     !         !        !     !
    raw       trex              !     !         !     !         !        !     !
    raw       zne               !     !         !     !         !        !     !
    raw       pea               !     !         !     !         !        !     !
    raw       pec               !     !         !     !         !        !     !
    raw       m3                3     3+        3+    3+        3+       3+    3+
    raw       suppression       !     !         !     !         !        !     !
    raw       suppression_trex  !     !         !     !         !        !     !
    raw       strong            !     !         !     !         !        !     !
    raw       custom            !     !         !     !         !        !     !

    sampler   none              -     -         -     -         -        -     -
    sampler   level_0           -     -         -     -         -        -     -
    sampler   level_1           !     !         !     !         !        !     !
    sampler   level_2           !     !         !     !         !        !     !
    sampler   dd                ?     d+        d+    d+        d+       d+    ?
    sampler   twirl             gm    gM+       gM+   gm+       gM+      gm+   ?
    sampler   trex              !     !         !     !         !        !     !
    sampler   zne               !     !         !     !         !        !     !
    sampler   pea               !     !         !     !         !        !     !
    sampler   pec               !     !         !     !         !        !     !
    sampler   m3                3     3+        3+    3+        3+       3+    3+
    sampler   suppression       ?     dgM+      dgM+  dgm+      dgM+     dgm+  ?
    sampler   suppression_trex  !     !         !     !         !        !     !
    sampler   strong            !     !         !     !         !        !     !
    sampler   custom            -     -         -     -         -        -     -

    estimator none              -     -         -     -         -        -     -
    estimator level_0           -     -         -     -         -        -     -
    estimator level_1           mt    mt+       mt+   mt+       mt+      mt+   ?
    estimator level_2           gmtz  gmtz+     gmtz+ gmtz+     gmtz+    gmtz+ ?
    estimator dd                ?     d+        d+    d+        d+       d+    ?
    estimator twirl             gm    gM+       gM+   gm+       gM+      gm+   ?
    estimator trex              mt    mt+       mt+   mt+       mt+      mt+   ?
    estimator zne               z     z+        z+    z+        z+       z+    ?
    estimator pea               gma   gMa+      gMa+  gma+      gMa+     gma+  ?
    estimator pec               gmc   gMc+      gMc+  gmc+      gMc+     gmc+  ?
    estimator m3                !     !         !     !         !        !     !
    estimator suppression       ?     dgM+      dgM+  dgm+      dgM+     dgm+  ?
    estimator suppression_trex  ?     dgmt+     dgmt+ dgmt+     dgmt+    dgmt+ ?
    estimator strong            ?     dgmtz+    dgmtz+ dgmtz+   dgmtz+   dgmtz+ ?
    estimator custom            -     -         -     -         -        -     -
"""
"""What comes of a technique for a GHZ state, which idles, entangles and is misread.

Letters are what the technique consists of: with `+` all of it acts, without it all is ignored, as nothing is noisy. A
capital one is ignored beside others: the simulators of Manila misread 0 and 1 alike, which twirling does not change.
`-` is nothing, asked for or done; `!` is refused when the config is read, `?` when the backend is known: an ideal
simulator has no times to decouple in, and the runtime's mitigation does not reach other vendors' devices.

Raw means unprocessed, but for M3, which must be asked for by name. Counts know no expectation values to mitigate, and
expectation values no counts to correct. PEA and PEC need twirled layers, whose noise is a Pauli channel.
"""

_LINES: Final = [line.split() for line in TABLE.splitlines() if line.strip()]
KINDS: Final = tuple(_LINES[0][2:])
CELLS: Final = {
    (mode, technique, kind): cell
    for mode, technique, *cells in _LINES[1:]
    for kind, cell in zip(KINDS, cells, strict=True)
}

VENDOR: Final = """
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError, depolarizing_error
from qiskit_ibm_runtime.fake_provider import FakeManilaV2


def get_backend():
    return FakeManilaV2()


def get_simulator(readout=0.0, gates=0.0):
    noise = NoiseModel()
    noise.add_all_qubit_readout_error(ReadoutError([[1 - readout, readout], [readout, 1 - readout]]))
    noise.add_all_qubit_quantum_error(depolarizing_error(gates, 2), ["cx"])
    return AerSimulator(noise_model=noise)
"""


# --- the table ---


Cell = tuple[str, str, str]
"""Mode, technique and kind of backend."""


@dataclass(frozen=True)
class Refused:
    """With what, and when: `!` where the config is read, `?` where the backend is known."""

    when: str
    error: ConfigError


@dataclass(frozen=True)
class Ground:
    """Where backends of each kind are found."""

    words: Mapping[str, tuple[str, ...]]
    environment: Mapping[str, str]
    folder: Path


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Return what opens a backend of each kind: Manila, but for the ideal simulator.

    The snapshot is of a run on Manila; IBM's own way is gone with an account of the rehearsal.
    """
    folder = tmp_path_factory.mktemp("ledgers")
    with rehearsal(folder / "service") as running, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        Path("acme_manila.py").write_text(VENDOR, encoding="utf-8")
        outcome_of(("circuit=ghz", "backend=fake_manila", "mode=raw", "mode.shots=16"))
        account = account_of(running)
        own = {f"QISKIT_IBM_{key.upper()}": str(account.arguments[key]) for key in ("url", "token", "instance")}
        words = {
            "aer": ("backend=aer",),
            "aer_noisy": ("backend=aer_noisy",),
            "fake": ("backend=fake_manila",),
            "rehearsal": ("backend=rehearsal", f"backend.store={running.folder}"),
            "snapshot": ("backend=snapshot", f"backend.run={folder / 'results'}"),
            "ibm": ("backend=ibm", "backend.name=fake_manila"),
            "vendor": ("backend=vendor", "backend.source=acme_manila:get_backend"),
        }
        yield Ground(words, {**account.environment, **own}, folder)


@contextmanager
def standing_on(ground: Ground) -> Iterator[None]:
    """Be in the folder where the backends are found, with the account."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ground.folder)
        for name, value in ground.environment.items():
            patch.setenv(name, value)
        yield


def composed(*words: str) -> dict[str, Any]:
    """Return the composed config of some overrides, with the GHZ circuit."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(version_base="1.3", config_dir=str(SHIPPED / "conf")):
        config = compose("config", ["tracking=off", "circuit=ghz", *words])
    return data_of(as_container(config, resolve=True))


@cache
def section(group: str, option: str) -> Any:
    """Return an option of a group, composed; cells share them, because composing is slow."""
    return composed(f"{group}={option}")[group]


@pytest.fixture(scope="module")
def found(ground: Ground) -> dict[Cell, Ledger | Refused]:
    """Return what the ledger of each cell is, or what it is refused with; one plan for each kind of backend."""
    told: dict[Cell, Ledger | Refused] = {}
    with standing_on(ground):
        for kind in KINDS:
            data = composed(*ground.words[kind])
            points = {}
            for cell in [one for one in CELLS if one[2] == kind]:
                chosen = {**data, "mode": section("mode", cell[0]), "mitigation": section("mitigation", cell[1])}
                try:
                    points[cell] = Point(len(points), judge(chosen), partial(yaml_of, chosen), cell)
                except ConfigError as error:
                    told[cell] = Refused("!", error)
            plan = compile_plan(points.values(), reference_of)
            told |= {one.point.overrides: Refused("?", one.error) for one in plan.refusals}
            told |= {task.point.overrides: task.ledger for task in plan.tasks}
    return told


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["raw", "sampler", "estimator"])
def test_every_technique_in_every_mode_on_every_kind_of_backend(mode, kind, found):
    """What acts is applied, what does nothing is ignored with the reason, and what cannot be done is refused."""
    cells = [cell for cell in CELLS if cell[::2] == (mode, kind)]
    assert {cell[1]: told_of(found[cell]) for cell in cells} == {cell[1]: CELLS[cell] for cell in cells}
    assert all(one.requested == cell[1] for cell in cells if isinstance(one := found[cell], Ledger))


def told_of(found: Ledger | Refused) -> Any:
    """Return what came of a technique as the table has it; where that cannot be told, all of it."""
    if isinstance(found, Refused):
        (mistake,) = found.error.mistakes
        is_told = mistake.path == "mitigation" and mistake.allowed and "mitigation=" in mistake.remedy
        return found.when if is_told else mistake
    letters = {name: letter for letter, name in NAMES.items()} | {
        name: letter.upper() for letter, name in NAMES.items() if found.ignored.get(name) == EVEN
    }
    if {*found.ignored.values()} - {EVEN} - (set() if found.applied else {NO_NOISE}):
        return found
    named = [name for name in NAMES.values() if name in (*found.applied, *found.ignored)]
    return "".join(letters[name] for name in named) + "+" * bool(found.applied) or "-"


def test_the_table_is_complete():
    """Every technique that can be asked for, every kind of backend and every mode stands in the table, and no other."""
    modes, techniques, kinds = ({cell[place] for cell in CELLS} for place in range(3))
    assert techniques == {file.stem for file in (SHIPPED / "conf" / "mitigation").glob("*.yaml")}
    assert techniques == kinds_in(Mitigation)
    assert modes == {file.stem for file in (SHIPPED / "conf" / "mode").glob("*.yaml")}
    assert modes == set().union(*map(kinds_in, get_args(get_args(Mode)[0])))
    assert kinds == set().union(*map(kinds_in, get_args(get_args(Backend)[0])))
    assert len(CELLS) == len(modes) * len(techniques) * len(kinds)


def kinds_in(section: Any) -> set[str]:
    """Return what a section's kind may be."""
    return set(get_args(section.model_fields["kind"].annotation))


# --- what the circuit has to do with it ---

FLIPPED: Final = ("flipped", "circuit = QuantumCircuit(2)\ncircuit.x([0, 1])", "'zz': 'ZZ'")
"""|11> on Manila: misread, but without a two-qubit gate and without a moment of idleness."""

WITHOUT_PAIRS: Final = {
    ("sampler", "dd"): ("", "d"),
    ("sampler", "twirl"): ("", "gm"),
    ("sampler", "m3"): ("3", ""),
    ("sampler", "suppression"): ("", "dgm"),
    ("estimator", "level_1"): ("mt", ""),
    ("estimator", "level_2"): ("mt", "gz"),
    ("estimator", "zne"): ("", "z"),
    ("estimator", "pea"): ("", "gma"),
    ("estimator", "pec"): ("", "gmc"),
    ("estimator", "suppression_trex"): ("mt", "dg"),
    ("estimator", "strong"): ("mt", "dgz"),
}
"""Letters of what is applied and of what is ignored: gates are twirled, folded and learned by pairs of qubits."""


@pytest.mark.parametrize("cell", WITHOUT_PAIRS, ids="-".join)
def test_a_circuit_without_pairs_or_idling(cell):
    """What acts on readout is applied; what needs two-qubit gates or idle qubits says that there are none."""
    mode, technique = cell
    applied, ignored = WITHOUT_PAIRS[cell]
    words = (*circuit_file(*FLIPPED), "backend=fake_manila", f"mode={mode}", f"mitigation={technique}")
    (task,) = plan_of(words).tasks
    assert task.ledger.applied == tuple(NAMES[letter] for letter in applied)
    reasons = {"d": NO_IDLING, "m": EVEN}
    assert task.ledger.ignored == {NAMES[one]: reasons.get(one, NO_PAIRS) for one in ignored}


@pytest.mark.parametrize("kind", ["fake", "rehearsal", "ibm"])
def test_pulses_on_qubits_that_a_circuit_does_not_use(kind, ground):
    """A Bell pair never idles. A service gets it on all five qubits, and its pulses on the other three do nothing."""
    with standing_on(ground):
        (task,) = plan_of(("circuit=bell", *ground.words[kind], "mode=sampler", "mitigation=dd")).tasks
    assert (task.ledger.applied, task.ledger.ignored) == ((), {"dd": NO_IDLING})


@pytest.mark.parametrize("kind", ["aer", "fake_manila"])
@pytest.mark.parametrize("mode", ["raw", "sampler"])
def test_a_circuit_with_control_flow(kind, mode):
    """Its final counts can be corrected; the platform neither twirls nor decouples it, which is told beforehand."""
    words = ("circuit=dynamic_teleport", f"backend={kind}", f"mode={mode}")
    taken = [cell[1] for cell, expected in CELLS.items() if cell[::2] == (mode, "fake") and expected != "!"]
    plan = plan_of(*[(*words, f"mitigation={technique}") for technique in taken])
    told = {task.ledger.requested: (task.ledger.applied, dict(task.ledger.ignored)) for task in plan.tasks}
    nothing = ((), {})
    corrected = ((), {"m3": NO_NOISE}) if kind == "aer" else (("m3",), {})
    names = {"raw": ("none",), "sampler": ("none", "level_0", "custom")}[mode]
    assert told == {**dict.fromkeys(names, nothing), "m3": corrected}
    assert len(plan.refusals) == len(taken) - len(told)
    for refusal in plan.refusals:
        (mistake,) = refusal.error.mistakes
        assert (mistake.path, mistake.allowed) == ("mitigation", "none for circuits with control flow")


# --- what the noise has to do with it ---

NO_ERRORS: Final = "the backend's gates have no errors to act on"
NO_MISREADING: Final = "the backend misreads no bit"
OF_GATES: Final = ("gate_twirling", "zne")
OF_READOUT: Final = ("measure_twirling", "trex")


@pytest.mark.usefixtures("ground")
@pytest.mark.parametrize(
    ("arguments", "applied", "ignored"),
    [
        (("readout",), OF_READOUT, dict.fromkeys(OF_GATES, NO_ERRORS)),
        (("gates",), OF_GATES, dict.fromkeys(OF_READOUT, NO_MISREADING)),
        (("gates", "readout"), (*OF_GATES, *OF_READOUT), {}),
        ((), (), dict.fromkeys(OF_READOUT, NO_MISREADING) | dict.fromkeys(OF_GATES, NO_ERRORS)),
    ],
    ids=["readout", "gates", "both", "neither"],
)
def test_what_a_simulator_lacks_cannot_be_mitigated(arguments, applied, ignored):
    """A vendor's simulator that only misreads has no errors to extrapolate, and one with errors only no misreading."""
    words = ["circuit=ghz", "backend=vendor", "backend.source=acme_manila:get_simulator"]
    words += [f"+backend.arguments.{name}=0.05" for name in arguments]
    (task,) = plan_of([*words, "mode=estimator", "mitigation=level_2"]).tasks
    assert (set(task.ledger.applied), dict(task.ledger.ignored)) == (set(applied), ignored)


@pytest.mark.parametrize("mode", ["sampler", "estimator"])
def test_decoupling_does_nothing_where_idling_is_not_noisy(mode):
    """The Pauli part of a device's noise has no relaxation in it: pulses are there, and nothing to decouple."""
    words = ("circuit=ghz", "backend=aer_noisy", "backend.noise=pauli", f"mode={mode}", "mitigation=dd")
    (task,) = plan_of(words).tasks
    assert (task.ledger.applied, task.ledger.ignored) == ((), {"dd": NO_IDLING})


@pytest.mark.parametrize("technique", ["twirl", "level_2", "pea", "pec", "strong"])
def test_pauli_errors_are_not_twirled(technique):
    """Twirling a gate makes a Pauli channel of its error; where that is one already, it stays what it is."""
    words = ("circuit=ghz", "backend=aer_noisy", "backend.noise=pauli", "mode=estimator", f"mitigation={technique}")
    (task,) = plan_of(words).tasks
    letters = CELLS["estimator", technique, "aer_noisy"].strip("+")
    assert task.ledger.applied == tuple(NAMES[letter] for letter in letters if letter not in "dgM")
    assert task.ledger.ignored["gate_twirling"] == "the errors of the backend's gates are Pauli errors already"


# --- what an account of IBM is not needed for ---

TWIRLED: Final = ("level_2", "twirl", "pea", "pec", "suppression", "suppression_trex", "strong")


@pytest.mark.parametrize("mode", ["raw", "sampler", "estimator"])
def test_fractional_gates_exclude_what_twirls_gates(mode):
    """Refused when the config is read, by the switch of the gates; what twirls no gate is as it was."""
    data = composed("backend=ibm", "backend.name=ibm_fez", "backend.use_fractional_gates=true")
    taken = [cell[1] for cell, expected in CELLS.items() if cell[::2] == (mode, "ibm") and expected != "!"]
    refused = []
    for technique in taken:
        try:
            judge({**data, "mode": section("mode", mode), "mitigation": section("mitigation", technique)})
        except ConfigError as error:
            refused.append((technique, [mistake.path for mistake in error.mistakes]))
    assert refused == [(technique, ["backend.use_fractional_gates"]) for technique in TWIRLED if technique in taken]


@pytest.mark.parametrize("technique", ["twirl", "level_2", "pea", "pec", "strong"])
def test_gates_of_any_angle_are_not_twirled_on_a_device_that_has_them(technique):
    """A fake device has its rzz gates without being asked: refused too, not sent and failed. They are not folded."""
    lines = "circuit = QuantumCircuit(2)\ncircuit.h([0, 1])\ncircuit.rzz(0.7, 0, 1)\ncircuit.h([0, 1])"
    words = (*circuit_file("angled", lines, "'zz': 'ZZ'"), "backend=fake", "backend.name=fake_fractional")
    words = (*words, "mode=estimator")
    plan = plan_of((*words, f"mitigation={technique}"), (*words, "mitigation=trex"), (*words, "mitigation=zne"))
    ((refused,), (trex, zne)) = plan.refusals, plan.tasks
    assert [mistake.path for mistake in refused.error.mistakes] == ["mitigation"]
    assert trex.ledger.applied == ("measure_twirling", "trex")
    assert (zne.ledger.applied, zne.ledger.ignored) == ((), {"zne": "the circuit has no gate that the platform folds"})


def test_an_amplifier_that_is_not_used_excludes_nothing():
    """PEA is named and nothing is extrapolated: there is nothing to refuse."""
    words = ["backend=ibm", "backend.name=ibm_fez", "backend.use_fractional_gates=true", "mode=estimator"]
    point_of([*words, "mitigation=trex", "mitigation.options.resilience.zne.amplifier=pea"])
    with pytest.raises(ConfigError, match="true beside PEA"):
        point_of([*words, "mitigation=zne", "mitigation.options.resilience.zne.amplifier=pea"])


# --- what is recorded ---

RUN: Final = {
    "aer": ("estimator", ("level_2", "pec")),
    "aer_noisy": ("estimator", ("strong",)),
    "fake": ("sampler", ("suppression", "m3")),
    "rehearsal": ("estimator", ("suppression_trex",)),
    "snapshot": ("estimator", ("none", "zne")),
    "ibm": ("sampler", ("twirl", "m3")),
    "vendor": ("raw", ("none", "m3")),
}


def test_what_is_recorded_is_what_was_planned(ground, command, tmp_path, monkeypatch):
    """Run for real, each kind of backend leaves in MLflow what its cells say."""
    for name, value in ground.environment.items():
        monkeypatch.setenv(name, value)
    for kind, (mode, techniques) in RUN.items():
        words = ("-m", f"name={kind}", "circuit=ghz", *ground.words[kind], f"mode={mode}", "mode.shots=256")
        ended = command(*words, f"mitigation={','.join(techniques)}", "tracking.plots=false")
        assert ended.code == 0, ended.err
    from mlflow.tracking import MlflowClient

    store = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    recorded = {one.name: one.experiment_id for one in store.search_experiments()}
    for kind, (mode, techniques) in RUN.items():
        runs = [run.data for run in store.search_runs([recorded[kind]]) if "qrt.task" in run.data.tags]
        names = ("qrt.mitigation_applied", "qrt.mitigation_ignored")
        told = {run.params["mitigation"]: tuple(run.tags[name] for name in names) for run in runs}
        assert told == {technique: tags_of(CELLS[mode, technique, kind]) for technique in techniques}, kind


def tags_of(cell: str) -> tuple[str, str]:
    """Return what is recorded as applied and as ignored of a cell."""
    letters = cell.strip("+-")
    applied = [letter for letter in letters if cell.endswith("+") and not letter.isupper()]
    ignored = [letter.lower() for letter in letters if letter not in applied]
    return ",".join(NAMES[letter] for letter in applied), ",".join(NAMES[letter] for letter in ignored)
