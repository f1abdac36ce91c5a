from .panel import UNIT, dashboard, devices, graph, mongodb, options, override, panel, sensors, stat, table, TAG
from .query import FROM, NUMERIC, TO, between, bins, columns, gaps, latest, readings, unit, values

CHOSEN = {"$match": {"_id": {"$in": values("dev")}}}
SHIFT = {"$toLong": "${compare:doublequote}"}


def earlier(date):
    return {"$dateSubtract": {"startDate": date, "unit": "millisecond", "amount": SHIFT}}


MEANS = {"$group": {"_id": bins(), "mean": {"$avg": "$value"}}}
EXTREMES = {"$group": {"_id": bins(), "min": {"$min": "$value"}, "max": {"$max": "$value"}, "mean": {"$avg": "$value"}}}

DEVICE = dashboard(
    "sluice-device", "Device", "One device: each of its sensors over time, and beside the day or week before.",
    [
        TAG, devices(multi=False), sensors(),
        options("compare", "Compare with", "What the lower graphs show beside the chosen time.",
                [("the day before", "86400000"), ("the week before", "604800000")]),
    ],
    [
        stat("Seen", "When the device's first and newest readings were measured, and how long ago the newest was.",
             [mongodb("devices", [CHOSEN, columns(first="$firstSeen", newest="$lastSeen", ago=between("$lastSeen", "$$NOW", "second"))])],
             size=(24, 4), overrides=[
                 override("first", unit="dateTimeAsIso"), override("newest", unit="dateTimeAsIso"), override("ago", unit="s"),
             ]),
        table("Latest values", "The newest reading of every sensor of this device.",
              [mongodb("devices", [
                  CHOSEN, *latest(),
                  columns(sensor="$entry.v.sensor", value="$entry.v.value", text="$entry.v.text", unit="$entry.v.unit", time="$entry.v.ts"),
                  {"$sort": {"sensor": 1}},
              ])], ["sensor", "value", "text", "unit", "time"], size=(12, 9)),
        panel("state-timeline", "On and off",
              "Sensors that say true or false. An interval in which one was true at least once shows as on, so that short "
              "openings are not lost when one looks at a month.",
              [mongodb("readings", [
                  readings(sensors=False, extra={"boolean": True}),
                  {"$group": {"_id": {"time": bins(), "sensor": "$meta.sensor"}, "value": {"$max": "$value"}}},
                  {"$setWindowFields": {
                      "partitionBy": "$_id.sensor", "sortBy": {"_id.time": 1},
                      "output": {"before": {"$shift": {"output": "$value", "by": -1}}},
                  }},
                  {"$match": {"$expr": {"$ne": ["$value", "$before"]}}},
                  {"$sort": {"_id.time": 1, "_id.sensor": 1}}, columns(time="$_id.time", sensor="$_id.sensor", value=1),
              ])], points=400, size=(12, 9),
              transformations=[{"id": "partitionByValues", "options": {"fields": ["sensor"], "keepFields": False, "naming": {"asLabels": True}}}],
              custom={"fillOpacity": 70, "lineWidth": 0},
              options={"mergeValues": True, "showValue": "never", "alignValue": "left", "rowHeight": 0.9},
              defaults={
                  "displayName": "${__field.labels.sensor}",
                  "mappings": [{"type": "value", "options": {
                      "0": {"text": "off", "color": "blue", "index": 0}, "1": {"text": "on", "color": "orange", "index": 1}}}],
              }),
        "Values",
        graph("$sen", "Smallest, mean and largest value of each interval; the database computes them. The line breaks where "
              "nothing came for three times as long as usual.",
              [mongodb("readings", [readings(extra=NUMERIC), EXTREMES, *gaps("min", "max", "mean")]), mongodb("devices", unit(), "U")],
              size=(24, 8), points=800, transformations=[UNIT], repeat="sen", overrides=[
                  override("min", custom__lineWidth=0, color={"mode": "fixed", "fixedColor": "blue"}),
                  override("max", custom__lineWidth=0, custom__fillBelowTo="min", custom__fillOpacity=20,
                           color={"mode": "fixed", "fixedColor": "blue"}),
                  override("mean", custom__lineWidth=2, color={"mode": "fixed", "fixedColor": "green"}),
              ]),
        "Before",
        graph("$sen, and before", "Mean of each interval, and the mean of the same interval a day or a week before.",
              [
                  mongodb("readings", [readings(extra=NUMERIC), MEANS, *gaps("mean")]),
                  mongodb("readings", [
                      {"$match": {
                          "meta.device": {"$in": values("dev")}, "meta.sensor": {"$in": values("sen")}, **NUMERIC, "ts": {"$lte": TO},
                      }},
                      # A stage of its own: there are servers that use no index for what stands beside an `$expr`.
                      {"$match": {"$expr": {"$and": [{"$gte": ["$ts", earlier(FROM)]}, {"$lte": ["$ts", earlier(TO)]}]}}},
                      {"$set": {"ts": {"$dateAdd": {"startDate": "$ts", "unit": "millisecond", "amount": SHIFT}}}},
                      {"$group": {"_id": bins(), "before": {"$avg": "$value"}}}, *gaps("before"),
                  ], "B"),
                  mongodb("devices", unit(), "U"),
              ],
              size=(24, 8), points=800, transformations=[UNIT], repeat="sen", overrides=[
                  override("before", custom__lineStyle={"fill": "dash", "dash": [6, 6]}, color={"mode": "fixed", "fixedColor": "gray"}),
              ]),
    ],
)
