"""Lets Hydra compose what the command line asks for, point by point, and judges it; may know hydra.

It runs nothing and imports nothing heavy: a wrong config is refused here, before qiskit or MLflow come in.
"""

from qrt_runner.launcher.apart import apart, unwritten
from qrt_runner.launcher.composing import Composition, compose_points
from qrt_runner.launcher.gathering import gathered
from qrt_runner.launcher.judging import check_run_wide, judged
from qrt_runner.launcher.points import Points, point_files
from qrt_runner.launcher.requesting import for_owner_only, request_of
from qrt_runner.launcher.templates import Composed

__all__ = [
    "Composed",
    "Composition",
    "Points",
    "apart",
    "check_run_wide",
    "compose_points",
    "for_owner_only",
    "gathered",
    "judged",
    "point_files",
    "request_of",
    "unwritten",
]
