"""What shells ask on a tab, and the scripts that let them; may know the guide, and asks Hydra only for fields."""

from qrt_runner.shell.completing import complete, completions

__all__ = ["complete", "completions"]
