"""The same backlog for one sink and for two that share its partitions."""

import functools

from bench import draining, readings, sluice
from bench.context import Bench
from bench.errors import ContenderFailed
from bench.measurement import Goal, Limit, Measurement, Metric, Result, Sample, Table
from bench.scenarios.scenario import Scenario

_SINKS = {"one sink": 1, "two sinks": 2}


def _prepare(bench: Bench) -> tuple[Result, list[Measurement]]:
    result = Result(
        "two-sinks",
        "Two sinks for one topic",
        [
            f"{bench.options.backlog:,} readings of {readings.DEVICES} devices on 4 partitions of one Kafka node, into "
            "a time-series collection. Measured from when a tenth is stored and each sink has stored something, until "
            "all is. Processor and memory are those of both together. Where one sink is as fast as the database, two "
            "cannot be faster: they must not be slower, and no reading may be stored twice.",
            "Stored twice: documents less the places on the topic (partition and offset) that they come from.",
        ],
        [
            Table(
                "sinks",
                [*draining.METRICS, Metric("missing", "missing"), Metric("repeated", "stored twice")],
                goals=[
                    Goal(1, "one sink", "two sinks"),
                    *(Limit(key, 0, name) for key in ("missing", "repeated") for name in _SINKS),
                ],
            )
        ],
    )
    topic = bench.backlog(bench.options.backlog)
    return result, [
        (result.tables[0], name, functools.partial(_measure, bench, count, topic)) for name, count in _SINKS.items()
    ]


def _measure(bench: Bench, count: int, topic: str, number: int) -> Sample:
    database = f"two_sinks_{number + 1}_{count}"
    sluice.prepare_database(bench, topic, database)
    settings = sluice.settings(bench, "sink", topic, database)
    before = bench.mongodb.inserted()
    roles: list[sluice.Role] = []
    try:
        try:
            for _ in range(count):
                roles.append(sluice.start(bench.workspace, "sink", settings))
            sample = draining.drain(
                bench,
                [role.child for role in roles],
                bench.options.backlog,
                before,
                lambda: all(role.metrics()["sluice_sink_written_total"] for role in roles),
            )
        finally:
            for role in roles:
                bench.workspace.end(role.child)
        if sample["inserted"] < bench.options.backlog:
            raise ContenderFailed(
                f"{sample['inserted']:,.0f} of {bench.options.backlog:,} after {bench.options.bound} s"
            )
        stored, distinct = bench.mongodb.count(database), bench.mongodb.distinct(database)
    finally:
        bench.mongodb.drop(database)
    return sample | {
        "documents": stored,
        "missing": bench.options.backlog - distinct,
        "repeated": stored - distinct,
    }


SCENARIO = Scenario("two-sinks", "the same backlog for one sink and for two", _prepare)
