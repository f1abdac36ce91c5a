"""WebSockets into Kafka, beside as many connections that POST."""

import functools
from collections.abc import Callable

from bench import ingest, load, readings
from bench.context import Bench
from bench.load import Bodies, Load
from bench.measurement import Goal, Measurement, Result, Sample, Table
from bench.scenarios.scenario import Scenario
from bench.workspace import need

_CONNECTIONS = 100
_DEVICES = 1_000
_POST = "Sluice, POST"
_MANY, _ONE = "Sluice, WebSocket, 16 in flight", "Sluice, WebSocket, 1 in flight"


def _prepare(bench: Bench) -> tuple[Result, list[Measurement]]:
    need("wrk", "wrk")
    metrics = ingest.metrics("reading", "message")
    table = Table("readings", metrics, goals=[Goal(1, _POST, _MANY), Goal(1, _POST, _ONE)])
    result = Result(
        "websocket",
        "WebSockets",
        [
            f"One reading of about 110 bytes of JSON a message, from {_DEVICES:,} devices, on {_CONNECTIONS} "
            f"connections, each with so many messages unanswered, {ingest.conditions(bench)}",
            "The load is made on one thread by a C program, which costs less than wrk, which makes that of POST, one "
            "request at a time on each connection. All is answered after Kafka acknowledged with acks=all. "
            f"{ingest.TERMS}",
        ],
        [table],
    )
    workspace = bench.workspace
    bodies = Bodies.write(workspace.folder / "stream", readings.sent(4 * _DEVICES, _DEVICES))
    loads: dict[str, Callable[[int, int], Load]] = {
        _POST: functools.partial(load.post, workspace, bodies, _CONNECTIONS),
        _ONE: functools.partial(load.stream, workspace, bodies, _CONNECTIONS, 1),
        _MANY: functools.partial(load.stream, workspace, bodies, _CONNECTIONS, 16),
    }
    return result, [(table, name, functools.partial(_measure, bench, drive)) for name, drive in loads.items()]


def _measure(bench: Bench, drive: Callable[[int, int], Load], _: int) -> Sample:
    return ingest.measure(bench, "websocket", ingest.SLUICE, drive)


SCENARIO = Scenario("websocket", "one reading a message on 100 WebSockets, answered when Kafka has it", _prepare)
