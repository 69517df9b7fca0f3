"""What there is to choose and to set in a config, told from conf/ and the sections; may know yaml, imports no Hydra."""

from qrt_runner.guide.groups import EXPERIMENT, Group, groups_in, own_and_shipped
from qrt_runner.guide.helping import help_page, top_fields
from qrt_runner.guide.knowing import closed_values

__all__ = ["EXPERIMENT", "Group", "closed_values", "groups_in", "help_page", "own_and_shipped", "top_fields"]
