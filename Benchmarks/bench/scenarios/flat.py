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
_TOLERANCE = 1.15
_BATCH = 5_000
_FILLING_SECONDS = 600


def _prepare(bench: Bench) -> tuple[Result, list[Measurement]]:
    need("wrk", "wrk")
    devices = [f"{count:,} devices" for count in _DEVICES]
    connections = [f"{count:,} connections" for count in _CONNECTIONS]
    stored = [f"{count:,} documents" for count in (0, bench.options.stored)]
    tables = {
        "ingest, devices": devices,
        "ingest, connections": connections,
        "sink, devices": devices,
        "sink, stored before": stored,
    }
    result = Result(
        "flat",
        "What a reading costs, whatever there is of the rest",
        [
            "Processor time of the role for a reading; the goal is that it grows by no more than "
            f"{_TOLERANCE - 1:.0%} over that of the first line. "
            f"Ingest, devices: NDJSON, {_BODY_READINGS:,} readings a request on {_BODY_CONNECTIONS} connections, "
            f"from all devices in turn. Ingest, connections: POST of one reading, {_MIDDLE:,} devices. In both "
            f"{ingest.conditions(bench)}",
            f"Sink: a backlog of {bench.options.backlog:,} readings, of all devices in turn, into a new time-series "
            f"collection; and, from {_MIDDLE:,} devices, into one that has documents of {readings.DEVICES} others. The "
            "sink writes a device's newest values every two seconds: with 100,000 devices in turn each has one reading "
            "in that time at most, and so every reading is also an update of `devices`.",
        ],
        [
            Table(
                title,
                [Metric("cpu_us", "processor µs per reading", 2), Metric("rate", "readings/s")],
                goals=[Limit("cpu_us", _TOLERANCE, name, names[0]) for name in names[1:]],
            )
            for title, names in tables.items()
        ],
    )
    single = Bodies.write(bench.workspace.folder / "flat-single", readings.sent(4 * _MIDDLE, _MIDDLE))
    by_devices, by_connections, sink_by_devices, sink_by_stored = result.tables
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
            (sink_by_devices, name, functools.partial(_drain, bench, count, 0))
            for name, count in zip(devices, _DEVICES, strict=True)
        ),
        (sink_by_stored, stored[0], functools.partial(_drain, bench, _MIDDLE, 0)),
        (sink_by_stored, stored[1], functools.partial(_drain, bench, _MIDDLE, bench.options.stored)),
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
    topic, database = bench.backlog(devices), f"flat_{number + 1}_{devices}_{stored}"
    sluice.prepare_database(bench, topic, database)
    try:
        if stored:
            program = ceilings.program(bench.workspace, "sink_ceiling")
            command: Command = [program, bench.mongodb.uri, database, "readings", str(stored), str(_BATCH)]
            bench.workspace.run("documents", command, timeout=_FILLING_SECONDS)
        before = bench.mongodb.inserted()
        with sluice.running(bench, "sink", sluice.settings(bench, "sink", topic, database)) as sink:
            return draining.drain(bench, [sink.child], before)
    finally:
        bench.mongodb.drop(database)


SCENARIO = Scenario("flat", "processor time of a reading with few and many devices, connections, documents", _prepare)
