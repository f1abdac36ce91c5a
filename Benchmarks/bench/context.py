"""What a run was asked for, and the servers it has."""

import time
from dataclasses import dataclass, field
from functools import cached_property

from bench import readings
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
    stored: int
    """Documents that a collection has before a sink adds to it, where that is what is measured."""


@dataclass
class Bench:
    """Its servers start when a scenario first asks for them, and serve all scenarios."""

    workspace: Workspace
    options: Options
    _backlogs: dict[int, str] = field(default_factory=dict)

    def backlog(self, devices: int = readings.DEVICES) -> str:
        """The topic with the backlog of so many devices, filled when it is first asked for."""
        if devices not in self._backlogs:
            topic = self.kafka.new_topic("backlog")
            headers: dict[str, str | bytes | None] = {"source": "http", "received": str(time.time_ns() // 1_000_000)}
            self.kafka.fill(topic, readings.backlog(self.options.backlog, devices), headers)
            self._backlogs[devices] = topic
        return self._backlogs[devices]

    @cached_property
    def kafka(self) -> Kafka:
        return Kafka(self.workspace)

    @cached_property
    def mongodb(self) -> MongoDB:
        return MongoDB(self.workspace)

    @cached_property
    def mosquitto(self) -> Mosquitto:
        return Mosquitto(self.workspace)
