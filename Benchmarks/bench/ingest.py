"""What takes readings over HTTP into Kafka, and how it is measured."""

import functools
import http.client
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench import ceilings, peers, readings, sluice
from bench.child import Child
from bench.context import Bench
from bench.errors import ContenderFailed
from bench.load import Load
from bench.measurement import Metric, Sample
from bench.workspace import BENCHMARKS, Command

_WARM_UP_SECONDS = 2
TERMS = (
    "Errors are answers other than 2xx, broken connections, and 10 s without an answer. Answered, not in Kafka: "
    "readings answered with 2xx (warm-up included) less the topic's end offsets when the load ends."
)


@dataclass(frozen=True)
class Contender:
    name: str
    start: Callable[[Bench, int, str], Child]
    """Listens on this port, produces to this topic."""
    acknowledges: bool
    """Whether it answers only after Kafka has the reading."""


def _start_sluice(bench: Bench, port: int, topic: str) -> Child:
    settings = {"http-listen": f"127.0.0.1:{port}", "kafka-brokers": bench.kafka.brokers, "kafka-topic": topic}
    return sluice.start(bench.workspace, "ingest", settings).child


def _start_ceiling(bench: Bench, port: int, topic: str) -> Child:
    program = ceilings.program(bench.workspace, "ingest")
    return bench.workspace.start(CEILING.name, [program, str(port), bench.kafka.brokers, topic])


def start_telegraf(format: dict[str, str], bench: Bench, port: int, topic: str) -> Child:
    """With these replacements in its configuration, beside those of addresses and the topic."""
    replacements = {
        "127.0.0.1:18086": f"127.0.0.1:{port}",
        "127.0.0.1:9092": bench.kafka.brokers,
        '"sensor-data"': f'"{topic}"',
    }
    return peers.start_telegraf(bench.workspace, "Telegraf", "http-to-kafka.conf", replacements | format)


def _start_fastapi(bench: Bench, port: int, topic: str) -> Child:
    command: Command = [sys.executable, "-m", "uvicorn", "fastapi_ingest:app"]
    command += ["--app-dir", BENCHMARKS / "python"]
    command += ["--port", str(port), "--workers", str(len(os.sched_getaffinity(0))), "--no-access-log"]
    environment = {"KAFKA_BROKERS": bench.kafka.brokers, "KAFKA_TOPIC": topic}
    return bench.workspace.start("FastAPI", command, environment)


SLUICE = Contender("Sluice", _start_sluice, acknowledges=True)
CEILING = Contender("C, libmicrohttpd", _start_ceiling, acknowledges=True)
TELEGRAF = Contender("Telegraf", functools.partial(start_telegraf, {}), acknowledges=False)
FASTAPI = Contender("FastAPI", _start_fastapi, acknowledges=False)


def conditions(bench: Bench) -> str:
    """The end of a sentence about the load."""
    return (
        f"{_WARM_UP_SECONDS} s of warm-up and {bench.options.seconds} s measured. Each measurement has a new process "
        "and a new topic of 4 partitions on one Kafka node."
    )


def metrics(unit: str, answered: str) -> list[Metric]:
    """Of what `measure` returns; `unit` is what the rate counts, `answered` what has one answer."""
    return [
        Metric("rate", f"{unit}s/s"),
        Metric("p50_ms", f"p50 ms of a {answered}", 2),
        Metric("p99_ms", f"p99 ms of a {answered}", 2, has_ratio=True),
        Metric("errors", "errors"),
        Metric("missing", "answered, not in Kafka at the end"),
        Metric("cpu_us", f"processor µs per {unit}", 1),
        Metric("resident_mib", "memory MiB"),
    ]


def measure(
    bench: Bench,
    name: str,
    contender: Contender,
    drive: Callable[[int, int], Load],
    each: int = 1,
    is_until_stored: bool = False,
) -> Sample:
    """Loads a new process with a new topic: `drive` gets the port and the seconds, an answer is for `each` readings.

    The rate is that of the answers, or that at which Kafka took what was answered, with the time that takes afterwards.
    """
    workspace, topic, port = bench.workspace, bench.kafka.new_topic(name), bench.workspace.free_ports()
    child = contender.start(bench, port, topic)
    try:
        _wait_for_answer(child, port)
        warm_up = drive(port, _WARM_UP_SECONDS)
        if is_until_stored:
            _wait_until_stored(bench, topic, 1 + warm_up.accepted * each)
        before, offset = child.usage_while_running(), bench.kafka.end_offsets(topic)
        load = drive(port, bench.options.seconds)
        answered = 1 + (warm_up.accepted + load.accepted) * each
        missing = max(0, answered - bench.kafka.end_offsets(topic))
        late = _wait_until_stored(bench, topic, answered) if is_until_stored else 0
        after = child.usage_while_running()
        stored = min(load.accepted * each, bench.kafka.end_offsets(topic) - offset)
    finally:
        workspace.end(child)
    if contender.acknowledges and missing:
        raise ContenderFailed(f"{missing:,} of {answered:,} readings that were acknowledged are not in Kafka")
    if load.requests == 0:
        raise ContenderFailed("no request was answered")
    return {
        "rate": (stored if is_until_stored else load.accepted * each) / (load.seconds + late),
        "p50_ms": load.p50_ms,
        "p99_ms": load.p99_ms,
        "errors": load.bad_status + load.failed,
        "missing": missing,
        "cpu_us": (after.cpu_seconds - before.cpu_seconds) / (load.requests * each) * 1e6,
        "resident_mib": after.resident_mib,
    }


def _wait_until_stored(bench: Bench, topic: str, count: int) -> float:
    """Seconds until Kafka had so many, or all that it got: until it gets no more for 5 s."""
    start = grew = time.monotonic()
    last = -1
    while (stored := bench.kafka.end_offsets(topic)) < count and time.monotonic() < grew + 5:
        if stored > last:
            last, grew = stored, time.monotonic()
        time.sleep(0.05)
    return (grew if stored < count else time.monotonic()) - start if last >= 0 else 0


def _wait_for_answer(child: Child, port: int, timeout: float = 60) -> None:
    """Until one reading was answered with 2xx."""
    body = next(readings.sent(1, 1))
    answer = "no answer"
    while time.monotonic() < child.started + timeout:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
        try:
            connection.request("POST", "/v1/readings", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            if 200 <= response.status < 300:
                return
            answer = f"{response.status} {response.read(200)!r}"
        except OSError as error:
            answer = str(error)
        finally:
            connection.close()
        if not child.is_running:
            break
        time.sleep(0.05)
    raise ContenderFailed(f"{child.name} does not take a reading ({answer}): {child.last_lines()}")
