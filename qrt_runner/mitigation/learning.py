"""What the noise learner is asked, and which options need what it learns; knows runtime.

PEC and PEA inject Paulis by a model of each layer's noise. The runtime learns it in a job of its own, and the model is
no option that a config could hold: what a task is sent has a place for it, which is filled when it is submitted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict
from qiskit_ibm_runtime.executor_estimator.finalize_options import finalize_estimator_options
from qiskit_ibm_runtime.options_models import EstimatorOptions, NoiseLearnerV3Options

if TYPE_CHECKING:
    from qrt_runner import config
    from qrt_runner.backends import Device

_BASES: Final = 9
"""Circuits that measure all Paulis on two neighbours, for each depth."""


class LearnerOptions(BaseModel):
    """What a job of the noise learner is asked, and on what."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backend_kind: str
    backend: str
    simulated: bool
    calibration: str
    """When the backend was calibrated; empty where that is not known."""

    strategy: str
    """Which qubits are twirled with a layer's gates, which makes them a part of the layer."""

    group: str
    max_layers: int
    learner: NoiseLearnerV3Options
    noise: str = ""
    """Of a simulator, a hash of its noise: names and times of calibrations do not tell two of them apart."""

    def circuits(self, layers: int) -> int:
        """Return about how many circuits learn so many layers: the runtime merges what it can."""
        circuits = _BASES * len(self.learner.layer_pair_depths) * layers + 1
        return int(circuits * self.learner.num_randomizations)

    def executions(self, layers: int) -> int:
        """Return about how many executions these are."""
        return int(self.circuits(layers) * self.learner.shots_per_randomization)


def technique_of(options: Any) -> str:
    """Return `pec` or `pea` where options need a noise model; empty where they do not."""
    if not isinstance(options, EstimatorOptions):
        return ""
    resilience = finalize_estimator_options(options).resilience
    if resilience.pec_mitigation:
        return "pec"
    return "pea" if resilience.zne_mitigation and resilience.zne.amplifier == "pea" else ""


def without_noise_model(options: EstimatorOptions) -> EstimatorOptions:
    """Return the options without what needs a noise model, for where there is nothing to learn.

    What comes with it, twirling, stays as it would have been.
    """
    final = finalize_estimator_options(options)
    resilience = final.resilience.model_copy(update={"pec_mitigation": False, "zne_mitigation": False})
    return options.model_copy(update={"resilience": resilience, "twirling": final.twirling})


def learner_options(
    options: EstimatorOptions, learning: config.Learning, device: Device, kind: str, calibration: str
) -> LearnerOptions:
    """Return what the noise learner is asked for a task.

    Args:
        options: What the task's primitive is sent.
        learning: What the config says of learning; what is null is left to the runtime.
        device: Where it is learned.
        kind: Kind of the backend in the config.
        calibration: When it was calibrated.
    """
    final = finalize_estimator_options(options)
    numbers = ("num_randomizations", "shots_per_randomization", "layer_pair_depths")
    given = {name: value for name in numbers if (value := getattr(learning, name)) is not None}
    learner = NoiseLearnerV3Options(
        **given,
        environment=final.environment.model_copy(),
        execution=final.execution.model_copy(),
        max_execution_time=final.max_execution_time,
        simulator={"seed_simulator": final.simulator.seed_simulator},
    )
    return LearnerOptions(
        backend_kind=kind,
        backend=device.name,
        simulated=device.where == "simulator",
        calibration=calibration,
        strategy=final.twirling.strategy,
        group=final.twirling.group,
        max_layers=learning.max_layers,
        learner=learner,
    )
