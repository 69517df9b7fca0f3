"""An experiment as frozen, validated sections; may know pydantic, and neither Hydra nor qiskit nor MLflow."""

from qrt_runner.config.backends import Aer, AerNoisy, Backend, Fake, Filters, Ibm, Limits, Rehearsal, Vendor
from qrt_runner.config.explaining import nearest, shown
from qrt_runner.config.folders import caches_folder, state_folder
from qrt_runner.config.parsing import (
    ONLY_TASK,
    Document,
    Experiment,
    OptionsJudge,
    Task,
    fingerprint,
    merged_mistakes,
    parse,
)
from qrt_runner.config.secrets import secrets_in, secrets_in_overrides
from qrt_runner.config.sections import (
    Circuit,
    Estimator,
    Mitigation,
    Mode,
    Raw,
    Reference,
    Sampler,
    Session,
    ShowCache,
    Tracking,
    Transpile,
)
from qrt_runner.config.values import File, Linspace, Random, Values

__all__ = [
    "ONLY_TASK",
    "Aer",
    "AerNoisy",
    "Backend",
    "Circuit",
    "Document",
    "Estimator",
    "Experiment",
    "Fake",
    "File",
    "Filters",
    "Ibm",
    "Limits",
    "Linspace",
    "Mitigation",
    "Mode",
    "OptionsJudge",
    "Random",
    "Raw",
    "Reference",
    "Rehearsal",
    "Sampler",
    "Session",
    "ShowCache",
    "Task",
    "Tracking",
    "Transpile",
    "Values",
    "Vendor",
    "caches_folder",
    "fingerprint",
    "merged_mistakes",
    "nearest",
    "parse",
    "secrets_in",
    "secrets_in_overrides",
    "shown",
    "state_folder",
]
