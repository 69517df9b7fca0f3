"""Tells how far a run is while it runs: a line that is drawn anew on a terminal, lines with time stamps elsewhere.

Knows rich, which is imported where it is drawn: in a process of its own.
"""

from qrt_runner.display.beside import Display, displayed

__all__ = ["Display", "displayed"]
