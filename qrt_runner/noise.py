"""A learned noise model, as frozen records that JSON can hold; knows the standard library only.

A layer's noise is a Pauli-Lindblad channel: independent Paulis, each with a rate (van den Berg et al., Nature Physics
19, 1116, 2023). Qubits are those of the device, so that a model outlives the circuits for which it was learned.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Origin = Literal["learned", "kept", "run"]
"""Learned in this run, kept since it was learned before, or taken from a run that was named."""

Gate = tuple[str, tuple[int, ...]]
"""Name and qubits of the device."""


@dataclass(frozen=True)
class Layer:
    """Two-qubit gates that are run side by side, with the qubits that are twirled with them."""

    qubits: tuple[int, ...]
    """Of the device, in ascending order."""

    gates: tuple[Gate, ...]
    group: str
    """The group that it is twirled by."""

    @property
    def key(self) -> str:
        """What is equal for equal layers, in all processes."""
        return json.dumps([self.qubits, self.gates, self.group])

    def __str__(self) -> str:
        """Return how texts call it, such as `cx(0,1) cx(3,2)`."""
        gates = " ".join(f"{name}({','.join(map(str, qubits))})" for name, qubits in self.gates)
        idle = sorted(set(self.qubits) - {qubit for _, qubits in self.gates for qubit in qubits})
        return gates + (f" beside {', '.join(map(str, idle))}" if idle else "")


@dataclass(frozen=True)
class LayerNoise:
    """The noise of a layer."""

    layer: Layer
    generators: tuple[str, ...]
    """Pauli strings over the layer's qubits; the rightmost letter is for the first of them."""

    rates: tuple[float, ...]
    """Of each generator."""

    @property
    def gamma(self) -> float:
        """The factor by which undoing it makes standard errors larger."""
        return math.exp(2.0 * sum(self.rates))


@dataclass(frozen=True)
class NoiseModel:
    """The noise of some layers of a backend."""

    backend: str
    layers: tuple[LayerNoise, ...]
    learned: str = ""
    """When its learning ended, as ISO text."""

    job: str = ""
    """Which job has learned it; empty on simulators, which give theirs no lasting ids."""

    calibration: str = ""
    """When the backend was calibrated that it was learned on; empty where that is not known."""

    origin: Origin = "learned"
    run: str = ""
    """The run that learned it, where that is another one."""

    @property
    def by_layer(self) -> Mapping[str, LayerNoise]:
        """The noise of each layer by the layer's key."""
        return {one.layer.key: one for one in self.layers}

    def told(self) -> str:
        """Return where it is from, in words."""
        by = f" by job {self.job}" if self.job else ""
        at = f" at {self.learned}" if self.learned else ""
        if self.origin == "learned":
            return f"noise model learned{by}{at}"
        how = "reused from" if self.origin == "kept" else "taken as asked from"
        return f"noise model {how} run {self.run}, learned{by}{at}"

    def of(self, origin: Origin, run: str) -> NoiseModel:
        """Return it as one that another run has learned."""
        return replace(self, origin=origin, run=self.run or run)


def plain(model: NoiseModel) -> dict[str, Any]:
    """Return a model as JSON can hold it."""
    told = asdict(model)
    for written, one in zip(told["layers"], model.layers, strict=True):
        written["gamma"] = one.gamma
    return told


def model_of(written: Mapping[str, Any]) -> NoiseModel:
    """Return the model that `plain` has written.

    Raises:
        KeyError: Where something is missing; TypeError and ValueError where it is something else.
    """
    layers = tuple(_layer_noise(one) for one in written["layers"])
    rest = {name: str(written[name]) for name in ("backend", "learned", "job", "calibration", "run")}
    origin: Origin = written["origin"]
    return NoiseModel(layers=layers, origin=origin, **rest)


def _layer_noise(written: Mapping[str, Any]) -> LayerNoise:
    told = written["layer"]
    gates = tuple((str(name), tuple(map(int, qubits))) for name, qubits in told["gates"])
    layer = Layer(tuple(map(int, told["qubits"])), gates, str(told["group"]))
    generators = tuple(map(str, written["generators"]))
    rates = tuple(map(float, written["rates"]))
    if len(rates) != len(generators) or any(len(one) != len(layer.qubits) for one in generators):
        raise ValueError("rates and generators do not belong together")
    return LayerNoise(layer, generators, rates)
