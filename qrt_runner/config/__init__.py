"""An experiment as frozen, validated sections; may know pydantic, and neither Hydra nor qiskit nor MLflow."""

from qrt_runner.config.backends import (
    Aer,
    AerNoisy,
    Backend,
    Fake,
    Filters,
    Ibm,
    Limits,
    Rehearsal,
    Snapshot,
    Vendor,
)
from qrt_runner.config.combining import OptionsJudge
from qrt_runner.config.explaining import nearest, shown
from qrt_runner.config.folders import caches_folder, state_folder
from qrt_runner.config.learning import RUN, Learning
from qrt_runner.config.parsing import (
    ONLY_TASK,
    Document,
    Experiment,
    Task,
    fingerprint,
    merged_mistakes,
    parse,
)
from qrt_runner.config.references import Ideal, Known, NoReference, Reference, Twin
from qrt_runner.config.secrets import secrets_in, secrets_in_overrides
from qrt_runner.config.sections import (
    Budget,
    Circuit,
    Estimator,
    Mitigation,
    Mode,
    Raw,
    Replay,
    Sampler,
    Session,
    ShowCache,
    Tracking,
    Transpile,
)
from qrt_runner.config.values import File, Linspace, Random, Values

__all__ = [
    "ONLY_TASK",
    "RUN",
    "Aer",
    "AerNoisy",
    "Backend",
    "Budget",
    "Circuit",
    "Document",
    "Estimator",
    "Experiment",
    "Fake",
    "File",
    "Filters",
    "Ibm",
    "Ideal",
    "Known",
    "Learning",
    "Limits",
    "Linspace",
    "Mitigation",
    "Mode",
    "NoReference",
    "OptionsJudge",
    "Random",
    "Raw",
    "Reference",
    "Rehearsal",
    "Replay",
    "Sampler",
    "Session",
    "ShowCache",
    "Snapshot",
    "Task",
    "Tracking",
    "Transpile",
    "Twin",
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
