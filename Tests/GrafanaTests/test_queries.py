"""Every query of a panel, a variable and an alert rule, carried out by a database and compared with what Python makes of the
same readings, in both layouts."""

import datetime as dt
import json
import re
import unittest
import zoneinfo
from collections import Counter, defaultdict

from bson import json_util
from pymongo.errors import OperationFailure

import database
import grafana
from database import DAY, HOUR, MINUTE

UTC = dt.timezone.utc
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
OPTIONS = json_util.JSONOptions(json_mode=json_util.JSONMode.RELAXED, tz_aware=False, tzinfo=None)
YEAR_2000 = dt.datetime(2000, 1, 1)


def milliseconds(date):
    return round((date - dt.datetime(1970, 1, 1)) / dt.timedelta(milliseconds=1))


def group(items, key):
    groups = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def mean(values):
    return sum(values) / len(values)


class World:
    """A database with a fleet, and the answers that Python knows for it."""

    def __init__(self, server, layout, devices):
        self.answers = {}
        # Readings lie a minute and more before; the tests take less than the quarter of an hour that makes devices silent.
        now = dt.datetime.now(UTC).replace(tzinfo=None, microsecond=0)
        self.fleet = database.Fleet(devices, now)
        self.now, self.start = now, now - 2 * DAY
        self.database = server.client[layout]
        database.prepare(self.database, layout)
        self.count = database.store(self.database, layout, self.fleet.readings)
        database.summarize(self.database, self.fleet.readings)
        self.names = self.fleet.names
        self.latest = {(r["device"], r["sensor"]): r for r in sorted(self.fleet.readings, key=lambda r: r["ts"])}
        self.seen = {name: max(r["ts"] for r in group(self.fleet.readings, lambda r: r["device"])[name]) for name in self.names}
        self.site = {r["device"]: r["tags"]["site"] for r in self.fleet.readings}
        self.chosen = {
            "tag": '""', "dev": self.names, "tz": "Europe/Berlin", "silence": "900", "compare": "86400000", "near": "150",
            "open": "6", "close": "22", "late": "60", "grain": "hours", "dev:text": "All",
        }
        self.sensors = {
            "Device": ["temperature"], "Compare": "temperature", "Motion": ["distance", "motion"],
            "Data quality": ["temperature", "battery", "humidity", "door", "distance", "motion", "version.text"],
        }

    def find(self, sensor=None, device=None, start=None, end=None):
        return [r for r in self.fleet.readings if (not sensor or r["sensor"] in sensor) and (not device or r["device"] == device)
                and (start or self.start) <= r["ts"] <= (end or self.now)]

    def range(self, query):
        return (self.now - query.last if query.last else self.now - DAY if query.board and query.board["title"] == "Device" else self.start), self.now

    def pipeline(self, query, **more):
        title = query.board["title"] if query.board else ""
        chosen = self.chosen | {"sen": self.sensors.get(title, [])} | more
        if title == "Device":
            chosen["dev"] = self.names[0]
        start, end = (milliseconds(date) for date in self.range(query))
        text = grafana.substitute(query.text, chosen if query.board else {}, start, end, query.points)
        self.interval = dt.timedelta(milliseconds=grafana.interval(end - start, query.points or 1000))
        return json_util.loads(text, json_options=OPTIONS)

    def run(self, query, **more):
        """The rows; several dashboards ask the same."""
        pipeline = self.pipeline(query, **more)
        key = (query.collection, json_util.dumps(pipeline))
        if key not in self.answers:
            self.answers[key] = list(self.database[query.collection].aggregate(pipeline))
        return self.answers[key]

    def bin(self, date):
        return YEAR_2000 + (date - YEAR_2000) // self.interval * self.interval

    def bins(self, readings, *more):
        return group(readings, lambda r: (self.bin(r["ts"]), *(r[name] for name in more)))

    def hours(self, readings, *more):
        return group(readings, lambda r: (r["ts"].replace(minute=0, second=0, microsecond=0), *(r[name] for name in more)))

    def days(self, readings, *more):
        return group(readings, lambda r: (r["ts"].replace(hour=0, minute=0, second=0, microsecond=0), *(r[name] for name in more)))

    def local(self, date):
        return date.replace(tzinfo=UTC).astimezone(BERLIN)

    def midnight(self, date):
        local = self.local(date).replace(hour=0, minute=0, second=0, microsecond=0)
        return local.astimezone(UTC).replace(tzinfo=None)

    def silent(self):
        return {name for name in self.names if self.now - self.seen[name] > 15 * MINUTE}

    def triggers(self, start):
        found = []
        for (device, sensor), readings in group(self.find(("distance", "motion"), start=start), lambda r: (r["device"], r["sensor"])).items():
            saw = False
            for r in sorted(readings, key=lambda r: r["ts"]):
                sees = r["value"] > 0 if sensor == "motion" else r["value"] < 150
                if sees and not saw:
                    found.append(r)
                saw = sees
        return sorted(found, key=lambda r: (-milliseconds(r["ts"]), r["device"]))

    def seen_hours(self):
        """Hours in which a sensor saw something: when, a reading, all readings."""
        for (hour, _, sensor), found in self.hours(self.find(("distance", "motion")), "device", "sensor").items():
            if any(r["value"] > 0 if sensor == "motion" else r["value"] < 150 for r in found):
                yield hour, found[0], found

    def closed(self, time):
        return not 6 <= self.local(time).hour < 22


class Checks:
    """For each query, by its name, whether its rows are right. `near` compares numbers, `same` anything."""

    def __init__(self, test, world):
        self.test, self.world = test, world

    def same(self, rows, expected, *names):
        self.test.assertEqual([tuple(row.get(name) for name in names) for row in rows], expected)

    def near(self, rows, expected, *names):
        self.test.assertEqual(len(rows), len(expected))
        for row, wanted in zip(rows, expected):
            for name, value in zip(names, wanted):
                if isinstance(value, float) and row.get(name) is not None:
                    self.test.assertAlmostEqual(row[name], value, places=6, msg=name)
                else:
                    self.test.assertEqual(row.get(name), value, name)

    def values(self, rows, expected):
        self.test.assertEqual([(row["value"], row["text"]) for row in rows], [(name, name) for name in expected])

    def gapped(self, rows, sensor, name_of, start, end, shift=dt.timedelta(0)):
        """Rows per bin, with an empty row in the one hole of device-000."""
        w = self.world
        readings = [r | {"ts": r["ts"] + shift} for r in w.find((sensor,), w.names[0], start - shift, end - shift)]
        expected = [(time, *name_of([r["value"] for r in found])) for (time,), found in sorted(w.bins(readings).items())]
        filled = [row for row in rows if len(row) > 1]
        self.test.assertEqual([row["time"] for row in rows], sorted(row["time"] for row in rows))
        empty = [row["time"] for row in rows if len(row) == 1]
        holes = [a for (a, *_), (b, *_) in zip(expected, expected[1:]) if b - a > 5 * HOUR]
        self.test.assertEqual(empty, [time + w.interval for time in holes])
        return filled, expected, empty

    # Fleet

    def fleet_tag(self, rows):
        self.values(rows, [f"site=s{index}" for index in range(5)])

    def fleet_dev(self, rows):
        self.values(rows, self.world.names)

    def fleet_devices_a(self, rows):
        silent = len(self.world.silent())
        self.same(rows, [(len(self.world.names) - silent, silent)], "reporting", "silent")

    def fleet_silent_devices_a(self, rows):
        w = self.world
        self.same(rows, [(name, w.seen[name], w.site[name]) for name in sorted(w.silent(), key=lambda n: (w.seen[n], n))],
                  "device", "since", "site")
        for row in rows:
            self.test.assertLess(abs(row["silent"] - (w.now - row["since"]).total_seconds()), 300)

    def fleet_map_a(self, rows):
        self.near(rows, [(name, 7.6 + index / 1000, 51.9, int(name in self.world.silent()))
                         for index, name in enumerate(self.world.names)], "device", "longitude", "latitude", "status")

    def fleet_latest_values_a(self, rows):
        entries = sorted(self.world.latest.items())
        self.near(rows, [(*key, r.get("value"), r.get("text"), r.get("unit"), r["ts"]) for key, r in entries],
                  "device", "sensor", "value", "text", "unit", "time")

    def fleet_battery_a(self, rows):
        found = sorted((r["value"], device) for (device, sensor), r in self.world.latest.items() if sensor == "battery")
        self.near(rows, found, "value", "device")

    def fleet_signal_a(self, rows):
        self.test.assertEqual(rows, [])

    # Device

    device_tag, device_dev = fleet_tag, fleet_dev

    def device_sen(self, rows):
        self.values(rows, ["battery", "distance", "door", "humidity", "temperature"])

    def device_seen_a(self, rows):
        w = self.world
        first = min(r["ts"] for r in w.find(device=w.names[0]))
        self.same(rows, [(first, w.seen[w.names[0]])], "first", "newest")
        self.test.assertLess(abs(rows[0]["ago"] - (w.now - w.seen[w.names[0]]).total_seconds()), 300)

    def device_latest_values_a(self, rows):
        w = self.world
        entries = sorted((sensor, r) for (device, sensor), r in w.latest.items() if device == w.names[0])
        self.near(rows, [(sensor, r["value"], r.get("unit"), r["ts"]) for sensor, r in entries], "sensor", "value", "unit", "time")

    def device_on_and_off_a(self, rows):
        w = self.world
        expected, before = [], None
        for (time,), found in sorted(w.bins(w.find(("door",), w.names[0], w.now - DAY)).items()):
            if (value := max(r["value"] for r in found)) != before:
                expected.append((time, "door", value))
            before = value
        self.test.assertGreater(len(expected), 10)
        self.same(rows, expected, "time", "sensor", "value")

    def device_sen_a(self, rows):
        w = self.world
        filled, expected, empty = self.gapped(rows, "temperature", lambda v: (min(v), max(v), mean(v)), w.now - DAY, w.now)
        self.test.assertEqual(len(empty), 1)
        self.near(filled, expected, "time", "min", "max", "mean")

    def device_sen_u(self, rows):
        self.same(rows, [("celsius",)], "unit")

    def device_sen_and_before_a(self, rows):
        w = self.world
        filled, expected, empty = self.gapped(rows, "temperature", lambda v: (mean(v),), w.now - DAY, w.now)
        self.test.assertEqual(len(empty), 1)
        self.near(filled, expected, "time", "mean")

    def device_sen_and_before_b(self, rows):
        w = self.world
        filled, expected, empty = self.gapped(rows, "temperature", lambda v: (mean(v),), w.now - DAY, w.now, DAY)
        self.test.assertGreater(len(expected), 20)
        self.near(filled, expected, "time", "before")

    device_sen_and_before_u = device_sen_u

    # Compare

    compare_tag, compare_dev = fleet_tag, fleet_dev

    def compare_sen(self, rows):
        self.values(rows, ["battery", "distance", "door", "humidity", "motion", "temperature"])

    # By hours, as for up to two days, and by days.
    def compare_devices_a(self, rows, binned="hours"):
        found = sorted(getattr(self.world, binned)(self.world.find(("temperature",)), "device").items())
        self.near(rows, [(time, device, mean([r["value"] for r in readings])) for (time, device), readings in found],
                  "time", "device", "value")

    def compare_devices_a_day(self, rows):
        self.compare_devices_a(rows, "days")

    compare_devices_u = compare_percentiles_u = device_sen_u

    def shares(self, rows, found, shares):
        """Percentiles are approximate: next to where they have to be, and in their order."""
        self.test.assertEqual([row["time"] for row in rows], sorted(found))
        for row in rows:
            ordered = sorted(found[row["time"]])
            for name, share in shares.items():
                at = share * (len(ordered) - 1)
                low, high = ordered[max(0, int(at) - 1)], ordered[min(len(ordered) - 1, int(at) + 2)]
                self.test.assertTrue(low - 1e-9 <= row[name] <= high + 1e-9, f"{name} {row[name]} of {ordered}")

    def compare_percentiles_a(self, rows, binned="hours"):
        means = defaultdict(list)
        for (time, _), readings in getattr(self.world, binned)(self.world.find(("temperature",)), "device").items():
            means[time].append(mean([r["value"] for r in readings]))
        self.shares(rows, means, {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95})

    def compare_percentiles_a_day(self, rows):
        self.compare_percentiles_a(rows, "days")

    def compare_hours_of_the_day_a(self, rows):
        w = self.world
        hours = group(w.find(("temperature",)), lambda r: (w.midnight(r["ts"]), f"{w.local(r['ts']).hour:02}"))
        expected = defaultdict(dict)
        for (day, hour), readings in hours.items():
            expected[day][hour] = mean([r["value"] for r in readings])
        self.test.assertEqual([row["time"] for row in rows], sorted(expected))
        for row in rows:
            self.test.assertEqual(set(row) - {"time"}, set(expected[row["time"]]))
            for hour, value in expected[row["time"]].items():
                self.test.assertAlmostEqual(row[hour], value, places=6)

    def compare_ranking_a(self, rows):
        devices = group(self.world.find(("temperature",)), lambda r: r["device"])
        expected = [(name, mean(v), min(v), max(v), len(v)) for name, found in devices.items() if (v := [r["value"] for r in found])]
        self.near(rows, sorted(expected, key=lambda row: -row[1])[:100], "device", "mean", "min", "max", "readings")

    compare_ranking_a_day = compare_ranking_a

    def compare_grain(self, rows):
        self.values(rows, ["hours"])

    # Motion

    motion_grain = data_quality_grain = compare_grain
    motion_tag = fleet_tag

    def motion_dev(self, rows):
        """Those that have such a sensor."""
        self.values(rows, sorted({r["device"] for r in self.world.find(("distance", "motion"))}))

    def motion_sen(self, rows):
        self.values(rows, ["distance", "motion"])

    def motion_hours_with_motion_a(self, rows):
        hours = self.world.seen_hours()
        found = {(r["device"], hour) for hour, r, _ in hours}
        self.same(rows, [(len(found), 6, len({key for key in found if self.world.closed(key[1])}))], "hours", "devices", "outside")
        self.test.assertTrue(0 < rows[0]["outside"] < rows[0]["hours"])

    def motion_newest_triggers_a(self, rows):
        w = self.world
        expected = w.triggers(w.now - 6 * HOUR)
        self.test.assertGreater(len(expected), 0)
        self.same(rows, [(r["ts"], r["device"], r["sensor"], r["value"]) for r in expected[:200]], "time", "device", "sensor", "value")

    def motion_outside_the_set_hours_a(self, rows):
        w = self.world
        found = sorted((hour, r["device"], r["sensor"], len(readings), min(one["value"] for one in readings))
                       for hour, r, readings in w.seen_hours() if w.closed(hour))
        self.near(rows, sorted(found, key=lambda row: (-milliseconds(row[0]), row[1:]))[:200], "time", "device", "sensor", "readings", "least")

    def motion_hours_with_motion_per_day_a(self, rows):
        w = self.world
        counts = Counter((w.midnight(hour), device) for hour, device in {(hour, r["device"]) for hour, r, _ in w.seen_hours()})
        self.same(rows, [(*key, count) for key, count in sorted(counts.items())], "time", "device", "hours")

    def motion_distance_a(self, rows, binned="hours"):
        found = sorted(getattr(self.world, binned)(self.world.find(("distance",)), "device").items())
        self.near(rows, [(*key, min(r["value"] for r in readings)) for key, readings in found], "time", "device", "nearest")

    def motion_distance_a_day(self, rows):
        self.motion_distance_a(rows, "days")

    def motion_distance_u(self, rows):
        self.same(rows, [("suffix: cm",)], "unit")

    # Data quality

    data_quality_tag, data_quality_dev = fleet_tag, fleet_dev

    def data_quality_sen(self, rows):
        """Those that say texts, too: they come late, or not at all, like others."""
        self.values(rows, sorted({sensor for _, sensor in self.world.latest}))

    def data_quality_out_of_range_a(self, rows):
        w = self.world

        def row(readings, outside, limits):
            """Of the days that have one outside."""
            days = [found for found in w.days(readings).values() if any(outside(r["value"]) for r in found)]
            values = [r["value"] for found in days for r in found]
            newest = max(min(r["ts"] for r in found) for found in days).replace(hour=0, minute=0, second=0)
            return (readings[0]["device"], readings[0]["sensor"], len(days), min(values), max(values), newest, limits)

        expected = [row(w.find(("temperature",), w.names[1]), lambda value: value > 50, "-30 … 50"),
                    row(w.find(("battery",), w.names[7]), lambda value: value < 15, "15 … ")]
        # Battery readings of devices past 65 are below 15 as well, and a value that jumped is inside.
        rows = [row for row in rows if row["device"] in (w.names[1], w.names[7])]
        self.near(rows, sorted(expected, key=lambda row: (-row[2], row[0])), "device", "sensor", "days", "min", "max", "newest", "limits")

    def data_quality_expected_and_received_a(self, rows):
        w = self.world
        row = next(row for row in rows if (row["device"], row["sensor"]) == (w.names[0], "temperature"))
        received = len(w.find(("temperature",), w.names[0]))
        # From the start of the first day until now.
        span = (w.now - w.start.replace(hour=0, minute=0, second=0)).total_seconds()
        self.near([row], [(1800.0, received)], "every", "received")
        self.test.assertTrue(0 <= row["expected"] - span // 1800 <= 1)
        self.test.assertAlmostEqual(row["missing"], 1 - received / row["expected"])
        self.test.assertEqual(rows, sorted(rows, key=lambda row: -row["missing"]))
        series = {(r["device"], r["sensor"]) for r in w.find()}
        self.test.assertLessEqual(len(rows), min(100, len(series)))

    def lags(self, rows, found):
        lags = defaultdict(list)
        for (time, *_), readings in found.items():
            lags[time].append(mean([(r["received"] - r["ts"]).total_seconds() for r in readings]))
        self.shares(rows, lags, {"p05": 0.05, "p50": 0.5, "p95": 0.95})

    def data_quality_received_after_measured_b(self, rows):
        self.lags(rows, self.world.hours(self.world.find(), "device", "sensor"))

    def data_quality_received_after_measured_a_day(self, rows):
        self.lags(rows, self.world.days(self.world.find(), "device", "sensor"))

    def data_quality_received_after_measured_a(self, rows):
        self.test.assertEqual(rows, [])

    data_quality_received_after_measured_b_day = data_quality_received_after_measured_a

    def data_quality_clocks_a(self, rows):
        w = self.world
        self.near(rows[:2], [(w.names[2], 120.0, 120.0, 120.0), (w.names[3], -30.0, -30.0, -30.0)], "device", "min", "mean", "max")
        self.test.assertEqual(len(rows), min(100, len(w.names)))

    def data_quality_late_a(self, rows):
        w = self.world
        self.near(rows, [(w.names[2], len(w.find(device=w.names[2])), 120.0)], "device", "readings", "longest")

    # Alerts

    def alert_device_silent(self, rows):
        w = self.world
        self.same(rows, [(w.names[0], "s0")], "device", "site")
        self.test.assertLess(abs(rows[0]["value"] - 7260), 300)

    def alert_site_silent(self, rows):
        self.same(rows, [("s4", float(sum(site == "s4" for site in self.world.site.values())))], "site", "value")

    def alert_no_data_at_all(self, rows):
        self.test.assertEqual(len(rows), 1)
        self.test.assertTrue(60 <= rows[0]["value"] < 360)

    def alert_value_out_of_range(self, rows):
        w = self.world
        fresh = [(w.names[1], "temperature", w.site[w.names[1]], 49.0), (w.names[7], "battery", w.site[w.names[7]], 5.0)]
        self.same(rows, [row for row in fresh if row[0] not in w.silent()], "device", "sensor", "site", "value")

    def alert_sudden_jump(self, rows):
        w = self.world
        # One of the hot ones is a jump as well.
        self.test.assertEqual({(row["device"], row["sensor"]) for row in rows} - {(w.names[1], "temperature")}, {(w.names[6], "temperature")})
        yesterday = w.now.replace(hour=0, minute=0, second=0) - DAY
        old = [r["value"] for r in sorted(w.find(("temperature",), w.names[6], yesterday), key=lambda r: r["ts"])][:-1]
        deviation = (mean([v * v for v in old]) - mean(old) ** 2) ** 0.5
        row = next(row for row in rows if row["device"] == w.names[6])
        self.test.assertAlmostEqual(row["value"], (45 - mean(old)) / deviation, places=6)


def method(query):
    """The name of the check of a query: Device/$sen/A is device_sen_a."""
    return re.sub(r"\W", "_", query.name.replace(",", "").replace("$", "")).lower()


@unittest.skipUnless(database.PROGRAM.exists(), f"no server: {database.PROGRAM}")
class QueriesTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = database.Server()
        cls.addClassCleanup(cls.server.stop)

    def frame(self, query, rows):
        """What the plugin can make a frame of: one type per column, nothing nested."""
        kinds = defaultdict(set)
        for row in rows:
            for name, value in row.items():
                if value is not None:
                    self.assertIsInstance(value, (bool, int, float, str, dt.datetime), f"{query.name}: {name}")
                    kinds[name].add("number" if type(value) in (int, float) else type(value).__name__)
        for name, found in kinds.items():
            self.assertEqual(len(found), 1, f"{query.name}: {name}")
        if not query.board:
            # An alert's table: one number, no time.
            self.assertNotIn("datetime", set().union(*kinds.values()) if kinds else set())
            self.assertLessEqual([*kinds.values()].count({"number"}), 1, query.name)

    def pixels(self, query, rows):
        """Not more rows of a line than columns of pixels."""
        lines = Counter(tuple(str(row[name]) for name in ("device", "sensor") if name in row) for row in rows if "time" in row)
        if lines and query.points < 1000:
            self.assertLessEqual(max(lines.values()), 2 * query.points, query.name)
            times = Counter((row["time"], *(str(row[name]) for name in ("device", "sensor") if name in row)) for row in rows)
            self.assertEqual(max(times.values()), 1, query.name)

    def plan(self, world, query):
        if query.collection == "devices":
            return
        # The two queries of a panel of which one answers for days.
        grain = {"grain": "day"} if query.collection == "summaries" and not world.run(query) else {}
        command = {"aggregate": query.collection, "pipeline": world.pipeline(query, **grain), "cursor": {}}
        plan = json.dumps(world.database.command("explain", command, verbosity="queryPlanner"), default=str)
        self.assertIn("IXSCAN", plan, query.name)
        self.assertIn('"indexBounds": {"meta.device": ["[\\"device-' if query.collection == "readings" else '"indexBounds": {"kind": ["[\\"', plan, query.name)
        self.assertNotIn("COLLSCAN", plan, query.name)

    def everything(self, layout, devices):
        world = World(self.server, layout, devices)
        checks, count = Checks(self, world), 0
        for query in grafana.queries():
            with self.subTest(query.name, layout=layout):
                rows = world.run(query)
                self.frame(query, rows)
                getattr(checks, method(query))(rows)
                self.pixels(query, rows)
                self.plan(world, query)
                if "grain" in query.text and query.collection == "summaries":
                    # The same by days; and for some devices, of which the answer says no other.
                    getattr(checks, method(query) + "_day")(world.run(query, grain="day"))
                    some = world.run(query, **{"dev": world.names[1:3], "dev:text": " + ".join(world.names[1:3])})
                    self.assertLessEqual({row["device"] for row in some if "device" in row}, set(world.names[1:3]))
                    self.assertEqual(bool(some), bool(rows))
                count += 1
        self.assertGreater(count, 40)

    def test_documents(self):
        self.everything("documents", 50)

    def test_timeseries(self):
        # Fewer: the server of the tests reads a whole time series for every query.
        self.everything("timeseries", 10)

    def test_tags(self):
        """Only devices with the chosen tags, and nothing else breaks when nothing fits."""
        fleet = database.Fleet(10, dt.datetime.now(UTC).replace(tzinfo=None, microsecond=0))
        tagged = self.server.client["tagged"]
        database.prepare(tagged, "documents")
        database.store(tagged, "documents", fleet.readings)
        query = next(query for query in grafana.queries() if query.name == "Fleet/$dev")
        for chosen, expected in ((["site=s1", "site=s3"], fleet.names[2:4] + fleet.names[6:8]), (["site=none"], [])):
            pipeline = json_util.loads(grafana.substitute(query.text, {"tag": chosen}, 0, 1, 1), json_options=OPTIONS)
            self.assertEqual([row["value"] for row in tagged.devices.aggregate(pipeline)], expected)

    def test_no_data_at_all(self):
        """A fleet that ended an hour ago: one alarm of all and one per site, and none per device."""
        fleet = database.Fleet(10, dt.datetime.now(UTC).replace(tzinfo=None, microsecond=0) - HOUR)
        ended = self.server.client["ended"]
        database.prepare(ended, "documents")
        database.store(ended, "documents", fleet.readings)
        found = {query.name: list(ended.devices.aggregate(json.loads(query.text)))
                 for query in grafana.queries() if query.name.startswith("Alert/") and query.collection == "devices"}
        self.assertGreater(found["Alert/No data at all"][0]["value"], 900)
        self.assertEqual(len(found["Alert/Site silent"]), 5)
        self.assertEqual(found["Alert/Device silent"], [])
        self.assertEqual(found["Alert/Value out of range"], [])

    def test_tags_of_any_characters(self):
        """Each tag that the variable offers finds its device."""
        now = dt.datetime.now(UTC).replace(tzinfo=None, microsecond=0)
        sites = ["C:\\", '\\"], {"$x', 'Ha"us', "Straße 東京", "$__from ${dev}"]
        odd = self.server.client["odd"]
        database.prepare(odd, "documents")
        database.store(odd, "documents", [
            {"device": f"d{index}", "sensor": "s", "ts": now, "value": 1.0, "location": [7.6, 51.9], "tags": {"site": site}, "received": now}
            for index, site in enumerate(sites)])
        found = {query.name: query for query in grafana.queries()}
        offered = {row["text"]: row["value"] for row in odd.devices.aggregate(json.loads(found["Fleet/$tag"].text))}
        self.assertEqual(set(offered), {f"site={site}" for site in sites})
        for index, site in enumerate(sites):
            with self.subTest(site):
                text = grafana.substitute(found["Fleet/$dev"].text, {"tag": [offered[f"site={site}"]]}, 0, 1, 1)
                self.assertEqual([row["value"] for row in odd.devices.aggregate(json.loads(text))], [f"d{index}"])

    def alerts_of_devices(self, name, readings):
        """The rows of the alerts that read `devices`, after these readings: pairs of device and sensor with a time and value."""
        made = self.server.client[name]
        database.prepare(made, "documents")
        database.store(made, "documents", [
            {"device": device, "sensor": sensor, "ts": ts, "value": value, "location": [7.6, 51.9], "tags": {}, "received": ts}
            for (device, sensor), ts, value in readings])
        return {query.name.removeprefix("Alert/"): list(made.devices.aggregate(json.loads(query.text)))
                for query in grafana.queries() if query.name.startswith("Alert/") and query.collection == "devices"}

    def test_what_was_taken_away_is_not_told_of(self):
        """A device, or a sensor of one that reports on, of which nothing came for more than a week."""
        now = dt.datetime.now(UTC).replace(tzinfo=None, microsecond=0)
        found = self.alerts_of_devices("gone", [
            (("gone", "temperature"), now - 8 * DAY, 99.0), (("here", "temperature"), now - 8 * DAY, 99.0),
            (("here", "battery"), now - 6 * DAY, 5.0), (("here", "humidity"), now - MINUTE, 50.0)])
        self.assertEqual((found["Device silent"], found["Site silent"]), ([], []))
        self.assertEqual([(row["device"], row["sensor"]) for row in found["Value out of range"]], [("here", "battery")])

    def test_limits_are_of_units(self):
        """Pascals, degrees Fahrenheit and volts are not out of a range of others; what has no unit is taken to have the usual."""
        now = dt.datetime.now(UTC).replace(tzinfo=None, microsecond=0)
        units = self.server.client["units"]
        database.prepare(units, "documents")
        sensors = [("pressure", 101_325.0, "Pa"), ("temperature", 72.0, "degF"), ("battery", 3.7, "V"), ("humidity", 55.0, "%RH"),
                   ("temperature", 60.0, "°C"), ("pressure", 700.0, None)]
        readings = [
            {"device": f"d{index}", "sensor": sensor, "ts": now, "value": value, "location": [7.6, 51.9], "tags": {}, "received": now}
            | ({"unit": unit} if unit else {}) for index, (sensor, value, unit) in enumerate(sensors)]
        database.store(units, "documents", readings)
        database.summarize(units, readings)
        names = [reading["device"] for reading in readings]
        chosen = {"tag": '""', "dev": names, "dev:text": "All", "sen": sorted({sensor for sensor, *_ in sensors})}
        start, end = milliseconds(now - HOUR), milliseconds(now + HOUR)
        for query in grafana.queries():
            if query.name in ("Alert/Value out of range", "Data quality/Out of range/A"):
                with self.subTest(query.name):
                    text = grafana.substitute(query.text, chosen if query.board else {}, start, end, query.points)
                    rows = units[query.collection].aggregate(json_util.loads(text, json_options=OPTIONS))
                    self.assertEqual(sorted(row["device"] for row in rows), ["d4", "d5"])

    def test_the_user_of_grafana_only_reads(self):
        """What mongodb-user.js gives Grafana is enough for every query of a fleet's devices, and for nothing else."""
        server = database.Server()
        self.addCleanup(server.stop)
        fleet = database.Fleet(5, dt.datetime.now(UTC).replace(tzinfo=None, microsecond=0))
        database.prepare(server.client["sluice"], "documents")
        database.store(server.client["sluice"], "documents", fleet.readings)
        self.assertIn("role: 'read', db: db.getName()", (grafana.FOLDER / "mongodb-user.js").read_text())
        server.client["sluice"].command("createUser", "grafana", pwd="secret", roles=[{"role": "read", "db": "sluice"}])
        server.restart_with_users()
        client = server.connect(username="grafana", password="secret", authSource="sluice")
        self.addCleanup(client.close)
        query = next(query for query in grafana.queries() if query.name == "Fleet/$tag")
        self.assertEqual(len(list(client["sluice"].devices.aggregate(json.loads(query.text)))), 5)
        for refused in (lambda: client["sluice"].readings.insert_one({}), lambda: client["sluice"].devices.drop(),
                        lambda: list(client["sluice"].devices.aggregate([{"$out": "devices"}])),
                        lambda: list(client["other"].devices.find())):
            with self.assertRaises(OperationFailure) as caught:
                refused()
            self.assertEqual(caught.exception.code, 13)


if __name__ == "__main__":
    unittest.main()
