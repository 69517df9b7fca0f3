"""Composes experiments and runs them in this process, without the command line and without MLflow."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from qrt_runner import SHIPPED
from qrt_runner.launcher.containers import as_container, attempted, data_of
from qrt_runner.launcher.judging import judge
from qrt_runner.launcher.stencils import yaml_of
from qrt_runner.plan import compile_plan
from qrt_runner.results import Point
from qrt_runner.runner import Request, run
from qrt_runner.runner.foreseeing import foresee
from qrt_runner.runner.scattering import reference_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qrt_runner.plan import Plan
    from qrt_runner.results import TaskResult
    from qrt_runner.runner import Outcome
    from qrt_runner.runner.foreseen import Foreseen


_IMPORTS = (
    "from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister",
    "from qiskit.circuit import Parameter",
)


def point_of(overrides: Sequence[str], index: int = 0) -> Point:
    """Return the point that a command line with these overrides asks for, tracking off."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(version_base="1.3", config_dir=str(SHIPPED / "conf")):
        config = compose("config", ["tracking=off", *overrides])
    data = data_of(attempted(partial(as_container, config, resolve=True)))
    return Point(index, judge(data), partial(yaml_of, data), tuple(overrides))


def plan_of(*points: Sequence[str]) -> Plan:
    """Return the plan of several points, each given by its overrides."""
    return compile_plan((point_of(overrides, index) for index, overrides in enumerate(points)), reference_of)


def outcome_of(*points: Sequence[str]) -> Outcome:
    """Run several points, each given by its overrides; results are kept in `results/` of the working directory."""
    asked = tuple(point_of(overrides, index) for index, overrides in enumerate(points))
    tracking = asked[0].experiment.document.tracking
    request = Request(asked, Path("results").resolve(), tracking, grouped=len(points) > 1)
    return run(request, announce=lambda _: None, show=lambda *_: None)


def foreseen(*points: Sequence[str]) -> Foreseen:
    """Tell what several points would run, each given by its overrides; nothing is submitted."""
    asked = tuple(point_of(overrides, index) for index, overrides in enumerate(points))
    tracking = asked[0].experiment.document.tracking
    return foresee(Request(asked, Path("results"), tracking, grouped=len(points) > 1), announce=lambda _: None)


def result_of(*overrides: str) -> TaskResult:
    """Run the only task of one experiment and return its result, which must be there."""
    (result,) = outcome_of(overrides).results
    assert result.state == "done", result.error
    return result


def circuit_file(name: str, lines: str, observables: str = "") -> list[str]:
    """Write a Python circuit file whose `build` runs these lines; return the overrides that open it.

    Args:
        name: Name of the file, without its ending.
        lines: Body of `build`, one statement each, which names the circuit `circuit`.
        observables: Body of the mapping that `observables` returns; none where it is empty.
    """
    body = [f"    {line}" for line in lines.strip().splitlines()]
    text = "\n".join([*_IMPORTS, "", "def build():", *body, "    return circuit", ""])
    if observables:
        text += f"\ndef observables():\n    return {{{observables}}}\n"
    Path(f"{name}.py").write_text(text, encoding="utf-8")
    return ["circuit=file", f"circuit.name={name}", f"circuit.source={name}.py"]
