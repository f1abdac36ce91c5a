"""POST of one reading into Kafka, at two numbers of connections."""

import functools
import http.client
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench import ceilings, peers, readings, sluice, wrk
from bench.child import Child
from bench.context import Bench
from bench.errors import ContenderFailed
from bench.measurement import Goal, Measurement, Metric, Result, Sample, Table
from bench.scenarios.scenario import Scenario
from bench.workspace import BENCHMARKS, Command, need

_CONNECTIONS = (64, 256)
_WARM_UP_SECONDS = 2
_METRICS = [
    Metric("rate", "requests/s"),
    Metric("p50_ms", "p50 ms", 2),
    Metric("p99_ms", "p99 ms", 2),
    Metric("errors", "errors"),
    Metric("missing", "answered, not in Kafka at the end"),
    Metric("cpu_us", "processor µs per request", 1),
    Metric("resident_mib", "memory MiB"),
]
_GOALS = [Goal(0.8, "C, libmicrohttpd"), Goal(0.8, "Telegraf"), Goal(3, "FastAPI")]


@dataclass(frozen=True)
class _Contender:
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
    return bench.workspace.start("C, libmicrohttpd", [program, str(port), bench.kafka.brokers, topic])


def _start_telegraf(bench: Bench, port: int, topic: str) -> Child:
    replacements = {
        "127.0.0.1:18086": f"127.0.0.1:{port}",
        "127.0.0.1:9092": bench.kafka.brokers,
        '"sensor-data"': f'"{topic}"',
    }
    return peers.start_telegraf(bench.workspace, "Telegraf", "http-to-kafka.conf", replacements)


def _start_fastapi(bench: Bench, port: int, topic: str) -> Child:
    command: Command = [sys.executable, "-m", "uvicorn", "fastapi_ingest:app"]
    command += ["--app-dir", BENCHMARKS / "python"]
    command += ["--port", str(port), "--workers", str(len(os.sched_getaffinity(0))), "--no-access-log"]
    environment = {"KAFKA_BROKERS": bench.kafka.brokers, "KAFKA_TOPIC": topic}
    return bench.workspace.start("FastAPI", command, environment)


_CONTENDERS = [
    _Contender("Sluice", _start_sluice, acknowledges=True),
    _Contender("C, libmicrohttpd", _start_ceiling, acknowledges=True),
    _Contender("Telegraf", _start_telegraf, acknowledges=False),
    _Contender("FastAPI", _start_fastapi, acknowledges=False),
]


def _prepare(bench: Bench) -> tuple[Result, list[Measurement]]:
    need("wrk", "wrk")
    seconds = bench.options.seconds
    result = Result(
        "post-single",
        "POST of one reading",
        [
            f"One reading of about 110 bytes of JSON a request, from {wrk.DEVICES:,} devices; wrk on one thread, one "
            f"request at a time on each connection, {_WARM_UP_SECONDS} s of warm-up and {seconds} s measured. Each "
            "measurement has a new process and a new topic of 4 partitions on one Kafka node.",
            "Sluice and the C program answer after Kafka acknowledged with acks=all; the C program validates nothing. "
            "Telegraf and FastAPI answer before Kafka has the reading. Errors are answers other than 2xx, broken "
            "connections, and 10 s without an answer.",
            "Answered, not in Kafka: 2xx answers (warm-up included) less the topic's end offsets when the load ends.",
        ],
        [Table(f"{connections} connections", _METRICS, goals=_GOALS) for connections in _CONNECTIONS],
    )
    return result, [
        (table, contender.name, functools.partial(_measure, bench, contender, connections))
        for table, connections in zip(result.tables, _CONNECTIONS, strict=True)
        for contender in _CONTENDERS
    ]


def _measure(bench: Bench, contender: _Contender, connections: int, _: int) -> Sample:
    workspace, topic, port = bench.workspace, bench.kafka.new_topic("post-single"), bench.workspace.free_ports()
    child = contender.start(bench, port, topic)
    try:
        _wait_for_answer(child, port)
        warm_up = wrk.post_readings(workspace, port, connections, _WARM_UP_SECONDS)
        before = child.usage_while_running()
        load = wrk.post_readings(workspace, port, connections, bench.options.seconds)
        after = child.usage_while_running()
        answered = 1 + sum(part.requests - part.bad_status for part in (warm_up, load))
        missing = max(0, answered - bench.kafka.end_offsets(topic))
    finally:
        workspace.end(child)
    if contender.acknowledges and missing:
        raise ContenderFailed(f"{missing:,} of {answered:,} readings that were acknowledged are not in Kafka")
    if load.requests == 0:
        raise ContenderFailed("no request was answered")
    return {
        "rate": (load.requests - load.bad_status) / load.seconds,
        "p50_ms": load.p50_ms,
        "p99_ms": load.p99_ms,
        "errors": load.bad_status + load.failed,
        "missing": missing,
        "cpu_us": (after.cpu_seconds - before.cpu_seconds) / load.requests * 1e6,
        "resident_mib": after.resident_mib,
    }


def _wait_for_answer(child: Child, port: int, timeout: float = 60) -> None:
    """Until one reading was answered with 2xx."""
    body = f'{{"device":"first","sensor":"temperature","value":1.5,"unit":"Cel","ts":"{readings.now()}"}}'
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


SCENARIO = Scenario("post-single", "POST of one reading, answered when Kafka has it", _prepare)
