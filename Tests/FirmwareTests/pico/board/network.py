"""The board's network module."""

import world

STA_IF = 0


def country(code):
    assert len(code) == 2


class WLAN:
    joined = False

    def __init__(self, kind):
        assert kind == STA_IF

    def active(self, on):
        assert on

    def connect(self, name, password):
        print("joining", name)
        WLAN.joined = world.get("wifi")

    def isconnected(self):
        if not world.get("wifi"):
            WLAN.joined = False
        return WLAN.joined
