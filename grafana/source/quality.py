from . import limits
from .panel import GRAIN, TAG, dashboard, devices, graph, mongodb, options, override, prometheus, sensors, table
from .query import FROM, GRAIN as CHOSEN, TO, columns, each_hour, percentile, seconds, summaries

DAYS = summaries("day")
SERIES = {"device": "$meta.device", "sensor": "$meta.sensor"}
# From the first day that the range of time touches to the end of its last, or to now.
SPAN = seconds(
    {"$dateTrunc": {"date": FROM, "unit": "day"}},
    {"$min": ["$$NOW", {"$dateAdd": {"startDate": {"$dateTrunc": {"date": TO, "unit": "day"}}, "unit": "day", "amount": 1}}]})

# Beside each row by SERIES its newest reading, which has a unit: summaries have none.
NEWEST = [
    {"$lookup": {"from": "devices", "localField": "_id.device", "foreignField": "_id", "as": "state"}},
    {"$unwind": "$state"},
    {"$set": {"entry": {"$arrayElemAt": [{"$filter": {
        "input": {"$objectToArray": "$state.sensors"}, "as": "entry", "cond": {"$eq": ["$$entry.v.sensor", "$_id.sensor"]}}}, 0]}}},
]


def mean_lag(lag, readings):
    return {"$divide": [lag, {"$multiply": [1000, readings]}]}


def shares(time, found):
    return columns(time=time, **{name: {"$arrayElemAt": [found, index]} for index, name in enumerate(("p05", "p50", "p95"))})


QUALITY = dashboard(
    "sluice-quality", "Data quality", "What is wrong with what comes in: values, times, gaps, repeats, and what could not be stored. Tables count whole days (UTC).",
    [
        TAG, devices(), sensors(texts=True),
        options("late", "Late after", "A reading that came so long after it was measured is late.",
                [("1 minute", "60"), ("10 seconds", "10"), ("5 minutes", "300"), ("1 hour", "3600"), ("1 day", "86400")]),
        GRAIN,
    ],
    [
        table("Out of range", "Days (UTC) on which readings were outside the limits of their sensor, which are in grafana/limits.json "
              "with the units that they are in, and the least and greatest values of those days. Most days first: the first 100.",
              [mongodb("summaries", [
                  *DAYS, limits.outside(),
                  {"$group": {"_id": SERIES, "days": {"$sum": 1}, "min": {"$min": "$min"}, "max": {"$max": "$max"}, "newest": {"$max": "$ts"}}},
                  *NEWEST, {"$match": {"$expr": limits.apply("$_id.sensor", "$entry.v.unit")}},
                  {"$sort": {"days": -1, "_id": 1}}, {"$limit": 100},
                  columns(device="$_id.device", sensor="$_id.sensor", days=1, min=1, max=1, newest=1, limits=limits.text("$_id.sensor")),
              ])], ["device", "sensor", "days", "min", "max", "limits", "newest"]),
        table("Expected and received",
              "How many readings of a sensor came on the days (UTC) of the chosen time, and how many would have come until now if it "
              "had kept to its own usual interval (the median of its days). The largest share missing first: the first 100.",
              [mongodb("summaries", [
                  *DAYS,
                  {"$group": {"_id": SERIES, "received": {"$sum": "$readings"}, "every": {"$median": {"input": "$every", "method": "approximate"}}}},
                  {"$match": {"every": {"$gt": 0}}},
                  {"$set": {"expected": {"$floor": {"$divide": [SPAN, "$every"]}}}},
                  {"$match": {"expected": {"$gt": 0}}},
                  {"$set": {"missing": {"$max": [0.0, {"$subtract": [1.0, {"$divide": ["$received", "$expected"]}]}]}}},
                  {"$sort": {"missing": -1, "_id": 1}}, {"$limit": 100},
                  columns(device="$_id.device", sensor="$_id.sensor", every=1, expected=1, received=1, missing=1),
              ])], ["device", "sensor", "every", "expected", "received", "missing"],
              overrides=[override("every", unit="s"), override("missing", unit="percentunit")]),
        graph("Received after measured", "Seconds from when readings were measured, by the device's clock, until Sluice got them: the mean "
              "of each sensor by hour, or with more than two days by day (UTC), and between which values most of these are. Above "
              "0: delay, or a clock that is slow. Below 0: a clock that is fast. Approximate.",
              [
                  # One of the two has rows: days, or hours.
                  mongodb("summaries", [
                      {"$match": {"kind": {"$eq": "day", "$in": [CHOSEN]}}}, *DAYS,
                      {"$group": {"_id": "$ts", "p": percentile(mean_lag("$lag", "$readings"), 0.05, 0.5, 0.95)}},
                      {"$sort": {"_id": 1}}, shares("$_id", "$p"),
                  ]),
                  mongodb("summaries", [
                      {"$match": {"kind": {"$eq": "hours", "$in": [CHOSEN]}}}, *summaries("hours"),
                      *each_hour(p=lambda hour: percentile(mean_lag(f"{hour}.lag", f"{hour}.readings"), 0.05, 0.5, 0.95)),
                      {"$match": {"hour.p.0": {"$type": "number"}}}, {"$sort": {"hour.time": 1}}, shares("$hour.time", "$hour.p"),
                  ], "B"),
              ], unit="s"),
        table("Clocks", "The same by device, of whole days (UTC): smallest, mean and largest, in seconds. The mean farthest from 0 first: "
              "the first 100.",
              [mongodb("summaries", [
                  *DAYS,
                  {"$group": {"_id": "$meta.device", "min": {"$min": "$lagMin"}, "max": {"$max": "$lagMax"},
                              "lag": {"$sum": "$lag"}, "readings": {"$sum": "$readings"}}},
                  {"$set": {"mean": mean_lag("$lag", "$readings")}},
                  {"$set": {"far": {"$abs": "$mean"}}}, {"$sort": {"far": -1, "_id": 1}}, {"$limit": 100},
                  columns(device="$_id", min={"$divide": ["$min", 1000]}, mean=1, max={"$divide": ["$max", 1000]}),
              ])], ["device", "min", "mean", "max"],
              overrides=[override(name, unit="s") for name in ("min", "mean", "max")]),
        table("Late", "Readings that came later than chosen above, by device, on the days (UTC) of the chosen time. Most first: the first 100.",
              [mongodb("summaries", [
                  *DAYS, {"$match": {"s${late}": {"$gt": 0}}},
                  {"$group": {"_id": "$meta.device", "readings": {"$sum": "$s${late}"}, "longest": {"$max": "$lagMax"}}},
                  {"$sort": {"readings": -1, "_id": 1}}, {"$limit": 100},
                  columns(device="$_id", readings=1, longest={"$divide": ["$longest", 1000]}),
              ])], ["device", "readings", "longest"], overrides=[override("longest", unit="s")]),
        graph("Dead letters", "Messages that could not be stored, by reason. They are on the dead-letter topic: `sluice dlq list`. "
              "Needs Prometheus.",
              [
                  prometheus('sum by (reason) (increase(sluice_sink_dead_letters_total[$__rate_interval]))', "{{reason}}"),
                  prometheus('sum by (reason) (increase(sluice_mqtt_dead_total[$__rate_interval]))', "{{reason}} (MQTT)", "B"),
              ], bars=True, stacked=True),
        graph("Left out and refused", "Readings whose number or sender's id was stored before; items of requests that are no readings; "
              "members that Sluice does not know; retained messages. Needs Prometheus.",
              [
                  prometheus('sum(increase(sluice_sink_repeated_total[$__rate_interval]))', "repeated"),
                  prometheus('sum(increase(sluice_http_readings_refused_total[$__rate_interval]))', "refused by HTTP", "B"),
                  prometheus('sum(increase(sluice_sink_unknown_members_total[$__rate_interval]))', "unknown members", "C"),
                  prometheus('sum(increase(sluice_mqtt_retained_total[$__rate_interval]))', "retained", "D"),
              ], bars=True, stacked=True),
    ],
)
