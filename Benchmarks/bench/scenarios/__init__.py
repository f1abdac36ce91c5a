"""The scenarios, in the order in which they run."""

from bench.scenarios import fairness, post_single, sink, start_ready
from bench.scenarios.scenario import Scenario

ALL: list[Scenario] = [post_single.SCENARIO, fairness.SCENARIO, sink.SCENARIO, sink.LEDGER, start_ready.SCENARIO]
