"""Turns mitigation and mode into the primitive's own options, and tells what will be applied, ignored or refused.

May know runtime; knows neither Hydra nor MLflow.
"""

from qrt_runner.mitigation.acting import noise_hash
from qrt_runner.mitigation.learning import LearnerOptions, learner_options, technique_of, without_noise_model
from qrt_runner.mitigation.ledger import ledger
from qrt_runner.mitigation.options import PrimitiveOptions, judge_options, options_for

__all__ = [
    "LearnerOptions",
    "PrimitiveOptions",
    "judge_options",
    "learner_options",
    "ledger",
    "noise_hash",
    "options_for",
    "technique_of",
    "without_noise_model",
]
