"""The ledger of every technique on every kind of backend in every mode: applied, ignored with the reason, or refused."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

import pytest
from composing import circuit_file, outcome_of, plan_of
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from watching import rehearsal

from qrt_runner import SHIPPED
from qrt_runner.config import Document
from qrt_runner.config.sections import Mitigation
from qrt_runner.errors import ConfigError
from qrt_runner.launcher.containers import as_container, data_of
from qrt_runner.launcher.judging import judge
from qrt_runner.launcher.stencils import yaml_of
from qrt_runner.plan import compile_plan
from qrt_runner.rehearsal import account_of
from qrt_runner.results import Ledger, Point
from qrt_runner.runner.scattering import reference_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

NO_NOISE: Final = "the backend has no noise to act on"
NO_PAIRS: Final = "the circuit has no two-qubit gate to act on"
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
    sampler   twirl             gm    gm+       gm+   gm+       gm+      gm+   ?
    sampler   trex              !     !         !     !         !        !     !
    sampler   zne               !     !         !     !         !        !     !
    sampler   pea               !     !         !     !         !        !     !
    sampler   pec               !     !         !     !         !        !     !
    sampler   m3                3     3+        3+    3+        3+       3+    3+
    sampler   suppression       ?     dgm+      dgm+  dgm+      dgm+     dgm+  ?
    sampler   suppression_trex  !     !         !     !         !        !     !
    sampler   strong            !     !         !     !         !        !     !
    sampler   custom            -     -         -     -         -        -     -

    estimator none              -     -         -     -         -        -     -
    estimator level_0           -     -         -     -         -        -     -
    estimator level_1           mt    mt+       mt+   mt+       mt+      mt+   ?
    estimator level_2           gmtz  gmtz+     gmtz+ gmtz+     gmtz+    gmtz+ ?
    estimator dd                ?     d+        d+    d+        d+       d+    ?
    estimator twirl             gm    gm+       gm+   gm+       gm+      gm+   ?
    estimator trex              mt    mt+       mt+   mt+       mt+      mt+   ?
    estimator zne               z     z+        z+    z+        z+       z+    ?
    estimator pea               gma   gma+      gma+  gma+      gma+     gma+  ?
    estimator pec               gmc   gmc+      gmc+  gmc+      gmc+     gmc+  ?
    estimator m3                !     !         !     !         !        !     !
    estimator suppression       ?     dgm+      dgm+  dgm+      dgm+     dgm+  ?
    estimator suppression_trex  ?     dgmt+     dgmt+ dgmt+     dgmt+    dgmt+ ?
    estimator strong            ?     dgmtz+    dgmtz+ dgmtz+   dgmtz+   dgmtz+ ?
    estimator custom            -     -         -     -         -        -     -
"""
"""What comes of a technique for a GHZ state, which idles, entangles and is misread.

Letters are what the technique consists of: with `+` all of it acts, without it all is ignored, as nothing is noisy.
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
SEED_OF_SERVICE: Final = 42

VENDOR: Final = """
from qiskit_ibm_runtime.fake_provider import FakeManilaV2


def get_backend():
    return FakeManilaV2()
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


def section(group: str, option: str) -> Any:
    """Return an option of a group, composed; cells share them, because composing is slow."""
    return composed(f"{group}={option}")[group]


@pytest.fixture(scope="module")
def found(ground: Ground) -> dict[Cell, Ledger | Refused]:
    """Return what the ledger of each cell is, or what it is refused with; one plan for each kind of backend."""
    modes = {name: section("mode", name) for name in {mode for mode, _, _ in CELLS}}
    techniques = {name: section("mitigation", name) for name in {technique for _, technique, _ in CELLS}}
    told: dict[Cell, Ledger | Refused] = {}
    with standing_on(ground):
        for kind in KINDS:
            data = composed(*ground.words[kind])
            points = {}
            for cell in [one for one in CELLS if one[2] == kind]:
                chosen = {**data, "mode": modes[cell[0]], "mitigation": techniques[cell[1]]}
                try:
                    points[cell] = Point(len(points), judge(chosen), partial(yaml_of, chosen), cell)
                except ConfigError as error:
                    told[cell] = Refused("!", error)
            plan = compile_plan(points.values(), reference_of)
            told |= {one.point.overrides: Refused("?", one.error) for one in plan.refusals}
            told |= {task.point.overrides: task.ledger for task in plan.tasks}
    return told


@pytest.mark.parametrize("cell", CELLS, ids="-".join)
def test_every_technique_in_every_mode_on_every_kind_of_backend(cell, found):
    """What acts is applied, what does nothing is ignored with the reason, and what cannot be done is refused."""
    expected, told = CELLS[cell], found[cell]
    if expected in ("!", "?"):
        assert isinstance(told, Refused), told
        (mistake,) = told.error.mistakes
        assert (told.when, mistake.path) == (expected, "mitigation")
        assert mistake.allowed
        assert "mitigation=" in mistake.remedy
        return
    assert isinstance(told, Ledger), told.error
    names = tuple(NAMES[letter] for letter in expected.strip("+-"))
    assert told.requested == cell[1]
    assert told.applied == (names if expected.endswith("+") else ())
    assert told.ignored == ({} if expected.endswith("+") else dict.fromkeys(names, NO_NOISE))


def test_the_table_is_complete():
    """Each technique that can be asked for, each kind of backend and each mode stands in the table, and nothing else."""
    kinds_of = Document.model_json_schema()["$defs"]
    backends = {kinds_of[one["$ref"].rpartition("/")[2]]["properties"]["kind"]["const"] for one in _kinds("backend")}
    assert sorted(KINDS) == sorted(backends)
    for place, group in ((0, "mode"), (1, "mitigation")):
        listed = {cell[place] for cell in CELLS}
        assert listed == {file.stem for file in (SHIPPED / "conf" / group).glob("*.yaml")}
    assert {technique for _, technique, _ in CELLS} == set(get_args(Mitigation.model_fields["kind"].annotation))
    assert len(CELLS) == len({mode for mode, _, _ in CELLS}) * len({one for _, one, _ in CELLS}) * len(KINDS)
