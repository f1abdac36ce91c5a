from . import limits
from .panel import TAG, dashboard, devices, graph, mongodb, options, override, prometheus, sensors, table
from .query import FROM, TO, bins, columns, percentile, readings, seconds

LATE = {"$toDouble": "${late:doublequote}"}
OFFSET = {"$set": {"offset": seconds("$ts", "$received")}}
P50 = {"$arrayElemAt": ["$p", 1]}


def shares():
    return columns(time="$_id", p05={"$arrayElemAt": ["$p", 0]}, p50=P50, p95={"$arrayElemAt": ["$p", 2]})


QUALITY = dashboard(
    "sluice-quality", "Data quality", "What is wrong with what comes in: values, times, gaps, repeats, and what could not be stored.",
    [
        TAG, devices(), sensors(),
        options("late", "Late after", "A reading that came so long after it was measured is late.",
                [("1 minute", "60"), ("10 seconds", "10"), ("5 minutes", "300"), ("1 hour", "3600"), ("1 day", "86400")]),
    ],
    [
        table("Out of range", "Readings outside the limits of their sensor, which are in grafana/limits.json. Most first: the first 100.",
              [mongodb("readings", [
                  readings(extra=limits.outside()),
                  {"$group": {"_id": {"device": "$meta.device", "sensor": "$meta.sensor"}, "readings": {"$sum": 1},
                              "min": {"$min": "$value"}, "max": {"$max": "$value"}, "newest": {"$max": "$ts"}}},
                  {"$sort": {"readings": -1, "_id": 1}}, {"$limit": 100},
                  columns(device="$_id.device", sensor="$_id.sensor", readings=1, min=1, max=1, newest=1, limits=limits.text("$_id.sensor")),
              ])], ["device", "sensor", "readings", "min", "max", "limits", "newest"]),
        table("Expected and received",
              "How many readings of a sensor came, and how many would have come if it had kept to its own usual interval (the "
              "median) for the whole time. The largest share missing first: the first 100.",
              [mongodb("readings", [
                  readings(),
                  {"$setWindowFields": {
                      "partitionBy": {"device": "$meta.device", "sensor": "$meta.sensor"}, "sortBy": {"ts": 1},
                      "output": {"earlier": {"$shift": {"output": "$ts", "by": -1}}},
                  }},
                  {"$group": {"_id": {"device": "$meta.device", "sensor": "$meta.sensor"}, "received": {"$sum": 1},
                              "every": {"$median": {"input": seconds("$earlier", "$ts"), "method": "approximate"}}}},
                  {"$match": {"every": {"$gt": 0}}},
                  {"$set": {"expected": {"$floor": {"$divide": [seconds(FROM, TO), "$every"]}}}},
                  {"$match": {"expected": {"$gt": 0}}},
                  {"$set": {"missing": {"$max": [0.0, {"$subtract": [1.0, {"$divide": ["$received", "$expected"]}]}]}}},
                  {"$sort": {"missing": -1, "_id": 1}}, {"$limit": 100},
                  columns(device="$_id.device", sensor="$_id.sensor", every=1, expected=1, received=1, missing=1),
              ])], ["device", "sensor", "every", "expected", "received", "missing"],
              overrides=[override("every", unit="s"), override("missing", unit="percentunit")]),
        graph("Received after measured", "Seconds from when readings were measured, by the device's clock, until Sluice got them. Above "
              "0: delay, or a clock that is slow. Below 0: a clock that is fast. Approximate percentiles.",
              [mongodb("readings", [
                  readings(), OFFSET, {"$group": {"_id": bins(), "p": percentile("$offset", 0.05, 0.5, 0.95)}}, {"$sort": {"_id": 1}}, shares(),
              ])], unit="s", points=200),
        table("Clocks", "The same by device: smallest, median and largest, in seconds. The farthest from 0 first: the first 100.",
              [mongodb("readings", [
                  readings(), OFFSET,
                  {"$group": {"_id": "$meta.device", "min": {"$min": "$offset"}, "max": {"$max": "$offset"},
                              "p": {"$median": {"input": "$offset", "method": "approximate"}}}},
                  {"$set": {"far": {"$abs": "$p"}}}, {"$sort": {"far": -1, "_id": 1}}, {"$limit": 100},
                  columns(device="$_id", min=1, median="$p", max=1),
              ])], ["device", "min", "median", "max"],
              overrides=[override(name, unit="s") for name in ("min", "median", "max")]),
        table("Late", "Readings that came later than chosen above, by device. Most first: the first 100.",
              [mongodb("readings", [
                  readings(), OFFSET, {"$match": {"$expr": {"$gt": ["$offset", LATE]}}},
                  {"$group": {"_id": "$meta.device", "readings": {"$sum": 1}, "longest": {"$max": "$offset"}}},
                  {"$sort": {"readings": -1, "_id": 1}}, {"$limit": 100}, columns(device="$_id", readings=1, longest=1),
              ])], ["device", "readings", "longest"], overrides=[override("longest", unit="s")]),
        graph("Dead letters", "Messages that could not be stored, by reason. They are on the dead-letter topic: `sluice dlq list`. "
              "Needs Prometheus.",
              [
                  prometheus('sum by (reason) (increase(sluice_sink_dead_letters_total[$__rate_interval]))', "{{reason}}"),
                  prometheus('sum by (reason) (increase(sluice_mqtt_dead_total[$__rate_interval]))', "{{reason}} (MQTT)", "B"),
              ], bars=True, stacked=True),
        graph("Left out and refused", "Readings whose sender's id was stored before; items of requests that are no readings; "
              "members that Sluice does not know; retained messages. Needs Prometheus.",
              [
                  prometheus('sum(increase(sluice_sink_repeated_total[$__rate_interval]))', "repeated"),
                  prometheus('sum(increase(sluice_http_readings_refused_total[$__rate_interval]))', "refused by HTTP", "B"),
                  prometheus('sum(increase(sluice_sink_unknown_members_total[$__rate_interval]))', "unknown members", "C"),
                  prometheus('sum(increase(sluice_mqtt_retained_total[$__rate_interval]))', "retained", "D"),
              ], bars=True, stacked=True),
    ],
)
