"""How long a role of Sluice takes to be ready, and what it needs when it has nothing to do."""

import functools
import time

from bench import sluice
from bench.context import Bench
from bench.measurement import Measurement, Metric, Result, Sample, Table
from bench.scenarios.scenario import Scenario

_IDLE_SECONDS = 3
_ROLES = ("ingest", "bridge", "sink")


def _prepare(bench: Bench) -> tuple[Result, list[Measurement]]:
    table = Table("roles", [Metric("ready_ms", "ready after ms"), Metric("resident_mib", "idle memory MiB", 1)], False)
    result = Result(
        "start-ready",
        "Start of a role until it is ready",
        [
            "From the start of the process to the first 200 of /readyz, asked every 2 ms, with all servers running; "
            f"resident memory {_IDLE_SECONDS} s after the start, without any load.",
        ],
        [table],
    )
    topic = bench.kafka.new_topic("start-ready")
    return result, [(table, f"sluice {role}", functools.partial(_measure, bench, role, topic)) for role in _ROLES]


def _settings(bench: Bench, role: str, topic: str) -> dict[str, str]:
    kafka = {"kafka-brokers": bench.kafka.brokers, "kafka-topic": topic}
    mongodb = {"mongodb-uri": bench.mongodb.uri, "mongodb-database": "start_ready"}
    match role:
        case "ingest":
            return kafka | {"http-listen": f"127.0.0.1:{bench.workspace.free_ports()}"}
        case "bridge":
            return kafka | {"mqtt-url": bench.mosquitto.url}
        case _:
            sluice.setup(bench.workspace, kafka | mongodb)
            return kafka | mongodb | {"kafka-group": "start-ready"}


def _measure(bench: Bench, role: str, topic: str, _: int) -> Sample:
    running = sluice.start(bench.workspace, role, _settings(bench, role, topic))
    try:
        ready = running.wait_until_ready()
        time.sleep(max(0, running.child.started + _IDLE_SECONDS - time.monotonic()))
        resident = running.child.usage_while_running().resident_mib
    finally:
        bench.workspace.end(running.child)
    return {"ready_ms": ready * 1_000, "resident_mib": resident}


SCENARIO = Scenario("start-ready", "time until /readyz says ready, and idle memory, for each role of Sluice", _prepare)
