"""The memory of Sluice's roles: with nothing to do, under full load, and with many connections."""

import functools
import resource
import sys
import time
from collections.abc import Callable

from bench import ceilings, draining, load, readings, sluice
from bench.child import Child
from bench.context import Bench
from bench.errors import ContenderFailed, Skipped
from bench.load import Bodies
from bench.measurement import Limit, Measurement, Metric, Result, Sample, Table
from bench.scenarios.scenario import Scenario
from bench.workspace import BENCHMARKS, Command, need

_IDLE_SECONDS = 3
_CONNECTIONS = 64
_DEVICES = 1_000
_HELD, _STREAMS = 10_000, 1_000
_PATIENCE_SECONDS = 60
_SETTLING_SECONDS = 1
_ENDLESS = 1_000_000_000
"""Messages, of which the publisher is not meant to see the last."""
_MANY = f"ingest, {_HELD:,} idle connections and {_STREAMS:,} WebSockets"

_Load = Callable[[sluice.Role, str, int], float]
"""Loads a role that works on the topic; returns how many readings there were a second.

Its last parameter is the server's count of inserted documents when the role was started.
"""


def _prepare(bench: Bench) -> tuple[Result, list[Measurement]]:
    need("wrk", "wrk")
    seconds = bench.options.seconds
    metrics = [Metric("loaded_mib", "under full load MiB", 1), Metric("rate", "readings/s")]
    roles = Table("roles", [*metrics, Metric("idle_mib", "idle MiB", 1)], False)
    connections = Table("connections", [*metrics, Metric("held", "still open at the end")], False)
    result = Result(
        "memory",
        "Memory",
        [
            f"Idle: resident memory {_IDLE_SECONDS} s after it was ready, without any load. Under full load: the most "
            "that a process of its own ever had resident (VmHWM). "
            f"Ingest: POST of one reading, {_CONNECTIONS} connections, {seconds} s. Bridge: messages of one reading, "
            f"as many as mosquitto takes on 4 connections at QoS 1, {seconds} s. Sink: a backlog of "
            f"{bench.options.short_backlog:,} readings.",
            f"Connections: {_HELD:,} on which one reading was posted and which are then kept open, and {_STREAMS:,} "
            f"WebSockets with always one message unanswered, {seconds} s. 190 MiB are 200 MB.",
        ],
        [roles, connections],
    )
    bodies = Bodies.write(bench.workspace.folder / "memory", readings.sent(4 * _DEVICES, _DEVICES))
    loads: dict[str, _Load] = {
        "ingest": functools.partial(_post, bench, bodies),
        "bridge": functools.partial(_publish, bench),
        "sink": functools.partial(_drain, bench),
    }
    roles.goals = [Limit(key, most, role) for role in loads for key, most in (("idle_mib", 25), ("loaded_mib", 80))]
    connections.goals = [Limit("loaded_mib", 190, _MANY)]
    return result, [
        *((roles, role, functools.partial(_measure, bench, role, one)) for role, one in loads.items()),
        (connections, _MANY, functools.partial(_measure_connections, bench, bodies)),
    ]


def _measure(bench: Bench, role: str, drive: _Load, number: int) -> Sample:
    database, topic = f"memory_{number + 1}", bench.kafka.new_topic("memory")
    if role == "sink":
        sluice.prepare_database(bench, topic, database)
    try:
        with sluice.running(bench, role, sluice.settings(bench, role, topic, database)) as idle:
            time.sleep(_IDLE_SECONDS)
            idle_mib = idle.child.usage_while_running().resident_mib
        if role == "sink":
            topic = bench.backlog(bench.options.short_backlog)
        before = bench.mongodb.inserted()
        with sluice.running(bench, role, sluice.settings(bench, role, topic, database)) as loaded:
            rate = drive(loaded, topic, before)
            loaded_mib = loaded.child.peak_mib()
    finally:
        bench.mongodb.drop(database)
    return {"loaded_mib": loaded_mib, "rate": rate, "idle_mib": idle_mib}


def _post(bench: Bench, bodies: Bodies, role: sluice.Role, _: str, __: int) -> float:
    done = load.post(bench.workspace, bodies, _CONNECTIONS, role.http_port, bench.options.seconds)
    return done.accepted / done.seconds


def _publish(bench: Bench, role: sluice.Role, topic: str, _: int) -> float:
    program = ceilings.program(bench.workspace, "mqtt_publish")
    port = str(bench.mosquitto.port)
    begin = time.monotonic()
    publisher = bench.workspace.start("mqtt_publish", [program, port, str(_ENDLESS), readings.now()])
    time.sleep(bench.options.seconds)
    publisher.check()
    rate = bench.kafka.end_offsets(topic) / (time.monotonic() - begin)
    bench.workspace.end(publisher)
    # The broker would keep for the next bridge what this one has not taken yet.
    time.sleep(_SETTLING_SECONDS)
    return rate


def _drain(bench: Bench, role: sluice.Role, _: str, before: int) -> float:
    return draining.drain(bench, [role.child], bench.options.short_backlog, before)["rate"]


def _measure_connections(bench: Bench, bodies: Bodies, _: int) -> Sample:
    _raise_limit()
    workspace = bench.workspace
    settings = sluice.settings(bench, "ingest", bench.kafka.new_topic("memory"))
    settings |= {"http-connections": str(_HELD + _STREAMS + 100), "stream-connections": str(_STREAMS)}
    settings |= {"http-idle-timeout": "10m"}
    with sluice.running(bench, "ingest", settings) as role:
        command: Command = [sys.executable, BENCHMARKS / "python" / "hold_connections.py"]
        holder = workspace.start("connections", [*command, "--port", str(role.http_port), "--count", str(_HELD)])
        try:
            _wait_until_held(holder)
            streams = load.stream(workspace, bodies, _STREAMS, 1, role.http_port, bench.options.seconds)
            if streams.failed:
                raise ContenderFailed(f"{streams.failed} of {_STREAMS:,} WebSockets failed")
            loaded_mib = role.child.peak_mib()
        finally:
            workspace.end(holder)
    held = holder.last_lines(1).removeprefix("open ")
    return {"loaded_mib": loaded_mib, "rate": streams.accepted / streams.seconds, "held": int(held)}


def _wait_until_held(holder: Child) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while "holding" not in holder.last_lines():
        holder.check()
        if time.monotonic() > deadline:
            raise ContenderFailed(f"{_HELD:,} connections took more than {_PATIENCE_SECONDS} s")
        time.sleep(0.05)


def _raise_limit() -> None:
    """Of open files, for this process and what it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _HELD + _STREAMS + 500
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise Skipped(f"a process may have only {hard:,} open files here, and {needed:,} are needed (ulimit -Hn)")
    if soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


SCENARIO = Scenario("memory", "memory of each role idle and under full load, and with many connections", _prepare)
