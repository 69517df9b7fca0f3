"""Puts what would run into the cells of tables, and numbers into words; knows the standard library only."""

from __future__ import annotations

import math
from typing import Any, Final

Row = dict[str, Any]

_KIB: Final = 1024
_THOUSAND: Final = 1000


def program_cells(row: Row) -> dict[str, str]:
    """Return the cells of a program by the titles of their columns."""
    sizes = {"depth": "depth", "2-qubit gates": "two_qubit_gates"}
    told = {title: f"{row[f'circuit/{name}']:g} -> {row[f'isa/{name}']:g}" for title, name in sizes.items()}
    return {title: str(row[title]) for title in ("program", "circuit", "backend", "tasks", "qubits")} | told


def job_cells(row: Row) -> dict[str, str]:
    """Return the cells of a job by the titles of their columns; empty where there is nothing to tell."""
    least = "" if row["overhead_known"] else "from "
    cells = {
        "job": str(row["job"]),
        "mode": row["mode"],
        "mitigation": row["mitigation"],
        "of": row["of"],
        "backend": row["backend"],
        "group": row["group"] or "",
        "PUBs": str(row["pubs"]),
        "sets": str(row["parameter_sets"]),
        "shots": str(row["shots"]),
        "circuits x shots": f"{least}{row['circuits']} x {row['shots_of_each']}",
        "executions": f"{least}{row['executions']:,}",
        "sends": "" if row["payload_bytes"] is None else size_told(row["payload_bytes"]),
        "quantum s": "",
        "price": "",
    }
    if row["estimated_s"] is not None:
        upper = number_told(row["upper_s"]) if math.isfinite(row["upper_s"]) else "no bound"
        cells["quantum s"] = f"{least}{number_told(row['estimated_s'])} ({number_told(row['lower_s'])} to {upper})"
        cells["price"] = "" if row.get("price") is None else f"{least}{row['price']:.2f}"
    return cells


def number_told(seconds: float) -> str:
    """Return three digits, or all before the point."""
    return f"{seconds:,.0f}" if seconds >= _THOUSAND else f"{seconds:.3g}"


def size_told(bytes_sent: int) -> str:
    """Return a size in the unit that suits it."""
    if bytes_sent < _KIB:
        return f"{bytes_sent} B"
    kib = bytes_sent / _KIB
    return f"{kib:.1f} KiB" if kib < _KIB else f"{kib / _KIB:.1f} MiB"


def seconds_told(seconds: float) -> str:
    """Return seconds that may have no bound."""
    return f"{number_told(seconds)} s" if math.isfinite(seconds) else "no bound"


def price_told(price: float) -> str:
    """Return a price that may have no bound."""
    return f"{price:.2f}" if math.isfinite(price) else "no bound"
