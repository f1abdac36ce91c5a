"""A backlog on a Kafka topic into a time-series collection."""

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass

from bench import ceilings, draining, peers, readings, sluice
from bench.child import Child
from bench.context import Bench
from bench.errors import ContenderFailed
from bench.measurement import Goal, Measurement, Result, Sample, Table
from bench.scenarios.scenario import Scenario
from bench.workspace import BENCHMARKS, Command

_BATCH = 5_000
"""What Sluice inserts at once at most."""
_LONGEST_NAME = 60
"""Of a database; MongoDB takes 63 bytes."""


@dataclass(frozen=True)
class _Work:
    name: str
    """The contender's."""
    topic: str
    database: str
    """Also the consumer group: new for each measurement."""


@dataclass(frozen=True)
class _Contender:
    name: str
    start: Callable[[Bench, _Work], Child]


def _start_sluice(environment: dict[str, str], bench: Bench, work: _Work) -> Child:
    sluice.prepare_database(bench, work.topic, work.database)
    settings = sluice.settings(bench, "sink", work.topic, work.database)
    return sluice.start(bench.workspace, "sink", settings, environment).child


def _start_ceiling(bench: Bench, work: _Work) -> Child:
    command: Command = [ceilings.program(bench.workspace, "sink_ceiling"), bench.mongodb.uri, work.database, "readings"]
    command += [str(bench.options.backlog), str(_BATCH)]
    return bench.workspace.start(work.name, command)


def _start_python(options: Command, bench: Bench, work: _Work) -> Child:
    command: Command = [sys.executable, BENCHMARKS / "python" / "consumer_sink.py"]
    command += ["--brokers", bench.kafka.brokers, "--topic", work.topic, "--group", work.database]
    command += ["--uri", bench.mongodb.uri, "--database", work.database, *options]
    return bench.workspace.start(work.name, command)


def _like_sluice(start: Callable[[Bench, _Work], Child], bench: Bench, work: _Work) -> Child:
    """Started with the collection that Sluice has."""
    sluice.prepare_database(bench, work.topic, work.database)
    return start(bench, work)


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


_SLUICE = _Contender("Sluice", functools.partial(_start_sluice, {}))
_CONTENDERS = [
    _SLUICE,
    _Contender("C, libmongoc, Sluice's indexes", functools.partial(_like_sluice, _start_ceiling)),
    _Contender("C, libmongoc", _start_ceiling),
    _Contender("Kafka Connect", _start_kafka_connect),
    _Contender("Python consumer", functools.partial(_start_python, [])),
    _Contender(
        "Python consumer, Sluice's documents and indexes",
        functools.partial(_like_sluice, functools.partial(_start_python, ["--full"])),
    ),
    _Contender("Telegraf", _start_telegraf),
]
_GOALS = [
    Goal(0.85, "C, libmongoc, Sluice's indexes"),
    Goal(2, "Kafka Connect"),
    Goal(10, "Telegraf"),
    Goal(10, "Python consumer"),
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
            f"The C program has no Kafka: it inserts prepared documents, unordered, {_BATCH:,} at once, which is the "
            "most that Sluice inserts, on one thread, in the order in which Sluice writes them. With Sluice's indexes "
            "its collection is made by `sluice setup`: beside the index that every time-series collection has, one of "
            "device and time, and one for the expiry. The others have only the first. The memory of the C program is "
            "that of its documents.",
            "The Python consumer inserts 1,000 at once, unordered, and then commits; it writes time, device, sensor, "
            "unit and value. Sluice also stores when a reading came in and where it was on the topic, keeps its ledger "
            "and the devices' latest values; the others do none of that, and may store a reading twice after a crash. "
            "So there is a second Python consumer, with Sluice's documents and indexes, but without what keeps "
            "a reading from being stored twice.",
            "What a consumer costs is seen in its processor time. Its rate is as much the database's: one that is "
            "quicker than the database waits for it. The C program's rate is about what the database takes, so that "
            "nothing can be ten times as fast as a consumer that reaches more than a tenth of it.",
        ],
        [Table("documents", draining.METRICS, goals=_GOALS)],
    )
    return result, _measurements(bench, result, _CONTENDERS)


def _prepare_ledger(bench: Bench) -> tuple[Result, list[Measurement]]:
    result = Result(
        "ledger", "What storing each reading once costs", [_conditions(bench)], [Table("documents", draining.METRICS)]
    )
    return result, _measurements(bench, result, _LEDGER_CONTENDERS)


def _conditions(bench: Bench) -> str:
    return (
        f"{bench.options.backlog:,} readings of {readings.DEVICES} devices on 4 partitions of one Kafka node, the same "
        "for all, each contender with a consumer group, a database and a process of its own. The first tenth is "
        "warm-up: the rate is that of the documents which the server inserted after it. "
        f"{bench.options.bound} s after its first document a contender is stopped, and its rate is what it did by then."
    )


def _measurements(bench: Bench, result: Result, contenders: list[_Contender]) -> list[Measurement]:
    topic = bench.backlog(bench.options.backlog)
    return [
        (result.tables[0], contender.name, functools.partial(_measure, bench, result.name, contender, topic))
        for contender in contenders
    ]


def _measure(bench: Bench, scenario: str, contender: _Contender, topic: str, number: int) -> Sample:
    slug = "".join(letter if letter.isalnum() else "_" for letter in contender.name.lower())
    work = _Work(contender.name, topic, f"{scenario}_{number + 1}_{slug}"[:_LONGEST_NAME])
    try:
        before = bench.mongodb.inserted()
        child = contender.start(bench, work)
        try:
            sample = draining.drain(bench, [child], bench.options.backlog, before)
        finally:
            bench.workspace.end(child)
        stored = bench.mongodb.count(work.database)
    finally:
        bench.mongodb.drop(work.database)
    is_complete = sample["inserted"] >= bench.options.backlog
    if contender is _SLUICE and is_complete and stored != bench.options.backlog:
        raise ContenderFailed(f"{stored:,} documents of {bench.options.backlog:,} readings")
    return sample | {"documents": stored}


SCENARIO = Scenario("sink", "a backlog of readings from Kafka into a time-series collection", _prepare)
LEDGER = Scenario("ledger", "the same backlog with and without the sink's ledger", _prepare_ledger)
