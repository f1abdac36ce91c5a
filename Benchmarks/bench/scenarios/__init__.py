"""The scenarios, in the order in which they run."""

from bench.scenarios import (
    fairness,
    flat,
    memory,
    mqtt,
    ndjson,
    post_single,
    queryable,
    sink,
    start_ready,
    two_sinks,
    websocket,
)
from bench.scenarios.scenario import Scenario

ALL: list[Scenario] = [
    post_single.SCENARIO,
    ndjson.SCENARIO,
    websocket.SCENARIO,
    mqtt.SCENARIO,
    fairness.SCENARIO,
    queryable.SCENARIO,
    sink.SCENARIO,
    sink.LEDGER,
    two_sinks.SCENARIO,
    memory.SCENARIO,
    flat.SCENARIO,
    start_ready.SCENARIO,
]
