"""A backlog on a Kafka topic into a time-series collection."""

import functools
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench import ceilings, peers, readings, sluice
from bench.child import Child, Usage
from bench.context import Bench
from bench.errors import ContenderFailed
from bench.measurement import Measurement, Metric, Result, Sample, Table
from bench.scenarios.scenario import Scenario
from bench.workspace import BENCHMARKS, Command

_METRICS = [
    Metric("rate", "documents/s"),
    Metric("seconds", "measured s", 1),
    Metric("documents", "documents stored"),
    Metric("cpu_us", "processor µs per document", 1),
    Metric("resident_mib", "memory MiB"),
]


@dataclass(frozen=True)
class _Work:
    topic: str
    database: str
    """Also the consumer group: new for each measurement."""


@dataclass(frozen=True)
class _Contender:
    name: str
    start: Callable[[Bench, _Work], Child]


@dataclass(frozen=True)
class _Observation:
    time: float
    documents: int
    usage: Usage | None
    """None when the contender had ended."""


def _start_sluice(environment: dict[str, str], bench: Bench, work: _Work) -> Child:
    settings = {
        "kafka-brokers": bench.kafka.brokers,
        "kafka-topic": work.topic,
        "mongodb-uri": bench.mongodb.uri,
        "mongodb-database": work.database,
    }
    sluice.setup(bench.workspace, settings)
    return sluice.start(bench.workspace, "sink", settings | {"kafka-group": work.database}, environment).child


def _start_ceiling(batch: int, bench: Bench, work: _Work) -> Child:
    program = ceilings.program(bench.workspace, "sink_ceiling")
    command: Command = [
        program,
        bench.mongodb.uri,
        work.database,
        "readings",
        str(bench.options.backlog),
        str(batch),
    ]
    return bench.workspace.start(f"C, libmongoc, batches of {batch:,}", command)


def _start_kafka_connect(bench: Bench, work: _Work) -> Child:
    workspace = bench.workspace
    worker = {
        "127.0.0.1:9092": bench.kafka.brokers,
        "/tmp/kafka-connect.offsets": f"{workspace.folder}/{work.database}.offsets",
        "127.0.0.1:18099": f"127.0.0.1:{workspace.free_ports()}",
        "plugin.path=peers/kafka-connect": f"plugin.path={workspace.peers}/kafka-connect",
    }
    connector = {
        "name=mongo": f"name={work.database}",
        "topics=sensor-data": f"topics={work.topic}",
        "mongodb://127.0.0.1:27017/?directConnection=true": bench.mongodb.uri,
        "database=connect": f"database={work.database}",
    }
    return peers.start_kafka_connect(workspace, worker, connector)


def _start_telegraf(bench: Bench, work: _Work) -> Child:
    replacements = {
        "127.0.0.1:9092": bench.kafka.brokers,
        '"sensor-data"': f'"{work.topic}"',
        'consumer_group = "telegraf"': f'consumer_group = "{work.database}"',
        "mongodb://127.0.0.1:27017/?directConnection=true": bench.mongodb.uri,
        'database = "telegraf"': f'database = "{work.database}"',
    }
    return peers.start_telegraf(bench.workspace, "Telegraf", "kafka-to-mongodb.conf", replacements)


def _start_python(bench: Bench, work: _Work) -> Child:
    command: Command = [sys.executable, BENCHMARKS / "python" / "consumer_sink.py"]
    command += ["--brokers", bench.kafka.brokers, "--topic", work.topic, "--group", work.database]
    command += ["--uri", bench.mongodb.uri, "--database", work.database]
    return bench.workspace.start("Python consumer", command)


_SLUICE = _Contender("Sluice", functools.partial(_start_sluice, {}))
_CONTENDERS = [
    _SLUICE,
    _Contender("C, libmongoc, batches of 1,000", functools.partial(_start_ceiling, 1_000)),
    _Contender("C, libmongoc, batches of 5,000", functools.partial(_start_ceiling, 5_000)),
    _Contender("Kafka Connect", _start_kafka_connect),
    _Contender("Python consumer", _start_python),
    _Contender("Telegraf", _start_telegraf),
]
_LEDGER_CONTENDERS = [
    _SLUICE,
    # For tests alone: it stores readings twice after a crash.
    _Contender("Sluice, its ledger off", functools.partial(_start_sluice, {"SLUICE_TEST_BREAK": "no-ledger"})),
]


def _prepare(bench: Bench) -> tuple[Result, list[Measurement]]:
    result = Result(
        "sink",
        "A backlog into a time-series collection",
        [
            _conditions(bench),
            "The C program has no Kafka: it inserts prepared documents, unordered, on one thread. Sluice "
            "also keeps its ledger, the devices' latest values and its indexes; the others do none of that, and may "
            "store a reading twice after a crash.",
        ],
        [Table("documents", _METRICS)],
    )
    return result, _measurements(bench, result, _CONTENDERS)


def _prepare_ledger(bench: Bench) -> tuple[Result, list[Measurement]]:
    result = Result(
        "ledger", "What storing each reading once costs", [_conditions(bench)], [Table("documents", _METRICS)]
    )
    return result, _measurements(bench, result, _LEDGER_CONTENDERS)


def _conditions(bench: Bench) -> str:
    return (
        f"{bench.options.backlog:,} readings of {readings.DEVICES} devices on 4 partitions of one Kafka node, the same "
        "for all, each contender with a consumer group, a database and a process of its own. The first tenth is "
        "warm-up: the rate is that of the documents that became visible after it. After "
        f"{bench.options.bound} s a contender is stopped, and its rate is what it did by then."
    )


def _measurements(bench: Bench, result: Result, contenders: list[_Contender]) -> list[Measurement]:
    topic = bench.kafka.new_topic(f"backlog-{result.name}")
    received = str(time.time_ns() // 1_000_000)
    bench.kafka.fill(topic, readings.backlog(bench.options.backlog), {"source": "http", "received": received})
    return [
        (result.tables[0], contender.name, functools.partial(_measure, bench, contender, topic))
        for contender in contenders
    ]


def _measure(bench: Bench, contender: _Contender, topic: str, number: int) -> Sample:
    slug = "".join(letter if letter.isalnum() else "_" for letter in contender.name.lower())
    work = _Work(topic, f"{slug}_{number + 1}")
    try:
        child = contender.start(bench, work)
        try:
            observations = _observe(bench, child, work.database)
        finally:
            bench.workspace.end(child)
        stored = bench.mongodb.count(work.database)
    finally:
        bench.mongodb.drop(work.database)
    is_complete = observations[-1].documents >= bench.options.backlog
    if contender is _SLUICE and is_complete and stored != bench.options.backlog:
        raise ContenderFailed(f"{stored:,} documents of {bench.options.backlog:,} readings")
    return _rate(observations, bench.options.backlog // 10) | {"documents": stored}


def _observe(bench: Bench, child: Child, database: str) -> list[_Observation]:
    """Counts the documents until all are there or the time is up.

    Counting costs the server time that grows with the collection, so it is done seldom while the end is far.
    """
    total = bench.options.backlog
    observations = [_Observation(child.started, 0, None)]
    while observations[-1].documents < total and observations[-1].time < child.started + bench.options.bound:
        child.check()
        usage = child.usage()
        before = time.monotonic()
        documents = bench.mongodb.rough_count(database)
        observations.append(_Observation((before + time.monotonic()) / 2, documents, usage))
        time.sleep(_pause(observations[-2], observations[-1], [total // 10, total]))
    if observations[-1].documents == 0:
        raise ContenderFailed(f"it stored nothing in {bench.options.bound} s: {child.last_lines()}")
    return observations


def _pause(last: _Observation, now: _Observation, goals: list[int]) -> float:
    """Half of the time in which the next goal will be reached at the present rate, within limits."""
    rate = (now.documents - last.documents) / (now.time - last.time)
    goal = next((goal for goal in goals if goal > now.documents), 0)
    return min(max(0.5 * (goal - now.documents) / rate, 0.05), 2) if rate > 0 else 0.1


def _rate(observations: list[_Observation], warm_up: int) -> Sample:
    """From the first observation at which the warm-up was over to the last."""
    last = observations[-1]
    warm = [one for one in observations[:-1] if one.documents >= warm_up]
    first = next(iter(warm or (one for one in observations[:-1] if one.documents)), None)
    if first is None or last.documents == first.documents:
        raise ContenderFailed("its documents came all at once: the backlog is too small to measure a rate")
    sample = {
        "rate": (last.documents - first.documents) / (last.time - first.time),
        "seconds": last.time - first.time,
        "resident_mib": max(one.usage.resident_mib for one in observations if one.usage),
    }
    alive = [(one.documents, one.usage.cpu_seconds) for one in observations if one.usage and one.time >= first.time]
    if alive and alive[-1][0] > alive[0][0]:
        sample["cpu_us"] = (alive[-1][1] - alive[0][1]) / (alive[-1][0] - alive[0][0]) * 1e6
    return sample


SCENARIO = Scenario("sink", "a backlog of readings from Kafka into a time-series collection", _prepare)
LEDGER = Scenario("ledger", "the same backlog with and without the sink's ledger", _prepare_ledger)
