"""From a reading's POST until a query finds it in the database."""

import functools
import http.client
import math
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pymongo.collection import Collection

from bench import readings, sluice
from bench.child import Child
from bench.context import Bench
from bench.errors import ContenderFailed
from bench.measurement import Limit, Measurement, Metric, Result, Sample, Table
from bench.scenarios.scenario import Scenario
from bench.workspace import SLUICE, Command

_RATE, _CONNECTIONS = 1_000, 64
_WARM_UP_SECONDS = 3
_PROBE_INTERVAL_SECONDS = 0.025
_PATIENCE_SECONDS = 10
_SENSOR = "probe"
_FINDS = {"documents": ("readings", "meta.device", 0.002), "timeseries": ("devices", "_id", 0.01)}
"""By layout: the collection that is asked for a probe, the indexed field which has its device, and seconds between two finds."""


def _prepare(bench: Bench) -> tuple[Result, list[Measurement]]:
    metrics = [
        Metric("p50_ms", "p50 ms until found", 1),
        Metric("p99_ms", "p99 ms until found", 1),
        Metric("stored_p50_ms", "p50 ms until stored", 1),
        Metric("stored_p99_ms", "p99 ms until stored", 1),
        Metric("answered_ms", "p50 ms until 202", 1),
        Metric("write_ms", "mean ms of a batch in the sink", 1),
        Metric("batch", "readings in a batch", 1),
        Metric("probes", "probes"),
        Metric("rate", "readings/s beside them"),
    ]
    goals = [
        Limit(f"{measured}{key}", most, layout)
        for layout, measured in (("documents", ""), ("timeseries", "stored_"))
        for key, most in (("p50_ms", 15), ("p99_ms", 60))
    ]
    result = Result(
        "queryable",
        "From POST until a query finds it",
        [
            f"{_RATE:,} readings/s, one a request on {_CONNECTIONS} connections, evenly spaced (`sluice simulate`), "
            f"through ingest, Kafka and one sink; beside them, every {_PROBE_INTERVAL_SECONDS * 1_000:.0f} ms, a probe "
            "of a new device: the time from its POST until a find by that device returns it, repeated after each that does "
            f"not, in the layout documents after {_FINDS['documents'][2] * 1_000:.0f} ms, in timeseries after "
            f"{_FINDS['timeseries'][2] * 1_000:.0f}. {_WARM_UP_SECONDS} s of warm-up, {bench.options.seconds} s measured.",
            "Stored: from a reading's arrival at ingest until the database acknowledged its insert, of all readings, as "
            "the sink counts it (`sluice_sink_age_seconds`, interpolated within its buckets).",
            "In the layout documents the find is in `readings`, which has an index for it. The server of these tests "
            "goes through all of a time-series collection for any find, which would be the time measured: in the layout "
            "timeseries the goals are of the time until stored, and the find is in `devices`, where the sink writes a "
            "reading's device after the reading. That all probes are in `readings` is asked at the end.",
        ],
        [Table("layouts", metrics, False, goals)],
    )
    return result, [(result.tables[0], layout, functools.partial(_measure, bench, layout)) for layout in _FINDS]


def _measure(bench: Bench, layout: str, number: int) -> Sample:
    topic, database = bench.kafka.new_topic("queryable"), f"queryable_{layout}_{number + 1}"
    sluice.prepare_database(bench, topic, database, layout)
    sink_settings = sluice.settings(bench, "sink", topic, database) | {"mongodb-layout": layout}
    try:
        with (
            sluice.running(bench, "ingest", sluice.settings(bench, "ingest", topic)) as ingest,
            sluice.running(bench, "sink", sink_settings) as sink,
            _load(bench, ingest.http_port) as simulation,
        ):
            name, field, interval = _FINDS[layout]
            prober = _Prober(ingest.http_port, bench.mongodb.collection(database, name), field, interval)
            prober.run(_WARM_UP_SECONDS)
            before = sink.metrics()
            answered, found = prober.run(bench.options.seconds)
            after = sink.metrics()
            simulation.wait(_PATIENCE_SECONDS)
            simulation.check()
            summary = dict(pair.split("=") for pair in simulation.last_lines(1).split())
        stored = bench.mongodb.collection(database, "readings").count_documents({"meta.sensor": _SENSOR})
        if stored != prober.sent:
            raise ContenderFailed(f"{stored} of {prober.sent} probes are in the database")
    finally:
        bench.mongodb.drop(database)
    return {
        "p50_ms": statistics.median(found),
        "p99_ms": _percentile(found, 99),
        "stored_p50_ms": _quantile(before, after, "sluice_sink_age_seconds", 0.5) * 1_000,
        "stored_p99_ms": _quantile(before, after, "sluice_sink_age_seconds", 0.99) * 1_000,
        "answered_ms": statistics.median(answered),
        "write_ms": _mean(before, after, "sluice_sink_write_duration_seconds") * 1_000,
        "batch": _mean(before, after, "sluice_sink_batch_readings"),
        "probes": len(found),
        "rate": float(summary["rate"]),
    }


class _Prober:
    """Sends probes one after the other, and asks for each until it is there."""

    def __init__(self, port: int, collection: Collection, field: str, interval: float) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_SECONDS)
        self._collection = collection
        self._field = field
        self._interval = interval
        self.sent = 0

    def run(self, seconds: int) -> tuple[list[float], list[float]]:
        """Milliseconds of each probe until it was answered, and until it was found."""
        answered: list[float] = []
        found: list[float] = []
        begin = time.monotonic()
        while (now := time.monotonic()) < begin + seconds:
            device = f"{_SENSOR}-{self.sent}"
            self._post(device)
            answered.append((time.monotonic() - now) * 1_000)
            self._find(device)
            found.append((time.monotonic() - now) * 1_000)
            time.sleep(max(0, now + _PROBE_INTERVAL_SECONDS - time.monotonic()))
        return answered, found

    def _post(self, device: str) -> None:
        self.sent += 1
        body = f'{{"device":"{device}","sensor":"{_SENSOR}","value":1.5}}'
        try:
            self._connection.request("POST", "/v1/readings", body, {"Content-Type": "application/json"})
            response = self._connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException) as error:
            raise ContenderFailed(f"a probe was not answered: {error}") from None
        if response.status != 202:
            raise ContenderFailed(f"a probe was answered {response.status}")

    def _find(self, device: str) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self._collection.find_one({self._field: device}, {"_id": 1}) is None:
            if time.monotonic() > deadline:
                raise ContenderFailed(f"a probe was not found in {_PATIENCE_SECONDS} s")
            time.sleep(self._interval)


@contextmanager
def _load(bench: Bench, port: int) -> Iterator[Child]:
    seconds = _WARM_UP_SECONDS + bench.options.seconds + 1
    command: Command = [SLUICE, "simulate", "--url", f"http://127.0.0.1:{port}", "--devices", str(readings.DEVICES)]
    command += [
        "--rate",
        str(_RATE),
        "--batch",
        "1",
        "--connections",
        str(_CONNECTIONS),
        "--seconds",
        str(seconds),
        "--quiet",
    ]
    child = bench.workspace.start("sluice simulate", command)
    try:
        yield child
    finally:
        bench.workspace.end(child)


def _percentile(values: list[float], percent: int) -> float:
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def _mean(before: dict[str, float], after: dict[str, float], histogram: str) -> float:
    """Of what a histogram of /metrics observed between the two."""
    total, count = (after[f"{histogram}_{part}"] - before[f"{histogram}_{part}"] for part in ("sum", "count"))
    return total / count


def _quantile(before: dict[str, float], after: dict[str, float], histogram: str, share: float) -> float:
    """Of what a histogram of /metrics observed between the two; infinite when it is above the last finite bound."""
    bucket = f'{histogram}_bucket{{le="'
    counts = sorted(
        (float(name[len(bucket) : -2].replace("+Inf", "inf")), value - before[name])
        for name, value in after.items()
        if name.startswith(bucket)
    )
    rank = counts[-1][1] * share
    lower, below = 0.0, 0.0
    for bound, count in counts:
        if count >= rank:
            return lower + (bound - lower) * (rank - below) / (count - below)
        lower, below = bound, count
    raise ValueError(f"{histogram} has no last bucket")


SCENARIO = Scenario("queryable", "time from POST until a query finds the reading, at a steady load", _prepare)
