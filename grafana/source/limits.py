"""limits.json: between which values a sensor's readings belong, in which units. The one place where they are written down."""

import json
from pathlib import Path

LIMITS = json.loads((Path(__file__).parent.parent / "limits.json").read_text())


def apply(sensor, unit):
    """Whether the limits of a sensor are in this unit; they are if it has none, or they name none."""
    branches = [
        {"case": {"$eq": [sensor, name]}, "then": {"$in": [{"$ifNull": [unit, units[0]]}, units]} if units else True}
        for name, units in ((name, bounds.get("units")) for name, bounds in LIMITS.items())
    ]
    return {"$switch": {"branches": branches, "default": False}}


def excess(sensor, value):
    """How far a value is outside the limits of its sensor; not above 0 when it is inside, or there are none."""
    branches = []
    for name, bounds in LIMITS.items():
        below = [{"$subtract": [bounds["min"], value]}] if "min" in bounds else []
        above = [{"$subtract": [value, bounds["max"]]}] if "max" in bounds else []
        branches.append({"case": {"$eq": [sensor, name]}, "then": {"$max": below + above}})
    return {"$switch": {"branches": branches, "default": -1}}


def outside():
    """Summaries with readings outside the limits of their sensor, as a filter."""
    cases = []
    for name, bounds in LIMITS.items():
        if "min" in bounds:
            cases.append({"meta.sensor": name, "min": {"$lt": bounds["min"]}})
        if "max" in bounds:
            cases.append({"meta.sensor": name, "max": {"$gt": bounds["max"]}})
    return {"$match": {"$or": cases}}


def text(sensor):
    """The limits of a sensor in words."""
    branches = [
        {"case": {"$eq": [sensor, name]}, "then": f"{bounds.get('min', '')} … {bounds.get('max', '')}"}
        for name, bounds in LIMITS.items()
    ]
    return {"$switch": {"branches": branches, "default": "none"}}
