from .panel import DEVICE_LINK, GRAIN, TAG, TIME_ZONE, UNIT, dashboard, devices, graph, mongodb, override, panel, sensors, series, table
from .query import GRAIN as CHOSEN, columns, day, each_hour, hour, of, percentile, slots, summaries, unit

NAMES = [f"{hour:02}" for hour in range(24)]
SHARES = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}
MEAN = {"$divide": [of("sum"), of("n")]}

COMPARE = dashboard(
    "sluice-compare", "Compare", "One sensor of many devices.",
    [TAG, devices(), sensors(multi=False), TIME_ZONE, GRAIN],
    [
        graph("Devices", "Mean of each hour, or with more than two days of each day (UTC), a line per device.",
              [
                  mongodb("summaries", [
                      *summaries(CHOSEN), *slots("n", "sum"), columns(time="$slot.time", device="$meta.device", value=MEAN),
                      {"$sort": {"time": 1, "device": 1}},
                  ]),
                  mongodb("devices", unit(), "U"),
              ],
              size=(24, 9), points=150, transformations=[UNIT, series("device")],
              defaults={"displayName": "${__field.labels.device}", "links": [
                  DEVICE_LINK | {"title": "Device ${__field.labels.device}",
                                 "url": "/d/sluice-device?${__url_time_range}&var-dev=${__field.labels.device}"}]}),
        graph("Percentiles", "Between which values the means of most devices are, by hour, or with more than two days by day (UTC): "
              "p05 means that 5 of 100 devices are below. Approximate.",
              [
                  mongodb("summaries", [
                      *summaries(CHOSEN), *slots("n", "sum"),
                      {"$group": {"_id": "$slot.time", "p": percentile(MEAN, *SHARES.values())}}, {"$sort": {"_id": 1}},
                      columns(time="$_id", **{name: {"$arrayElemAt": ["$p", index]} for index, name in enumerate(SHARES)}),
                  ]),
                  mongodb("devices", unit(), "U"),
              ], transformations=[UNIT], overrides=[override("p50", custom__lineWidth=2)]),
        panel("heatmap", "Hours of the day", "Mean of each hour, of all devices chosen: days from left to right, hours from "
              "bottom to top, in the time zone above, if that is whole hours from UTC.",
              [mongodb("summaries", [
                  *summaries("profile"),
                  *each_hour(n=lambda hour: {"$sum": f"{hour}.n"}, sum=lambda hour: {"$sum": f"{hour}.sum"}), {"$match": {"hour.n": {"$gt": 0}}},
                  {"$group": {"_id": {"day": day("$hour.time"), "hour": hour("$hour.time")}, "n": {"$sum": "$hour.n"}, "sum": {"$sum": "$hour.sum"}}},
                  {"$set": {"mean": {"$divide": ["$sum", "$n"]}}},
                  {"$group": {"_id": "$_id.day", "hours": {"$push": {
                      "k": {"$concat": [{"$cond": [{"$lt": ["$_id.hour", 10]}, "0", ""]}, {"$toString": "$_id.hour"}]}, "v": "$mean"}}}},
                  {"$replaceRoot": {"newRoot": {"$mergeObjects": [{"time": "$_id"}, {"$arrayToObject": "$hours"}]}}},
                  {"$sort": {"time": 1}},
              ])],
              transformations=[{"id": "organize", "options": {
                  "indexByName": {name: index for index, name in enumerate(["time", *NAMES])}, "excludeByName": {}, "renameByName": {}}}],
              options={
                  "calculate": False, "rowsFrame": {"layout": "auto"}, "yAxis": {"axisPlacement": "left"},
                  "color": {"mode": "scheme", "scheme": "Turbo", "steps": 64}, "cellGap": 1, "legend": {"show": True},
                  "tooltip": {"mode": "single", "yHistogram": False},
              }),
        table("Ranking", "Devices by the mean of their readings in the hours, or with more than two days in the days (UTC), of the "
              "chosen time, the highest first: the first 100.",
              [
                  mongodb("summaries", [
                      *summaries(CHOSEN), *slots("n", "sum", "min", "max"),
                      {"$group": {"_id": "$meta.device", "sum": {"$sum": of("sum")}, "min": {"$min": of("min")},
                                  "max": {"$max": of("max")}, "readings": {"$sum": of("n")}}},
                      {"$set": {"mean": {"$divide": ["$sum", "$readings"]}}},
                      {"$sort": {"mean": -1, "_id": 1}}, {"$limit": 100},
                      columns(device="$_id", mean=1, min=1, max=1, readings=1),
                  ]),
              ], ["device", "mean", "min", "max", "readings"], size=(24, 9)),
    ],
)
