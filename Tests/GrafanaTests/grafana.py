"""The dashboards and rules as Grafana reads them, and what it makes of their queries before the database sees them."""

import datetime as dt
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "grafana"
sys.path.insert(0, str(FOLDER))
MONGODB = "haohanyang-mongodb-datasource"


def dashboards():
    return [json.loads(path.read_text()) for path in sorted((FOLDER / "dashboards").glob("*.json"))]


def rules():
    """Alert rules with the file they are in."""
    for path in sorted((FOLDER / "provisioning/alerting").glob("*.json")):
        for group in json.loads(path.read_text())["groups"]:
            for rule in group["rules"]:
                yield path.name, rule


class Query:
    """A query of MongoDB: of a panel, a variable, or an alert rule."""

    def __init__(self, name, target, board=None, points=None, last=None):
        """`last`: the time that the panel shows, when it has one of its own."""
        self.name, self.board, self.points, self.last = name, board, points, last
        self.collection, self.text = target["collection"], target["queryText"]


def own_time(panel):
    return dt.timedelta(hours=int(panel["timeFrom"].removesuffix("h"))) if "timeFrom" in panel else None


def queries():
    for board in dashboards():
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                yield Query(f"{board['title']}/${variable['name']}", variable["query"], board)
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                if target["datasource"]["type"] == MONGODB:
                    yield Query(f"{board['title']}/{panel['title']}/{target['refId']}", target, board, panel.get("maxDataPoints", 1000), own_time(panel))
    for _, rule in rules():
        target = rule["data"][0]["model"]
        if target["datasource"]["type"] == MONGODB:
            yield Query(f"Alert/{rule['title']}", target)


def interval(milliseconds, points):
    """Grafana's $__interval_ms: a range of time over so many points, rounded to what people count in."""
    exact = milliseconds / points
    second, minute, hour, day = 1000, 60_000, 3_600_000, 86_400_000
    steps = [
        (10, 1), (15, 10), (35, 20), (75, 50), (150, 100), (350, 200), (750, 500), (1500, second), (3500, 2 * second),
        (7500, 5 * second), (12500, 10 * second), (17500, 15 * second), (25000, 20 * second), (45000, 30 * second),
        (90000, minute), (210000, 2 * minute), (450000, 5 * minute), (750000, 10 * minute), (1050000, 15 * minute),
        (1500000, 20 * minute), (2700000, 30 * minute), (5400000, hour), (9000000, 2 * hour), (16200000, 3 * hour),
        (32400000, 6 * hour), (day, 12 * hour), (7 * day, day), (21 * day, 7 * day),
    ]
    return next((step for below, step in steps if exact < below), 30 * day)


def substitute(text, chosen, start, end, points):
    """What the plugin's side in the browser does: macros and variables are replaced as text."""
    chosen = {"__from": str(start), "__to": str(end), "__interval_ms": str(interval(end - start, points or 1000))} | chosen

    def replace(match):
        name, form = match[1] or match[2], match[3]
        if name not in chosen:
            return match[0]
        value = chosen[name]
        if form == "text":
            # What is shown of the choice.
            return chosen.get(f"{name}:text", " + ".join(value) if isinstance(value, list) else value)
        if form == "doublequote":
            # An "all value" is taken as it is.
            if value == '""':
                return value
            # Quotation marks get a backslash, and a backslash gets none.
            quoted = ('"' + one.replace('"', '\\"') + '"' for one in (value if isinstance(value, list) else [value]))
            return ",".join(quoted)
        return value if isinstance(value, str) else ",".join(value)

    return re.sub(r"\$(?:(\w+)|\{(\w+)(?::(\w+))?\})", replace, text)


def variables(text):
    """The names of macros and variables that Grafana would look for in a text."""
    return {a or b for a, b in re.findall(r"\$(?:(\w+)|\{(\w+)(?::\w+)?\})", text)}
