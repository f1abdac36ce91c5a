"""The board's ntptime module: the clock of this process is right anyway."""

import world

host = ""
timeout = 0


def settime():
    assert host and timeout <= 5
    if not world.get("clock"):
        raise OSError(110)
