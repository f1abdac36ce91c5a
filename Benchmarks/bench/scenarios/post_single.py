"""POST of one reading into Kafka, at two numbers of connections."""

import functools

from bench import ingest, load, readings
from bench.context import Bench
from bench.load import Bodies
from bench.measurement import Goal, Limit, Measurement, Result, Sample, Table
from bench.scenarios.scenario import Scenario
from bench.workspace import need

_CONNECTIONS = (64, 256)
_DEVICES = 1_000
_CONTENDERS = [ingest.SLUICE, ingest.CEILING, ingest.TELEGRAF, ingest.FASTAPI]
_GOALS: list[Goal | Limit] = [
    Goal(0.9, ingest.CEILING.name),
    Goal(1, ingest.TELEGRAF.name),
    Goal(4, ingest.FASTAPI.name),
    Limit("p99_ms", 1.5, ingest.SLUICE.name, ingest.CEILING.name),
]


def _prepare(bench: Bench) -> tuple[Result, list[Measurement]]:
    need("wrk", "wrk")
    result = Result(
        "post-single",
        "POST of one reading",
        [
            f"One reading of about 110 bytes of JSON a request, from {_DEVICES:,} devices; wrk on one thread, one "
            f"request at a time on each connection, {ingest.conditions(bench)}",
            "Sluice and the C program answer after Kafka acknowledged with acks=all; the C program validates nothing. "
            f"Telegraf and FastAPI answer before Kafka has the reading. {ingest.TERMS}",
        ],
        [
            Table(f"{connections} connections", ingest.metrics("request", "request"), goals=_GOALS)
            for connections in _CONNECTIONS
        ],
    )
    bodies = Bodies.write(bench.workspace.folder / "single", readings.sent(4 * _DEVICES, _DEVICES))
    return result, [
        (table, contender.name, functools.partial(_measure, bench, contender, bodies, connections))
        for table, connections in zip(result.tables, _CONNECTIONS, strict=True)
        for contender in _CONTENDERS
    ]


def _measure(bench: Bench, contender: ingest.Contender, bodies: Bodies, connections: int, _: int) -> Sample:
    drive = functools.partial(load.post, bench.workspace, bodies, connections)
    return ingest.measure(bench, "post-single", contender, drive)


SCENARIO = Scenario("post-single", "POST of one reading, answered when Kafka has it", _prepare)
