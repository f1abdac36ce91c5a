from .panel import DEVICE_LINK, TAG, TIME_ZONE, UNIT, dashboard, devices, graph, mongodb, override, panel, sensors, series, table
from .query import NUMERIC, bins, columns, day, hour, percentile, readings, unit

READINGS = readings(extra=NUMERIC)
HOURS = [f"{hour:02}" for hour in range(24)]
SHARES = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}

COMPARE = dashboard(
    "sluice-compare", "Compare", "One sensor of many devices.",
    [TAG, devices(), sensors(multi=False), TIME_ZONE],
    [
        graph("Devices", "Mean of each interval, a line per device.",
              [
                  mongodb("readings", [
                      READINGS, {"$group": {"_id": {"time": bins(), "device": "$meta.device"}, "value": {"$avg": "$value"}}},
                      {"$sort": {"_id.time": 1, "_id.device": 1}}, columns(time="$_id.time", device="$_id.device", value=1),
                  ]),
                  mongodb("devices", unit(), "U"),
              ],
              size=(24, 9), points=150, transformations=[UNIT, series("device")],
              defaults={"displayName": "${__field.labels.device}", "links": [
                  DEVICE_LINK | {"title": "Device ${__field.labels.device}",
                                 "url": "/d/sluice-device?${__url_time_range}&var-dev=${__field.labels.device}"}]}),
        graph("Percentiles", "Between which values most readings of an interval are, over all devices chosen: p05 means that 5 "
              "of 100 readings are below. Approximate.",
              [
                  mongodb("readings", [
                      READINGS, {"$group": {"_id": bins(), "p": percentile("$value", *SHARES.values())}}, {"$sort": {"_id": 1}},
                      columns(time="$_id", **{name: {"$arrayElemAt": ["$p", index]} for index, name in enumerate(SHARES)}),
                  ]),
                  mongodb("devices", unit(), "U"),
              ], transformations=[UNIT], overrides=[override("p50", custom__lineWidth=2)]),
        panel("heatmap", "Hours of the day", "Mean of each hour, of all devices chosen: days from left to right, hours from "
              "bottom to top, in the time zone above.",
              [mongodb("readings", [
                  READINGS, {"$group": {"_id": {"day": day(), "hour": hour()}, "mean": {"$avg": "$value"}}},
                  {"$group": {"_id": "$_id.day", "hours": {"$push": {
                      "k": {"$concat": [{"$cond": [{"$lt": ["$_id.hour", 10]}, "0", ""]}, {"$toString": "$_id.hour"}]}, "v": "$mean"}}}},
                  {"$replaceRoot": {"newRoot": {"$mergeObjects": [{"time": "$_id"}, {"$arrayToObject": "$hours"}]}}},
                  {"$sort": {"time": 1}},
              ])],
              transformations=[{"id": "organize", "options": {
                  "indexByName": {name: index for index, name in enumerate(["time", *HOURS])}, "excludeByName": {}, "renameByName": {}}}],
              options={
                  "calculate": False, "rowsFrame": {"layout": "auto"}, "yAxis": {"axisPlacement": "left"},
                  "color": {"mode": "scheme", "scheme": "Turbo", "steps": 64}, "cellGap": 1, "legend": {"show": True},
                  "tooltip": {"mode": "single", "yHistogram": False},
              }),
        table("Ranking", "Devices by the mean of their readings in the chosen time, the highest first: the first 100.",
              [
                  mongodb("readings", [
                      READINGS,
                      {"$group": {"_id": "$meta.device", "mean": {"$avg": "$value"}, "min": {"$min": "$value"},
                                  "max": {"$max": "$value"}, "readings": {"$sum": 1}}},
                      {"$sort": {"mean": -1, "_id": 1}}, {"$limit": 100},
                      columns(device="$_id", mean=1, min=1, max=1, readings=1),
                  ]),
              ], ["device", "mean", "min", "max", "readings"], size=(24, 9)),
    ],
)
