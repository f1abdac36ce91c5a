"""Alert rules of Grafana. Their queries run without a browser: no macros, no variables, the time is $$NOW.

Each returns one number per row, and the strings beside it become labels; no row means that all is well.
"""

from . import limits
from .panel import mongodb, prometheus
from .query import SITE, between, columns

# A device is silent after so many seconds.
SILENT_AFTER = 900
# Of what nothing came for so long no more is said: it was taken away.
FORGOTTEN_AFTER = 7 * 86_400
# A site whose devices are silent for this part lost its network, and not each of its devices something.
SITE_SHARE = 0.5

AGO = between("$lastSeen", "$$NOW", "second")
SITES = [
    {"$set": {"ago": AGO}},
    {"$match": {"ago": {"$lte": FORGOTTEN_AFTER}}},
    {"$set": {"site": SITE, "isSilent": {"$cond": [{"$gt": ["$ago", SILENT_AFTER]}, 1, 0]}}},
]
DOWN = {"$and": [{"$gte": ["$silent", 2]}, {"$gte": ["$silent", {"$multiply": [SITE_SHARE, "$devices"]}]}]}


def since(days):
    """The days of summaries from so many before today on."""
    today = {"$dateTrunc": {"date": "$$NOW", "unit": "day"}}
    return {"$gt": ["$until", {"$dateSubtract": {"startDate": today, "unit": "day", "amount": days}}]}


def rule(uid, title, target, threshold, summary, description, wait="5m", severity="warning", no_data="OK", dashboard="sluice-fleet"):
    source = target["datasource"]["uid"]
    condition = {
        "refId": "B", "type": "threshold", "expression": "A", "datasource": {"type": "__expr__", "uid": "__expr__"},
        "conditions": [{"evaluator": {"type": "gt", "params": [threshold]}}],
    }
    period = {"from": 600, "to": 0}
    return {
        "uid": uid, "title": title, "condition": "B", "for": wait, "noDataState": no_data, "execErrState": "Error",
        "labels": {"severity": severity},
        "annotations": {"summary": summary, "description": description, "runbook_url": f"/d/{dashboard}"},
        "data": [
            {"refId": "A", "relativeTimeRange": period, "datasourceUid": source, "model": target},
            {"refId": "B", "relativeTimeRange": period, "datasourceUid": "__expr__", "model": condition},
        ],
    }


DATA = [
    rule(
        "sluice-device-silent", "Device silent",
        mongodb("devices", [
            *SITES,
            {"$setWindowFields": {"partitionBy": "$site", "output": {"silent": {"$sum": "$isSilent"}, "devices": {"$sum": 1}}}},
            {"$match": {"isSilent": 1, "$expr": {"$not": [DOWN]}}},
            {"$sort": {"_id": 1}}, columns(device="$_id", site=1, value={"$toDouble": "$ago"}),
        ]),
        SILENT_AFTER, "{{ .Labels.device }} is silent", "No reading for more than 15 minutes, while others of its site report.",
        wait="0s",
    ),
    rule(
        "sluice-site-silent", "Site silent",
        mongodb("devices", [
            *SITES,
            {"$group": {"_id": "$site", "silent": {"$sum": "$isSilent"}, "devices": {"$sum": 1}}},
            {"$match": {"$expr": DOWN}}, {"$sort": {"_id": 1}}, columns(site="$_id", value={"$toDouble": "$silent"}),
        ]),
        0, "Site {{ .Labels.site }} is silent", "At least half of its devices, and at least two, do not report: look at the network first.",
        wait="0s", severity="critical",
    ),
    rule(
        "sluice-no-data", "No data at all",
        mongodb("devices", [
            {"$group": {"_id": None, "newest": {"$max": "$lastSeen"}}},
            columns(value={"$toDouble": between("$newest", "$$NOW", "second")}),
        ]),
        SILENT_AFTER, "No device reports", "The newest reading of all is more than 15 minutes old: look at Sluice, Kafka and MongoDB.",
        wait="0s", severity="critical", dashboard="sluice-itself",
    ),
    rule(
        "sluice-out-of-range", "Value out of range",
        mongodb("devices", [
            {"$set": {"ago": AGO}}, {"$match": {"ago": {"$lte": SILENT_AFTER}}},
            {"$project": {"site": SITE, "entry": {"$objectToArray": "$sensors"}}}, {"$unwind": "$entry"},
            # A sensor may be taken away from a device that reports on.
            {"$match": {"entry.v.value": {"$type": "number"},
                        "$expr": {"$lte": [between("$entry.v.ts", "$$NOW", "second"), FORGOTTEN_AFTER]}}},
            {"$match": {"$expr": limits.apply("$entry.v.sensor", "$entry.v.unit")}},
            {"$set": {"value": {"$toDouble": limits.excess("$entry.v.sensor", "$entry.v.value")}}}, {"$match": {"value": {"$gt": 0}}},
            {"$sort": {"_id": 1, "entry.k": 1}}, columns(device="$_id", sensor="$entry.v.sensor", site=1, value=1),
        ]),
        0, "{{ .Labels.sensor }} of {{ .Labels.device }} is out of range", "Its newest reading is outside the limits in grafana/limits.json.",
        dashboard="sluice-quality",
    ),
    rule(
        "sluice-jump", "Sudden jump",
        mongodb("summaries", [
            # What was summarised of today and yesterday, and beside it the newest readings.
            {"$match": {"kind": "day", "meta.sensor": {"$gt": ""}, "$expr": since(1)}},
            {"$match": {"boolean": {"$ne": True}, "n": {"$gt": 0}}},
            {"$project": {"device": "$meta.device", "sensor": "$meta.sensor", "n": 1, "sum": 1, "squares": 1, "last": 1}},
            {"$unionWith": {"coll": "devices", "pipeline": [
                {"$project": {"entry": {"$objectToArray": "$sensors"}}}, {"$unwind": "$entry"},
                {"$match": {"entry.v.value": {"$type": "number"}, "entry.v.boolean": {"$ne": True}}},
                {"$project": {"device": "$_id", "sensor": "$entry.v.sensor", "newest": "$entry.v.value", "at": "$entry.v.ts"}},
            ]}},
            {"$group": {"_id": {"device": "$device", "sensor": "$sensor"}, "n": {"$sum": "$n"}, "sum": {"$sum": "$sum"},
                        "squares": {"$sum": "$squares"}, "last": {"$max": "$last"}, "newest": {"$max": "$newest"}, "at": {"$max": "$at"}}},
            {"$match": {"at": {"$type": "date"}, "$expr": {"$lte": [between("$at", "$$NOW", "second"), SILENT_AFTER]}}},
            # Mean and deviation without the newest reading, where that is summarised already.
            {"$set": {"in": {"$cond": [{"$gte": ["$last", "$at"]}, 1, 0]}}},
            {"$set": {"n": {"$subtract": ["$n", "$in"]}, "sum": {"$subtract": ["$sum", {"$multiply": ["$in", "$newest"]}]},
                      "squares": {"$subtract": ["$squares", {"$multiply": ["$in", "$newest", "$newest"]}]}}},
            {"$match": {"n": {"$gte": 19}}},
            {"$set": {"mean": {"$divide": ["$sum", "$n"]}}},
            {"$set": {"deviation": {"$sqrt": {"$max": [0, {"$subtract": [{"$divide": ["$squares", "$n"]}, {"$multiply": ["$mean", "$mean"]}]}]}}}},
            # What is left of a constant by rounding is no deviation.
            {"$match": {"$expr": {"$gt": ["$deviation", {"$multiply": [1e-5, {"$abs": "$mean"}]}]}}},
            {"$set": {"value": {"$divide": [{"$abs": {"$subtract": ["$newest", "$mean"]}}, "$deviation"]}}},
            {"$match": {"value": {"$gt": 6}}},
            {"$sort": {"_id": 1}}, columns(device="$_id.device", sensor="$_id.sensor", value=1),
        ]),
        6, "{{ .Labels.sensor }} of {{ .Labels.device }} jumped", "Its newest reading is more than 6 standard deviations from the mean of today and yesterday (UTC).",
        wait="0s", dashboard="sluice-device",
    ),
]


def grown(metric):
    """Where a counter grew of late. One that was not there before began at more than 0, which `increase` does not count."""
    return f"sum by (reason) ({metric} unless {metric} offset 10m) > 0 or sum by (reason) (increase({metric}[10m])) > 0"


SLUICE = [
    rule(
        "sluice-dead-letters", "Dead letters", prometheus(grown("sluice_sink_dead_letters_total"), instant=True),
        0, "Dead letters: {{ .Labels.reason }}", "Messages could not be stored. `sluice dlq list` counts them, `sluice dlq show` shows them.",
        wait="0s", dashboard="sluice-quality",
    ),
    rule(
        "sluice-dead-letters-mqtt", "Dead letters of MQTT", prometheus(grown("sluice_mqtt_dead_total"), instant=True),
        0, "MQTT messages that are no readings: {{ .Labels.reason }}", "`sluice dlq show --source bridge` shows them.",
        wait="0s", dashboard="sluice-quality",
    ),
    rule(
        "sluice-not-ready", "Not ready", prometheus('(1 - sluice_ready) or (1 - up{job=~"sluice-.*"})', instant=True),
        0, "{{ .Labels.job }} at {{ .Labels.instance }} is not ready", "It does not answer, or cannot work, for example because Kafka or MongoDB does not answer: its /readyz says why.",
        severity="critical", dashboard="sluice-itself",
    ),
    rule(
        "sluice-sink-behind", "Sink behind", prometheus("sum(sluice_sink_lag)", instant=True),
        100_000, "The sinks are behind", "More than 100,000 messages of the topic are not in MongoDB yet.", severity="critical", no_data="NoData", dashboard="sluice-itself",
    ),
]


def groups(name, interval, rules):
    return {"apiVersion": 1, "groups": [{"orgId": 1, "name": name, "folder": "Sluice", "interval": interval, "rules": rules}]}


ALERTS = {
    "data": groups("Data", "1m", DATA),
    # Without Prometheus this file can be left out.
    "sluice": groups("Sluice itself", "1m", SLUICE),
}
