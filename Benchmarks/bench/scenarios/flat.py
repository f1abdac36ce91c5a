"""Whether a reading costs the same with few and with many devices, connections, and documents."""

import functools

from bench import ceilings, draining, ingest, load, readings, sluice
from bench.context import Bench
from bench.load import Bodies
from bench.measurement import Limit, Measurement, Metric, Result, Sample, Table
from bench.scenarios.scenario import Scenario
from bench.workspace import Command, need

_DEVICES = (10, 1_000, 100_000)
_MIDDLE = 1_000
"""Devices where something else is varied."""
_CONNECTIONS = (10, 5_000)
_BODY_READINGS, _BODIES, _BODY_CONNECTIONS = 1_000, 100, 16
_BACKLOG = 1_000_000
"""Enough for each of the devices to have several readings."""
_TOLERANCE = 1.15
_BATCH = 5_000
_FILLING_SECONDS = 600


def _prepare(bench: Bench) -> tuple[Result, list[Measurement]]:
    need("wrk", "wrk")
    stored = bench.options.stored
    devices = [f"{count:,} devices" for count in _DEVICES]
    connections = [f"{count:,} connections" for count in _CONNECTIONS]
    middle = f"{_MIDDLE:,} devices"
    full = f"{middle}, {stored:,} documents there before"
    grown = [(name, devices[0]) for name in devices[1:]]
    tables = {
        "ingest, devices": grown,
        "ingest, connections": [(name, connections[0]) for name in connections[1:]],
        "sink": [*grown, (full, middle)],
    }
    result = Result(
        "flat",
        "What a reading costs, whatever there is of the rest",
        [
            "Processor time of the role for a reading; the goal is that more of the one thing that differs raises it "
            f"by no more than {_TOLERANCE - 1:.0%}.",
            f"Ingest, devices: NDJSON, {_BODY_READINGS:,} readings a request on {_BODY_CONNECTIONS} connections, from "
            f"all devices in turn. Ingest, connections: POST of one reading, {middle}. In both "
            f"{ingest.conditions(bench)}",
            f"Sink: a backlog of {_BACKLOG:,} readings, of all devices in turn, into a new time-series collection, or "
            f"into one that has documents of {readings.DEVICES} of them. Beside the readings the sink writes the newest "
            "values of its devices, an update for each: while a backlog lasts every two seconds, less often where that "
            "takes long, or when they take 24 MiB.",
        ],
        [
            Table(
                title,
                [Metric("cpu_us", "processor µs per reading", 2), Metric("rate", "readings/s")],
                goals=[Limit("cpu_us", _TOLERANCE, more, less) for more, less in pairs],
            )
            for title, pairs in tables.items()
        ],
    )
    single = Bodies.write(bench.workspace.folder / "flat-single", readings.sent(4 * _MIDDLE, _MIDDLE))
    by_devices, by_connections, sink = result.tables
    return result, [
        *(
            (by_devices, name, functools.partial(_load, bench, _bodies(bench, count), _BODY_CONNECTIONS))
            for name, count in zip(devices, _DEVICES, strict=True)
        ),
        *(
            (by_connections, name, functools.partial(_load, bench, single, count))
            for name, count in zip(connections, _CONNECTIONS, strict=True)
        ),
        *(
            (sink, name, functools.partial(_drain, bench, count, 0))
            for name, count in zip(devices, _DEVICES, strict=True)
        ),
        (sink, full, functools.partial(_drain, bench, _MIDDLE, stored)),
    ]


def _bodies(bench: Bench, devices: int) -> Bodies:
    """As many for any number of devices."""
    sent = list(readings.sent(_BODIES * _BODY_READINGS, devices))
    bodies = (b"\n".join(sent[first : first + _BODY_READINGS]) for first in range(0, len(sent), _BODY_READINGS))
    path = bench.workspace.folder / f"flat-{devices}"
    return Bodies.write(path, bodies, _BODY_READINGS, "application/x-ndjson")


def _load(bench: Bench, bodies: Bodies, connections: int, _: int) -> Sample:
    drive = functools.partial(load.post, bench.workspace, bodies, connections)
    return ingest.measure(bench, "flat", ingest.SLUICE, drive, bodies.readings)


def _drain(bench: Bench, devices: int, stored: int, number: int) -> Sample:
    topic, database = bench.backlog(_BACKLOG, devices), f"flat_{number + 1}_{devices}_{stored}"
    sluice.prepare_database(bench, topic, database)
    try:
        if stored:
            program = ceilings.program(bench.workspace, "sink_ceiling")
            command: Command = [program, bench.mongodb.uri, database, "readings", str(stored), str(_BATCH)]
            bench.workspace.run("documents", command, timeout=_FILLING_SECONDS)
        before = bench.mongodb.inserted()
        with sluice.running(bench, "sink", sluice.settings(bench, "sink", topic, database)) as sink:
            return draining.drain(bench, [sink.child], _BACKLOG, before)
    finally:
        bench.mongodb.drop(database)


SCENARIO = Scenario("flat", "processor time of a reading with few and many devices, connections, documents", _prepare)
