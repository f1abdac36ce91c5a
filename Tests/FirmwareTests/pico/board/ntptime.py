"""The board's ntptime module: the clock of this process is right anyway."""

import struct

import machine
import world

host = ""
timeout = 0


def settime():
    assert host and timeout <= 5
    clock = world.get("clock")
    if clock == "short":
        # As the genuine one does with what it received.
        struct.unpack("!I", bytes(40)[40:44])
    if clock == "unresolved":
        # lwIP asks each of two name servers for seven seconds.
        machine.wait(14_000)
        raise OSError(-2)
    if not clock:
        raise OSError(110)
