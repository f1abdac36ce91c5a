"""What a run was asked for, and the servers it has."""

from dataclasses import dataclass
from functools import cached_property

from bench.kafka import Kafka
from bench.mongodb import MongoDB
from bench.mosquitto import Mosquitto
from bench.workspace import Workspace


@dataclass(frozen=True)
class Options:
    repeat: int
    seconds: int
    """Of each measured load."""
    backlog: int
    """Readings that a sink, or a bridge, finds waiting."""
    bound: int
    """Seconds after which one that has not done them all is stopped."""


@dataclass
class Bench:
    """Its servers start when a scenario first asks for them, and serve all scenarios."""

    workspace: Workspace
    options: Options

    @cached_property
    def kafka(self) -> Kafka:
        return Kafka(self.workspace)

    @cached_property
    def mongodb(self) -> MongoDB:
        return MongoDB(self.workspace)

    @cached_property
    def mosquitto(self) -> Mosquitto:
        return Mosquitto(self.workspace)
