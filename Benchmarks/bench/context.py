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

    @property
    def short_backlog(self) -> int:
        """Of sinks whose rate is not what is measured: more would only take more time."""
        return min(self.backlog, 200_000)


@dataclass
class Bench:
    """Its servers start when a scenario first asks for them, and serve all scenarios."""

    workspace: Workspace
    options: Options
    _backlogs: dict[tuple[int, int], str] = field(default_factory=dict)

    def backlog(self, count: int, devices: int = readings.DEVICES) -> str:
        """The topic with so many readings, filled when it is first asked for."""
        if (count, devices) not in self._backlogs:
            topic = self.kafka.new_topic("backlog")
            headers: dict[str, str | bytes | None] = {"source": "http", "received": str(time.time_ns() // 1_000_000)}
            self.kafka.fill(topic, readings.backlog(count, devices), headers)
            self._backlogs[count, devices] = topic
        return self._backlogs[count, devices]

    @cached_property
    def kafka(self) -> Kafka:
        return Kafka(self.workspace)

    @cached_property
    def mongodb(self) -> MongoDB:
        return MongoDB(self.workspace)

    @cached_property
    def mosquitto(self) -> Mosquitto:
        return Mosquitto(self.workspace)
