from .panel import (
    DEVICE_LINK, TAG, dashboard, devices, graph, mongodb, options, override, panel, prometheus, stat, table,
)
from .query import SITE, between, columns, latest, values

CHOSEN = {"$match": {"_id": {"$in": values("dev")}}}
SILENT = between("$lastSeen", "$$NOW", "second")
LIMIT = {"$toInt": "${silence:doublequote}"}
ENTRY = {
    "device": "$_id", "sensor": "$entry.v.sensor", "value": "$entry.v.value", "text": "$entry.v.text",
    "unit": "$entry.v.unit", "time": "$entry.v.ts",
}


def named(title, description, names, **arguments):
    pipeline = [
        CHOSEN, *latest(names), {"$match": {"entry.v.value": {"$type": "number"}}}, columns(**ENTRY),
        {"$sort": {"value": 1, "device": 1}},
    ]
    return table(title, description, [mongodb("devices", pipeline)], ["device", "sensor", "value", "unit", "time"], **arguments)


FLEET = dashboard(
    "sluice-fleet", "Fleet", "All devices at once: who reports, who fell silent, what they say, and where they are.",
    [
        TAG, devices(),
        options("silence", "Silent after", "A device that did not report for so long is silent.",
                [("15 minutes", "900"), ("5 minutes", "300"), ("1 hour", "3600"), ("6 hours", "21600"), ("1 day", "86400")]),
    ],
    [
        stat("Devices", "How many devices reported of late, and how many did not for longer than chosen above. A device "
             "counts by the time its newest reading was measured.",
             [mongodb("devices", [
                 CHOSEN,
                 {"$group": {
                     "_id": None,
                     "reporting": {"$sum": {"$cond": [{"$lte": [SILENT, LIMIT]}, 1, 0]}},
                     "silent": {"$sum": {"$cond": [{"$gt": [SILENT, LIMIT]}, 1, 0]}},
                 }},
                 columns(reporting=1, silent=1),
             ])], size=(6, 8), overrides=[
                 override("reporting", color={"mode": "fixed", "fixedColor": "green"}),
                 override("silent", color={"mode": "fixed", "fixedColor": "orange"}),
             ]),
        graph("Stored", "Readings that the sinks wrote to MongoDB per second, of all devices. Needs Prometheus.",
              [prometheus("sluice:written:rate", "stored")], unit="ops", size=(18, 8)),
        table("Silent devices", "Devices that are silent, since when, and their site as a tag. The "
              "longest silent come first.",
              [mongodb("devices", [
                  CHOSEN, {"$set": {"silent": SILENT}}, {"$match": {"$expr": {"$gt": ["$silent", LIMIT]}}},
                  {"$sort": {"silent": -1, "_id": 1}},
                  columns(device="$_id", since="$lastSeen", silent=1, site=SITE),
              ])], ["device", "since", "silent", "site"], overrides=[override("silent", unit="s")]),
        panel("geomap", "Map", "Where devices are, by the newest reading of each that says so. Orange: silent.",
              [mongodb("devices", [
                  CHOSEN, {"$set": {"silent": SILENT}}, *[
                      {"$project": {"silent": 1, "entry": {"$objectToArray": "$sensors"}}}, {"$unwind": "$entry"},
                      {"$match": {"entry.v.location.0": {"$type": "number"}}}, {"$sort": {"entry.v.ts": -1}},
                      {"$group": {"_id": "$_id", "silent": {"$first": "$silent"}, "at": {"$first": "$entry.v.location"}}},
                      {"$sort": {"_id": 1}},
                      columns(device="$_id", longitude={"$arrayElemAt": ["$at", 0]}, latitude={"$arrayElemAt": ["$at", 1]},
                              silent=1, status={"$cond": [{"$gt": ["$silent", LIMIT]}, 1, 0]}),
                  ],
              ])],
              options={
                  "view": {"id": "fit", "allLayers": True, "lat": 0, "lon": 0, "zoom": 10, "padding": 10},
                  "basemap": {"type": "default", "name": "Basemap"},
                  "tooltip": {"mode": "details"},
                  "layers": [{
                      "type": "markers", "name": "Devices", "tooltip": True,
                      "location": {"mode": "coords", "latitude": "latitude", "longitude": "longitude"},
                      "config": {"showLegend": False, "style": {
                          "size": {"fixed": 6}, "color": {"field": "status", "fixed": "green"}, "opacity": 0.7,
                          "symbol": {"mode": "fixed", "fixed": "img/icons/marker/circle.svg"},
                      }},
                  }],
              },
              overrides=[
                  override("status", thresholds={"mode": "absolute", "steps": [
                      {"value": None, "color": "green"}, {"value": 1, "color": "orange"}]},
                      color={"mode": "thresholds"}),
                  override("silent", unit="s"), override("device", links=[DEVICE_LINK]),
              ]),
        table("Latest values", "The newest reading of every sensor, by the time it was measured.",
              [mongodb("devices", [CHOSEN, *latest(), columns(**ENTRY), {"$sort": {"device": 1, "sensor": 1}}])],
              ["device", "sensor", "value", "text", "unit", "time"], size=(24, 10)),
        named("Battery", "Sensors with battery in their name, the lowest first.", "batter"),
        named("Signal", "Sensors named after how well the device is heard: rssi, snr, signal, link quality. The weakest first.",
              "rssi|snr|signal|lqi|link_?quality"),
    ],
)
