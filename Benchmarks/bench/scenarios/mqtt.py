"""What an MQTT broker holds for a lasting session, into Kafka."""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import ceilings, peers, readings, sluice
from bench.child import Child, Usage
from bench.context import Bench
from bench.errors import ContenderFailed
from bench.measurement import Goal, Measurement, Metric, Result, Sample, Table
from bench.mosquitto import Mosquitto
from bench.scenarios.scenario import Scenario

_IN_FLIGHT = 10_000
_FILTER = "sensors/+/+"
_METRICS = [
    Metric("rate", "messages/s"),
    Metric("seconds", "measured s", 1),
    Metric("messages", "messages taken"),
    Metric("cpu_us", "processor µs per message", 1),
    Metric("broker_cpu_us", "the broker's µs per message", 1),
    Metric("resident_mib", "memory MiB"),
]


@dataclass(frozen=True)
class _Contender:
    name: str
    start: Callable[[Bench, Mosquitto, str], Child]
    """Takes from this broker, as the same client each time, and produces to this topic."""
    count: Callable[[Bench, str], int]
    """How many messages it has done so far, by the name of the topic."""


@dataclass(frozen=True)
class _Observation:
    time: float
    messages: int
    usage: Usage
    broker: Usage


def _start_sluice(bench: Bench, broker: Mosquitto, topic: str) -> Child:
    settings = {"mqtt-url": broker.url, "kafka-brokers": bench.kafka.brokers, "kafka-topic": topic}
    return sluice.start(bench.workspace, "bridge", settings).child


# Device and sensor are in the topic only.
_TELEGRAF_TOPICS = {
    """\
    [[inputs.mqtt_consumer.json_v2.tag]]
      path = "device"
    [[inputs.mqtt_consumer.json_v2.tag]]
      path = "sensor"
""": "",
    "[[outputs.kafka]]": """\
  [[inputs.mqtt_consumer.topic_parsing]]
    topic = "sensors/+/+"
    tags = "_/device/sensor"
[[outputs.kafka]]""",
}


def _start_telegraf(bench: Bench, broker: Mosquitto, topic: str) -> Child:
    replacements = {
        "127.0.0.1:1883": f"127.0.0.1:{broker.port}",
        "127.0.0.1:9092": bench.kafka.brokers,
        '"sensor-data"': f'"{topic}"',
    }
    return peers.start_telegraf(bench.workspace, "Telegraf", "mqtt-to-kafka.conf", replacements | _TELEGRAF_TOPICS)


def _start_counter(bench: Bench, broker: Mosquitto, topic: str) -> Child:
    program = ceilings.program(bench.workspace, "mqtt_count")
    return bench.workspace.start(_COUNTER.name, [program, str(broker.port), _FILTER, _counted(bench, topic)])


def _counted(bench: Bench, topic: str) -> Path:
    return bench.workspace.folder / f"{topic}.count"


def _count_in_kafka(bench: Bench, topic: str) -> int:
    return bench.kafka.end_offsets(topic)


def _count_in_file(bench: Bench, topic: str) -> int:
    return int.from_bytes(_counted(bench, topic).read_bytes(), "little")


_SLUICE = _Contender("Sluice", _start_sluice, _count_in_kafka)
_COUNTER = _Contender("C, libmosquitto, counts", _start_counter, _count_in_file)
_TELEGRAF = _Contender("Telegraf", _start_telegraf, _count_in_kafka)


def _prepare(bench: Bench) -> tuple[Result, list[Measurement]]:
    result = Result(
        "mqtt",
        "A backlog at an MQTT broker",
        [
            f"{bench.options.backlog:,} messages of 1,000 devices at QoS 1, which mosquitto holds for the contender's "
            "lasting session: it subscribes and goes, they are published, and it comes back. So no publisher takes "
            "processor time while it is measured, and it never waits for one. A broker, a topic and processes of its "
            "own for each; the first tenth is warm-up. After "
            f"{bench.options.bound} s a contender is stopped, and its rate is what it did by then.",
            f"The broker sends up to {_IN_FLIGHT:,} messages without an acknowledgement (`max_inflight_messages`), for "
            "Telegraf takes so many before it writes them, and drops none (`max_queued_messages 0`). Sluice and "
            "Telegraf acknowledge when Kafka has a message; messages are counted on the topic. The C program counts "
            "messages and acknowledges each at once; it has no Kafka. Sluice also validates, and makes an identity "
            "for each reading, by which a repeat is left out.",
        ],
        [Table("messages", _METRICS, goals=[Goal(0.5, _COUNTER.name), Goal(1.5, _TELEGRAF.name)])],
    )
    return result, [
        (result.tables[0], contender.name, functools.partial(_measure, bench, contender))
        for contender in (_SLUICE, _COUNTER, _TELEGRAF)
    ]


def _measure(bench: Bench, contender: _Contender, _: int) -> Sample:
    workspace, topic = bench.workspace, bench.kafka.new_topic("mqtt")
    broker = Mosquitto(workspace, f"max_queued_messages 0\nmax_inflight_messages {_IN_FLIGHT}\n")
    try:
        child = contender.start(bench, broker, topic)
        try:
            broker.wait_for_subscription(child, _FILTER)
        finally:
            workspace.end(child)
        program = ceilings.program(workspace, "mqtt_publish")
        workspace.run("mqtt_publish", [program, str(broker.port), str(bench.options.backlog), readings.now()])
        child = contender.start(bench, broker, topic)
        try:
            first, last = _observe(bench, contender, broker, child, topic)
        finally:
            workspace.end(child)
        taken = contender.count(bench, topic)
    finally:
        workspace.end(broker.child)
    if contender is _SLUICE and last.messages >= bench.options.backlog and taken != bench.options.backlog:
        raise ContenderFailed(f"{taken:,} readings in Kafka of {bench.options.backlog:,} messages")
    messages = last.messages - first.messages
    return {
        "rate": messages / (last.time - first.time),
        "seconds": last.time - first.time,
        "messages": taken,
        "cpu_us": (last.usage.cpu_seconds - first.usage.cpu_seconds) / messages * 1e6,
        "broker_cpu_us": (last.broker.cpu_seconds - first.broker.cpu_seconds) / messages * 1e6,
        "resident_mib": last.usage.resident_mib,
    }


def _observe(
    bench: Bench, contender: _Contender, broker: Mosquitto, child: Child, topic: str
) -> tuple[_Observation, _Observation]:
    """When the warm-up was over, and when all was done or the time was up."""
    first: _Observation | None = None
    while True:
        messages = contender.count(bench, topic)
        now = _Observation(time.monotonic(), messages, child.usage_while_running(), broker.child.usage_while_running())
        if first is None and messages >= bench.options.backlog // 10:
            first = now
        if messages >= bench.options.backlog or now.time > child.started + bench.options.bound:
            break
        time.sleep(0.02)
    if first is None or first.messages == messages:
        raise ContenderFailed(f"too few messages to measure a rate, {messages:,}: {child.last_lines()}")
    return first, now


SCENARIO = Scenario(
    "mqtt", "a backlog of messages from an MQTT broker into Kafka, acknowledged when Kafka has it", _prepare
)
