"""The scenarios, in the order in which they run."""

from bench.scenarios import ndjson, post_single, sink, start_ready, websocket
from bench.scenarios.scenario import Scenario

ALL: list[Scenario] = [
    post_single.SCENARIO,
    ndjson.SCENARIO,
    websocket.SCENARIO,
    sink.SCENARIO,
    sink.LEDGER,
    start_ready.SCENARIO,
]
