from .panel import GRAIN, TAG, TIME_ZONE, UNIT, dashboard, devices, graph, mongodb, override, sensors, series, stat, table, typed
from .query import FROM, GRAIN as CHOSEN, HOURS, NUMERIC, TO, columns, day, hour, hours_on, number, of, readings, slots, summaries, unit

SENSORS = "motion|pir|presence|occupancy|distance|ultrasonic|range"
# A motion sensor says true or 1 when it sees something; an ultrasonic one how far away what it sees is.
TELLS = {"$regexMatch": {"input": "$meta.sensor", "regex": "motion|pir|presence|occupancy", "options": "i"}}
# The hours in which a sensor saw something. Moments would be too many to look for in a month of all devices.
SEEN = [
    *summaries("hours"),
    {"$project": {"meta": 1, "ts": 1, "tells": TELLS, "all": [{"number": index, "of": f"${name}"} for index, name in enumerate(HOURS)]}},
    # Most hours are left out here, before each is a row.
    {"$project": {"meta": 1, "ts": 1, "slot": {"$filter": {"input": "$all", "as": "slot", "cond": {"$cond": [
        {"$or": ["$tells", "$$slot.of.boolean"]}, {"$gt": ["$$slot.of.max", 0]},
        {"$and": [{"$gt": ["$$slot.of.n", 0]}, {"$lt": ["$$slot.of.min", number("near")]}]}]}}}}},
    {"$unwind": "$slot"},
    {"$set": {"slot.time": hours_on("$ts", "$slot.number")}},
    {"$match": {"slot.time": {"$lte": TO}, "$expr": {"$gt": [hours_on("$slot.time", 1), FROM]}}},
    {"$set": {"hour": hour("$slot.time")}},
]
# The moments when a sensor begins to see something.
TRIGGERS = [
    readings(extra=NUMERIC),
    {"$set": {"sees": {"$cond": [
        {"$cond": [{"$or": [{"$eq": ["$boolean", True]}, TELLS]}, {"$gt": ["$value", 0]}, {"$lt": ["$value", number("near")]}]}, 1, 0]}}},
    {
        "$setWindowFields": {
            "partitionBy": {"device": "$meta.device", "sensor": "$meta.sensor"}, "sortBy": {"ts": 1},
            "output": {"saw": {"$shift": {"output": "$sees", "by": -1, "default": 0}}},
        }
    },
    {"$match": {"sees": 1, "saw": 0}},
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

MOTION = dashboard(
    "sluice-motion", "Motion", "Motion sensors, ultrasonic ones among them: when they saw something, how near, and when nobody should be there. How often: by hours; the Device dashboard has each moment.",
    [
        TAG, devices(names=SENSORS), sensors(names=SENSORS),
        typed("near", "Nearer than", "An ultrasonic sensor sees something when its distance is below this, in the sensor's own unit.", "150"),
        typed("open", "From hour", "From this hour on people are expected.", "6"),
        typed("close", "To hour", "From this hour on nobody is expected; 24 for midnight.", "22"),
        TIME_ZONE, GRAIN,
    ],
    [
        stat("Hours with motion", "In how many hours sensors saw something, counted for each device, how many devices that were, and how many of "
             "the hours lay outside the set ones.",
             [mongodb("summaries", [
                 *SEEN, {"$set": {"outside": OUTSIDE}},
                 {"$group": {"_id": {"device": "$meta.device", "time": "$slot.time"}, "outside": {"$max": {"$cond": ["$outside", 1, 0]}}}},
                 {"$group": {"_id": "$_id.device", "hours": {"$sum": 1}, "outside": {"$sum": "$outside"}}},
                 {"$group": {"_id": None, "hours": {"$sum": "$hours"}, "devices": {"$sum": 1}, "outside": {"$sum": "$outside"}}},
                 columns(hours=1, devices=1, outside=1),
             ])], size=(24, 4), overrides=[override("outside", color={"mode": "fixed", "fixedColor": "orange"})]),
        graph("Hours with motion per day", "In how many hours of a day each device's sensors saw something, by day in the time zone above.",
              [mongodb("summaries", [
                  *SEEN, {"$group": {"_id": {"time": "$slot.time", "device": "$meta.device"}}},
                  {"$group": {"_id": {"time": day("$_id.time"), "device": "$_id.device"}, "hours": {"$sum": 1}}},
                  {"$sort": {"_id.time": 1, "_id.device": 1}}, columns(time="$_id.time", device="$_id.device", hours=1),
              ])], bars=True, stacked=True, transformations=[series("device")], defaults={"displayName": "${__field.labels.device}"}),
        graph("Distance", "The nearest that each device's ultrasonic sensors saw in an hour, or with more than two days in a day (UTC).",
              [mongodb("summaries", [
                  *summaries(CHOSEN), *slots("n", "min", "boolean"), {"$match": {"slot.of.boolean": {"$ne": True}}},
                  {"$group": {"_id": {"time": "$slot.time", "device": "$meta.device"}, "nearest": {"$min": of("min")}}},
                  {"$sort": {"_id.time": 1, "_id.device": 1}}, columns(time="$_id.time", device="$_id.device", nearest=1),
              ]), mongodb("devices", unit(), "U")], points=150,
              transformations=[UNIT, series("device")], defaults={"displayName": "${__field.labels.device}"}),
        table("Outside the set hours", "Hours in which a sensor saw something while nobody is expected, and the least it measured in them. The "
              "newest first: the first 200.",
              [mongodb("summaries", [
                  *SEEN, {"$match": {"$expr": OUTSIDE}}, {"$sort": {"slot.time": -1, "meta.device": 1, "meta.sensor": 1}}, {"$limit": 200},
                  columns(time="$slot.time", device="$meta.device", sensor="$meta.sensor", readings=of("n"), least=of("min")),
              ])], ["time", "device", "sensor", "readings", "least"]),
        table("Newest triggers", "The moments of the last 6 hours in which sensors began to see something, the newest first: the first 200.",
              [mongodb("readings", [
                  *TRIGGERS, {"$sort": {"ts": -1, "meta.device": 1}}, {"$limit": 200},
                  columns(time="$ts", device="$meta.device", sensor="$meta.sensor", value=1),
              ])], ["time", "device", "sensor", "value"]) | {"timeFrom": "6h"},
    ],
    since="now-7d",
)
