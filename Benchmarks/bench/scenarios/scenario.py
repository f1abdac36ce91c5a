"""What a scenario is."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.context import Bench
from bench.measurement import Measurement, Result


@dataclass(frozen=True)
class Scenario:
    name: str
    summary: str
    prepare: Callable[[Bench], tuple[Result, list[Measurement]]]
    """Starts the servers it needs and says what is to be measured, in the order of one round."""
