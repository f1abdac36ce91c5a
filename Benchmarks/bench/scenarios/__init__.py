"""The scenarios, in the order in which they run."""

from bench.scenarios import mqtt, ndjson, post_single, sink, start_ready, websocket
from bench.scenarios.scenario import Scenario

ALL: list[Scenario] = [
    post_single.SCENARIO,
    ndjson.SCENARIO,
    websocket.SCENARIO,
    mqtt.SCENARIO,
    sink.SCENARIO,
    sink.LEDGER,
    start_ready.SCENARIO,
]
