"""A database of the tests' own, and readings in it as the sink writes them."""

import datetime as dt
import math
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from bson import Int64, ObjectId
from pymongo import MongoClient

import grafana

PROGRAM = Path(os.environ.get("SLUICE_TEST_SERVERS", grafana.ROOT.parent / "shared/servers")) / "mongodb/secantusd-rs"
DELAYS = (10, 60, 300, 3600, 86400)
MINUTE, HOUR, DAY = dt.timedelta(minutes=1), dt.timedelta(hours=1), dt.timedelta(days=1)


class Server:
    """A MongoDB-compatible server on WiredTiger; stop() ends it and removes its data."""

    def __init__(self, cache="512M"):
        self.folder = tempfile.mkdtemp(prefix="grafana-", dir=os.environ.get("SLUICE_TEST_FOLDER"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.cache = cache
        self.start()

    def start(self, *options):
        with open(f"{self.folder}/log", "a") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "--port", str(self.port), "--storage-path", f"{self.folder}/data", "--cache-size", self.cache,
                 "--log-level", "WARNING", *options], stdout=log, stderr=log)
        self.client = self.connect()
        self.client.admin.command("ping")

    def connect(self, **user):
        return MongoClient("127.0.0.1", self.port, directConnection=True, serverSelectionTimeoutMS=30_000, **user)

    def processor(self):
        """Seconds of processor time that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def restart_with_users(self):
        self.end()
        self.start("--auth")

    def end(self):
        self.client.close()
        self.process.terminate()
        self.process.wait(timeout=60)

    def stop(self):
        self.end()
        shutil.rmtree(self.folder)


def prepare(database, layout):
    """The collections and indexes of Sources/Sink/DatabaseSchema.swift."""
    expiry = 90 * 86_400
    if layout == "timeseries":
        database.create_collection(
            "readings", timeseries={"timeField": "ts", "metaField": "meta", "granularity": "seconds"}, expireAfterSeconds=expiry)
        database.readings.create_index([("meta.device", 1), ("ts", -1)], name="device_ts")
        database.readings.create_index(
            [("ts", 1)], name="expiry", expireAfterSeconds=expiry, partialFilterExpression={"meta.device": {"$gt": ""}})
    else:
        database.readings.create_index([("meta.device", 1), ("meta.sensor", 1), ("ts", -1)], name="device_sensor_ts")
        database.readings.create_index([("ts", 1)], name="expiry", expireAfterSeconds=expiry)
    database.summaries.create_index([("kind", 1), ("meta.sensor", 1), ("until", 1)], name="kind_sensor_until")
    database.summaries.create_index([("until", 1)], name="expiry", expireAfterSeconds=expiry)


def document(layout, number, reading):
    """A reading as Sources/Sink/ReadingDocument.swift writes it."""
    made = {
        "_id": ObjectId(number.to_bytes(12, "big")) if layout == "timeseries" else f"sensor-data:0:{number}",
        "ts": reading["ts"],
        "meta": {name: reading[name] for name in ("device", "sensor", "unit") if name in reading},
    }
    for name in ("value", "boolean", "text"):
        if name in reading:
            made[name] = reading[name]
    made["location"] = {"type": "Point", "coordinates": reading["location"]}
    return made | {
        "tags": reading["tags"], "received": reading["received"], "k": {"p": 0, "o": Int64(number), "e": 1},
    }


def store(database, layout, readings):
    """Writes readings, and the latest of each sensor to `devices` as Sources/Sink/DeviceStates.swift does."""
    states, batch = {}, []
    for number, reading in enumerate(readings):
        batch.append(document(layout, number, reading))
        if len(batch) == 5000:
            database.readings.insert_many(batch, ordered=False)
            batch = []
        state = states.setdefault(reading["device"], {
            "_id": reading["device"], "firstSeen": reading["ts"], "lastSeen": reading["ts"], "sensors": {}})
        state["firstSeen"] = min(state["firstSeen"], reading["ts"])
        state["lastSeen"] = max(state["lastSeen"], reading["ts"])
        if reading["ts"] >= state.get("tagged", reading["ts"]):
            state |= {"tags": reading["tags"], "tagged": reading["ts"]}
        key = reading["sensor"].replace(".", "．")
        if key not in state["sensors"] or reading["ts"] >= state["sensors"][key]["ts"]:
            latest = {name: reading[name] for name in ("sensor", "ts", "value", "boolean", "text", "unit") if name in reading}
            state["sensors"][key] = latest | {"location": reading["location"][:2]}
    if batch:
        database.readings.insert_many(batch, ordered=False)
    database.devices.insert_many(states.values())
    return number + 1


def summarize(database, readings):
    """Writes the summaries of readings."""
    batch = []
    for made in summaries(readings):
        batch.append(made)
        if len(batch) == 5000:
            database.summaries.insert_many(batch, ordered=False)
            batch = []
    if batch:
        database.summaries.insert_many(batch, ordered=False)


class Summary:
    """What readings come to, as Sources/Sink/Summaries/Summary.swift has it."""

    def __init__(self):
        self.fields = {"readings": 0, "lag": 0, **{f"s{delay}": 0 for delay in DELAYS}}

    def least(self, name, value, choose=min):
        self.fields[name] = choose(self.fields[name], value) if name in self.fields else value

    def add(self, reading):
        fields, lag = self.fields, round((reading["received"] - reading["ts"]) / dt.timedelta(milliseconds=1))
        fields["readings"] += 1
        fields["lag"] += lag
        for delay in DELAYS:
            fields[f"s{delay}"] += lag > delay * 1000
        for name, value in (("first", reading["ts"]), ("lagMin", lag)):
            self.least(name, value)
        for name, value in (("last", reading["ts"]), ("lagMax", lag)):
            self.least(name, value, max)
        if (value := reading.get("value")) is not None:
            for name, more in (("n", 1), ("sum", value), ("squares", value * value)):
                fields[name] = fields.get(name, 0) + more
            self.least("min", value)
            self.least("max", value, max)
        if reading.get("boolean"):
            fields["boolean"] = True


def summaries(readings):
    """The documents that the sink's summarizer makes of readings."""
    hours, days = {}, {}
    for reading in readings:
        start = reading["ts"].replace(hour=0, minute=0, second=0, microsecond=0)
        series = (reading["device"], reading["sensor"], start)
        hours.setdefault(series, {}).setdefault(reading["ts"].hour, Summary()).add(reading)
        days.setdefault(series, Summary()).add(reading)
    for (device, sensor, start), found in hours.items():
        number = (start - dt.datetime(1970, 1, 1)).days

        def made(kind, fields):
            return {"_id": f"{kind}|{number}|{device}|{sensor}", "kind": kind, "meta": {"device": device, "sensor": sensor},
                    "ts": start, "until": start + DAY, **fields}

        slots = {f"h{hour:02}": found[hour].fields for hour in sorted(found)}
        gaps = [(slot["last"] - slot["first"]).total_seconds() / (slot["readings"] - 1) for slot in slots.values() if slot["readings"] > 1]
        gaps += [(b["first"] - a["last"]).total_seconds() for a, b in zip(slots.values(), list(slots.values())[1:])]
        every = {"every": sorted(gaps)[len(gaps) // 2]} if gaps else {}
        yield made("hours", slots)
        yield made("day", days[device, sensor, start].fields | every)
        if numbers := {name: {"n": slot["n"], "sum": slot["sum"]} for name, slot in slots.items() if "n" in slot}:
            yield made("profile", numbers)


class Fleet:
    """Devices of five sites, two days long, with something for every panel to find.

    - s4: all devices silent for an hour, so its network is gone.
    - device-000: silent for two hours, and with a gap of six hours in its temperature; its neighbours report.
    - device-001: some temperatures out of range, the newest one too.
    - device-002: a clock two minutes slow; device-003: half a minute fast.
    - device-006: its newest temperature jumps.
    - the first five have an ultrasonic sensor, the sixth a motion sensor; every second a humidity and a door.
    """

    def __init__(self, devices, now):
        self.now, self.start = now, now - 2 * DAY
        self.names = [f"device-{index:03}" for index in range(devices)]
        self.readings = [reading for index, name in enumerate(self.names) for reading in self.device(index, name, devices)]

    def device(self, index, name, devices):
        site = f"s{index * 5 // devices}"
        end = self.now - (2 * HOUR if index == 0 else HOUR if site == "s4" else 0 * HOUR)

        def series(sensor, unit, every, value, **more):
            ts, number = end - (60 + index) * dt.timedelta(seconds=1), 0
            while ts >= self.start:
                delay = 120 if index == 2 else -30 if index == 3 else 1 + number % 3
                entry = {
                    "device": name, "sensor": sensor, "ts": ts, "location": [7.6 + index / 1000, 51.9, 60.0],
                    "tags": {"site": site}, "received": ts + dt.timedelta(seconds=delay), **more,
                }
                if unit:
                    entry["unit"] = unit
                found = value(number, ts)
                if found is not None:
                    entry["text" if isinstance(found, str) else "value"] = found
                    yield entry
                ts, number = ts - every, number + 1

        def temperature(number, ts):
            if index == 0 and 20 <= number < 32:
                return None
            if index == 1 and number % 30 == 0:
                return 99.0
            if index == 6 and number == 0:
                return 45.0
            return 20 + index / 10 + math.sin(number * 1.7 + index)

        yield from series("temperature", "Cel", 30 * MINUTE, temperature)
        yield from series("battery", "%EL", 2 * HOUR, lambda number, ts: 80.0 - index if index != 7 else 10.0)
        if index % 2 == 0:
            yield from series("humidity", "%RH", HOUR, lambda number, ts: 50 + 5 * math.cos(number))
            yield from series("door", None, 20 * MINUTE, lambda number, ts: 1.0 if number % 7 < 2 else 0.0, boolean=True)
        if index < 5:
            yield from series("distance", "cm", 30 * MINUTE, lambda number, ts: 90.0 + index if number % 12 in (3, 4) else 250.0)
        if index == 5:
            yield from series("motion", None, 30 * MINUTE, lambda number, ts: 1.0 if number % 10 == 3 else 0.0, boolean=True)
            yield from series("version.text", None, 12 * HOUR, lambda number, ts: f"1.{number}")
