from .panel import GRAIN, TAG, TIME_ZONE, UNIT, dashboard, devices, graph, mongodb, override, sensors, series, stat, table, typed
from .query import GRAIN as CHOSEN, NUMERIC, columns, day, hour, number, of, readings, slots, summaries, unit

# A motion sensor says true or 1 when it sees something; an ultrasonic one how far away what it sees is.
SEES = {
    "$cond": [
        {"$or": [{"$eq": ["$boolean", True]}, {"$regexMatch": {"input": "$meta.sensor", "regex": "motion|pir|presence|occupancy", "options": "i"}}]},
        {"$gt": ["$value", 0]},
        {"$lt": ["$value", number("near")]},
    ]
}
# The moments when a sensor begins to see something.
TRIGGERS = [
    readings(extra=NUMERIC),
    {"$set": {"sees": {"$cond": [SEES, 1, 0]}}},
    {
        "$setWindowFields": {
            "partitionBy": {"device": "$meta.device", "sensor": "$meta.sensor"}, "sortBy": {"ts": 1},
            "output": {"saw": {"$shift": {"output": "$sees", "by": -1, "default": 0}}},
        }
    },
    {"$match": {"sees": 1, "saw": 0}},
    {"$set": {"hour": hour()}},
]
OPEN, CLOSE = number("open"), number("close")
# Opening hours may go past midnight.
OUTSIDE = {
    "$cond": [
        {"$lte": [OPEN, CLOSE]},
        {"$or": [{"$lt": ["$hour", OPEN]}, {"$gte": ["$hour", CLOSE]}]},
        {"$and": [{"$lt": ["$hour", OPEN]}, {"$gte": ["$hour", CLOSE]}]},
    ]
}

SENSORS = "motion|pir|presence|occupancy|distance|ultrasonic|range"

MOTION = dashboard(
    "sluice-motion", "Motion", "Motion sensors, ultrasonic ones among them: when they saw something, how near, and when nobody should be there.",
    [
        TAG, devices(names=SENSORS), sensors(names=SENSORS),
        typed("near", "Nearer than", "An ultrasonic sensor sees something when its distance is below this, in the sensor's own unit.", "150"),
        typed("open", "From hour", "From this hour on people are expected.", "6"),
        typed("close", "To hour", "From this hour on nobody is expected; 24 for midnight.", "22"),
        TIME_ZONE, GRAIN,
    ],
    [
        stat("Triggers", "How often a sensor began to see something, by how many devices, and how often outside the set hours.",
             [mongodb("readings", [
                 *TRIGGERS, {"$set": {"outside": OUTSIDE}},
                 {"$group": {"_id": "$meta.device", "triggers": {"$sum": 1}, "outside": {"$sum": {"$cond": ["$outside", 1, 0]}}}},
                 {"$group": {"_id": None, "triggers": {"$sum": "$triggers"}, "devices": {"$sum": 1}, "outside": {"$sum": "$outside"}}},
                 columns(triggers=1, devices=1, outside=1),
             ])], size=(24, 4), overrides=[override("outside", color={"mode": "fixed", "fixedColor": "orange"})]),
        graph("Triggers per day", "How often sensors began to see something, by day in the time zone above.",
              [mongodb("readings", [
                  *TRIGGERS, {"$group": {"_id": {"time": day(), "device": "$meta.device"}, "triggers": {"$sum": 1}}},
                  {"$sort": {"_id.time": 1, "_id.device": 1}}, columns(time="$_id.time", device="$_id.device", triggers=1),
              ])], bars=True, stacked=True, transformations=[series("device")], defaults={"displayName": "${__field.labels.device}"}),
        graph("Distance", "The nearest that each device's ultrasonic sensors saw in an hour, or with more than two days in a day (UTC).",
              [mongodb("summaries", [
                  *summaries(CHOSEN), *slots("n", "min", "boolean"), {"$match": {"slot.of.boolean": {"$ne": True}}},
                  {"$group": {"_id": {"time": "$slot.time", "device": "$meta.device"}, "nearest": {"$min": of("min")}}},
                  {"$sort": {"_id.time": 1, "_id.device": 1}}, columns(time="$_id.time", device="$_id.device", nearest=1),
              ]), mongodb("devices", unit(), "U")], points=150,
              transformations=[UNIT, series("device")], defaults={"displayName": "${__field.labels.device}"}),
        table("Outside the set hours", "Triggers while nobody is expected, the newest first: the first 200.",
              [mongodb("readings", [
                  *TRIGGERS, {"$match": {"$expr": OUTSIDE}}, {"$sort": {"ts": -1, "meta.device": 1}}, {"$limit": 200},
                  columns(time="$ts", device="$meta.device", sensor="$meta.sensor", value=1),
              ])], ["time", "device", "sensor", "value"]),
        table("Newest triggers", "When sensors began to see something, the newest first: the first 200.",
              [mongodb("readings", [
                  *TRIGGERS, {"$sort": {"ts": -1, "meta.device": 1}}, {"$limit": 200},
                  columns(time="$ts", device="$meta.device", sensor="$meta.sensor", value=1),
              ])], ["time", "device", "sensor", "value"]),
    ],
    since="now-7d",
)
