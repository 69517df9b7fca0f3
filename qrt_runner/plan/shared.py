"""Numbers what stands in several places of a plan; knows the standard library only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

Thing = TypeVar("Thing")


@dataclass
class Shared(Generic[Thing]):
    """Things of one kind, each once; lives while a plan is packed."""

    things: list[Thing] = field(default_factory=list)
    numbers: dict[Any, int] = field(default_factory=dict)

    def number(self, thing: Thing, key: Any = None) -> int:
        """Return a thing's place among the things; they are told apart by identity, or by a key where one is given."""
        key = id(thing) if key is None else key
        if key not in self.numbers:
            # The thing is held here, so that no other one gets its id.
            self.numbers[key] = len(self.things)
            self.things.append(thing)
        return self.numbers[key]
