"""Compiles experiments into a plan: programs, jobs, and where each task's numbers will be found; packs and restores it.

Knows the modules above it; knows neither Hydra nor MLflow, and submits nothing.
"""

from qrt_runner.plan.calibrating import prepared, read_bits
from qrt_runner.plan.compiling import compile_plan
from qrt_runner.plan.explaining import Explaining, counted
from qrt_runner.plan.identity import request_key, task_keys
from qrt_runner.plan.learning import with_model
from qrt_runner.plan.parts import stored_calibrations
from qrt_runner.plan.points import stored_points
from qrt_runner.plan.records import Group, Job, Place, Plan, PlannedTask, Program, Refusal
from qrt_runner.plan.restoring import StoredDevice, away, reopened_device, unpacked
from qrt_runner.plan.storing import packed

__all__ = [
    "Explaining",
    "Group",
    "Job",
    "Place",
    "Plan",
    "PlannedTask",
    "Program",
    "Refusal",
    "StoredDevice",
    "away",
    "compile_plan",
    "counted",
    "packed",
    "prepared",
    "read_bits",
    "reopened_device",
    "request_key",
    "stored_calibrations",
    "stored_points",
    "task_keys",
    "unpacked",
    "with_model",
]
