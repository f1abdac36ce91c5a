"""POST of many readings into Kafka, a reading per line, plain and packed."""

import dataclasses
import functools
import gzip
from collections.abc import Iterator

from bench import ingest, load, readings
from bench.context import Bench
from bench.load import Bodies
from bench.measurement import Goal, Measurement, Result, Sample, Table
from bench.scenarios.scenario import Scenario
from bench.workspace import need

_CONNECTIONS = 16
_READINGS = 1_000
_BODIES = 8
_DEVICES = 1_000

# Its configuration takes one reading; this is what its documentation says for an array of them.
_TELEGRAF_ARRAYS = {
    """\
  data_format = "json_v2"
  [[inputs.http_listener_v2.json_v2]]
    measurement_name = "reading"
    timestamp_path = "ts"
    timestamp_format = "2006-01-02T15:04:05.999Z07:00"
    [[inputs.http_listener_v2.json_v2.tag]]
      path = "device"
    [[inputs.http_listener_v2.json_v2.tag]]
      path = "sensor"
    [[inputs.http_listener_v2.json_v2.field]]
      path = "value"
      type = "float"
""": """\
  data_format = "json"
  tag_keys = ["device", "sensor"]
  json_time_key = "ts"
  json_time_format = "2006-01-02T15:04:05.999Z07:00"
"""
}
_TELEGRAF = dataclasses.replace(ingest.TELEGRAF, start=functools.partial(ingest.start_telegraf, _TELEGRAF_ARRAYS))
_CONTENDERS = [ingest.SLUICE, ingest.CEILING, _TELEGRAF]
_GOALS = [Goal(0.5, ingest.CEILING.name), Goal(5, _TELEGRAF.name)]
_ENCODINGS = {"plain": None, "gzip": "gzip"}


def _prepare(bench: Bench) -> tuple[Result, list[Measurement]]:
    need("wrk", "wrk")
    result = Result(
        "ndjson",
        f"POST of {_READINGS:,} readings, one per line",
        [
            f"{_READINGS:,} readings of about 110 bytes a request, from {_DEVICES:,} devices; wrk on one thread, "
            f"{_CONNECTIONS} connections, one request at a time on each, {ingest.conditions(bench)}",
            "Sluice and the C program answer after Kafka acknowledged all of them with acks=all; the C program splits "
            'at the ends of lines, takes the key from behind "device":" and validates nothing. Telegraf, whose '
            "parsers take no lines of JSON, gets the same readings as an array, with its parser `json`; it answers "
            "before Kafka has them.",
            "The rate is of readings that were answered and are in Kafka, and its time ends when Kafka has them all. "
            f"{ingest.TERMS}",
        ],
        [Table(name, ingest.metrics("reading", "request"), goals=_GOALS) for name in _ENCODINGS],
    )
    return result, [
        (table, contender.name, functools.partial(_measure, bench, contender, bodies))
        for table, encoding in zip(result.tables, _ENCODINGS.values(), strict=True)
        for lines, array in [(_write(bench, False, encoding), _write(bench, True, encoding))]
        for contender in _CONTENDERS
        for bodies in [array if contender is _TELEGRAF else lines]
    ]


def _write(bench: Bench, is_array: bool, encoding: str | None) -> Bodies:
    path = bench.workspace.folder / f"{'array' if is_array else 'lines'}-{encoding}"
    bodies = (gzip.compress(body, 6) if encoding else body for body in _bodies(is_array))
    return Bodies.write(path, bodies, _READINGS, "application/json" if is_array else "application/x-ndjson", encoding)


def _bodies(is_array: bool) -> Iterator[bytes]:
    sent = list(readings.sent(_BODIES * _READINGS, _DEVICES))
    for first in range(0, len(sent), _READINGS):
        part = sent[first : first + _READINGS]
        yield b"[" + b",".join(part) + b"]" if is_array else b"\n".join(part) + b"\n"


def _measure(bench: Bench, contender: ingest.Contender, bodies: Bodies, _: int) -> Sample:
    drive = functools.partial(load.post, bench.workspace, bodies, _CONNECTIONS)
    return ingest.measure(bench, "ndjson", contender, drive, bodies.readings, is_until_stored=True)


SCENARIO = Scenario("ndjson", "POST of 1,000 readings, one per line, plain and gzip", _prepare)
