"""The scenarios, in the order in which they run."""

from bench.scenarios import post_single, sink, start_ready
from bench.scenarios.scenario import Scenario

ALL: list[Scenario] = [post_single.SCENARIO, sink.SCENARIO, sink.LEDGER, start_ready.SCENARIO]
