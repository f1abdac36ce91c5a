#!/usr/bin/env python3
"""Writes dashboards/*.json and provisioning/alerting/*.json from source/ and limits.json: `make dashboards`."""

import json
from pathlib import Path

from source.alerts import ALERTS
from source.compare import COMPARE
from source.device import DEVICE
from source.fleet import FLEET
from source.motion import MOTION
from source.quality import QUALITY
from source.sluice import SLUICE

HERE = Path(__file__).parent


def files():
    """What is written: the text of each file by its path."""
    made = {f"dashboards/{board['uid'].removeprefix('sluice-')}.json": board
            for board in (FLEET, DEVICE, COMPARE, MOTION, QUALITY, SLUICE)}
    made |= {f"provisioning/alerting/{name}.json": rules for name, rules in ALERTS.items()}
    return {HERE / path: json.dumps(value, indent=2, ensure_ascii=False) + "\n" for path, value in made.items()}


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
        print(path.relative_to(HERE))
