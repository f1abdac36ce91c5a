#!/usr/bin/env python3
"""`make grafana-scale`: how long every query takes over two million readings of 500 devices and 30 days.

Writes the table to grafana/RESULTS.md: seconds by the clock, and of the server's processor, which other work on the machine does
not prolong. The layout is `documents`, for the server of the tests reads a whole time series for
every query, and MongoDB does not.
"""

import datetime as dt
import math
import os
import time

from bson import json_util
from pymongo.errors import PyMongoError

import database
import grafana
from database import DAY, HOUR, MINUTE

DEVICES, DAYS, PATIENCE = 500, 30, 20
OPTIONS = json_util.JSONOptions(json_mode=json_util.JSONMode.RELAXED, tz_aware=False, tzinfo=None)


def readings(now):
    for index in range(DEVICES):
        for sensor, unit, every in (("temperature", "Cel", 15 * MINUTE), ("humidity", "%RH", HOUR), ("battery", "%EL", 2 * HOUR),
                                    ("distance", "cm", 15 * MINUTE)):
            if sensor == "distance" and index % 10:
                continue
            for number in range(DAYS * DAY // every):
                ts = now - (30 + index % 240) * dt.timedelta(seconds=1) - number * every
                value = 40 + 10 * math.sin(number / 15 + index)
                if sensor == "distance":
                    # Something comes near now and then.
                    value = 90.0 if number % 50 == 0 else 250 + value
                yield {
                    "device": f"device-{index:03}", "sensor": sensor, "unit": unit, "value": value, "ts": ts,
                    "location": [7.6 + index / 1000, 51.9, 60.0], "tags": {"site": f"s{index % 20}"},
                    "received": ts + dt.timedelta(seconds=1 + number % 3),
                }


class Measured:
    """Seconds of the quickest of three, by the clock and of the server's processor, and the rows; no seconds when it took too
    long."""

    def __init__(self, server, collection, pipeline):
        self.took, self.worked, self.rows = None, None, 0
        for _ in range(3):
            began, before = time.monotonic(), server.processor()
            try:
                self.rows = len(list(collection.aggregate(pipeline, maxTimeMS=PATIENCE * 1000)))
            except PyMongoError as error:
                if getattr(error, "code", None) != 50:
                    raise
                return
            took, worked = time.monotonic() - began, server.processor() - before
            self.took = took if self.took is None else min(self.took, took)
            self.worked = worked if self.worked is None else min(self.worked, worked)

    def __str__(self):
        return f"> {PATIENCE}" if self.took is None else f"{self.took:.2f} ({self.worked:.2f})"


def parsed(text, names):
    """The pipeline of a query; a list of all devices is left out of what selects readings, see RESULTS.md."""
    pipeline = json_util.loads(text, json_options=OPTIONS)
    if pipeline[0].get("$match", {}).get("meta.device") == {"$in": names}:
        del pipeline[0]["$match"]["meta.device"]
    return pipeline


def table(server, base, now):
    """The times of all queries, as lines of Markdown."""
    names = [f"device-{index:03}" for index in range(DEVICES)]
    chosen = {"tag": '""', "tz": "Europe/Berlin", "silence": "900", "compare": "604800000", "near": "150", "open": "6",
              "close": "22", "late": "60", "dev:text": "All"}
    sensors = {"Device": ["temperature"], "Compare": "temperature", "Motion": ["distance"],
               "Data quality": ["temperature", "humidity", "battery", "distance"]}
    devices = {"Device": names[7], "Motion": names[::10]}
    end, asked = round(now.replace(tzinfo=dt.timezone.utc).timestamp() * 1000), set()
    for query in grafana.queries():
        title = query.board["title"] if query.board else ""
        values = chosen | {"dev": devices.get(title, names), "sen": sensors.get(title, [])}
        ranges = (query.last / DAY,) if query.last else (1, 7, 30) if query.collection != "devices" and query.board else (30,)
        pipelines = [
            grafana.substitute(query.text, values | {"grain": "hours" if days <= 2 else "day"} if query.board else {},
                               end - round(days * 86_400_000), end, query.points)
            for days in ranges]
        if pipelines[-1] in asked:
            continue
        asked.add(pipelines[-1])
        found = []
        for days, text in zip(ranges, pipelines):
            found.append(Measured(server, base[query.collection], parsed(text, names)))
            print(query.name, days, found[-1], found[-1].rows, flush=True)
        words = [""] * (3 - len(found)) + [str(one) for one in found]
        yield f"| {query.name} | {' | '.join(words)} | {found[-1].rows if found[-1].took else ''} |"


def write(server, base, now):
    lines, count = "\n".join(table(server, base, now)), base.readings.estimated_document_count()
    text = (grafana.FOLDER / "RESULTS.md").read_text()
    head, tail = text[: text.index("<!-- results -->")], text[text.index("<!-- /results -->") :]
    (grafana.FOLDER / "RESULTS.md").write_text(
        f"{head}<!-- results -->\n{count:,} readings of {DEVICES} devices over {DAYS} days; {os.cpu_count()} cores with a load of "
        f"{os.getloadavg()[1]:.0f}; {now:%Y-%m-%d}.\n\n"
        f"| query | 1 day | 7 days | 30 days | rows |\n|---|---|---|---|---|\n{lines}\n{tail}")


def main():
    now = dt.datetime.now(dt.timezone.utc).replace(tzinfo=None, microsecond=0)
    server = database.Server(cache="2G")
    try:
        base = server.client["documents"]
        database.prepare(base, "documents")
        began = time.monotonic()
        count = database.store(base, "documents", readings(now))
        database.summarize(base, readings(now))
        print(f"{count} readings and {base.summaries.estimated_document_count()} summaries stored in {time.monotonic() - began:.0f} s", flush=True)
        write(server, base, now)
    finally:
        server.stop()


if __name__ == "__main__":
    main()
