"""Lowers a circuit to a device once, and remembers it on disk; may know qiskit, and neither Hydra nor MLflow.

Importing it imports no qiskit: the command that shows the cache and clears it needs none.
"""

from qrt_runner.transpilation.lowering import Lowered, lower, lowered_on, on_active, two_qubit_gates

__all__ = ["Lowered", "lower", "lowered_on", "on_active", "two_qubit_gates"]
