"""Panels, variables and dashboards as Grafana's JSON."""

from .query import FROM, PAIRS, TO, between, dump, latest, values

MONGODB = {"type": "haohanyang-mongodb-datasource", "uid": "sluice-mongodb"}
PROMETHEUS = {"type": "prometheus", "uid": "sluice-prometheus"}
DEVICE_LINK = {
    "title": "Device ${__value.text}",
    "url": "/d/sluice-device?${__url_time_range}&var-dev=${__value.text}",
}


def mongodb(collection, pipeline, ref="A"):
    return {
        "refId": ref, "datasource": MONGODB, "collection": collection, "queryLanguage": "json",
        "queryText": dump(pipeline),
    }


def prometheus(expression, legend="", ref="A", instant=False):
    return {
        "refId": ref, "datasource": PROMETHEUS, "expr": expression, "legendFormat": legend or "__auto",
        "range": not instant, "instant": instant,
    }


def panel(kind, title, description, targets, size=(12, 8), unit=None, custom=None, options=None, overrides=(),
          transformations=(), points=None, repeat=None, defaults=None):
    """A panel of so many of 24 columns and so many lines; layout() gives it its place."""
    fields = {"custom": custom or {}} | ({"unit": unit} if unit else {}) | (defaults or {})
    made = {
        "type": kind, "title": title, "description": description, "datasource": targets[0]["datasource"],
        "targets": targets, "gridPos": {"h": size[1], "w": size[0], "x": 0, "y": 0},
        "fieldConfig": {"defaults": fields, "overrides": list(overrides)}, "options": options or {},
    }
    if transformations:
        made["transformations"] = list(transformations)
    if points:
        made["maxDataPoints"] = points
    if repeat:
        made |= {"repeat": repeat, "repeatDirection": "v"}
    return made


def graph(title, description, targets, unit=None, size=(12, 8), points=400, overrides=(), transformations=(),
          repeat=None, bars=False, stacked=False, defaults=None):
    custom = {
        "drawStyle": "bars" if bars else "line", "lineWidth": 1, "fillOpacity": 60 if bars else 0,
        "showPoints": "auto", "spanNulls": False, "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel("timeseries", title, description, targets, size, unit, custom, options, overrides, transformations,
                 points, repeat, defaults)


def table(title, description, targets, order, size=(12, 8), overrides=()):
    """A table: MongoDB's columns come in any order, and the first of `order` is a device's name mostly."""
    transformation = {
        "id": "organize",
        "options": {"indexByName": {name: index for index, name in enumerate(order)}, "excludeByName": {}, "renameByName": {}},
    }
    linked = [override("device", links=[DEVICE_LINK])] if "device" in order else []
    return panel("table", title, description, targets, size, custom={"filterable": True},
                 options={"showHeader": True, "cellHeight": "sm"}, overrides=[*linked, *overrides],
                 transformations=[transformation])


def stat(title, description, targets, size=(6, 4), unit=None, overrides=()):
    options = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "/.*/", "values": False}, "colorMode": "value",
               "graphMode": "none", "textMode": "value_and_name"}
    return panel("stat", title, description, targets, size, unit, options=options, overrides=overrides)


def override(name, **properties):
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": key.replace("__", "."), "value": value} for key, value in properties.items()],
    }


# The query U tells the unit of what the query A shows.
UNIT = {
    "id": "configFromData",
    "options": {
        "configRefId": "U", "applyTo": {"id": "byType", "options": "number"},
        "mappings": [{"fieldName": "unit", "handlerKey": "unit", "reducerId": "firstNotNull"}],
    },
}


def series(*labels):
    """A line for each value of these columns."""
    return {"id": "partitionByValues", "options": {"fields": list(labels), "keepFields": False, "naming": {"asLabels": True}}}


def choice(name, label, description, pipeline, collection="devices", multi=True, all_value=None, refresh=1):
    """A variable whose values the database knows."""
    made = {
        "type": "query", "name": name, "label": label, "description": description, "datasource": MONGODB,
        "query": {"refId": name, "collection": collection, "queryLanguage": "json", "queryText": dump(pipeline)},
        "refresh": refresh, "multi": multi, "includeAll": multi, "sort": 1,
        "current": {"text": ["All"], "value": ["$__all"]} if multi else {},
    }
    if all_value is not None:
        made["allValue"] = all_value
    return made


def options(name, label, description, entries):
    """A variable with fixed values: pairs of text and value."""
    entries = [{"text": text, "value": value, "selected": index == 0} for index, (text, value) in enumerate(entries)]
    return {
        "type": "custom", "name": name, "label": label, "description": description, "multi": False, "includeAll": False,
        "query": ", ".join(f"{entry['text']} : {entry['value']}" for entry in entries), "options": entries,
        "current": {"text": entries[0]["text"], "value": entries[0]["value"]},
    }


def typed(name, label, description, default):
    return {"type": "textbox", "name": name, "label": label, "description": description, "query": default,
            "current": {"text": default, "value": default}, "options": []}


# Without a choice, all devices, also those without tags.
TAG = choice(
    "tag", "Tag", "Only devices whose newest tags are among these.",
    [
        {"$match": {"lastSeen": {"$type": "date"}}}, {"$project": {"pair": PAIRS}}, {"$unwind": "$pair"},
        {"$group": {"_id": "$pair"}}, {"$sort": {"_id": 1}},
        # Grafana puts a backslash before each quotation mark, but none before a backslash.
        {"$project": {"_id": 0, "value": {"$replaceAll": {"input": "$_id", "find": "\\", "replacement": "\\\\"}}, "text": "$_id"}},
    ],
    all_value='""',
)


def devices(multi=True, names=None):
    """The devices with the chosen tags; with a pattern of names only those that have such a sensor."""
    having = [*latest(names), {"$group": {"_id": "$_id"}}] if names else []
    return choice(
        "dev", "Device", "The devices shown: those that were ever seen, and carry the tags.",
        [
            {"$match": {"lastSeen": {"$type": "date"}}},
            {
                "$match": {
                    "$expr": {
                        "$or": [
                            {"$in": ["", values("tag")]},
                            {"$gt": [{"$size": {"$setIntersection": [values("tag"), PAIRS]}}, 0]},
                        ]
                    }
                }
            },
            *having,
            {"$sort": {"_id": 1}},
            {"$project": {"_id": 0, "value": "$_id", "text": "$_id"}},
        ],
        multi=multi,
    )


def sensors(multi=True, names=None, texts=False):
    """The sensors of the chosen devices, those that say texts only if asked for; a sensor's name may hold points, its key in
    `devices` does not."""
    return choice(
        "sen", "Sensor", "The sensors shown, of those that the chosen devices have.",
        [
            {"$match": {"_id": {"$in": values("dev")}}}, *latest(names),
            *([] if texts else [{"$match": {"entry.v.value": {"$type": "number"}}}]),
            {"$group": {"_id": "$entry.v.sensor"}}, {"$sort": {"_id": 1}},
            {"$project": {"_id": 0, "value": "$_id", "text": "$_id"}},
        ],
        multi=multi,
    )


# Chosen by the range of time and not by people: whether graphs of many devices have a point per hour or per day.
GRAIN = choice(
    "grain", "Grain", "hours, or day for more than two days.",
    [
        {"$limit": 1},
        {"$set": {"of": {"$cond": [{"$gt": [between(FROM, TO, "second"), 2 * 86_400]}, "day", "hours"]}}},
        {"$project": {"_id": 0, "value": "$of", "text": "$of"}},
    ],
    multi=False, refresh=2,
) | {"hide": 2}

TIME_ZONE = typed("tz", "Time zone", "In which days and hours are counted: a name such as Europe/Berlin.", "UTC")


def layout(panels):
    """Places panels from left to right and numbers them. A text alone is a heading."""
    placed, x, y, height = [], 0, 0, 0
    for entry in panels:
        if isinstance(entry, str):
            entry = {"type": "row", "title": entry, "collapsed": False, "panels": [], "gridPos": {"h": 1, "w": 24}}
        place = entry["gridPos"]
        if x + place["w"] > 24:
            x, y, height = 0, y + height, 0
        place |= {"x": x, "y": y}
        x, height = x + place["w"], max(height, place["h"])
        placed.append({"id": len(placed) + 1} | entry)
    return placed


def dashboard(uid, title, description, variables, panels, since="now-24h", refresh="1m"):
    return {
        "id": None, "uid": uid, "title": title, "description": description, "tags": ["sluice"], "schemaVersion": 41,
        "version": 1, "editable": True, "timezone": "browser", "graphTooltip": 1, "refresh": refresh,
        "time": {"from": since, "to": "now"}, "timepicker": {}, "fiscalYearStartMonth": 0, "liveNow": False,
        "annotations": {"list": []}, "templating": {"list": variables},
        "links": [
            {
                "type": "dashboards", "title": "Sluice", "tags": ["sluice"], "asDropdown": False, "icon": "external link",
                "includeVars": True, "keepTime": True, "targetBlank": False, "tooltip": "", "url": "",
            }
        ],
        "panels": layout(panels),
    }
