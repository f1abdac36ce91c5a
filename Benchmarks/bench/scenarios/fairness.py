"""How long a calm client waits while another takes all that it can get."""

import functools
import http.client
import time
from dataclasses import dataclass
from pathlib import Path

from bench import load, readings, sluice
from bench.child import Child
from bench.context import Bench
from bench.errors import ContenderFailed
from bench.load import Bodies
from bench.measurement import Limit, Measurement, Metric, Result, Sample, Table
from bench.scenarios.scenario import Scenario
from bench.workspace import SLUICE, need

_CONNECTIONS = 256
_INTERVAL = 0.05
_WARM_UP_SECONDS = 2
_GREEDY_ADDRESS, _OTHER_ADDRESS = "127.0.0.1", "127.0.0.2"
_METRICS = [
    Metric("p99_ms", "p99 ms", 2),
    Metric("p50_ms", "p50 ms", 2),
    Metric("refused", "calm: not 2xx"),
    Metric("greedy_rate", "greedy: requests/s"),
    Metric("greedy_refused", "greedy: not 2xx"),
]


@dataclass(frozen=True)
class _Case:
    name: str
    address: str
    """The calm client's."""
    is_flooded: bool
    rate: int = 0
    """Readings per second that one address may send; 0: any number."""


_CASES = [
    _Case("alone", _OTHER_ADDRESS, is_flooded=False),
    _Case("beside a greedy one", _OTHER_ADDRESS, is_flooded=True),
    _Case("beside a greedy one of its address", _GREEDY_ADDRESS, is_flooded=True),
    _Case("beside a greedy one with 1,000/s per address", _OTHER_ADDRESS, is_flooded=True, rate=1_000),
]


def _prepare(bench: Bench) -> tuple[Result, list[Measurement]]:
    need("wrk", "wrk")
    seconds = _seconds(bench)
    result = Result(
        "fairness",
        "A calm client beside a greedy one",
        [
            f"The calm client posts one reading every {_INTERVAL * 1_000:.0f} ms on one connection for {seconds} s; the "
            f"greedy one is wrk with {_CONNECTIONS} connections, from {_GREEDY_ADDRESS}. The latencies are the calm "
            "one's. Each measurement has a new process and a new topic; generators, Sluice and Kafka share the machine, "
            "so that some of the waiting is for a processor.",
        ],
        [
            Table(title, _METRICS, has_ratios=False, goals=[Limit("p99_ms", 3, case, _CASES[0].name) for case in cases])
            for title, cases in (
                ("without keys", [_CASES[1].name, _CASES[3].name]),
                ("with a key each", [case.name for case in _CASES[1:]]),
            )
        ],
    )
    bodies = Bodies.write(bench.workspace.folder / "single", readings.sent(4_000, 1_000))
    return result, [
        (table, case.name, functools.partial(_measure, bench, bodies, case, has_keys))
        for table, has_keys in zip(result.tables, (False, True), strict=True)
        for case in _CASES
        # Without keys, clients of one address are one client.
        if has_keys or not case.is_flooded or case.address != _GREEDY_ADDRESS
    ]


def _seconds(bench: Bench) -> int:
    """Three times that of other loads: the p99 of a client that sends little needs it."""
    return 3 * bench.options.seconds


def _measure(bench: Bench, bodies: Bodies, case: _Case, has_keys: bool, _: int) -> Sample:
    workspace, topic, port = bench.workspace, bench.kafka.new_topic("fairness"), bench.workspace.free_ports()
    settings = {"http-listen": f"127.0.0.1:{port}", "kafka-brokers": bench.kafka.brokers, "kafka-topic": topic}
    environment = {}
    greedy = calm = None
    if has_keys:
        file = workspace.folder / f"keys-{topic}.json"
        environment = {"SLUICE_AUTH": "keys", "SLUICE_KEYS_FILE": str(file)}
        greedy, calm = (_new_key(bench, name, environment) for name in ("greedy", "calm"))
    role = sluice.start(workspace, "ingest", settings, environment)
    try:
        role.wait_until_ready()
        load.post(workspace, bodies, _CONNECTIONS, port, _WARM_UP_SECONDS, greedy)
        if case.rate:
            workspace.end(role.child)
            role = sluice.start(workspace, "ingest", settings | {"http-rate-per-address": str(case.rate)}, environment)
            role.wait_until_ready()
        lasts = _seconds(bench) + 2
        flood = load.start_post(workspace, bodies, _CONNECTIONS, port, lasts, greedy) if case.is_flooded else None
        time.sleep(1)
        sample = _post_calmly(role.child, port, case.address, calm, _seconds(bench))
        if flood:
            greed = load.finish(workspace, flood, lasts)
            sample |= {"greedy_rate": greed.requests / greed.seconds, "greedy_refused": greed.bad_status}
    finally:
        workspace.end(role.child)
    return sample


def _new_key(bench: Bench, name: str, environment: dict[str, str]) -> Path:
    """The file that it is in: a command's arguments and environment are shown in the results."""
    output = bench.workspace.run(
        "sluice keys", [SLUICE, "keys", "create", "--name", name, "--all-devices"], environment
    )
    file = Path(f"{environment['SLUICE_KEYS_FILE']}-{name}")
    file.write_text(next(line for line in output.splitlines() if line.startswith("slk_")))
    return file


def _post_calmly(child: Child, port: int, address: str, key: Path | None, seconds: int) -> Sample:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key.read_text()}"} if key else {})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10, source_address=(address, 0))
    latencies: list[float] = []
    refused = 0
    begin = time.monotonic()
    try:
        for number in range(int(seconds / _INTERVAL)):
            time.sleep(max(0, begin + number * _INTERVAL - time.monotonic()))
            body = f'{{"device":"calm","sensor":"temperature","value":{number % 40},"ts":"{readings.now()}"}}'
            sent = time.monotonic()
            connection.request("POST", "/v1/readings", body, headers)
            response = connection.getresponse()
            response.read()
            latencies.append(time.monotonic() - sent)
            refused += not 200 <= response.status < 300
    except OSError as error:
        raise ContenderFailed(f"the calm client: {error}: {child.last_lines()}") from None
    finally:
        connection.close()
    latencies.sort()
    return {
        "p50_ms": latencies[len(latencies) // 2] * 1_000,
        "p99_ms": latencies[len(latencies) * 99 // 100] * 1_000,
        "refused": refused,
    }


SCENARIO = Scenario("fairness", "a calm client's latency with and without a greedy one beside it", _prepare)
