"""Pieces of MongoDB pipelines.

Written for MongoDB 7 and later, in both layouts. Grafana replaces `$__from` and the variables of a dashboard in the text of
a query, and a name after a dollar sign is one of them wherever it stands: so no variable may have the name of a field.
"""

import json

FROM = {"$date": {"$numberLong": "$__from"}}
TO = {"$date": {"$numberLong": "$__to"}}
# What a column of pixels stands for: never more than maxDataPoints of them.
INTERVAL = {"$numberLong": "$__interval_ms"}
RANGE = {"$gte": FROM, "$lte": TO}


def values(variable):
    """The list of what is chosen in a variable."""
    return [f"${{{variable}:doublequote}}"]


def text(variable):
    return f"${{{variable}:doublequote}}"


def number(variable):
    """A number that was typed."""
    return {"$toDouble": text(variable)}


def dump(pipeline):
    """The text of a query. A list of chosen values brings its quotation marks along."""
    words = json.dumps(pipeline, ensure_ascii=False)
    while (at := words.find('"${')) >= 0:
        end = words.index('}"', at)
        words = words[:at] + words[at + 1 : end + 1] + words[end + 2 :]
    return words


def readings(sensors=True, device="dev", extra=None):
    """The readings of the chosen devices, and sensors, in the range of time: what the indexes are for."""
    match = {"meta.device": {"$in": values(device)}}
    if sensors:
        match["meta.sensor"] = {"$in": values("sen")}
    return {"$match": match | {"ts": RANGE} | (extra or {})}


# Hours for up to two days, days for more: the variable that grain() of panel.py makes.
GRAIN = "${grain:doublequote}"
# Whether all devices are chosen, and no tags: then nobody need look for each in a list.
EVERY = {"$and": [{"$eq": ["of ${dev:text}", "of All"]}, {"$in": ["", values("tag")]}]}


def summaries(kind, sensors=True):
    """The documents of `summaries` of days that the range of time touches, see ARCHITECTURE.md."""
    match = {"kind": kind, "until": {"$gt": FROM}, "ts": {"$lte": TO}}
    if sensors:
        match["meta.sensor"] = {"$in": values("sen")}
    return [{"$match": match}, {"$match": {"$expr": {"$or": [EVERY, {"$in": ["$meta.device", values("dev")]}]}}}]


HOURS = [f"h{number:02}" for number in range(24)]


def hours_on(start, count):
    return {"$dateAdd": {"startDate": start, "unit": "hour", "amount": count}}


def slots(*names):
    """A row for each hour of a document of the kind `hours`, or for the day of one of the kind `day`: `slot.time`, and what is
    named in `slot.of`. Those without the first of them are left out."""
    hours = [{"time": hours_on("$ts", number), "until": hours_on("$ts", number + 1), "of": f"${name}"} for number, name in enumerate(HOURS)]
    day = [{"time": "$ts", "until": "$until", "of": {name: f"${name}" for name in names}}]
    return [
        {"$project": {"meta": 1, "slot": {"$cond": [{"$eq": ["$kind", "day"]}, day, hours]}}},
        {"$unwind": "$slot"},
        {"$match": {f"slot.of.{names[0]}": {"$gt": 0}, "slot.until": {"$gt": FROM}, "slot.time": {"$lte": TO}}},
    ]


def each_hour(**accumulators):
    """All documents of a day together, hour by hour, and then a row for each hour: `hour.time`, and what the accumulators make
    of the hour whose path they are given. Quicker than a row for each hour of each."""
    return [
        {"$group": {"_id": "$ts"} | {f"{hour}{name}": make(f"${hour}") for hour in HOURS for name, make in accumulators.items()}},
        {"$project": {"hour": [
            {"time": hours_on("$_id", number), "until": hours_on("$_id", number + 1)} | {name: f"${hour}{name}" for name in accumulators}
            for number, hour in enumerate(HOURS)]}},
        {"$unwind": "$hour"}, {"$match": {"hour.until": {"$gt": FROM}, "hour.time": {"$lte": TO}}},
    ]


def of(name):
    return f"$slot.of.{name}"


# Numbers: a reading with a text has no value.
NUMERIC = {"value": {"$type": "number"}}


def bins(date="$ts", width=INTERVAL):
    return {"$dateTrunc": {"date": date, "unit": "millisecond", "binSize": width}}


def day(date="$ts"):
    return {"$dateTrunc": {"date": date, "unit": "day", "timezone": text("tz")}}


def hour(date="$ts"):
    return {"$hour": {"date": date, "timezone": text("tz")}}


def between(start, end, unit):
    return {"$dateDiff": {"startDate": start, "endDate": end, "unit": unit}}


def seconds(start, end):
    """From one date to another, with milliseconds."""
    return {"$divide": [between(start, end, "millisecond"), 1000.0]}


def percentile(field, *shares):
    return {"$percentile": {"input": field, "p": list(shares), "method": "approximate"}}


def columns(**fields):
    return {"$project": {"_id": 0} | fields}


def gaps(*names, time="$_id"):
    """Rows with the columns named, after a $group by bins, and an empty row where nothing came for a while.

    A while is three times as long as usual between two rows, and more than two bins: a sensor that reports every hour has no
    gap at each hour when one looks closely. The empty row lies in a bin without readings, so there is still at most one row
    per bin.
    """
    row = {"time": time} | {name: f"${name}" for name in names}
    empty = {"time": {"$dateAdd": {"startDate": "$earlier", "unit": "millisecond", "amount": INTERVAL}}}
    return [
        {"$setWindowFields": {"sortBy": {"_id": 1}, "output": {"earlier": {"$shift": {"output": "$_id", "by": -1}}}}},
        {"$set": {"apart": between("$earlier", "$_id", "millisecond")}},
        {
            "$setWindowFields": {
                "output": {"usual": {"$median": {"input": "$apart", "method": "approximate"}}},
            }
        },
        {
            "$set": {
                "rows": {
                    "$cond": [
                        {"$gt": ["$apart", {"$max": [{"$multiply": [2, INTERVAL]}, {"$multiply": [3, "$usual"]}]}]},
                        [empty, row],
                        [row],
                    ]
                }
            }
        },
        {"$unwind": "$rows"},
        {"$replaceRoot": {"newRoot": "$rows"}},
        {"$sort": {"time": 1}},
    ]


# Those of the newest reading of a device that has any.
PAIRS = {
    "$map": {
        "input": {"$objectToArray": {"$ifNull": ["$tags", {}]}},
        "as": "t",
        "in": {"$concat": ["$$t.k", "=", "$$t.v"]},
    }
}
SITE = {"$ifNull": ["$tags.site", "no site"]}


def latest(names=None):
    """One row per device and sensor, of the collection `devices`."""
    stages = [{"$project": {"entry": {"$objectToArray": "$sensors"}}}, {"$unwind": "$entry"}]
    if names:
        stages.append({"$match": {"entry.v.sensor": {"$regex": names, "$options": "i"}}})
    return stages


# Units of SenML and of everyday, in Grafana's names.
UNITS = {
    "Cel": "celsius", "°C": "celsius", "C": "celsius", "degF": "fahrenheit", "K": "kelvin", "%RH": "humidity",
    "%EL": "percent", "%": "percent", "/": "percentunit", "hPa": "pressurehpa", "Pa": "pressurepa", "lx": "lux",
    "m": "lengthm", "cm": "suffix: cm", "mm": "lengthmm", "km": "lengthkm", "m/s": "velocityms", "km/h": "velocitykmh",
    "V": "volt", "mV": "mvolt", "A": "amp", "W": "watt", "kWh": "kwatth", "Hz": "hertz", "dB": "dB", "dBm": "dBm",
    "dBW": "suffix: dBW", "ppm": "ppm", "ug/m3": "conμgm3", "µg/m³": "conμgm3", "g": "massg", "kg": "masskg", "s": "s",
    "ms": "ms", "l": "litre", "lat": "degree", "lon": "degree", "deg": "degree",
}


def unit():
    """One row with the unit of the chosen sensor in Grafana's name for it."""
    branches = [{"case": {"$eq": ["$unit", name]}, "then": grafana} for name, grafana in UNITS.items()]
    return [
        {"$match": {"_id": {"$in": values("dev")}}},
        *latest(),
        {"$match": {"entry.v.sensor": {"$in": values("sen")}, "entry.v.unit": {"$type": "string"}}},
        {"$limit": 1},
        {"$project": {"unit": "$entry.v.unit"}},
        columns(unit={"$switch": {"branches": branches, "default": {"$concat": ["suffix: ", "$unit"]}}}),
    ]
