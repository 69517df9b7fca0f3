"""Compiles experiments into a plan: programs, jobs, and where each task's numbers will be found.

Knows the modules above it; knows neither Hydra nor MLflow, and submits nothing.
"""

from qrt_runner.plan.compiling import compile_plan
from qrt_runner.plan.records import Group, Job, Place, Plan, PlannedTask, Program, Refusal

__all__ = ["Group", "Job", "Place", "Plan", "PlannedTask", "Program", "Refusal", "compile_plan"]
