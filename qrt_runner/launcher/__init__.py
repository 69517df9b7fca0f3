"""Lets Hydra compose what the command line asks for, point by point, and judges it; may know hydra.

It runs nothing and imports nothing heavy: a wrong config is refused here, before qiskit or MLflow come in.
"""

from qrt_runner.launcher.composing import Composed, Composition, compose_points
from qrt_runner.launcher.judging import judged

__all__ = ["Composed", "Composition", "compose_points", "judged"]
