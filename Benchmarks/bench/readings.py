"""Readings as they are sent, and as they stand on the topic."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

DEVICES = 500
_STEP = timedelta(milliseconds=100)


def now() -> str:
    return _text(datetime.now(UTC))


def sent(count: int, devices: int) -> Iterator[bytes]:
    """Readings of so many devices in turn, each of now, in about 110 bytes of JSON."""
    time = now()
    for number in range(count):
        yield (
            f'{{"device":"greenhouse-{number % devices:05d}","sensor":"temperature",'
            f'"value":{15 + number * 7919 % 2000 / 100:.2f},"unit":"Cel","ts":"{time}"}}'
        ).encode()


def backlog(count: int, devices: int) -> Iterator[tuple[str, str]]:
    """Keys and values: readings of so many devices in turn, 100 ms apart for each, that end now."""
    first = datetime.now(UTC) - count // devices * _STEP
    for number in range(count):
        device = f"greenhouse-{number % devices:04d}"
        reading = {
            "device": device,
            "sensor": "temperature",
            "value": 15 + number * 7919 % 2000 / 100,
            "unit": "Cel",
            "ts": _text(first + number // devices * _STEP),
        }
        yield device, json.dumps(reading, separators=(",", ":"))


def _text(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
